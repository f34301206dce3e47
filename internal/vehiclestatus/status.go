// Package vehiclestatus answers why a car is silent: receivers note what becomes of each vehicle's requests, and
// management reads it. Notes lie in the live store under a keyed hash of the vehicle's id, hold no positions, and
// expire. Beside them lie counts of vehicles and refusals, without ids.
package vehiclestatus

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/carasso/carasso/internal/livedoc"
)

// Keep is how long a status is kept after its last change.
const Keep = 30 * 24 * time.Hour

// ID is a vehicle's name in this package: a keyed hash of its id that does not change.
type ID [16]byte

// Key is the live store's key of a vehicle's status. Who deletes it forgets the vehicle here.
func Key(id ID) string { return "vehicle/" + hex.EncodeToString(id[:]) }

// Status is what is known of a vehicle's requests. Times are ms since the epoch by the receiver's clock, 0 for never.
type Status struct {
	// Credential is how it last proved itself: "token", "certificate" or "gateway", who spoke for it.
	Credential string `json:"credential,omitempty"`
	// ExpiredMS is when the token expired that it came with in its last request; 0 if that was good.
	ExpiredMS int64 `json:"expired,omitempty"`
	// AcceptedMS is its last acceptance, EventMS the time of the newest sample in it, by the vehicle's clock. How old
	// AcceptedMS may be though the vehicle sends is Config.Heartbeat.
	AcceptedMS int64 `json:"accepted,omitempty"`
	EventMS    int64 `json:"event,omitempty"`
	// AgeMS is how long before its arrival the median sample of its last batch was taken, by the vehicle's clock.
	AgeMS    int64        `json:"age,omitempty"`
	Model    string       `json:"model,omitempty"`
	Software string       `json:"software,omitempty"`
	Rejected *Rejection   `json:"rejected,omitempty"`
	Limited  *RateLimited `json:"limited,omitempty"`
	// By and Seq name the write that stored this: so a writer whose answer was lost knows whether it took place.
	By  string `json:"by,omitempty"`
	Seq uint32 `json:"seq,omitempty"`
}

// Rejection is the last request that was refused, and its predecessors since the last acceptance.
type Rejection struct {
	AtMS     int64  `json:"at"`
	SinceMS  int64  `json:"since"`
	Count    int64  `json:"n"`
	Reason   string `json:"reason"` // slug of the problem's type
	Pointer  string `json:"pointer,omitempty"`
	Expected string `json:"expected,omitempty"`
}

// RateLimited is how often the vehicle sent too much.
type RateLimited struct {
	AtMS  int64 `json:"at"`
	Count int64 `json:"n"` // within Keep
}

// merge adds what another receiver has noted before: newer facts win, counts add up. now is what is noted now, its
// counts are those since its last write.
func (now Status) merge(stored Status) Status {
	s := now
	if stored.AcceptedMS > s.AcceptedMS {
		s.AcceptedMS, s.EventMS, s.AgeMS = stored.AcceptedMS, stored.EventMS, stored.AgeMS
	}
	if s.Model == "" && s.Software == "" {
		s.Model, s.Software = stored.Model, stored.Software
	}
	if s.Credential == "" {
		s.Credential = stored.Credential
	}
	switch {
	case s.Rejected == nil:
		s.Rejected = stored.Rejected
	case stored.Rejected != nil && stored.Rejected.SinceMS > s.AcceptedMS: // still the same row of refusals
		r := *s.Rejected
		r.SinceMS = min(r.SinceMS, stored.Rejected.SinceMS)
		r.Count += stored.Rejected.Count
		if stored.Rejected.AtMS > r.AtMS {
			r.AtMS, r.Reason, r.Pointer, r.Expected = stored.Rejected.AtMS, stored.Rejected.Reason, stored.Rejected.Pointer, stored.Rejected.Expected
		}
		s.Rejected = &r
	}
	if stored.Limited != nil {
		l := *stored.Limited
		if s.Limited != nil {
			l.AtMS, l.Count = max(l.AtMS, s.Limited.AtMS), l.Count+s.Limited.Count
		}
		s.Limited = &l
	}
	return s
}

// Read looks a vehicle up; found is false if nothing was noted within Keep.
func Read(ctx context.Context, r livedoc.Reader, id ID) (s Status, found bool, err error) {
	value, _, err := r.Get(ctx, Key(id))
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err == nil {
		err = json.Unmarshal(value, &s)
	}
	if err != nil {
		return s, false, fmt.Errorf("read a vehicle's status: %w", err)
	}
	return s, true, nil
}
