package jetstream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/jetstream"
)

const envelopeBytes = 56 << 10

func BenchmarkSend(b *testing.B) {
	for _, interval := range []time.Duration{0, time.Second} {
		for _, senders := range []int{1, 8} {
			b.Run(fmt.Sprintf("sync=%v/senders=%d", interval, senders), func(b *testing.B) {
				q := openQueue(b, openServer(b, b.TempDir(), interval), jetstream.QueueConfig{Name: "bench"})
				bodies := [][]byte{make([]byte, envelopeBytes)}
				b.SetBytes(envelopeBytes)
				b.ReportAllocs()
				b.SetParallelism(max(1, senders/2)) // times the processors
				if senders == 1 {
					for b.Loop() {
						if errs := q.Send(b.Context(), bodies); errs != nil {
							b.Fatal(errs)
						}
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if errs := q.Send(b.Context(), bodies); errs != nil {
							b.Error(errs)
							return
						}
					}
				})
			})
		}
	}
}

// BenchmarkReceive takes and deletes messages, 10 at a time; ns/op is for one message.
func BenchmarkReceive(b *testing.B) {
	q := openQueue(b, openServer(b, b.TempDir(), time.Second), jetstream.QueueConfig{Name: "bench"})
	bodies := make([][]byte, 10)
	for i := range bodies {
		bodies[i] = make([]byte, envelopeBytes)
	}
	b.SetBytes(envelopeBytes)
	b.ReportAllocs()
	b.StopTimer()
	sent := 0
	for ; sent < b.N; sent += len(bodies) {
		if errs := q.Send(b.Context(), bodies); errs != nil {
			b.Fatal(errs)
		}
	}
	b.StartTimer()
	for got := 0; got < sent; {
		ds, err := q.Receive(b.Context(), 10, time.Second)
		if err != nil {
			b.Fatal(err)
		}
		if err := q.Delete(b.Context(), ds); err != nil {
			b.Fatal(err)
		}
		got += len(ds)
	}
}

func BenchmarkLivePut(b *testing.B) {
	live, err := openServer(b, b.TempDir(), time.Second).LiveStore(b.Context(), jetstream.LiveConfig{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 300)
	b.ReportAllocs()
	version := int64(0)
	for b.Loop() {
		version++
		if ok, err := live.PutIfNewer(b.Context(), fmt.Sprintf("tile/speeds/14/8521/%d", version%1000), version, value, time.Hour); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
