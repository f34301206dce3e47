package fleet

import (
	"container/heap"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// job is a batch on its way, with the request that carries it. The request is read
// by up to Copies connections at once; everything else is guarded by sender.mu.
type job struct {
	request []byte
	truth   []Truth
	id      telemetry.BatchID
	vehicle int

	sends     int           // sends that are still to be settled
	again     time.Duration // to be sent again so long after acceptance; < 0 = not
	accepted  bool          // at least once
	ambiguous bool          // a request went out that was never answered
}

// send is one request of a job: to be made, or to be made again.
type send struct {
	job     *job
	attempt int // 0 = the first
}

// delayedSend waits for its time, ms since the run's start.
type delayedSend struct {
	send
	at time.Duration
}

// delayed is a heap by time.
type delayed []delayedSend

func (d delayed) Len() int           { return len(d) }
func (d delayed) Less(i, j int) bool { return d[i].at < d[j].at }
func (d delayed) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *delayed) Push(x any)        { *d = append(*d, x.(delayedSend)) }
func (d *delayed) Pop() any {
	old := *d
	x := old[len(old)-1]
	old[len(old)-1] = delayedSend{}
	*d = old[:len(old)-1]
	return x
}

func (d *delayed) add(s send, at time.Duration) { heap.Push(d, delayedSend{send: s, at: at}) }

// due removes and returns the earliest that is due.
func (d *delayed) due(now time.Duration) (send, bool) {
	if len(*d) == 0 || (*d)[0].at > now {
		return send{}, false
	}
	return heap.Pop(d).(delayedSend).send, true
}

// hasten makes everything due that waits for its first attempt: vehicles come online,
// deliberate duplicates go out. Retries keep their pace.
func (d *delayed) hasten() {
	for i := range *d {
		if (*d)[i].attempt == 0 {
			(*d)[i].at = 0
		}
	}
	heap.Init(d)
}

// fifo is a queue that reuses its memory.
type fifo struct {
	items []send
	head  int
}

func (f *fifo) len() int { return len(f.items) - f.head }

func (f *fifo) push(s send) {
	if f.head > 64 && f.head*2 >= len(f.items) {
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	f.items = append(f.items, s)
}

func (f *fifo) pop() (send, bool) {
	if f.len() == 0 {
		return send{}, false
	}
	s := f.items[f.head]
	f.items[f.head] = send{}
	f.head++
	return s, true
}
