package jetstream_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/jetstream"
)

// childDir asks the test binary to publish into a queue there until it is killed.
const (
	childDir  = "JETSTREAM_TEST_CHILD_DIR"
	childSync = "JETSTREAM_TEST_CHILD_SYNC"
)

var crashQueue = jetstream.QueueConfig{Name: "crash", Visibility: time.Second}

func crashBody(id string) []byte { return []byte(id + strings.Repeat("x", 8<<10)) }

// publishUntilKilled prints "+id" after a message was acknowledged, and "-id" before one is deleted.
func publishUntilKilled() {
	ctx := context.Background()
	interval, err := time.ParseDuration(os.Getenv(childSync))
	fatal(err)
	s, err := jetstream.Open(ctx, jetstream.Config{Dir: os.Getenv(childDir), SyncInterval: interval, Logger: slog.New(slog.DiscardHandler)})
	fatal(err)
	q, err := s.Queue(ctx, crashQueue)
	fatal(err)
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintf(os.Stdout, format, args...)
	}
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for n := 0; ; n += 3 {
				var bodies [][]byte
				for i := range 3 {
					bodies = append(bodies, crashBody(fmt.Sprintf("%d/%d ", p, n+i)))
				}
				if errs := q.Send(ctx, bodies); errs != nil {
					fatal(fmt.Errorf("send: %v", errs))
				}
				for i := range 3 {
					say("+%d/%d\n", p, n+i)
				}
			}
		})
	}
	wg.Go(func() { // a worker that deletes every other message
		for n := 0; ; {
			ds, err := q.Receive(ctx, 10, time.Second)
			fatal(err)
			for i := range ds {
				if n++; n%2 == 0 {
					say("-%s\n", bodyID(ds[i].Body))
					fatal(q.Delete(ctx, ds[i:i+1]))
				}
			}
		}
	})
	wg.Wait()
}

func bodyID(body []byte) string {
	id, _, _ := bytes.Cut(body, []byte(" "))
	return string(id)
}

func fatal(err error) {
	if err != nil {
		fmt.Println("!", err)
		os.Exit(1)
	}
}

// TestKilledUnderLoad kills -9 a process that publishes, and finds every message again that was acknowledged and not deleted.
func TestKilledUnderLoad(t *testing.T) {
	for _, interval := range []time.Duration{0, time.Minute} {
		t.Run(fmt.Sprintf("SyncInterval=%v", interval), func(t *testing.T) {
			dir := t.TempDir()
			acknowledged := killUnderLoad(t, dir, interval, 600)
			s := openServer(t, dir, interval)
			q := openQueue(t, s, crashQueue)
			got := map[string]int{}
			for {
				// Longer than the visibility time: what the killed process held comes back too.
				ds, err := q.Receive(t.Context(), 10, 3*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				if len(ds) == 0 {
					break
				}
				for _, d := range ds {
					id := bodyID(d.Body)
					got[id]++
					if !bytes.Equal(d.Body, crashBody(id+" ")) {
						t.Fatalf("message %s has %d bytes that were not sent so", id, len(d.Body))
					}
				}
				if err := q.Delete(t.Context(), ds); err != nil {
					t.Fatal(err)
				}
			}
			missing := 0
			for id := range acknowledged {
				if got[id] == 0 {
					missing++
				}
			}
			if missing > 0 {
				t.Errorf("%d of %d acknowledged messages are lost", missing, len(acknowledged))
			}
			for id, n := range got {
				if n != 1 {
					t.Errorf("message %s came %d times", id, n)
				}
			}
			t.Logf("%d acknowledged and not deleted, %d found", len(acknowledged), len(got))
		})
	}
}

// killUnderLoad runs the child until it has said enough lines and kills it: what was acknowledged and not deleted.
func killUnderLoad(t *testing.T, dir string, interval time.Duration, lines int) map[string]bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childSync+"="+interval.String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged, deleted := map[string]bool{}, map[string]bool{}
	reader := bufio.NewReader(out)
	for n := 0; ; n++ {
		line, err := reader.ReadString('\n')
		if err != nil {
			break // the child is dead; a torn last line doesn't count
		}
		if n == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		switch id := strings.TrimSpace(line[1:]); line[0] {
		case '+':
			acknowledged[id] = true
		case '-':
			deleted[id] = true
		default:
			t.Errorf("the child said %q", line)
		}
	}
	_ = cmd.Wait()
	if len(acknowledged) < lines/2 || len(deleted) == 0 {
		t.Fatalf("the child acknowledged %d and deleted %d messages", len(acknowledged), len(deleted))
	}
	for id := range deleted {
		delete(acknowledged, id)
	}
	return acknowledged
}
