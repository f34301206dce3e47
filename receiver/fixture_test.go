package receiver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/keyring"
	"github.com/carasso/carasso/telemetry"
)

func TestMain(m *testing.M) {
	if spec, ok := os.LookupEnv(clientEnv); ok {
		if err := runClient(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

const (
	car     = "WBA-PRIVATE-0001"
	gateway = "maker-gateway"
	tripID  = "trip-PRIVATE-7"
)

// fakeQueue keeps what it accepted. Its answers are up to answer, if set.
type fakeQueue struct {
	mu     sync.Mutex
	bodies [][]byte
	calls  int
	// answer returns an error per body, or nil to accept all. It runs without the lock.
	answer func(ctx context.Context, call int, bodies [][]byte) []error
}

func (q *fakeQueue) Send(ctx context.Context, bodies [][]byte) []error {
	q.mu.Lock()
	q.calls++
	call, answer := q.calls, q.answer
	q.mu.Unlock()
	var errs []error
	if answer != nil {
		errs = answer(ctx, call, bodies)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, b := range bodies {
		if errs == nil || errs[i] == nil {
			q.bodies = append(q.bodies, bytes.Clone(b))
		}
	}
	return errs
}

// setAnswer changes the queue's behaviour from the next call on.
func (q *fakeQueue) setAnswer(f func(context.Context, int, [][]byte) []error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.answer = f
}

// envelopes are the accepted ones, opened.
func (q *fakeQueue) envelopes(t testing.TB) []opened {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]opened, len(q.bodies))
	for i, b := range q.bodies {
		e, err := telemetry.OpenEnvelope(b, 16<<20)
		if err != nil {
			t.Fatalf("envelope %d: %v", i, err)
		}
		out[i].Header = e.Header
		for r := range e.Records() {
			r.Payload = bytes.Clone(r.Payload)
			out[i].records = append(out[i].records, r)
		}
	}
	return out
}

type opened struct {
	telemetry.Header
	records []telemetry.Record
}

// records are all batches in accepted envelopes.
func (q *fakeQueue) records(t testing.TB) []telemetry.Record {
	t.Helper()
	var out []telemetry.Record
	for _, e := range q.envelopes(t) {
		out = append(out, e.records...)
	}
	return out
}

// refuseAll is an answer that accepts nothing.
func refuseAll(err error) func(context.Context, int, [][]byte) []error {
	return func(_ context.Context, _ int, bodies [][]byte) []error {
		errs := make([]error, len(bodies))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
}

// memoryStore is a live store for the keyring.
type memoryStore struct {
	mu    sync.Mutex
	items map[string][]byte
	err   error
}

func (s *memoryStore) Get(_ context.Context, key string) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.items[key]; ok && s.err == nil {
		return v, 0, nil
	}
	if s.err != nil {
		return nil, 0, s.err
	}
	return nil, 0, fs.ErrNotExist
}

func (s *memoryStore) Create(_ context.Context, key string, value []byte, _ time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items[key] = value
	return true, nil
}

func (s *memoryStore) PutIfNewer(ctx context.Context, key string, _ int64, value []byte, ttl time.Duration) (bool, error) {
	return s.Create(ctx, key, value, ttl)
}

func (s *memoryStore) Delete(context.Context, string) error { return nil }

// fixture is a receiver with all that it needs.
type fixture struct {
	rc      *Receiver
	queue   *fakeQueue
	store   *memoryStore
	key     ed25519.PrivateKey
	issuer  *credential.Issuer
	ring    *keyring.Ring
	handler http.Handler
	logs    *lockedBuffer
	reg     *prometheus.Registry
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newFixture starts a receiver with a short linger and no rate limit to speak of; it
// is shut down with the test, which fails if that fails.
func newFixture(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{
		queue: new(fakeQueue), store: &memoryStore{items: make(map[string][]byte)},
		logs: new(lockedBuffer), reg: prometheus.NewRegistry(),
	}
	cfg := DefaultConfig()
	cfg.Linger = time.Millisecond
	cfg.RateBatches, cfg.RateBurst = 1e6, 1<<20
	if change != nil {
		change(&cfg)
	}
	log := slog.New(slog.NewJSONHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if f.ring, err = keyring.New(keyring.Deps{Store: f.store, Logger: log}); err != nil {
		t.Fatal(err)
	}
	var public ed25519.PublicKey
	if public, f.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	if f.issuer, err = credential.NewIssuer(f.key, nil); err != nil {
		t.Fatal(err)
	}
	verifier, err := credential.NewVerifier([]ed25519.PublicKey{public}, 1<<16, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.rc, err = New(cfg, Deps{Queue: f.queue, Ring: f.ring, Auth: verifier, Logger: log, Registerer: f.reg})
	if err != nil {
		t.Fatal(err)
	}
	f.handler = f.rc.Routes()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := f.rc.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if held := f.rc.held.used.Load(); held != 0 {
			t.Errorf("%d bytes in flight after the end", held)
		}
	})
	return f
}

func (f *fixture) vehicleToken(t testing.TB, id string) string {
	t.Helper()
	s, err := f.issuer.Vehicle(id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f *fixture) gatewayToken(t testing.TB) string {
	t.Helper()
	s, err := f.issuer.Gateway(gateway, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newBatch is a valid batch of n samples that ends now.
func newBatch(t testing.TB, n int) *telemetry.Batch {
	t.Helper()
	now := time.Now()
	id, err := telemetry.NewBatchID(now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &telemetry.Batch{
		ID: id, Trip: telemetry.Trip{ID: tripID, ElapsedS: 312},
		Vehicle: telemetry.Vehicle{Model: "G30", Software: "23-07.1"},
	}
	for i := range n {
		b.Samples = append(b.Samples, telemetry.Sample{
			T: now.UnixMilli() - int64(n-i)*1000, LatE7: 425063100 + int32(i)*900, LonE7: 15218300 + int32(i)*700,
			SpeedCMPS: uint16(1340 + i*7%50), HeadingCDeg: uint16(27150 + i%300), AccuracyCM: 420,
			Has: telemetry.HasSpeed | telemetry.HasHeading | telemetry.HasAccuracy,
		})
	}
	return b
}

// request is one POST; the zero value of a field is the ordinary.
type request struct {
	token    string
	media    string // default application/json
	encoding string
	body     []byte
}

func (q request) http(ctx context.Context) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/batches", bytes.NewReader(q.body)).WithContext(ctx)
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	r.Header.Set("Content-Type", q.media)
	if q.media == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.encoding != "" {
		r.Header.Set("Content-Encoding", q.encoding)
	}
	return r
}

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   string
	doc    map[string]any
}

func (f *fixture) post(t testing.TB, q request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, q.http(t.Context()))
	return read(t, w.Code, w.Header(), w.Body)
}

func read(t testing.TB, code int, header http.Header, body io.Reader) answer {
	t.Helper()
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{code: code, header: header, body: string(raw)}
	if err := json.Unmarshal(raw, &a.doc); err != nil {
		t.Fatalf("%d with a body that is not JSON: %q", code, raw)
	}
	return a
}

// kind is the slug of the problem, or "".
func (a answer) kind() string {
	s, _ := a.doc["type"].(string)
	return strings.TrimPrefix(s, "https://carasso.dev/problems/")
}

func (a answer) pointer() string {
	s, _ := a.doc["pointer"].(string)
	return s
}

// counter is the sum of a counter's children.
func (f *fixture) counter(t testing.TB, name string) float64 {
	t.Helper()
	families, err := f.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, mf := range families {
		if mf.GetName() == name {
			found = true
			for _, m := range mf.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	if !found {
		t.Fatalf("no metric %s", name)
	}
	return sum
}
