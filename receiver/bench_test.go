package receiver

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/vehiclestatus"
	"github.com/carasso/carasso/telemetry"
)

// BenchmarkReceiver and BenchmarkBare answer the same requests (10-sample batches over
// 2,048 keep-alive connections) from a client in a process of its own, so that
// cpu-us/req is the server's alone. Their ratio is the receiver's overhead.

func BenchmarkBare(b *testing.B) {
	for _, c := range benchmarkBodies(b) {
		b.Run(c.name, func(b *testing.B) {
			serve(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusAccepted)
			}), c.request(strings.Repeat("t", 275)))
		})
	}
}

func BenchmarkReceiver(b *testing.B) {
	for _, c := range benchmarkBodies(b) {
		b.Run(c.name, func(b *testing.B) {
			f := newFixture(b, func(c *Config) { c.Linger = DefaultConfig().Linger })
			f.rc.packer.queue = discardQueue{}
			serve(b, f.handler, c.request(f.vehicleToken(b, car)))
		})
	}
}

// BenchmarkReceiverNotes is BenchmarkReceiver with the vehicles' statuses noted, and written to a store in memory.
func BenchmarkReceiverNotes(b *testing.B) {
	for _, c := range benchmarkBodies(b) {
		b.Run(c.name, func(b *testing.B) {
			f := newFixture(b, func(c *Config) { c.Linger = DefaultConfig().Linger })
			f.rc.packer.queue = discardQueue{}
			notes, err := vehiclestatus.New(vehiclestatus.Config{}, vehiclestatus.Deps{
				Store: f.store, Hasher: f.ring, Logger: slog.New(slog.DiscardHandler), Registerer: f.reg,
			})
			if err != nil {
				b.Fatal(err)
			}
			f.rc.notes = notes
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- notes.Run(ctx) }()
			serve(b, f.handler, c.request(f.vehicleToken(b, car)))
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
		})
	}
}

type discardQueue struct{}

func (discardQueue) Send(context.Context, [][]byte) []error { return nil }

type benchmarkBody struct {
	name, media, encoding string
	body                  []byte
}

func benchmarkBodies(b *testing.B) []benchmarkBody {
	b.Helper()
	batch := newBatch(b, 10)
	proto, json := telemetry.AppendProto(nil, batch), telemetry.AppendJSON(nil, batch)
	return []benchmarkBody{
		{"proto", "application/x-protobuf", "identity", proto},
		{"json", "application/json", "identity", json},
		{"json-gzip", "application/json", "gzip", gzipped(b, json)},
	}
}

func (c benchmarkBody) request(token string) []byte {
	return append(fmt.Appendf(nil, "POST /v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n"+
		"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n", token, c.media, c.encoding, len(c.body)), c.body...)
}

const (
	clientEnv         = "CARASSO_BENCH_CLIENT" // address, number and request of the client process
	clientConnections = 2048
)

func serve(b *testing.B, h http.Handler, request []byte) {
	b.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	client := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^$")
	client.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", clientEnv, s.Listener.Addr(), b.N, hex.EncodeToString(request)))
	var out bytes.Buffer
	client.Stdout, client.Stderr = &out, &out
	b.ReportAllocs()
	b.SetBytes(int64(len(request)))
	before := cpu(b)
	b.ResetTimer()
	if err := client.Run(); err != nil {
		b.Fatalf("client: %v: %s", err, out.Bytes())
	}
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-us/req")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// runClient is the client process: it sends the request as often as told.
func runClient(spec string) error {
	var addr, encoded string
	var n int64
	if _, err := fmt.Sscan(spec, &addr, &n, &encoded); err != nil {
		return err
	}
	request, err := hex.DecodeString(encoded)
	if err != nil {
		return err
	}
	var left atomic.Int64
	left.Store(n)
	errs := make(chan error, clientConnections)
	var wg sync.WaitGroup
	for range min(n, clientConnections) {
		wg.Go(func() { errs <- exchange(addr, request, &left) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func exchange(addr string, request []byte, left *atomic.Int64) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	var answer [4096]byte
	for left.Add(-1) >= 0 {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		n, err := conn.Read(answer[:]) // the server writes an answer at once
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 202 ")) {
			return fmt.Errorf("answer %s", strconv.Quote(string(answer[:n])))
		}
	}
	return nil
}
