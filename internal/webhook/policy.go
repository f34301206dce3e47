package webhook

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// Policy says when a failed delivery is tried again, and when to give up. Start from DefaultPolicy.
type Policy struct {
	First    time.Duration // pause after the first failure; doubles with each
	Longest  time.Duration // pause
	GiveUp   time.Duration // since a delivery's first attempt; and how long a webhook may fail before it is paused
	MaxAfter time.Duration // the longest Retry-After that is honoured
}

// DefaultPolicy tries some twenty times in a day: after 10 s, 20 s, 40 s, … 2 h.
func DefaultPolicy() Policy {
	return Policy{First: 10 * time.Second, Longest: 2 * time.Hour, GiveUp: 24 * time.Hour, MaxAfter: 24 * time.Hour}
}

// Validate names the first field that is out of its range.
func (p Policy) Validate() error {
	if p.First <= 0 || p.Longest < p.First || p.GiveUp <= 0 || p.MaxAfter <= 0 {
		return fmt.Errorf("policy %+v: expected First > 0, Longest from First on, GiveUp and MaxAfter > 0", p)
	}
	return nil
}

// Outcome is what came of an attempt.
type Outcome struct {
	Status     int // 0: no answer
	Latency    time.Duration
	Error      string        // "" if a 2xx was answered
	RetryAfter time.Duration // that the answer asked for; 0: none
}

// History is what an outcome is judged by.
type History struct {
	Attempt    int           // that has just ended, from 1 on
	SinceFirst time.Duration // since the delivery's first attempt
	Failing    time.Duration // since the webhook's first failure after its last success; 0: this is the first
	Test       bool
}

// Verdict is what follows from an outcome.
type Verdict struct {
	Outcome
	State   DeliveryState
	After   time.Duration // until the next attempt, if the delivery is Pending
	Hold    time.Duration // during which nothing is to be sent to the webhook, as it asked
	Webhook State         // "" leaves the webhook as it is
	Reason  string        // why Webhook changes
}

// Judge decides. Tests are tried once, and change nothing of their webhook.
func (p Policy) Judge(h History, o Outcome) Verdict {
	v := Verdict{Outcome: o, State: Pending}
	switch {
	case o.Error == "":
		v.State = Delivered
		return v
	case h.Test:
		v.State = Dead
		return v
	case o.Status == http.StatusGone:
		v.State, v.Webhook, v.Reason = Dead, Disabled, "its server answered 410 Gone"
		return v
	}
	if h.SinceFirst >= p.GiveUp {
		v.State = Dead
	}
	if h.Failing >= p.GiveUp {
		v.Webhook, v.Reason = Paused, fmt.Sprintf("every delivery failed for %s; the last: %s", h.Failing.Round(time.Minute), o.Error)
	}
	v.Hold = min(o.RetryAfter, p.MaxAfter)
	v.After = max(p.backoff(h.Attempt), v.Hold)
	return v
}

// backoff doubles with each attempt, and lies between half and the whole of that, so that many that failed together do not
// come back together.
func (p Policy) backoff(attempt int) time.Duration {
	d := p.Longest
	if shift := attempt - 1; shift < 30 && p.First<<shift < p.Longest && p.First<<shift > 0 {
		d = p.First << shift
	}
	return d/2 + rand.N(d/2+1)
}
