package receiver

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// inBubble runs the test on fake time; the receiver is shut down inside.
func inBubble(t *testing.T, change func(*Config), test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(t, newFixture(t, change))
	})
}

var errRefused = errors.New("queue refuses")

func TestLingerBoundsTheWait(t *testing.T) {
	inBubble(t, func(c *Config) { c.Linger = 20 * time.Millisecond }, func(t *testing.T, f *fixture) {
		start := time.Now()
		if a := f.post(t, request{token: f.vehicleToken(t, car), body: f.body(t, "", "")}); a.code != http.StatusAccepted {
			t.Fatalf("answer = %d", a.code)
		}
		if waited := time.Since(start); waited != 20*time.Millisecond {
			t.Errorf("answered after %v", waited)
		}
	})
}

func TestManyCarsShareAnEnvelope(t *testing.T) {
	inBubble(t, func(c *Config) { c.Shards = 1 }, func(t *testing.T, f *fixture) {
		var wg sync.WaitGroup
		for i := range 200 {
			token, body := f.vehicleToken(t, strings.Repeat("v", 1+i%100)), f.body(t, "", "")
			wg.Go(func() { f.post(t, request{token: token, body: body}) })
		}
		wg.Wait()
		es := f.queue.envelopes(t)
		if len(es) != 1 || es[0].Batches != 200 || es[0].Samples != 400 || len(es[0].records) != 200 {
			t.Errorf("%d envelopes, the first with %+v", len(es), es[0].Header)
		}
	})
}

// A full envelope goes at once, and none exceeds its bounds.
func TestFullEnvelopesDoNotLinger(t *testing.T) {
	inBubble(t, func(c *Config) {
		c.Linger, c.Shards, c.Target, c.MaxEnvelope = time.Second, 1, 4<<10, 64<<10
	}, func(t *testing.T, f *fixture) {
		start := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			body := telemetry.AppendProto(nil, newBatch(t, 100))
			wg.Go(func() {
				a := f.post(t, request{token: f.vehicleToken(t, car), media: "application/x-protobuf", body: body})
				if a.code != http.StatusAccepted {
					t.Errorf("answer = %d %s", a.code, a.body)
				}
			})
		}
		synctest.Wait()
		full := len(f.queue.envelopes(t))
		if full < 3 || time.Since(start) != 0 {
			t.Errorf("%d envelopes before the linger", full)
		}
		wg.Wait()
		for _, b := range f.queue.bodies {
			if len(b) > 64<<10 {
				t.Errorf("an envelope of %d bytes", len(b))
			}
		}
	})
}

func TestRefusingQueue(t *testing.T) {
	inBubble(t, func(c *Config) { c.SendTimeout = 3 * time.Second }, func(t *testing.T, f *fixture) {
		f.queue.setAnswer(refuseAll(errRefused))
		start := time.Now()
		a := f.post(t, request{token: f.vehicleToken(t, car), body: f.body(t, "", "")})
		if a.code != http.StatusServiceUnavailable || a.kind() != "queue-unavailable" || a.header.Get("Retry-After") != "5" {
			t.Fatalf("answer = %d %s", a.code, a.body)
		}
		if waited := time.Since(start); waited < 3*time.Second || waited > 3500*time.Millisecond {
			t.Errorf("gave up after %v", waited)
		}
		if f.queue.calls < 3 || len(f.queue.bodies) != 0 {
			t.Errorf("%d calls, %d accepted", f.queue.calls, len(f.queue.bodies))
		}
		f.queue.setAnswer(nil)
		if a := f.post(t, request{token: f.vehicleToken(t, car), body: f.body(t, "", "")}); a.code != http.StatusAccepted {
			t.Fatalf("answer = %d %s", a.code, a.body)
		}
		es := f.queue.envelopes(t)
		last := es[len(es)-1]
		if len(last.Voided) == 0 || last.Voided[0] != (telemetry.Void{Seq: 1, Batches: 1, Samples: 2}) {
			t.Errorf("the next header lists %+v", last.Voided)
		}
		if n := strings.Count(f.logs.String(), "queue refuses envelopes"); n != 1 {
			t.Errorf("the refusal was logged %d times", n)
		}
	})
}

// During an outage no car waits much longer than SendTimeout, however many envelopes
// queue for the senders.
func TestOutageRefusesInTime(t *testing.T) {
	inBubble(t, func(c *Config) {
		c.SendTimeout, c.Sends, c.Linger = 3*time.Second, 1, 0
	}, func(t *testing.T, f *fixture) {
		f.queue.setAnswer(refuseAll(errRefused))
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 60 {
			token, body := f.vehicleToken(t, strings.Repeat("w", 1+i)), f.body(t, "", "")
			wg.Go(func() {
				if a := f.post(t, request{token: token, body: body}); a.code != http.StatusServiceUnavailable {
					t.Errorf("answer = %d", a.code)
				}
				if waited := time.Since(start); waited > 4500*time.Millisecond {
					t.Errorf("refused after %v", waited)
				}
			})
		}
		wg.Wait()
		f.queue.setAnswer(nil)
	})
}

func TestRetriesUntilAccepted(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, f *fixture) {
		f.queue.setAnswer(func(ctx context.Context, call int, bodies [][]byte) []error {
			if call < 4 {
				return refuseAll(errRefused)(ctx, call, bodies)
			}
			return nil
		})
		if a := f.post(t, request{token: f.vehicleToken(t, car), body: f.body(t, "", "")}); a.code != http.StatusAccepted {
			t.Fatalf("answer = %d %s", a.code, a.body)
		}
		if es := f.queue.envelopes(t); len(es) != 1 || es[0].Seq != 1 {
			t.Errorf("%d envelopes", len(es))
		}
	})
}

// Of several envelopes in one Send only the failed ones are sent again, and only their
// cars are refused.
func TestPartialSendErrors(t *testing.T) {
	inBubble(t, func(c *Config) { c.Linger, c.Sends, c.SendTimeout = 0, 1, time.Second }, func(t *testing.T, f *fixture) {
		gate := make(chan struct{})
		f.queue.setAnswer(func(ctx context.Context, call int, bodies [][]byte) []error {
			if call == 1 {
				<-gate // meanwhile others get ready and are coalesced
				return nil
			}
			errs := make([]error, len(bodies))
			for i, b := range bodies {
				e, err := telemetry.OpenEnvelope(b, 1<<20)
				if err != nil || e.Header.Seq%2 == 0 {
					errs[i] = errRefused
				}
			}
			return errs
		})
		codes := make(map[int]int)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 11 {
			body := f.body(t, "", "")
			wg.Go(func() {
				a := f.post(t, request{token: f.vehicleToken(t, car), body: body})
				mu.Lock()
				defer mu.Unlock()
				codes[a.code]++
			})
			synctest.Wait()
		}
		close(gate)
		wg.Wait()
		if codes[202] != 6 || codes[503] != 5 || len(f.queue.records(t)) != 6 {
			t.Errorf("answers %v, %d batches in the queue", codes, len(f.queue.records(t)))
		}
		f.queue.setAnswer(nil)
	})
}

// A short answer breaks the queue's contract: what has no answer is not accepted.
func TestMissingAnswerIsNoAcceptance(t *testing.T) {
	inBubble(t, func(c *Config) { c.SendTimeout = time.Second }, func(t *testing.T, f *fixture) {
		f.rc.packer.queue = sendFunc(func(context.Context, [][]byte) []error { return []error{} })
		a := f.post(t, request{token: f.vehicleToken(t, car), body: f.body(t, "", "")})
		if a.code != http.StatusServiceUnavailable {
			t.Errorf("answer = %d", a.code)
		}
		f.rc.packer.queue = f.queue
	})
}

type sendFunc func(ctx context.Context, bodies [][]byte) []error

func (f sendFunc) Send(ctx context.Context, bodies [][]byte) []error { return f(ctx, bodies) }

func TestSlowQueueShedsByBytesInFlight(t *testing.T) {
	inBubble(t, func(c *Config) { c.MaxBytesInFlight = 1 << 16 }, func(t *testing.T, f *fixture) {
		gate := make(chan struct{})
		f.queue.setAnswer(func(context.Context, int, [][]byte) []error { <-gate; return nil })
		var wg sync.WaitGroup
		codes := make(chan answer, 100)
		for range 100 {
			body := f.body(t, "", "")
			wg.Go(func() { codes <- f.post(t, request{token: f.vehicleToken(t, car), body: body}) })
			synctest.Wait()
			if used := f.rc.held.used.Load(); used > 1<<16 {
				t.Fatalf("%d bytes in flight", used)
			}
		}
		refused := len(codes) // at once, while the queue is still stuck
		close(gate)
		wg.Wait()
		close(codes)
		accepted := 0
		for a := range codes {
			switch {
			case a.code == http.StatusAccepted:
				accepted++
			case a.kind() != "overloaded" || a.header.Get("Retry-After") != "5":
				t.Errorf("answer = %d %s", a.code, a.body)
			}
		}
		if refused < 50 || accepted < 10 || accepted+refused != 100 || len(f.queue.records(t)) != accepted {
			t.Errorf("%d refused, %d accepted, %d in the queue", refused, accepted, len(f.queue.records(t)))
		}
	})
}

func TestIdleReceiverConfirms(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, f *fixture) {
		f.post(t, request{token: f.vehicleToken(t, car), body: f.body(t, "", "")})
		time.Sleep(10 * time.Second)
		es := f.queue.envelopes(t)
		if len(es) != 2 || es[1].Batches != 0 || es[1].ConfirmedThrough != 1 || es[1].Seq != 2 || es[1].TotalBatches != 1 {
			t.Errorf("%d envelopes, the last %+v", len(es), es[len(es)-1].Header)
		}
	})
}

// Who reads the ledger must not wait for the confirmation until a clock that was set back has caught up.
func TestIdleReceiverConfirmsWhenTheClockIsSetBack(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, f *fixture) {
		var back atomic.Int64
		f.rc.packer.now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
		f.post(t, request{token: f.vehicleToken(t, car), body: f.body(t, "", "")})
		back.Store(int64(time.Hour))
		time.Sleep(10 * time.Second)
		if es := f.queue.envelopes(t); len(es) != 2 || es[1].ConfirmedThrough != 1 {
			t.Errorf("%d envelopes, the last %+v", len(es), es[len(es)-1].Header)
		}
	})
}

// A client that goes away changes nothing: its batch goes its way.
func TestClientGone(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		gate := make(chan struct{})
		f.queue.setAnswer(func(context.Context, int, [][]byte) []error { <-gate; return nil })
		var wg sync.WaitGroup
		r := request{token: f.vehicleToken(t, car), body: f.body(t, "", "")}.http(ctx)
		wg.Go(func() { f.handler.ServeHTTP(discardResponse{}, r) })
		time.Sleep(time.Second)
		cancel()
		synctest.Wait()
		close(gate)
		wg.Wait()
		if n := len(f.queue.records(t)); n != 1 {
			t.Errorf("%d batches in the queue", n)
		}
	})
}

type discardResponse struct{}

func (discardResponse) Header() http.Header         { return make(http.Header) }
func (discardResponse) Write(p []byte) (int, error) { return len(p), nil }
func (discardResponse) WriteHeader(int)             {}
