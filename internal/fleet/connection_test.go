package fleet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
)

func TestAnswersAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		wire  string
		want  answer
		wrong bool
	}{
		"length":        {"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello", answer{status: 202}, false},
		"lower case":    {"HTTP/1.1 202 Accepted\r\ncontent-length: 5\r\n\r\nhello", answer{status: 202}, false},
		"chunked":       {"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\nRetry-After: 3\r\n\r\n5;a=b\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n", answer{status: 503, retryAfter: 3 * time.Second}, false},
		"interim":       {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ok\r\nContent-Length: 0\r\n\r\n", answer{status: 202}, false},
		"no content":    {"HTTP/1.1 204 None\r\n\r\n", answer{status: 204}, false},
		"close":         {"HTTP/1.1 429 Slow\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", answer{status: 429, close: true}, false},
		"until the end": {"HTTP/1.1 500 x\r\n\r\nbye", answer{status: 500, close: true}, false},
		"old":           {"HTTP/1.0 202 x\r\nContent-Length: 0\r\n\r\n", answer{status: 202, close: true}, false},
		"date":          {"HTTP/1.1 503 x\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n", answer{status: 503, retryAfter: time.Second}, false},
		"far":           {"HTTP/1.1 503 x\r\nRetry-After: 999999\r\nContent-Length: 0\r\n\r\n", answer{status: 503, retryAfter: time.Minute}, false},
		"not http":      {"SSH-2.0-OpenSSH_9.6\r\n", answer{}, true},
		"huge":          {"HTTP/1.1 202 x\r\nContent-Length: 99999999\r\n\r\n", answer{}, true},
		"negative":      {"HTTP/1.1 202 x\r\nContent-Length: -1\r\n\r\n", answer{}, true},
		"bad chunk":     {"HTTP/1.1 202 x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", answer{}, true},
		"cut":           {"HTTP/1.1 202 x\r\nContent-Length: 5\r\n\r\nhel", answer{}, true},
		"nothing":       {"", answer{}, true},
	} {
		for _, piece := range []int{1, 7, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", name, piece), func(t *testing.T) {
				client, server := net.Pipe()
				var g errgroup.Group
				g.Go(func() error {
					defer server.Close()
					buf := make([]byte, 100)
					if _, err := server.Read(buf); err != nil {
						return err
					}
					for wire := []byte(c.wire); len(wire) > 0; {
						n := min(piece, len(wire))
						if _, err := server.Write(wire[:n]); err != nil {
							return nil // the client has seen enough
						}
						wire = wire[n:]
					}
					return nil
				})
				e := exchange{conn: client, timeout: time.Second}
				got, err := e.post([]byte("POST"), time.Now())
				_ = client.Close()
				if err := g.Wait(); err != nil {
					t.Fatal(err)
				}
				if c.wrong != (err != nil) || err == nil && got != c.want {
					t.Errorf("got %+v, %v; want %+v, error %v", got, err, c.want, c.wrong)
				}
			})
		}
	}
}

func TestRequestTimesOut(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	var g errgroup.Group
	g.Go(func() error { _, err := bufio.NewReader(server).ReadByte(); return err })
	e := exchange{conn: client, timeout: 50 * time.Millisecond}
	_, err := e.post([]byte("P"), time.Now())
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("error %v, want a timeout", err)
	}
	_ = client.Close()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestHistogramQuantiles(t *testing.T) {
	var h histogram
	for i := 1; i <= 10_000; i++ {
		h.add(time.Duration(i) * 100 * time.Microsecond)
	}
	l := h.snapshot()
	for q, want := range map[float64]time.Duration{0: 100 * time.Microsecond, 0.5: 500 * time.Millisecond, 0.95: 950 * time.Millisecond, 0.99: 990 * time.Millisecond} {
		if got := l.quantile(q); got < want*97/100 || got > want*103/100 {
			t.Errorf("quantile %g: %s, want %s ± 3 %%", q, got, want)
		}
	}
	if got := (&latencies{}).quantile(0.5); got != 0 {
		t.Errorf("of nothing: %s", got)
	}
	h.add(time.Duration(1<<62 - 1)) // must not panic
	h.add(-1)
}

// sink accepts everything, as cheaply as HTTP/1.1 can be spoken.
func sink(tb testing.TB) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(202) }, NoDefaultDate: true}
	var g errgroup.Group
	g.Go(func() error { return s.Serve(l) })
	tb.Cleanup(func() {
		_ = s.Shutdown()
		if err := g.Wait(); err != nil {
			tb.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// BenchmarkPost compares ways to post the same request over 64 connections, against the
// same sink in the same process: what differs is the client.
func BenchmarkPost(b *testing.B) {
	const conns = 64
	target, err := url.Parse(sink(b))
	if err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 280)
	b.Run("exchange", func(b *testing.B) {
		d := newDialer(target, time.Second)
		request := fmt.Appendf(nil, "POST /v1/batches HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		b.SetParallelism(conns / 2)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			conn, err := d.dial(context.Background())
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			e := exchange{conn: conn, timeout: 10 * time.Second}
			for pb.Next() {
				if a, err := e.post(request, time.Now()); err != nil || a.status != 202 {
					b.Error(a, err)
					return
				}
			}
		})
	})
	b.Run("fasthttp", func(b *testing.B) {
		c := &fasthttp.HostClient{Addr: target.Host, MaxConns: conns, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
		defer c.CloseIdleConnections()
		b.SetParallelism(conns / 2)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			req.Header.SetMethod(http.MethodPost)
			req.SetRequestURI(target.String() + "/v1/batches")
			req.SetBodyRaw(body)
			for pb.Next() {
				if err := c.Do(req, res); err != nil || res.StatusCode() != 202 {
					b.Error(res.StatusCode(), err)
					return
				}
			}
		})
	})
	b.Run("net-http", func(b *testing.B) {
		c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
		defer c.CloseIdleConnections()
		b.SetParallelism(conns / 2)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				req := httptest.NewRequest(http.MethodPost, target.String()+"/v1/batches", bytes.NewReader(body))
				req.RequestURI, req.ContentLength = "", int64(len(body))
				res, err := c.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
		})
	})
}
