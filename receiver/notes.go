package receiver

import (
	"errors"
	"net/http"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/internal/vehiclestatus"
)

// seenOf is what a request tells of its vehicle before its body is read.
func seenOf(r *http.Request, who credential.Identity, now time.Time) vehiclestatus.Seen {
	seen := vehiclestatus.Seen{At: now, Credential: "token"}
	switch {
	case who.Kind == credential.KindGateway:
		seen.Credential = "gateway"
	case len(r.Header["Authorization"]) == 0:
		seen.Credential = "certificate"
	}
	return seen
}

// ownVehicle is the vehicle that a credential is of, "" for a gateway's: its vehicle is known from the body only.
func ownVehicle(who credential.Identity) string {
	if who.Kind == credential.KindVehicle {
		return who.Subject
	}
	return ""
}

// noteRefused notes why a vehicle that proved who it is was refused. What a gateway sends without a readable vehicle
// is nobody's, and a limited rate is noted where it is limited.
func (rc *Receiver) noteRefused(vehicle string, seen vehiclestatus.Seen, p *problem.Problem) {
	if vehicle == "" || p.Kind == problem.RateLimited || p.Kind == problem.Draining {
		return
	}
	rc.notes.Rejected(vehicle, seen, vehiclestatus.Refusal{Reason: p.Kind.String(), Pointer: p.Pointer, Expected: p.Expected})
}

// noteExpired notes who came with a token that has expired. All other credentials that fail prove nobody.
func (rc *Receiver) noteExpired(err error) {
	var expired *credential.ExpiredError
	if !errors.As(err, &expired) || expired.Identity.Kind != credential.KindVehicle {
		return
	}
	rc.notes.Expired(expired.Identity.Subject, vehiclestatus.Seen{At: rc.now(), Credential: "token"}, expired.Since)
}

// noNotes forgets everything.
type noNotes struct{}

func (noNotes) Accepted(string, vehiclestatus.Seen)                        {}
func (noNotes) Rejected(string, vehiclestatus.Seen, vehiclestatus.Refusal) {}
func (noNotes) Expired(string, vehiclestatus.Seen, time.Time)              {}
func (noNotes) RateLimited(string, time.Time)                              {}
