package management

import (
	"fmt"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/vehiclestatus"
)

// verdict is why a vehicle is silent: a code that stays, and words.
type verdict struct{ code, text string }

const (
	// statusLag is how old a vehicle's last acceptance may look though it sends: receivers write it that rarely.
	statusLag = 15 * time.Minute
	// clockAhead and clockBehind are how far off a vehicle's clock must be to be spoken of. Batches may be late for
	// want of coverage, so that a clock behind can't be told from that.
	clockAhead  = 30 * time.Second
	clockBehind = 10 * time.Minute
)

// judge says it. It is pure.
func judge(s *vehiclestatus.Status, found bool, now time.Time) verdict {
	if !found {
		return verdict{"unknown", "No receiver has seen this vehicle with a credential of its own within 30 days. It does not send, its requests fail before they are answered " +
			"(no coverage, DNS, TLS), its credential is signed with a key that is not trusted, or the id is misspelt."}
	}
	said := func(ms int64) string { return ago(now, ms) }
	accepted := s.AcceptedMS != 0
	last := "It was never accepted."
	if accepted {
		last = "The last batch was accepted " + said(s.AcceptedMS) + "."
	}
	switch r := s.Rejected; {
	case s.ExpiredMS != 0 && r != nil && r.AtMS > s.AcceptedMS:
		return verdict{"credential_expired", fmt.Sprintf("Sends (%s), but its token expired %s: %d requests refused since %s. It needs a new one. %s",
			said(r.AtMS), said(s.ExpiredMS), r.Count, said(r.SinceMS), last)}
	case r != nil && r.AtMS > s.AcceptedMS:
		return verdict{"rejected", fmt.Sprintf("Sends (%s), but is refused since %s (%d requests) because %s. %s",
			said(r.AtMS), said(r.SinceMS), r.Count, because(r), last)}
	case now.Sub(time.UnixMilli(s.AcceptedMS)) > statusLag:
		if l := s.Limited; l != nil && l.AtMS > s.AcceptedMS {
			return verdict{"rate_limited", fmt.Sprintf("Sends too often (%s; %d requests refused for that). %s", said(l.AtMS), l.Count, last)}
		}
		return verdict{"silent", "Silent since " + utc(s.AcceptedMS).Format(time.RFC3339) + ", and nothing was refused since. " + last +
			" The car is parked or without coverage, or its requests fail before they are answered (DNS, TLS)."}
	}
	var but []string
	if l := s.Limited; l != nil && now.Sub(time.UnixMilli(l.AtMS)) < time.Hour {
		but = append(but, fmt.Sprintf("%d requests came too often (last %s)", l.Count, said(l.AtMS)))
	}
	if r := s.Rejected; r != nil && now.Sub(time.UnixMilli(r.AtMS)) < time.Hour {
		but = append(but, fmt.Sprintf("%d requests were refused until %s because %s", r.Count, said(r.AtMS), because(r)))
	}
	switch age := time.Duration(s.AgeMS) * time.Millisecond; {
	case age < -clockAhead:
		but = append(but, "its clock is ahead by "+span(-age))
	case age > clockBehind:
		but = append(but, "its samples are "+span(age)+" old on arrival: it was offline, or its clock is behind")
	}
	if len(but) > 0 {
		return verdict{"sending_with_trouble", "Not silent. " + last + " But " + strings.Join(but, ", and ") + "."}
	}
	return verdict{"sending", "Not silent. " + last}
}

// because says a refusal in words.
func because(r *vehiclestatus.Rejection) string {
	text := "of " + r.Reason
	if r.Pointer != "" {
		text += " at " + r.Pointer
	}
	if r.Expected != "" {
		text += " (expected " + r.Expected + ")"
	}
	return text
}

func ago(now time.Time, ms int64) string {
	d := now.Sub(time.UnixMilli(ms))
	if d < time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// span is a duration in its largest unit.
func span(d time.Duration) string {
	unit := func(n time.Duration, name string) string {
		if n == 1 {
			return "1 " + name
		}
		return fmt.Sprintf("%d %ss", n, name)
	}
	switch {
	case d < time.Minute:
		return unit(d/time.Second, "second")
	case d < time.Hour:
		return unit(d/time.Minute, "minute")
	case d < 48*time.Hour:
		return unit(d/time.Hour, "hour")
	default:
		return unit(d/(24*time.Hour), "day")
	}
}
