package webhook

import (
	"context"
	"time"

	"github.com/carasso/carasso/mapdata/hazard"
)

// Store keeps webhooks, plans and deliveries. Any number of dispatchers may use one at once. Safe for concurrent use.
type Store interface {
	// WebhooksToPlan lists the active webhooks that hazards changed after, and for which fewer than MaxPending deliveries wait.
	WebhooksToPlan(ctx context.Context) ([]string, error)
	// PlanWebhook takes up to most changed hazards in the order of their changes, and in one transaction stores the events
	// that event makes of them as deliveries, the set of hazards that the webhook is told of, and up to where that is done. told
	// is the revision last told, 0 for none; an event without a body is none. It does nothing if another plans for the webhook, it is not
	// active, or there is no room. more says that there is more to plan.
	PlanWebhook(ctx context.Context, id string, most int, event func(w *Webhook, told int64, r *hazard.Revision) (Event, error)) (planned int, more bool, err error)
	// ClaimDeliveries takes deliveries that are due, so that nobody else does within the lease. Of the deliveries of a webhook
	// about one hazard only the first that is not ended can be taken.
	ClaimDeliveries(ctx context.Context, c Claim) ([]Attempt, error)
	// EndAttempt stores what judge makes of an attempt. It changes nothing if the attempt's lease has gone over to another.
	EndAttempt(ctx context.Context, a *Attempt, judge func(History) Verdict) (Verdict, error)
	// ReleaseAttempt gives back a delivery whose attempt was broken off: it is due again.
	ReleaseAttempt(ctx context.Context, a *Attempt) error
	// WebhookBacklog tells how things stand.
	WebhookBacklog(ctx context.Context) (Backlog, error)
}

// Claim says which deliveries to take.
type Claim struct {
	Most    int            // in all
	PerHost int            // for each host
	Busy    map[string]int // deliveries under way by host, which count into PerHost
	Lease   time.Duration
}

// Attempt is a delivery that is to be tried now.
type Attempt struct {
	Delivery  int64
	Webhook   string
	URL       string
	Host      string // host and port of URL
	Event     string
	Body      []byte
	Number    int       // from 1 on
	ClaimedAt time.Time // by the database's clock; of the first attempt, what the delivery's time is counted from
	Secrets   [][]byte  // sealed, the present one first
}

// Backlog is how deliveries stand.
type Backlog struct {
	Pending   int           // of active webhooks
	OldestAge time.Duration // since the oldest of them was planned; 0: none
	Webhooks  map[State]int
}
