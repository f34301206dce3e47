package management_test

import (
	"context"
	"crypto/ed25519"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/pgtest"
	"github.com/carasso/carasso/management"
	"github.com/carasso/carasso/telemetry"
)

func TestMain(m *testing.M) { pgtest.Main(m, goleak.IgnoreCurrent()) }

// bench is a management server over fakes, and tokens for it.
type bench struct {
	*httptest.Server
	store  *fakeStore
	queue  *fakeQueue
	server *management.Server
	issuer *credential.Issuer
	client *http.Client
}

// writeTimeout is what a whole answer may take, longer than any here but a stream.
const writeTimeout = 1500 * time.Millisecond

func newBench(t *testing.T, adjust func(*management.Config, *management.Deps)) *bench {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{}
	if b.issuer, err = credential.NewIssuer(private, nil); err != nil {
		t.Fatal(err)
	}
	verifier, err := credential.NewVerifier([]ed25519.PublicKey{public}, 100, nil)
	if err != nil {
		t.Fatal(err)
	}
	tn := newTown()
	b.store = &fakeStore{now: time.Now, town: tn, hooks: newFakeWebhooks()}
	b.queue = &fakeQueue{depth: telemetry.QueueDepth{Visible: 2, InFlight: 4, OldestAge: 420 * time.Millisecond}}
	cfg := management.DefaultConfig()
	deps := management.Deps{
		Store: b.store, Queue: b.queue, Ring: fakeRing{}, Roads: tn, Objects: fakeObjects{}, Live: fakeLive{}, Verifier: verifier, Tiles: tn, Jobs: newFakeJobs(), Secrets: fakeSealer{},
		Logger: slog.New(slog.DiscardHandler),
	}
	if adjust != nil {
		adjust(&cfg, &deps)
	}
	if b.server, err = management.New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	b.Server = httptest.NewUnstartedServer(b.server)
	b.Config.WriteTimeout = writeTimeout
	b.Start()
	b.client = b.Client()
	t.Cleanup(func() {
		_ = b.server.Drain(context.Background())
		b.client.CloseIdleConnections()
		b.Close()
	})
	return b
}

func (b *bench) token(t *testing.T, role credential.Role) string {
	t.Helper()
	token, err := b.issuer.Role("tester", role, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// reply is what an answer says besides its body.
type reply struct {
	StatusCode int
	Header     http.Header
}

// do sends a request with a token ("" for none) and reads the answer.
func (b *bench) do(t *testing.T, method, path, token string, body io.Reader) (reply, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	doc, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header}, doc
}
