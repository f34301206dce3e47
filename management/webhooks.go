package management

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/internal/webhook"
)

// Webhooks keeps who is told of hazards; jobs processes do the telling. Safe for concurrent use.
type Webhooks interface {
	// CreateWebhook stores a webhook with its sealed secret. Errors: webhook.ErrTooMany.
	CreateWebhook(ctx context.Context, w webhook.Webhook, secret []byte) (webhook.Webhook, error)
	// Webhooks lists all; there are at most webhook.MaxWebhooks. All that take an id may answer webhook.ErrNotFound.
	Webhooks(ctx context.Context) ([]webhook.Webhook, error)
	Webhook(ctx context.Context, id string) (webhook.Webhook, error)
	ChangeWebhook(ctx context.Context, id string, c webhook.Change) (before, after webhook.Webhook, err error)
	// RotateWebhookSecret puts a sealed secret in the place of the present one, which signs too for grace.
	RotateWebhookSecret(ctx context.Context, id string, secret []byte, grace time.Duration) (webhook.Webhook, error)
	DeleteWebhook(ctx context.Context, id string) (webhook.Webhook, error)
	// TestWebhook has an event sent. Errors: webhook.ErrTooMany.
	TestWebhook(ctx context.Context, id string, e webhook.Event) (webhook.Delivery, error)
	WebhookDeliveries(ctx context.Context, id string, f webhook.DeliveryFilter) ([]webhook.Delivery, error)
	// Redeliver makes a delivery due again. Errors: webhook.ErrInactive, webhook.ErrTooMany.
	Redeliver(ctx context.Context, id string, delivery int64) (before, after webhook.Delivery, err error)
}

// Sealer encrypts webhooks' secrets for the database; keyring.Sealer is one.
type Sealer interface {
	Seal(item string, secret [webhook.SecretSize]byte) ([]byte, error)
}

func (s *Server) webhookRoutes(analyst, operator chi.Router) {
	analyst.Get("/v1/webhooks", s.handle(s.getWebhooks))
	analyst.Get("/v1/webhooks/{id}", s.handle(s.getWebhook))
	analyst.Get("/v1/webhooks/{id}/deliveries", s.handle(s.getDeliveries))
	operator.Method(http.MethodPost, "/v1/webhooks", s.change("webhook.create", s.postWebhook))
	operator.Method(http.MethodPatch, "/v1/webhooks/{id}", s.change("webhook.change", s.patchWebhook))
	operator.Method(http.MethodDelete, "/v1/webhooks/{id}", s.change("webhook.delete", s.deleteWebhook))
	operator.Method(http.MethodPost, "/v1/webhooks/{id}/rotate-secret", s.change("webhook.rotate_secret", s.postRotateSecret))
	operator.Method(http.MethodPost, "/v1/webhooks/{id}/test", s.change("webhook.test", s.postWebhookTest))
	operator.Method(http.MethodPost, "/v1/webhooks/{id}/deliveries/{delivery}/redeliver", s.change("webhook.redeliver", s.postRedeliver))
}

type webhooksDoc struct {
	Webhooks []webhookDoc `json:"webhooks"`
}

// webhookDoc's times are null where there is none. Its secret is in none of them.
type webhookDoc struct {
	ID             string        `json:"id"`
	URL            string        `json:"url"`
	Description    string        `json:"description"`
	Categories     []string      `json:"categories"` // none: all
	BBox           *[4]float64   `json:"bbox"`       // null: everywhere
	MinProbability float64       `json:"min_probability"`
	State          webhook.State `json:"state"`
	Reason         string        `json:"reason"`
	Created        time.Time     `json:"created"`
	CreatedBy      string        `json:"created_by"`
	Pending        int           `json:"pending"`
	LastDelivered  *time.Time    `json:"last_delivered"`
	FailingSince   *time.Time    `json:"failing_since"`
	OldSecretUntil *time.Time    `json:"old_secret_until"`
}

func newWebhookDoc(w *webhook.Webhook) webhookDoc {
	d := webhookDoc{
		ID: w.ID, URL: w.URL, Description: w.Description, Categories: []string{}, MinProbability: share(w.Filter.MinProbability), State: w.State, Reason: w.Reason,
		Created: w.CreatedAt.UTC(), CreatedBy: w.CreatedBy, Pending: w.Pending, LastDelivered: instantOrNull(w.LastDelivered),
		FailingSince: instantOrNull(w.FailingSince), OldSecretUntil: instantOrNull(w.OldSecretUntil),
	}
	for _, c := range w.Filter.Categories {
		d.Categories = append(d.Categories, c.String())
	}
	if w.Filter.Box != webhook.World() {
		box := w.Filter.Box.Degrees()
		d.BBox = &box
	}
	return d
}

type deliveriesDoc struct {
	Deliveries []deliveryDoc `json:"deliveries"`
	NextCursor string        `json:"next_cursor,omitempty"`
}

// deliveryDoc is a delivery with its last attempt.
type deliveryDoc struct {
	ID        string                `json:"id"`
	Event     string                `json:"event"` // webhook-id, and the CloudEvent's
	Type      string                `json:"type"`
	Hazard    *uint64               `json:"hazard"` // null for a test
	State     webhook.DeliveryState `json:"state"`
	Attempt   int                   `json:"attempt"` // attempts begun
	Created   time.Time             `json:"created"`
	Time      *time.Time            `json:"time"`       // the last attempt's end
	Status    *int                  `json:"status"`     // its HTTP status; null if there was no answer
	LatencyMS *int64                `json:"latency_ms"` // its duration
	Error     string                `json:"error"`
	LastError string                `json:"last_error"` // of the last attempt that failed, whatever came after
	Next      *time.Time            `json:"next"`       // the next attempt's time; null once it is ended
}

func newDeliveryDoc(d *webhook.Delivery) deliveryDoc {
	doc := deliveryDoc{
		ID: strconv.FormatInt(d.ID, 10), Event: d.Event, Type: d.Type, State: d.State, Attempt: d.Attempts, Created: d.CreatedAt.UTC(),
		Time: instantOrNull(d.LastAt), Error: d.Error, LastError: d.LastError, Next: instantOrNull(d.NextAt),
	}
	if d.Hazard != 0 {
		doc.Hazard = &d.Hazard
	}
	if d.Status != 0 {
		doc.Status = &d.Status
	}
	if !d.LastAt.IsZero() {
		ms := d.Latency.Milliseconds()
		doc.LatencyMS = &ms
	}
	return doc
}

// getWebhooks lists webhooks, oldest first.
func (s *Server) getWebhooks(r *http.Request) (any, error) {
	if err := newParams(r.URL.RawQuery).problem(); err != nil {
		return nil, err
	}
	all, err := s.deps.Store.Webhooks(r.Context())
	if err != nil {
		return nil, err
	}
	doc := webhooksDoc{Webhooks: []webhookDoc{}}
	for i := range all {
		doc.Webhooks = append(doc.Webhooks, webhookFor(r.Context(), &all[i]))
	}
	return doc, nil
}

// getWebhook tells of one webhook.
func (s *Server) getWebhook(r *http.Request) (any, error) {
	id, err := webhookID(r)
	if err != nil {
		return nil, err
	}
	if err := newParams(r.URL.RawQuery).problem(); err != nil {
		return nil, err
	}
	w, err := s.deps.Store.Webhook(r.Context(), id)
	if err != nil {
		return nil, webhookProblem(err)
	}
	return webhookFor(r.Context(), &w), nil
}

// webhookFor is what the sender of a request may see: the query of the URL, where subscribers put secrets, is for those who
// may subscribe.
func webhookFor(ctx context.Context, w *webhook.Webhook) webhookDoc {
	d := newWebhookDoc(w)
	if !sender(ctx).Role.Includes(credential.Operator) {
		d.URL = withoutQuery(d.URL)
	}
	return d
}

// maxDeliveries is the longest page of deliveries.
const maxDeliveries = 500

// getDeliveries lists a webhook's deliveries, newest first.
func (s *Server) getDeliveries(r *http.Request) (any, error) {
	id, err := webhookID(r)
	if err != nil {
		return nil, err
	}
	p := newParams(r.URL.RawQuery, "state", "limit", "cursor")
	f := webhook.DeliveryFilter{Before: int64(p.cursor("cursor"))}
	limit := p.integer("limit", 50, 1, maxDeliveries)
	f.Most = limit + 1
	if st := p.choice("state", "any", string(webhook.Pending), string(webhook.Delivered), string(webhook.Dead)); st != "any" {
		f.State = webhook.DeliveryState(st)
	}
	if err := p.problem(); err != nil {
		return nil, err
	}
	all, err := s.deps.Store.WebhookDeliveries(r.Context(), id, f)
	if err != nil {
		return nil, webhookProblem(err)
	}
	doc := deliveriesDoc{Deliveries: []deliveryDoc{}}
	for i := range all {
		if i == limit {
			doc.NextCursor = strconv.FormatInt(all[i-1].ID, 10)
			break
		}
		doc.Deliveries = append(doc.Deliveries, newDeliveryDoc(&all[i]))
	}
	return doc, nil
}

// webhookID is the one that the path names.
func webhookID(r *http.Request) (string, error) {
	id := chi.URLParam(r, "id")
	if !plainName(id) {
		return "", webhookProblem(webhook.ErrNotFound)
	}
	return id, nil
}

// webhookProblem tells a client why a webhook can't be found or changed.
func webhookProblem(err error) error {
	switch {
	case errors.Is(err, webhook.ErrNotFound):
		return problem.New(problem.NotFound, "There is no such webhook or delivery; /v1/webhooks lists the webhooks, and deliveries are kept for 7 days, failed ones for 30.")
	case errors.Is(err, webhook.ErrTooMany):
		return problem.New(problem.Conflict, "There are too many: a deployment has at most "+strconv.Itoa(webhook.MaxWebhooks)+
			" webhooks, and of each at most "+strconv.Itoa(webhook.MaxPending)+" deliveries wait. Delete a webhook, or wait until some are delivered.")
	case errors.Is(err, webhook.ErrInactive):
		return problem.New(problem.Conflict, `The webhook is not active: make it so with PATCH {"state":"active"} first.`)
	}
	return err
}
