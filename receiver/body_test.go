package receiver

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// bomb inflates to about 1 GiB and has at most 1 MiB: a part of 4 MiB, repeated, which
// both formats allow.
func bomb(t *testing.T, encoding string) []byte {
	t.Helper()
	const part = 4 << 20
	plain := bytes.Repeat([]byte(" "), part)
	var packed []byte
	if encoding == "gzip" {
		var out bytes.Buffer
		z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		packed = out.Bytes()
	} else {
		packed = zstded(t, plain)
	}
	packed = bytes.Repeat(packed, 1<<30/part)
	return packed[:min(len(packed), 1<<20)]
}

func TestDecompressionBombs(t *testing.T) {
	f := newFixture(t, nil)
	token := f.vehicleToken(t, car)
	for _, encoding := range []string{"gzip", "zstd"} {
		t.Run(encoding, func(t *testing.T) {
			body := bomb(t, encoding)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			a := f.post(t, request{token: token, encoding: encoding, body: body})
			runtime.ReadMemStats(&after)
			if a.code != http.StatusRequestEntityTooLarge || a.kind() != "too-large" {
				t.Errorf("answer = %d %s", a.code, a.body)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 48<<20 {
				t.Errorf("refusing %d bytes allocated %d MiB", len(body), n>>20)
			}
		})
	}
}

func TestDamagedBodies(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxBytesInFlight = 4 << 20 })
	token := f.vehicleToken(t, car)
	good := f.body(t, "", "")
	z := zstded(t, bytes.Repeat(good, 10))
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[i] ^= 0xff
		return b
	}
	// A frame whose header promises 7 MiB in 18 bytes: magic, single segment with 4-byte size, rubbish.
	lying := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0}, binary.LittleEndian.AppendUint32(nil, 7<<20)...)
	lying = append(lying, "123456789"...)
	beyond := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0}, binary.LittleEndian.AppendUint32(nil, 1<<30)...)
	for name, c := range map[string]struct {
		encoding string
		body     []byte
		want     int
	}{
		"gzip that is not":                 {"gzip", good, 400},
		"gzip cut":                         {"gzip", gzipped(t, good)[:40], 400},
		"gzip with a wrong checksum":       {"gzip", flip(gzipped(t, good), len(gzipped(t, good))-6), 400},
		"gzip with a lying length":         {"gzip", flip(gzipped(t, good), len(gzipped(t, good))-1), 400},
		"zstd that is not":                 {"zstd", good, 400},
		"zstd cut":                         {"zstd", z[:len(z)/2], 400},
		"zstd empty":                       {"zstd", nil, 400},
		"zstd that promises too much":      {"zstd", beyond, 413},
		"zstd that promises beyond memory": {"zstd", lying, 503},
		"plain said to be nothing":         {"", []byte(strings.Repeat(" ", 1<<20+1)), 413},
	} {
		t.Run(name, func(t *testing.T) {
			if a := f.post(t, request{token: token, encoding: c.encoding, body: c.body}); a.code != c.want {
				t.Errorf("answer = %d %s, want %d", a.code, a.body, c.want)
			}
			if used := f.rc.held.used.Load(); used != 0 {
				t.Errorf("%d bytes in flight afterwards", used)
			}
		})
	}
}

// dial sends raw bytes to a real server and returns the connection.
func dial(t *testing.T, s *httptest.Server, raw string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	return conn
}

func rawHead(token string, more string) string {
	return "POST /v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token + "\r\n" + more + "\r\n"
}

// statusOf reads the status line of the answer.
func statusOf(t *testing.T, r io.Reader) string {
	t.Helper()
	head := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(r, head); err != nil {
		return err.Error()
	}
	return string(head[len("HTTP/1.1 "):])
}

func TestLyingLengths(t *testing.T) {
	f := newFixture(t, nil)
	s := httptest.NewServer(f.handler)
	defer s.Close()
	token := f.vehicleToken(t, car)
	body := string(f.body(t, "", ""))

	t.Run("announces too much", func(t *testing.T) {
		conn := dial(t, s, rawHead(token, fmt.Sprintf("Content-Length: %d\r\n", 1<<40)))
		if got := statusOf(t, conn); got != "413" {
			t.Errorf("status %s", got)
		}
	})
	t.Run("sends less than announced", func(t *testing.T) {
		conn := dial(t, s, rawHead(token, fmt.Sprintf("Content-Length: %d\r\n", len(body)+100))+body)
		tcp, _ := conn.(*net.TCPConn)
		if err := tcp.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := statusOf(t, conn); got != "400" {
			t.Errorf("status %s", got)
		}
	})
	t.Run("sends more than announced", func(t *testing.T) { // the rest is the next request, and no batch
		conn := dial(t, s, rawHead(token, fmt.Sprintf("Content-Length: %d\r\n", len(body)-5))+body)
		if got := statusOf(t, conn); got != "400" {
			t.Errorf("status %s", got)
		}
	})
	t.Run("chunked without end", func(t *testing.T) {
		conn := dial(t, s, rawHead(token, "Transfer-Encoding: chunked\r\n")+"200000\r\n"+strings.Repeat(" ", 1<<20+1))
		if got := statusOf(t, conn); got != "413" {
			t.Errorf("status %s", got)
		}
	})
	t.Run("chunked", func(t *testing.T) {
		conn := dial(t, s, rawHead(token, "Transfer-Encoding: chunked\r\n")+fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body))
		if got := statusOf(t, conn); got != "202" {
			t.Errorf("status %s", got)
		}
	})
	if n := len(f.queue.records(t)); n != 1 {
		t.Errorf("%d batches in the queue", n)
	}
}

func TestSlowBodies(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.BodyTimeout = 100 * time.Millisecond })
	s := httptest.NewServer(f.handler)
	defer s.Close()
	conn := dial(t, s, rawHead(f.vehicleToken(t, car), "Content-Length: 1000000\r\n")+`{"batch`)
	if got := statusOf(t, conn); got != "408" {
		t.Errorf("status %s", got)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil { // the connection ends
		t.Error(err)
	}
}

// The body's deadline does not cut the wait for the queue, nor the next request.
func TestBodyDeadlineEndsWithTheBody(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.BodyTimeout = 100 * time.Millisecond })
	f.queue.setAnswer(func(context.Context, int, [][]byte) []error {
		<-time.After(300 * time.Millisecond) // a slow queue, not synchronisation
		return nil
	})
	s := httptest.NewServer(f.handler)
	defer s.Close()
	body := string(f.body(t, "", ""))
	raw := rawHead(f.vehicleToken(t, car), fmt.Sprintf("Content-Length: %d\r\n", len(body))) + body
	conn := dial(t, s, raw)
	buf := make([]byte, 4096)
	for range 2 {
		n, err := conn.Read(buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 202") {
			t.Fatalf("answer %q, %v", buf[:n], err)
		}
		if _, err := io.WriteString(conn, raw); err != nil {
			t.Fatal(err)
		}
	}
}
