package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// dirQueue is a queue of files: durable, so that it outlives a killed worker; visible again to
// a new process at once. Faults can be set.
type dirQueue struct {
	dir string

	mu       sync.Mutex
	held     map[string]time.Time // until when hidden
	attempts map[string]int
	twice    bool // hands everything out to everybody, as if visibility were too short
	deaf     bool // deletes nothing
	extended int
	released int
}

func newDirQueue(dir string) *dirQueue {
	return &dirQueue{dir: dir, held: map[string]time.Time{}, attempts: map[string]int{}}
}

func (q *dirQueue) send(name string, body []byte) error {
	path := filepath.Join(q.dir, name)
	if err := os.WriteFile(path+".tmp", body, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func (q *dirQueue) Receive(ctx context.Context, most int, wait time.Duration) ([]telemetry.Delivery, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		ds, err := q.receive(most)
		if err != nil || len(ds) > 0 {
			return ds, err
		}
		poll := time.NewTimer(2 * time.Millisecond)
		select {
		case <-ctx.Done():
			poll.Stop()
			return nil, ctx.Err()
		case <-deadline.C:
			poll.Stop()
			return nil, nil
		case <-poll.C:
		}
	}
}

func (q *dirQueue) receive(most int) ([]telemetry.Delivery, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	files, err := os.ReadDir(q.dir)
	if err != nil {
		return nil, err
	}
	var ds []telemetry.Delivery
	for _, f := range files {
		name := f.Name()
		if strings.HasSuffix(name, ".tmp") || time.Now().Before(q.held[name]) || len(ds) == most {
			continue
		}
		if q.twice && q.attempts[name] >= 2 {
			continue
		}
		body, err := os.ReadFile(filepath.Join(q.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		q.attempts[name]++
		if !q.twice || q.attempts[name] >= 2 {
			q.held[name] = time.Now().Add(time.Minute)
		}
		ds = append(ds, telemetry.Delivery{Body: body, Attempts: q.attempts[name], SentAt: time.Now(), Receipt: name})
	}
	return ds, nil
}

func (q *dirQueue) Extend(_ context.Context, ds []telemetry.Delivery, d time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.extended += len(ds)
	for i := range ds {
		q.held[ds[i].Receipt.(string)] = time.Now().Add(d)
	}
	return nil
}

func (q *dirQueue) Release(_ context.Context, ds []telemetry.Delivery, d time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.released += len(ds)
	for i := range ds {
		q.held[ds[i].Receipt.(string)] = time.Now().Add(d)
	}
	return nil
}

func (q *dirQueue) Delete(_ context.Context, ds []telemetry.Delivery) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deaf {
		return errors.New("queue does not answer")
	}
	for i := range ds {
		err := os.Remove(filepath.Join(q.dir, ds[i].Receipt.(string)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (q *dirQueue) ReceiveDead(context.Context, int) ([]telemetry.Delivery, error) {
	return q.receive(10)
}

func (q *dirQueue) DeleteDead(ctx context.Context, ds []telemetry.Delivery) error {
	return q.Delete(ctx, ds)
}

func (q *dirQueue) len() int {
	files, err := os.ReadDir(q.dir)
	if err != nil {
		panic(err)
	}
	return len(files)
}

// dirObjects is an object store of files. Faults can be set.
type dirObjects struct {
	dir  string
	mu   sync.Mutex
	fail int // so many Puts
}

func (o *dirObjects) Put(_ context.Context, key string, body []byte, _, _ string) error {
	o.mu.Lock()
	fail := o.fail > 0
	if fail {
		o.fail--
	}
	o.mu.Unlock()
	if fail {
		return errors.New("object store does not answer")
	}
	path := filepath.Join(o.dir, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp := fmt.Sprintf("%s.%d.tmp", path, time.Now().UnixNano())
	if err := os.WriteFile(temp, body, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func (o *dirObjects) get(key string) ([]byte, error) {
	return os.ReadFile(filepath.Join(o.dir, filepath.FromSlash(key)))
}
