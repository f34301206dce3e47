package vehiclestatus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/carasso/carasso/internal/livedoc"
)

// span is a length of time that activity is counted by. Each bucket is one item that all receivers write.
type span struct {
	name   string
	length time.Duration
	keep   time.Duration
	layout string
}

var (
	quarters = span{"quarter", 15 * time.Minute, 3 * time.Hour, "2006-01-02T15:04"}
	hours    = span{"hour", time.Hour, 50 * time.Hour, "2006-01-02T15"}
	days     = span{"day", 24 * time.Hour, Keep + 48*time.Hour, "2006-01-02"}
)

func spans() []span { return []span{quarters, hours, days} }

func (s span) key(at time.Time) string {
	return "vehicles/" + s.name + "/" + at.UTC().Truncate(s.length).Format(s.layout)
}

// Activity is what all receivers saw in some time.
type Activity struct {
	Seen Sketch `json:"seen,omitempty"`
	// Refused counts requests of vehicles that proved who they are, by the reason. A receiver that does not learn whether
	// its counts were stored stores them again: they are for display.
	Refused map[string]int64 `json:"refused,omitempty"`
}

// Add adds another activity.
func (a *Activity) Add(o Activity) {
	a.Seen.Merge(o.Seen)
	for reason, n := range o.Refused {
		if a.Refused == nil {
			a.Refused = map[string]int64{}
		}
		a.Refused[reason] += n
	}
}

func (a *Activity) empty() bool { return len(a.Seen) == 0 && len(a.Refused) == 0 }

// store adds the activity of a bucket to what is stored of it.
func (a Activity) store(ctx context.Context, store livedoc.Store, s span, at time.Time) error {
	return livedoc.Update(ctx, store, s.key(at), s.keep, func(old []byte) ([]byte, error) {
		var sum Activity
		if old != nil {
			if err := json.Unmarshal(old, &sum); err != nil {
				return nil, err
			}
		}
		sum.Add(a)
		return json.Marshal(sum)
	})
}

// Summary is how many vehicles were seen, without saying which.
type Summary struct {
	LastHour, LastDay, Known int64 // distinct vehicles; Known within Keep
	// SilentLonger are those of Known not seen for Silence, which is rounded up to hours, beyond a day to days.
	Silence      time.Duration
	SilentLonger int64
	RefusedHour  map[string]int64 // requests by reason, in the hour
	RefusedDay   map[string]int64
}

// Summarize reads what receivers counted up to now. Windows begin at the start of a bucket: the last hour is up to a
// quarter of an hour longer, the last day up to an hour.
func Summarize(ctx context.Context, r livedoc.Reader, now time.Time, silence time.Duration) (s Summary, err error) {
	read := func(sp span, since time.Duration) (sum Activity, err error) {
		for at := now.Add(-since); ; at = at.Add(sp.length) {
			value, _, err := r.Get(ctx, sp.key(at))
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				return sum, fmt.Errorf("read the vehicles' activity: %w", err)
			default:
				var a Activity
				if err := json.Unmarshal(value, &a); err != nil {
					return sum, fmt.Errorf("read the vehicles' activity: %w", err)
				}
				sum.Add(a)
			}
			if sp.key(at) == sp.key(now) {
				return sum, nil
			}
		}
	}
	hour, err := read(quarters, time.Hour)
	if err != nil {
		return s, err
	}
	day, err := read(hours, 24*time.Hour)
	if err != nil {
		return s, err
	}
	known, err := read(days, Keep)
	if err != nil {
		return s, err
	}
	known.Add(day)
	recent := hours
	s.Silence = roundUp(silence, time.Hour)
	if silence > 24*time.Hour {
		recent, s.Silence = days, roundUp(silence, 24*time.Hour)
	}
	lately, err := read(recent, s.Silence)
	if err != nil {
		return s, err
	}
	s.LastHour, s.LastDay, s.Known = hour.Seen.Count(), day.Seen.Count(), known.Seen.Count()
	s.SilentLonger = max(s.Known-lately.Seen.Count(), 0)
	s.RefusedHour, s.RefusedDay = hour.Refused, day.Refused
	return s, nil
}

func roundUp(d, to time.Duration) time.Duration { return (d + to - 1).Truncate(to) }
