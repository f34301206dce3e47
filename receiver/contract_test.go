package receiver

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/telemetry"
)

func gzipped(t testing.TB, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstded(t testing.TB, plain []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(plain, nil)
}

func TestAcceptedInEveryForm(t *testing.T) {
	f := newFixture(t, nil)
	token := f.vehicleToken(t, car)
	same := func(_ testing.TB, b []byte) []byte { return b }
	for _, media := range []string{"application/json", "application/json; charset=UTF-8", "application/x-protobuf"} {
		for encoding, encode := range map[string]func(testing.TB, []byte) []byte{"": same, "identity": same, "gzip": gzipped, "zstd": zstded} {
			t.Run(media+" "+encoding, func(t *testing.T) {
				b := newBatch(t, 10)
				b.LeadIn = 3
				body := telemetry.AppendJSON(nil, b)
				if media == "application/x-protobuf" {
					body = telemetry.AppendProto(nil, b)
				}
				before := len(f.queue.records(t))
				a := f.post(t, request{token: token, media: media, encoding: encoding, body: encode(t, body)})
				want := map[string]any{"batch_id": b.ID.String(), "samples": 7.0}
				if diff := cmp.Diff(want, a.doc); a.code != http.StatusAccepted || diff != "" {
					t.Fatalf("answer %d: %s", a.code, diff)
				}
				got := f.queue.records(t)[before:]
				if len(got) != 1 {
					t.Fatalf("%d batches in the queue at the time of the answer", len(got))
				}
				checkRecord(t, f, b, got[0])
			})
		}
	}
}

// checkRecord compares what is in the queue with what the car sent.
func checkRecord(t *testing.T, f *fixture, sent *telemetry.Batch, got telemetry.Record) {
	t.Helper()
	day := sent.Samples[sent.LeadIn].T
	pseudonym, err := f.ring.Pseudonym(t.Context(), car, day)
	if err != nil {
		t.Fatal(err)
	}
	trip, err := f.ring.TripKey(t.Context(), car, tripID, day)
	if err != nil {
		t.Fatal(err)
	}
	if got.Claim != f.ring.ClaimID(car, sent.ID) || got.Vehicle != pseudonym {
		t.Errorf("claim or pseudonym is wrong: %+v", got)
	}
	var b telemetry.Batch
	if err := telemetry.DecodeCanonical(got.Payload, &b); err != nil {
		t.Fatal(err)
	}
	want := *sent
	want.Trip.ID, want.Trip.Key = "", trip
	if diff := cmp.Diff(want.Samples, b.Samples); diff != "" || b.LeadIn != want.LeadIn || b.Trip != want.Trip {
		t.Errorf("payload: %+v, %s", b.Trip, diff)
	}
}

// body is the JSON of a valid batch with one text replaced.
func (f *fixture) body(t testing.TB, old, replacement string) []byte {
	t.Helper()
	s := fmt.Sprintf(`{"batch_id":%q,"trip":{"id":%q},"samples":[`+
		`{"t":%d,"lat":42.50631,"lon":1.52183,"speed_mps":13.4},{"t":%[4]d,"lat":42.5064,"lon":1.5219}]}`,
		newBatch(t, 1).ID, tripID, time.Now().UnixMilli()-1000, time.Now().UnixMilli())
	if !strings.Contains(s, old) {
		t.Fatalf("%q is not in %s", old, s)
	}
	return []byte(strings.Replace(s, old, replacement, 1))
}

func TestRefusals(t *testing.T) {
	f := newFixture(t, nil)
	day := 24 * time.Hour
	cases := []struct {
		name    string
		body    func(t *testing.T) []byte
		code    int
		kind    string
		pointer string
	}{
		{"empty", func(*testing.T) []byte { return nil }, 400, "invalid-batch", ""},
		{"broken JSON", func(*testing.T) []byte { return []byte(`{"batch_id":`) }, 400, "invalid-batch", ""},
		{"no batch id", func(t *testing.T) []byte { return f.body(t, `"batch_id"`, `"other"`) }, 400, "invalid-batch", "/batch_id"},
		{"batch id of another version", func(t *testing.T) []byte {
			b := newBatch(t, 1)
			b.ID[6] = b.ID[6]&0x0f | 0x40
			return telemetry.AppendJSON(nil, b)
		}, 400, "invalid-batch", "/batch_id"},
		{"no samples", func(*testing.T) []byte {
			return []byte(`{"batch_id":"` + newBatch(t, 1).ID.String() + `","samples":[]}`)
		}, 400, "invalid-batch", "/samples"},
		{"wrong type", func(t *testing.T) []byte { return f.body(t, `42.50631`, `"42.50631"`) }, 400, "invalid-batch", "/samples/0/lat"},
		{"missing lat", func(t *testing.T) []byte { return f.body(t, `"lat":42.50631,`, ``) }, 400, "invalid-batch", "/samples/0/lat"},
		{"NaN", func(t *testing.T) []byte { return f.body(t, `42.50631`, `NaN`) }, 400, "invalid-batch", "/samples/0/lat"},
		{"infinite", func(t *testing.T) []byte { return f.body(t, `42.50631`, `1e999`) }, 400, "invalid-batch", "/samples/0/lat"},
		{"out of range", func(t *testing.T) []byte { return f.body(t, `42.50631`, `90.1`) }, 400, "invalid-batch", "/samples/0/lat"},
		{"negative speed", func(t *testing.T) []byte { return f.body(t, `13.4`, `-1`) }, 400, "invalid-batch", "/samples/0/speed_mps"},
		{"too fast", func(t *testing.T) []byte { return f.body(t, `13.4`, `151`) }, 400, "invalid-batch", "/samples/0/speed_mps"},
		{"unordered", func(t *testing.T) []byte {
			b := newBatch(t, 3)
			b.Samples[2].T = b.Samples[0].T
			return telemetry.AppendJSON(nil, b)
		}, 400, "invalid-batch", "/samples/2/t"},
		{"lead-in of all", func(t *testing.T) []byte { return f.body(t, `"samples"`, `"lead_in":2,"samples"`) }, 400, "invalid-batch", "/lead_in"},
		{"too many samples", func(t *testing.T) []byte {
			return telemetry.AppendJSON(nil, newBatch(t, 3601))
		}, 413, "too-large", "/samples"},
		{"one sample too old", func(t *testing.T) []byte {
			b := newBatch(t, 1)
			b.Samples[0].T = time.Now().Add(-7*day - time.Minute).UnixMilli()
			return telemetry.AppendJSON(nil, b)
		}, 422, "outside-time-window", "/samples/0/t"},
		{"one sample in the future", func(t *testing.T) []byte {
			b := newBatch(t, 1)
			b.Samples[0].T = time.Now().Add(6 * time.Minute).UnixMilli()
			return telemetry.AppendJSON(nil, b)
		}, 422, "outside-time-window", "/samples/0/t"},
		{"another car", func(t *testing.T) []byte { return f.body(t, `"trip"`, `"vehicle_id":"someone-else","trip"`) }, 403, "forbidden", "/vehicle_id"},
	}
	token := f.vehicleToken(t, car)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := f.post(t, request{token: token, body: c.body(t)})
			if a.code != c.code || a.kind() != c.kind {
				t.Fatalf("answer = %d %s", a.code, a.body)
			}
			if a.pointer() != c.pointer && c.pointer != "" {
				t.Errorf("pointer = %q, want %q", a.pointer(), c.pointer)
			}
			if got := a.header.Get("Content-Type"); got != problem.ContentType {
				t.Errorf("Content-Type = %q", got)
			}
			if strings.Contains(a.body, "PRIVATE") || strings.Contains(a.body, "someone-else") {
				t.Errorf("the answer repeats an identifier: %s", a.body)
			}
		})
	}
	if n := len(f.queue.records(t)); n != 0 {
		t.Errorf("%d refused batches are in the queue", n)
	}
	if got := f.counter(t, "carasso_receiver_requests_total"); got != float64(len(cases)) {
		t.Errorf("%v requests counted, want %d", got, len(cases))
	}
}

func TestTolerances(t *testing.T) {
	f := newFixture(t, nil)
	for name, c := range map[string]struct{ token, body string }{
		"unknown fields":        {f.vehicleToken(t, car), string(f.body(t, `"trip"`, `"new_thing":{"a":[1,{"b":null}]},"trip"`))},
		"own vehicle_id":        {f.vehicleToken(t, car), string(f.body(t, `"trip"`, `"vehicle_id":"`+car+`","trip"`))},
		"gateway for a vehicle": {f.gatewayToken(t), string(f.body(t, `"trip"`, `"vehicle_id":"`+car+`","trip"`))},
	} {
		t.Run(name, func(t *testing.T) {
			if a := f.post(t, request{token: c.token, body: []byte(c.body)}); a.code != http.StatusAccepted {
				t.Errorf("answer = %d %s", a.code, a.body)
			}
		})
	}
	seen := make(map[uint64]bool)
	for _, r := range f.queue.records(t) {
		seen[r.Vehicle] = true
	}
	if len(seen) != 1 {
		t.Errorf("one car has %d pseudonyms", len(seen))
	}
}

func TestGatewayMustNameTheVehicle(t *testing.T) {
	f := newFixture(t, nil)
	a := f.post(t, request{token: f.gatewayToken(t), body: f.body(t, "", "")})
	if a.code != http.StatusBadRequest || a.pointer() != "/vehicle_id" {
		t.Errorf("answer = %d %s", a.code, a.body)
	}
}

func TestMediaTypes(t *testing.T) {
	f := newFixture(t, nil)
	token := f.vehicleToken(t, car)
	for _, c := range []request{
		{media: "text/plain"},
		{media: "application/json; charset=latin1"},
		{media: ";;"},
		{media: "application/protobuf"},
		{encoding: "br"},
		{encoding: "gzip, gzip"},
		{encoding: "deflate"},
	} {
		c.token, c.body = token, f.body(t, "", "")
		if a := f.post(t, c); a.code != http.StatusUnsupportedMediaType || a.kind() != "unsupported-media" {
			t.Errorf("%q %q: %d %s", c.media, c.encoding, a.code, a.body)
		}
	}
	r := request{token: token, body: f.body(t, "", "")}.http(t.Context())
	r.Header["Content-Encoding"] = []string{"gzip", "identity"}
	w := httptest.NewRecorder()
	if f.handler.ServeHTTP(w, r); w.Code != http.StatusUnsupportedMediaType {
		t.Errorf("two encodings: %d", w.Code)
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	f := newFixture(t, nil)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/v1/batches", 405}, {http.MethodPost, "/v1/batch", 404}, {http.MethodPost, "/v1/batches/", 404},
	} {
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, httptest.NewRequest(c.method, c.path, http.NoBody))
		if w.Code != c.want || w.Header().Get("Content-Type") != problem.ContentType {
			t.Errorf("%s %s = %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
}

func TestSameBatchFiveTimesAtOnce(t *testing.T) {
	f := newFixture(t, nil)
	token, body := f.vehicleToken(t, car), f.body(t, "", "")
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if a := f.post(t, request{token: token, body: body}); a.code != http.StatusAccepted {
				t.Errorf("answer = %d %s", a.code, a.body)
			}
		})
	}
	wg.Wait()
	got := f.queue.records(t)
	if len(got) != 5 {
		t.Fatalf("%d records", len(got))
	}
	for _, r := range got {
		if r.Claim != got[0].Claim {
			t.Error("the same batch has two claim ids")
		}
	}
	other := f.post(t, request{token: f.vehicleToken(t, "another"), body: body})
	if got := f.queue.records(t); other.code != http.StatusAccepted || got[5].Claim == got[0].Claim {
		t.Error("another car's batch with the same id has the same claim id")
	}
}

func TestRateLimitPerVehicle(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RateBatches, c.RateBurst = 0.001, 3 })
	send := func(token, body string) answer { return f.post(t, request{token: token, body: []byte(body)}) }
	own := func() string { return string(f.body(t, "", "")) }
	named := func(id string) string { return string(f.body(t, `"trip"`, `"vehicle_id":"`+id+`","trip"`)) }
	for i := range 4 {
		a, b := send(f.vehicleToken(t, car), own()), send(f.gatewayToken(t), named("bus"))
		want := http.StatusAccepted
		if i == 3 {
			want = http.StatusTooManyRequests
		}
		for _, got := range []answer{a, b} {
			if got.code != want {
				t.Fatalf("batch %d: %d %s", i, got.code, got.body)
			}
			if retry := got.header.Get("Retry-After"); i == 3 && (retry == "" || retry == "0") {
				t.Errorf("Retry-After = %q", retry)
			}
		}
	}
	if a := send(f.gatewayToken(t), named(car)); a.code != http.StatusTooManyRequests {
		t.Errorf("a car got more by way of a gateway: %d", a.code)
	}
	if a := send(f.gatewayToken(t), named("tram")); a.code != http.StatusAccepted {
		t.Errorf("one vehicle's limit hit another: %d", a.code)
	}
	if got := f.counter(t, "carasso_receiver_rate_limited_total"); got != 3 {
		t.Errorf("%v counted as limited", got)
	}
}

func TestKeysUnavailable(t *testing.T) {
	f := newFixture(t, nil)
	f.store.mu.Lock()
	f.store.err = errors.New("store down")
	f.store.mu.Unlock()
	a := f.post(t, request{token: f.vehicleToken(t, car), body: f.body(t, "", "")})
	if a.code != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "5" || strings.Contains(a.body, "store down") {
		t.Errorf("answer = %d %s", a.code, a.body)
	}
}

// What identifies people never gets into logs, errors or the queue.
func TestNothingIdentifyingLeaves(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.SendTimeout = 100 * time.Millisecond })
	token := f.vehicleToken(t, car)
	var ids []string
	send := func(body []byte) string {
		b := string(body)
		i := strings.Index(b, `"batch_id":"`) + len(`"batch_id":"`)
		ids = append(ids, b[i:i+36])
		return f.post(t, request{token: token, body: body}).body
	}
	send(f.body(t, "", ""))
	send(f.body(t, "13.4", `"x"`))
	f.queue.setAnswer(refuseAll(errors.New("refused")))
	refusal := send(f.body(t, "", ""))
	f.queue.setAnswer(nil)
	f.queue.mu.Lock()
	queued := bytes.Join(f.queue.bodies, nil)
	f.queue.mu.Unlock()
	for _, e := range f.queue.records(t) {
		queued = append(queued, e.Payload...)
	}
	for _, secret := range append(ids, car, tripID, token) {
		if strings.Contains(f.logs.String(), secret) || strings.Contains(refusal, secret) || bytes.Contains(queued, []byte(secret)) {
			t.Errorf("%.8s… leaked", secret)
		}
	}
}
