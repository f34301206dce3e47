package jetstream

import (
	"fmt"
	"sync"
	"syscall"
	"time"
)

// spaceCheck is how long a look at the free space counts. The most that can be written meanwhile has
// to be well below the smallest reserve.
const spaceCheck = 100 * time.Millisecond

// minReserve is the smallest useful value of Config.MinFreeBytes.
const minReserve = 64 << 20

// reserve refuses writes before the disk is full: a write that fails for want of space stops the embedded
// server's stream until the next start. It is safe for concurrent use.
type reserve struct {
	dir  string
	free uint64 // to be left

	mu      sync.Mutex
	checked time.Time
	err     error
}

// Check is nil if there is more space left than the reserve, else an ErrFull.
func (r *reserve) Check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < spaceCheck {
		return r.err
	}
	var stat syscall.Statfs_t
	r.err = nil
	if err := syscall.Statfs(r.dir, &stat); err != nil {
		r.err = fmt.Errorf("free space of %s: %w", r.dir, err)
	} else if free := stat.Bavail * uint64(stat.Bsize); free < r.free {
		r.err = fmt.Errorf("%w: %d MiB are left on the disk, and %d are reserved", ErrFull, free>>20, r.free>>20)
	}
	r.checked = time.Now()
	return r.err
}
