package receiver

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/vehiclestatus"
	"github.com/carasso/carasso/telemetry"
)

// notebook remembers what it was told.
type notebook struct {
	mu    sync.Mutex
	notes []string
	seen  vehiclestatus.Seen // the last
}

func (n *notebook) add(seen vehiclestatus.Seen, format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notes = append(n.notes, fmt.Sprintf(format, args...))
	n.seen = seen
}

func (n *notebook) Accepted(vehicle string, seen vehiclestatus.Seen) {
	n.add(seen, "%s accepted %s %s", vehicle, seen.Credential, seen.Model)
}

func (n *notebook) Rejected(vehicle string, seen vehiclestatus.Seen, why vehiclestatus.Refusal) {
	n.add(seen, "%s rejected %s %s %s", vehicle, seen.Credential, why.Reason, why.Pointer)
}

func (n *notebook) Expired(vehicle string, seen vehiclestatus.Seen, since time.Time) {
	n.add(seen, "%s expired %s %d", vehicle, seen.Credential, since.Unix())
}

func (n *notebook) RateLimited(vehicle string, _ time.Time) {
	n.add(vehiclestatus.Seen{}, "%s limited", vehicle)
}

func TestNotesWhatBecomesOfRequests(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RateBatches, c.RateBurst = 0.001, 9 })
	book := &notebook{}
	f.rc.notes = book
	good := telemetry.AppendJSON(nil, newBatch(t, 10))
	named := func(vehicle, body string) []byte {
		return []byte(`{"vehicle_id":"` + vehicle + `",` + strings.TrimPrefix(body, "{"))
	}
	old := newBatch(t, 10)
	for i := range old.Samples {
		old.Samples[i].T -= (9 * 24 * time.Hour).Milliseconds()
	}
	past, err := credential.NewIssuer(f.key, func() time.Time { return time.Now().Add(-2 * time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	expired, err := past.Vehicle(car, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	expiredGateway, err := past.Gateway(gateway, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other := newFixture(t, nil)
	since := time.Now().Add(-time.Hour).Unix()
	for _, c := range []struct {
		name   string
		q      request
		status int
		want   string // "" for nothing
	}{
		{"accepted", request{token: f.vehicleToken(t, car), body: good}, 202, car + " accepted token G30"},
		{"invalid", request{token: f.vehicleToken(t, car), body: []byte(strings.Replace(string(good), `"lat":42.5`, `"lat":142.5`, 1))}, 400, car + " rejected token invalid-batch /samples/0/lat"},
		{"not JSON", request{token: f.vehicleToken(t, car), body: []byte(`{`)}, 400, car + " rejected token invalid-batch "},
		{"too old", request{token: f.vehicleToken(t, car), body: telemetry.AppendJSON(nil, old)}, 422, car + " rejected token outside-time-window /samples/0/t"},
		{"media", request{token: f.vehicleToken(t, car), media: "text/csv", body: good}, 415, car + " rejected token unsupported-media "},
		{"another's", request{token: f.vehicleToken(t, car), body: named("WBA-2", string(good))}, 403, car + " rejected token forbidden /vehicle_id"},
		{"gateway", request{token: f.gatewayToken(t), body: named("WBA-2", string(good))}, 202, "WBA-2 accepted gateway G30"},
		{"gateway without a vehicle", request{token: f.gatewayToken(t), body: good}, 400, ""},
		{"gateway's bad batch", request{token: f.gatewayToken(t), body: named("WBA-2", strings.Replace(string(good), `"lat":42.5`, `"lat":142.5`, 1))}, 400, ""},
		{"expired", request{token: expired, body: good}, 401, fmt.Sprint(car, " expired token ", since)},
		{"expired gateway", request{token: expiredGateway, body: good}, 401, ""},
		{"of nobody", request{token: "x.y.z", body: good}, 401, ""},
		{"signed by another", request{token: other.vehicleToken(t, car), body: good}, 401, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(book.notes)
			w := httptest.NewRecorder()
			f.handler.ServeHTTP(w, c.q.http(t.Context()))
			got := strings.Join(book.notes[before:], "; ")
			// An expiry is told to the second.
			if w.Code != c.status || got != c.want && got != strings.Replace(c.want, strconv.FormatInt(since, 10), strconv.FormatInt(since-1, 10), 1) {
				t.Errorf("%d %s: noted %q, want %d and %q", w.Code, w.Body, got, c.status, c.want)
			}
		})
	}
	for range 5 {
		f.handler.ServeHTTP(httptest.NewRecorder(), request{token: f.vehicleToken(t, car), body: good}.http(t.Context()))
	}
	if !slices.Contains(book.notes, car+" limited") {
		t.Errorf("no limit noted: %q", book.notes)
	}
}

func TestNotesTheClock(t *testing.T) {
	f := newFixture(t, nil)
	book := &notebook{}
	f.rc.notes = book
	b := newBatch(t, 11)
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, request{token: f.vehicleToken(t, car), body: telemetry.AppendJSON(nil, b)}.http(t.Context()))
	if w.Code != http.StatusAccepted || book.seen.EventMS != b.Samples[10].T || book.seen.MedianMS != b.Samples[5].T || book.seen.At.IsZero() {
		t.Errorf("%d, noted %+v", w.Code, book.seen)
	}
}

func TestNotesARefusingQueue(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.SendTimeout = 100 * time.Millisecond })
	book := &notebook{}
	f.rc.notes = book
	f.queue.setAnswer(refuseAll(errors.New("full")))
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, request{token: f.vehicleToken(t, car), body: telemetry.AppendJSON(nil, newBatch(t, 3))}.http(t.Context()))
	if w.Code != http.StatusServiceUnavailable || !slices.Equal(book.notes, []string{car + " rejected token queue-unavailable "}) {
		t.Errorf("%d, noted %q", w.Code, book.notes)
	}
	f.queue.setAnswer(nil) // for the closing envelope
}
