// Package webhook pushes hazards to other systems: what is told to whom (Filter, Decide), as which event (CloudEvents 1.0),
// signed how (Standard Webhooks), sent where (Guard), and tried again when (Policy). Dispatcher does it, with a Store that plans
// and keeps deliveries.
package webhook

import (
	"errors"
	"slices"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/hazard"
	"github.com/carasso/carasso/telemetry"
)

// Bounds of what people may ask for.
const (
	MaxWebhooks    = 500   // of a deployment
	MaxPending     = 1_000 // deliveries of a webhook that are not ended; planning waits for room
	MaxURL         = 2_048 // bytes
	MaxDescription = 200   // bytes
)

// SecretGrace is how long the secret before signs too, after a rotation, unless the request says otherwise; at most MaxSecretGrace.
const (
	SecretGrace    = 24 * time.Hour
	MaxSecretGrace = 7 * 24 * time.Hour
)

// State is whether a webhook is sent to.
type State string

// The states. Planning and deliveries wait while a webhook is not active, and go on where they were.
const (
	Active   State = "active"
	Paused   State = "paused"   // by a person, or because every delivery failed for a day
	Disabled State = "disabled" // its server answered 410 Gone
)

// Errors of a Store.
var (
	ErrNotFound = errors.New("no such webhook or delivery")
	ErrTooMany  = errors.New("too many webhooks, or too many deliveries of one wait")
	ErrInactive = errors.New("the webhook is not active")
)

// Webhook is a subscription to hazards.
type Webhook struct {
	ID          string
	URL         string
	Description string
	Filter      Filter
	State       State
	Reason      string // why it is not active
	CreatedAt   time.Time
	CreatedBy   string // the credential's subject

	FailingSince   time.Time // begin of the first failure since the last success; zero: none
	OldSecretUntil time.Time // until when the secret before signs too; zero: there is none
	Pending        int       // deliveries that wait
	LastDelivered  time.Time // zero: none that is still in the log
}

// Filter selects hazards.
type Filter struct {
	Categories     []telemetry.Hazard // none: all
	Box            geo.Box            // its edges included
	MinProbability float32
}

// World is the box of a webhook that has none.
func World() geo.Box { return geo.BoxOf([]geo.Point{geo.At(-90, -180), geo.At(90, 180)}) }

// Matches reports whether the hazard is of interest in its present state.
func (f *Filter) Matches(h *hazard.Hazard) bool {
	return h.Probability >= f.MinProbability && f.Box.Contains(h.At) && (len(f.Categories) == 0 || slices.Contains(f.Categories, h.Category))
}

// Change is what a person changes of a webhook; nil leaves as it is.
type Change struct {
	URL         *string
	Description *string
	Filter      *Filter
	State       *State // Active or Paused
}

// SecretItem is the name under which a webhook's secret is sealed.
func SecretItem(id string) string { return "webhook/" + id }

// DeliveryState is where a delivery stands.
type DeliveryState string

// The states of a delivery.
const (
	Pending   DeliveryState = "pending"
	Delivered DeliveryState = "delivered" // a 2xx was answered
	Dead      DeliveryState = "dead"      // given up
)

// Delivery is an event on its way to a webhook, and the log of its last attempt.
type Delivery struct {
	ID        int64
	Event     string // the CloudEvent's id, and webhook-id
	Type      string
	Hazard    uint64 // 0 of a test
	State     DeliveryState
	Attempts  int
	CreatedAt time.Time
	NextAt    time.Time     // of the next attempt; zero unless Pending
	LastAt    time.Time     // of the last attempt; zero before the first
	Latency   time.Duration // of the last attempt
	Status    int           // HTTP status of the last attempt; 0 if none was answered
	Error     string        // of the last attempt; "" if it went well
	LastError string        // of the last attempt that failed; "" if none did
}

// DeliveryFilter selects deliveries of a webhook, newest first.
type DeliveryFilter struct {
	Before int64         // ids below it; 0: the newest
	State  DeliveryState // "": all
	Most   int
}
