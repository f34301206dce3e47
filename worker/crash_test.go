package worker_test

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/carasso/carasso/worker"
)

// The child process of TestKilledAtEveryStep is a worker that kills itself.
const childEnv = "CARASSO_TEST_WORKER_DIES_AT"

func child() {
	step := worker.Step(os.Getenv(childEnv))
	w := worldAt(&exitOnFailure{}, os.Getenv("TEST_URL"), os.Getenv("TEST_QUEUE"), os.Getenv("TEST_OBJECTS"))
	cfg := config()
	flushes := 0
	cfg.Pipelines = 1
	cfg.FlushBatches = 40
	cfg.OnStep = func(s worker.Step) {
		if s == worker.StepBegin {
			flushes++
		}
		if s == step && flushes >= 2-btoi(before(step)) {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				os.Exit(3)
			}
			select {}
		}
	}
	wk, err := worker.New(cfg, w.deps())
	if err != nil {
		os.Exit(3)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	_ = wk.Run(ctx)
	cancel()
	os.Exit(4) // it should have died
}

// before tells whether a step comes before the transaction, so in the second flush it
// follows one StepBegin.
func before(s worker.Step) bool {
	return s == worker.StepReceive || s == worker.StepDecode || s == worker.StepMatch
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// exitOnFailure stands for a test in the child process.
type exitOnFailure struct{ testing.TB }

func (*exitOnFailure) Helper()               {}
func (*exitOnFailure) Cleanup(func())        {}
func (*exitOnFailure) Fatal(...any)          { os.Exit(3) }
func (*exitOnFailure) Fatalf(string, ...any) { os.Exit(3) }

func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range worker.Steps() {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for range 25 { // three receives, so three flushes
				bs := w.batches(10)
				bs = append(bs, bs[3])
				w.send(bs)
			}
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), childEnv+"="+string(step), "TEST_URL="+w.url, "TEST_QUEUE="+w.queue.dir, "TEST_OBJECTS="+w.objects.dir)
			out, err := cmd.CombinedOutput()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the worker should have killed itself: %v\n%s", err, out)
			}
			if w.queue.len() == 0 {
				t.Fatal("the killed worker had finished everything")
			}
			w.start(config(), w.deps())
			w.drain()
			w.verify(0)
		})
	}
}
