package management

import (
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/vehiclestatus"
)

func TestVerdicts(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	ms := func(ago time.Duration) int64 { return now.Add(-ago).UnixMilli() }
	bad := func(at, since time.Duration) *vehiclestatus.Rejection {
		return &vehiclestatus.Rejection{AtMS: ms(at), SinceMS: ms(since), Count: 48, Reason: "invalid-batch", Pointer: "/samples/0/lat", Expected: "a number from -90 to 90"}
	}
	for name, c := range map[string]struct {
		status  vehiclestatus.Status
		unknown bool
		code    string
		words   string
	}{
		"never seen":       {unknown: true, code: "unknown", words: "misspelt"},
		"all is well":      {status: vehiclestatus.Status{AcceptedMS: ms(time.Minute), AgeMS: 5000}, code: "sending", words: "Not silent. The last batch was accepted 1 minute ago."},
		"parked":           {status: vehiclestatus.Status{AcceptedMS: ms(50 * time.Hour)}, code: "silent", words: "Silent since 2026-11-28T10:00:00Z, and nothing was refused since. The last batch was accepted 2 days ago. The car is parked"},
		"refused":          {status: vehiclestatus.Status{AcceptedMS: ms(3 * time.Hour), Rejected: bad(time.Second, 2*time.Hour)}, code: "rejected", words: "Sends (1 second ago), but is refused since 2 hours ago (48 requests) because of invalid-batch at /samples/0/lat (expected a number from -90 to 90). The last batch was accepted 3 hours ago."},
		"always refused":   {status: vehiclestatus.Status{Rejected: bad(0, time.Minute)}, code: "rejected", words: "It was never accepted."},
		"refused once":     {status: vehiclestatus.Status{AcceptedMS: ms(time.Minute), Rejected: bad(5*time.Minute, 6*time.Minute)}, code: "sending_with_trouble", words: "48 requests were refused until 5 minutes ago"},
		"refused long ago": {status: vehiclestatus.Status{AcceptedMS: ms(time.Minute), Rejected: bad(5*time.Hour, 6*time.Hour)}, code: "sending", words: "Not silent"},
		"expired":          {status: vehiclestatus.Status{AcceptedMS: ms(26 * time.Hour), ExpiredMS: ms(25 * time.Hour), Rejected: bad(time.Minute, 25*time.Hour)}, code: "credential_expired", words: "its token expired 25 hours ago: 48 requests refused since 25 hours ago"},
		"renewed":          {status: vehiclestatus.Status{AcceptedMS: ms(time.Minute)}, code: "sending", words: "Not silent"},
		"too often":        {status: vehiclestatus.Status{AcceptedMS: ms(time.Hour), Limited: &vehiclestatus.RateLimited{AtMS: ms(time.Minute), Count: 900}}, code: "rate_limited", words: "900 requests"},
		"limited at times": {status: vehiclestatus.Status{AcceptedMS: ms(time.Minute), Limited: &vehiclestatus.RateLimited{AtMS: ms(2 * time.Minute), Count: 3}}, code: "sending_with_trouble", words: "3 requests came too often"},
		"clock ahead":      {status: vehiclestatus.Status{AcceptedMS: ms(time.Minute), AgeMS: -90_000}, code: "sending_with_trouble", words: "its clock is ahead by 1 minute"},
		"clock behind":     {status: vehiclestatus.Status{AcceptedMS: ms(time.Minute), AgeMS: 3_600_000}, code: "sending_with_trouble", words: "1 hour old on arrival"},
	} {
		got := judge(&c.status, !c.unknown, now)
		if got.code != c.code || !strings.Contains(got.text, c.words) {
			t.Errorf("%s: %s, %q; want %s, %q", name, got.code, got.text, c.code, c.words)
		}
	}
}
