package fleet

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"
)

// Bounds of an answer; a longer one is an error.
const (
	maxAnswerHead = 16 << 10
	maxAnswerBody = 1 << 20
)

// errAnswer is wrapped by errors of answers that are not HTTP/1.1 as a server should speak it.
var errAnswer = errors.New("malformed answer")

// dialer opens connections to one target.
type dialer struct {
	address string
	tls     *tls.Config // nil = plain
	timeout time.Duration
}

func newDialer(target *url.URL, timeout time.Duration) *dialer {
	d := &dialer{address: target.Host, timeout: timeout}
	port := "80"
	if target.Scheme == "https" {
		port = "443"
		d.tls = &tls.Config{ServerName: target.Hostname(), MinVersion: tls.VersionTLS12}
	}
	if target.Port() == "" {
		d.address = net.JoinHostPort(target.Hostname(), port)
	}
	return d
}

func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	var nd net.Dialer
	if d.tls == nil {
		return nd.DialContext(ctx, "tcp", d.address)
	}
	return (&tls.Dialer{NetDialer: &nd, Config: d.tls}).DialContext(ctx, "tcp", d.address)
}

// answer is what a request came to.
type answer struct {
	status     int
	retryAfter time.Duration
	close      bool // the server will close the connection
}

// exchange speaks HTTP/1.1 over one kept-alive connection, one request at a time: one
// write and usually one read a request. It does only what posting a batch needs.
type exchange struct {
	conn     net.Conn
	timeout  time.Duration
	deadline time.Time
	buf      []byte // what was read
	at       int    // what of it is consumed
}

// post sends a complete request and reads its answer, which must come within one to two
// timeouts. After an error the connection is unusable.
func (e *exchange) post(request []byte, now time.Time) (answer, error) {
	// Renewing the deadline only when half of it is gone saves a timer a request.
	if e.deadline.Sub(now) < e.timeout {
		e.deadline = now.Add(2 * e.timeout)
		if err := e.conn.SetDeadline(e.deadline); err != nil {
			return answer{}, fmt.Errorf("set deadline: %w", err)
		}
	}
	if _, err := e.conn.Write(request); err != nil {
		return answer{}, fmt.Errorf("send: %w", err)
	}
	e.buf, e.at = e.buf[:0], 0
	for {
		a, err := e.read()
		if err != nil || a.status >= 200 {
			return a, err
		}
	}
}

// read reads one answer, which may be an interim one.
func (e *exchange) read() (a answer, err error) {
	length, chunked := -1, false
	line, err := e.line()
	if err != nil {
		return a, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return a, fmt.Errorf("status line: %w", errAnswer)
	}
	a.status = digits(line[9:12])
	a.close = line[7] == '0'
	for {
		line, err = e.line()
		if err != nil {
			return a, err
		}
		if len(line) == 0 {
			break
		}
		switch line[0] | 0x20 {
		case 'c':
			if v, ok := field(line, "content-length"); ok {
				if length = digits(v); length < 0 || length > maxAnswerBody {
					return a, fmt.Errorf("content length: %w", errAnswer)
				}
			} else if v, ok := field(line, "connection"); ok {
				a.close = bytes.EqualFold(v, []byte("close"))
			}
		case 'r':
			if v, ok := field(line, "retry-after"); ok {
				a.retryAfter = retryAfter(v)
			}
		case 't':
			if v, ok := field(line, "transfer-encoding"); ok {
				chunked = bytes.EqualFold(v, []byte("chunked"))
			}
		}
	}
	switch {
	case a.status < 200 || a.status == 204 || a.status == 304:
		return a, nil
	case chunked:
		return a, e.skipChunks()
	case length >= 0:
		return a, e.skip(length)
	default: // ends with the connection; what it says is of no interest
		a.close = true
		return a, nil
	}
}

// line is the next line without its end; valid until the next read.
func (e *exchange) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(e.buf[e.at:], '\n'); i >= 0 {
			line := e.buf[e.at : e.at+i]
			e.at += i + 1
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		if len(e.buf)-e.at > maxAnswerHead {
			return nil, fmt.Errorf("line too long: %w", errAnswer)
		}
		if err := e.fill(); err != nil {
			return nil, err
		}
	}
}

func (e *exchange) fill() error {
	if e.at > 0 {
		e.buf = append(e.buf[:0], e.buf[e.at:]...)
		e.at = 0
	}
	if len(e.buf) == cap(e.buf) {
		e.buf = append(e.buf, make([]byte, 1024)...)[:len(e.buf)]
	}
	n, err := e.conn.Read(e.buf[len(e.buf):cap(e.buf)])
	e.buf = e.buf[:len(e.buf)+n]
	if n > 0 {
		return nil
	}
	return fmt.Errorf("receive: %w", err)
}

func (e *exchange) skip(n int) error {
	for n > len(e.buf)-e.at {
		n -= len(e.buf) - e.at
		e.at = len(e.buf)
		if err := e.fill(); err != nil {
			return err
		}
	}
	e.at += n
	return nil
}

func (e *exchange) skipChunks() error {
	for total := 0; ; {
		line, err := e.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte{';'})
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size: %w", errAnswer)
		}
		if n == 0 {
			break
		}
		if total += int(n); total > maxAnswerBody {
			return fmt.Errorf("body too long: %w", errAnswer)
		}
		if err := e.skip(int(n) + 2); err != nil {
			return err
		}
	}
	for { // trailers
		line, err := e.line()
		if err != nil || len(line) == 0 {
			return err
		}
	}
}

// field is a header's value if the line is that header (name in lower case).
func field(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' {
		return nil, false
	}
	for i := range len(name) {
		if c := line[i]; c != name[i] && (c < 'A' || c > 'Z' || c|0x20 != name[i]) {
			return nil, false
		}
	}
	return bytes.TrimSpace(line[len(name)+1:]), true
}

// digits is a decimal number, or -1.
func digits(b []byte) int {
	if len(b) == 0 || len(b) > 9 {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// retryAfter reads the header's seconds; the date form counts as 1 s. It is at most 60 s.
func retryAfter(v []byte) time.Duration {
	n := digits(v)
	if n < 0 {
		n = 1
	}
	return min(time.Duration(n)*time.Second, time.Minute)
}
