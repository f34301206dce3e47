package management

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/telemetry"
)

// webhookOrder is what a person asks of a webhook; what is missing stays as it is, or has its default.
type webhookOrder struct {
	URL            *string         `json:"url,omitempty"`
	Description    *string         `json:"description,omitempty"`
	Categories     *[]string       `json:"categories,omitempty"`
	BBox           json.RawMessage `json:"bbox,omitempty"`
	MinProbability *float64        `json:"min_probability,omitempty"`
	State          *webhook.State  `json:"state,omitempty"`
}

const webhookExpected = `{"url":"https://…","description":"…","categories":["slippery_road"],"bbox":[1.40,42.42,1.79,42.66],"min_probability":0.9}; all but url may be left out; null as bbox is everywhere, no categories are all`

func refuse(pointer, detail, expected string) error {
	return &problem.Problem{Kind: problem.InvalidRequest, Pointer: pointer, Detail: detail, Expected: expected}
}

// target checks the URL.
func (o *webhookOrder) target(g webhook.Guard) error {
	if o.URL == nil {
		return nil
	}
	_, err := g.CheckURL(*o.URL)
	if err == nil {
		return nil
	}
	expected := "https and a public host, such as https://hazards.example.org/carasso"
	if g.AllowPrivate || g.AllowHTTP {
		expected = "an https URL, such as https://hazards.example.org/carasso; this deployment also allows what development needs"
	}
	return refuse("/url", "The URL can't be delivered to: "+err.Error()+".", expected)
}

// filter changes f to what is asked for.
func (o *webhookOrder) filter(f *webhook.Filter) error {
	if o.Categories != nil {
		f.Categories = nil
		for i, name := range *o.Categories {
			c := telemetry.ParseHazard(name)
			if c == telemetry.HazardUnknown {
				return refuse("/categories/"+strconv.Itoa(i), "There is no category "+quote(name)+".", "one of "+strings.Join(hazardNames(), ", "))
			}
			if !slices.Contains(f.Categories, c) {
				f.Categories = append(f.Categories, c)
			}
		}
	}
	if o.BBox != nil {
		box, err := jsonBox(o.BBox)
		if err != nil {
			return err
		}
		f.Box = box
	}
	if p := o.MinProbability; p != nil {
		if !(*p >= 0 && *p <= 1) {
			return refuse("/min_probability", fmt.Sprintf("It is %g.", *p), "a number from 0 to 1")
		}
		f.MinProbability = float32(*p)
	}
	return nil
}

func (o *webhookOrder) filters() bool {
	return o.Categories != nil || o.BBox != nil || o.MinProbability != nil
}

func (o *webhookOrder) describe() error {
	if d := o.Description; d != nil && (len(*d) > webhook.MaxDescription || !utf8.ValidString(*d) || strings.ContainsFunc(*d, unicode.IsControl)) {
		return refuse("/description", "It is too long, or holds control characters.", fmt.Sprintf("text of at most %d bytes", webhook.MaxDescription))
	}
	return nil
}

// asked is the order for the audit log: of the URL without its query, in which secrets may be.
func (o webhookOrder) asked() webhookOrder {
	if o.URL != nil {
		short := withoutQuery(*o.URL)
		o.URL = &short
	}
	return o
}

// withoutQuery is a URL without what may be secret in it. One that can't be read has nothing left.
func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery = nil, "", false
	return u.String()
}

// jsonBox reads west, south, east, north, or null for the world.
func jsonBox(raw json.RawMessage) (geo.Box, error) {
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return webhook.World(), nil
	}
	const expected = "[west, south, east, north] in degrees (WGS 84), west < east, south < north, within ±180 and ±85.05, such as [1.40, 42.42, 1.79, 42.66]; or null for everywhere"
	var f []float64
	if err := json.Unmarshal(raw, &f); err != nil || len(f) != 4 {
		return geo.Box{}, refuse("/bbox", "It is not four numbers.", expected)
	}
	if f[0] >= f[2] || f[1] >= f[3] || f[0] < -180 || f[2] > 180 || f[1] < -geo.MaxLatitude || f[3] > geo.MaxLatitude {
		return geo.Box{}, refuse("/bbox", fmt.Sprintf("It is %g.", f), expected)
	}
	return geo.BoxOf([]geo.Point{geo.At(f[1], f[0]), geo.At(f[3], f[2])}), nil
}

func hazardNames() (names []string) {
	for h := telemetry.SlipperyRoad; h <= telemetry.HardBraking; h++ {
		names = append(names, h.String())
	}
	return names
}

// webhookState is what the audit log keeps of a webhook.
func webhookState(w *webhook.Webhook) webhookDoc {
	d := newWebhookDoc(w)
	d.URL = withoutQuery(d.URL)
	return d
}

// secretDoc shows a secret, once.
type secretDoc struct {
	webhookDoc
	Secret string `json:"secret"`
}

type createdWebhookDoc struct{ secretDoc }

func (createdWebhookDoc) status() int { return http.StatusCreated }

// postWebhook subscribes a URL to hazards.
func (s *Server) postWebhook(r *http.Request) (change, error) {
	var o webhookOrder
	if err := readJSON(r, &o, webhookExpected); err != nil {
		return change{}, err
	}
	if o.URL == nil {
		return change{}, refuse("/url", "It is missing.", webhookExpected)
	}
	if o.State != nil {
		return change{}, refuse("/state", "A webhook begins active.", "no state")
	}
	w := webhook.Webhook{ID: "wh_" + rand.Text(), URL: *o.URL, Filter: webhook.Filter{Box: webhook.World()}, State: webhook.Active}
	if o.Description != nil {
		w.Description = *o.Description
	}
	for _, err := range []error{o.target(s.cfg.Webhooks), o.describe(), o.filter(&w.Filter)} {
		if err != nil {
			return change{}, err
		}
	}
	return change{target: "webhook/" + w.ID, asked: o.asked(), apply: func(ctx context.Context) (effect, error) {
		w.CreatedBy = sender(ctx).Subject
		secret := webhook.NewSecret()
		sealed, err := s.deps.Secrets.Seal(webhook.SecretItem(w.ID), secret)
		if err != nil {
			return effect{}, err
		}
		made, err := s.deps.Store.CreateWebhook(ctx, w, sealed)
		if err != nil {
			return effect{}, webhookProblem(err)
		}
		return effect{answer: createdWebhookDoc{secretDoc{newWebhookDoc(&made), secret.Reveal()}}, after: webhookState(&made)}, nil
	}}, nil
}

// patchWebhook changes where and what is sent, pauses and resumes.
func (s *Server) patchWebhook(r *http.Request) (change, error) {
	id, err := webhookID(r)
	if err != nil {
		return change{}, err
	}
	var o webhookOrder
	if err := readJSON(r, &o, `any of url, description, categories, bbox, min_probability, and state ("active" or "paused")`); err != nil {
		return change{}, err
	}
	if o.State != nil && *o.State != webhook.Active && *o.State != webhook.Paused {
		return change{}, refuse("/state", "The state is "+quote(string(*o.State))+".", "active or paused")
	}
	now, err := s.deps.Store.Webhook(r.Context(), id)
	if err != nil {
		return change{}, webhookProblem(err)
	}
	f := now.Filter
	for _, err := range []error{o.target(s.cfg.Webhooks), o.describe(), o.filter(&f)} {
		if err != nil {
			return change{}, err
		}
	}
	c := webhook.Change{URL: o.URL, Description: o.Description, State: o.State}
	if o.filters() {
		c.Filter = &f
	}
	return change{target: "webhook/" + id, asked: o.asked(), apply: func(ctx context.Context) (effect, error) {
		before, after, err := s.deps.Store.ChangeWebhook(ctx, id, c)
		if err != nil {
			return effect{}, webhookProblem(err)
		}
		return effect{answer: newWebhookDoc(&after), before: webhookState(&before), after: webhookState(&after)}, nil
	}}, nil
}

// deleteWebhook ends a subscription, with its log.
func (s *Server) deleteWebhook(r *http.Request) (change, error) {
	id, err := webhookID(r)
	if err != nil {
		return change{}, err
	}
	return change{target: "webhook/" + id, apply: func(ctx context.Context) (effect, error) {
		was, err := s.deps.Store.DeleteWebhook(ctx, id)
		if err != nil {
			return effect{}, webhookProblem(err)
		}
		return effect{answer: newWebhookDoc(&was), before: webhookState(&was)}, nil
	}}, nil
}

// rotation asks for a new secret.
type rotation struct {
	GraceHours *float64 `json:"grace_hours,omitempty"`
}

// postRotateSecret makes a new secret. The one before signs too for a while, so that receivers can change over.
func (s *Server) postRotateSecret(r *http.Request) (change, error) {
	id, err := webhookID(r)
	if err != nil {
		return change{}, err
	}
	expected := fmt.Sprintf(`{"grace_hours":24}: how long the secret before signs too, 0 to %g; 24 if left out`, webhook.MaxSecretGrace.Hours())
	var o rotation
	if err := readJSON(r, &o, expected); err != nil {
		return change{}, err
	}
	grace := webhook.SecretGrace
	if h := o.GraceHours; h != nil {
		if !(*h >= 0 && *h <= webhook.MaxSecretGrace.Hours()) {
			return change{}, refuse("/grace_hours", fmt.Sprintf("It is %g.", *h), expected)
		}
		grace = time.Duration(*h * float64(time.Hour))
	}
	return change{target: "webhook/" + id, asked: o, apply: func(ctx context.Context) (effect, error) {
		secret := webhook.NewSecret()
		sealed, err := s.deps.Secrets.Seal(webhook.SecretItem(id), secret)
		if err != nil {
			return effect{}, err
		}
		after, err := s.deps.Store.RotateWebhookSecret(ctx, id, sealed, grace)
		if err != nil {
			return effect{}, webhookProblem(err)
		}
		return effect{answer: secretDoc{newWebhookDoc(&after), secret.Reveal()}, after: webhookState(&after)}, nil
	}}, nil
}

// dueDoc answers what will be tried within a second or so.
type dueDoc struct{ deliveryDoc }

func (dueDoc) status() int { return http.StatusAccepted }

// postWebhookTest has an event sent that is no hazard's, once.
func (s *Server) postWebhookTest(r *http.Request) (change, error) {
	id, err := webhookID(r)
	if err != nil {
		return change{}, err
	}
	return change{target: "webhook/" + id, apply: func(ctx context.Context) (effect, error) {
		e, err := webhook.NewTest(s.cfg.WebhookSource, id, rand.Text(), s.deps.Now())
		if err != nil {
			return effect{}, err
		}
		d, err := s.deps.Store.TestWebhook(ctx, id, e)
		if err != nil {
			return effect{}, webhookProblem(err)
		}
		return effect{answer: dueDoc{newDeliveryDoc(&d)}, after: deliveryState{d.ID, d.State}}, nil
	}}, nil
}

// deliveryState is what the audit log keeps of a delivery.
type deliveryState struct {
	ID    int64                 `json:"id"`
	State webhook.DeliveryState `json:"state"`
}

// postRedeliver has an event sent again, whatever came of it.
func (s *Server) postRedeliver(r *http.Request) (change, error) {
	id, err := webhookID(r)
	if err != nil {
		return change{}, err
	}
	n, err := strconv.ParseInt(chi.URLParam(r, "delivery"), 10, 64)
	if err != nil || n < 1 {
		return change{}, webhookProblem(webhook.ErrNotFound)
	}
	return change{target: "webhook/" + id + "/delivery/" + strconv.FormatInt(n, 10), apply: func(ctx context.Context) (effect, error) {
		before, after, err := s.deps.Store.Redeliver(ctx, id, n)
		if err != nil {
			return effect{}, webhookProblem(err)
		}
		return effect{answer: dueDoc{newDeliveryDoc(&after)}, before: deliveryState{n, before.State}, after: deliveryState{n, after.State}}, nil
	}}, nil
}
