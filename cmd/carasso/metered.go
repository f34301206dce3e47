package main

import (
	"context"
	"math"
	"sync"
	"syscall"
	"time"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/usage"
	"github.com/carasso/carasso/telemetry"
)

// meter counts what the embedded backends do as AWS would bill it. Safe for concurrent use.
type meter struct {
	mu     sync.Mutex
	counts usage.Counts
}

func (m *meter) add(k usage.Kind, n float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[k] += n
}

// total is a usage.Source.
func (m *meter) total() usage.Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := usage.Counts{}
	c.Add(m.counts)
	return c
}

// metered is backends whose use is counted.
func (m *meter) metered(b backends) backends {
	m.counts = usage.Counts{}
	return backends{used: m.total, queue: meteredQueue{b.queue, m}, objects: meteredObjects{b.objects, m}, live: meteredLive{b.live, m}}
}

// units is how many units of size bytes n bytes fill, at least one.
func units(n, size int) float64 { return math.Max(1, math.Ceil(float64(n)/float64(size))) }

// sqsBatch is how many messages a request carries at most.
const sqsBatch = 10

type meteredQueue struct {
	queue
	m *meter
}

func (q meteredQueue) Send(ctx context.Context, bodies [][]byte) []error {
	size := 0
	for _, b := range bodies {
		size += len(b)
	}
	q.m.add(usage.SQSRequests, max(units(size, 64<<10), units(len(bodies), sqsBatch)))
	return q.queue.Send(ctx, bodies)
}

func (q meteredQueue) received(ds []telemetry.Delivery) {
	size := 0
	for i := range ds {
		size += len(ds[i].Body)
	}
	q.m.add(usage.SQSRequests, units(size, 64<<10))
}

func (q meteredQueue) Receive(ctx context.Context, limit int, wait time.Duration) ([]telemetry.Delivery, error) {
	ds, err := q.queue.Receive(ctx, limit, wait)
	q.received(ds)
	return ds, err
}

func (q meteredQueue) ReceiveDead(ctx context.Context, limit int) ([]telemetry.Delivery, error) {
	ds, err := q.queue.ReceiveDead(ctx, limit)
	q.received(ds)
	return ds, err
}

func (q meteredQueue) Extend(ctx context.Context, ds []telemetry.Delivery, visibility time.Duration) error {
	q.m.add(usage.SQSRequests, units(len(ds), sqsBatch))
	return q.queue.Extend(ctx, ds, visibility)
}

func (q meteredQueue) Release(ctx context.Context, ds []telemetry.Delivery, delay time.Duration) error {
	q.m.add(usage.SQSRequests, units(len(ds), sqsBatch))
	return q.queue.Release(ctx, ds, delay)
}

func (q meteredQueue) Delete(ctx context.Context, ds []telemetry.Delivery) error {
	q.m.add(usage.SQSRequests, units(len(ds), sqsBatch))
	return q.queue.Delete(ctx, ds)
}

func (q meteredQueue) DeleteDead(ctx context.Context, ds []telemetry.Delivery) error {
	q.m.add(usage.SQSRequests, units(len(ds), sqsBatch))
	return q.queue.DeleteDead(ctx, ds)
}

type meteredObjects struct {
	objects
	m *meter
}

func (o meteredObjects) Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error {
	o.m.add(usage.S3Puts, 1)
	return o.objects.Put(ctx, key, body, contentType, contentEncoding)
}

func (o meteredObjects) Get(ctx context.Context, key string) ([]byte, error) {
	o.m.add(usage.S3Gets, 1)
	return o.objects.Get(ctx, key)
}

func (o meteredObjects) List(ctx context.Context, prefix string, each func(key string, size int64, modified time.Time) error) error {
	const page = 1000
	n := 0
	err := o.objects.List(ctx, prefix, func(key string, size int64, modified time.Time) error {
		n++
		return each(key, size, modified)
	})
	o.m.add(usage.S3Puts, units(n, page))
	return err
}

type meteredLive struct {
	live
	m *meter
}

func (l meteredLive) Get(ctx context.Context, key string) (value []byte, version int64, err error) {
	value, version, err = l.live.Get(ctx, key)
	l.m.add(usage.DynamoReads, units(len(key)+len(value), 4<<10))
	return value, version, err
}

func (l meteredLive) PutIfNewer(ctx context.Context, key string, version int64, value []byte, ttl time.Duration) (bool, error) {
	l.m.add(usage.DynamoWrites, units(len(key)+len(value), 1<<10))
	return l.live.PutIfNewer(ctx, key, version, value, ttl)
}

func (l meteredLive) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	l.m.add(usage.DynamoWrites, units(len(key)+len(value), 1<<10))
	return l.live.Create(ctx, key, value, ttl)
}

func (l meteredLive) Delete(ctx context.Context, key string) error {
	l.m.add(usage.DynamoWrites, 1)
	return l.live.Delete(ctx, key)
}

// sdkUsage is what the SDK was used for, as a usage.Source.
func sdkUsage(m *awsclient.Meter) usage.Source {
	kinds := map[[2]string]usage.Kind{
		{"SQS", "request"}: usage.SQSRequests, {"S3", "put"}: usage.S3Puts, {"S3", "get"}: usage.S3Gets,
		{"DynamoDB", "write_unit"}: usage.DynamoWrites, {"DynamoDB", "read_unit"}: usage.DynamoReads,
	}
	return func() usage.Counts {
		c := usage.Counts{}
		for _, u := range m.Snapshot() {
			if k, ok := kinds[[2]string{u.Service, u.Class}]; ok {
				c[k] += u.Units
			}
		}
		return c
	}
}

// processor is the CPU time of this process, as a usage.Source.
func processor() usage.Counts {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return nil
	}
	return usage.Counts{usage.CPUSeconds: float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9}
}
