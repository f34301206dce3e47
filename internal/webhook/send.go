package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// sender makes single attempts. Safe for concurrent use.
type sender struct {
	client *http.Client
	now    func() time.Time
}

// Bounds of an answer: nothing of it is needed but its status.
const (
	maxAnswerHeader = 16 << 10
	maxAnswerBody   = 16 << 10
)

func newSender(g Guard, perHost int, timeout time.Duration, now func() time.Time) *sender {
	dialer := &net.Dialer{Timeout: timeout, Control: g.Control}
	return &sender{now: now, client: &http.Client{
		Timeout: timeout,
		// An answer that leads elsewhere is a failure: whoever answers could send us anywhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:       nil, // a proxy would dial for us, behind the guard's back
			DialContext: dialer.DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
			MaxResponseHeaderBytes: maxAnswerHeader, MaxIdleConnsPerHost: perHost, MaxConnsPerHost: perHost, IdleConnTimeout: 30 * time.Second,
			DisableCompression: true,
		},
	}}
}

func (s *sender) close() { s.client.CloseIdleConnections() }

// send makes one attempt. The error is for people and holds neither the URL nor what was answered.
func (s *sender) send(ctx context.Context, a *Attempt, keys [][]byte) (o Outcome) {
	at := s.now()
	defer func() { o.Latency = s.now().Sub(at) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewReader(a.Body))
	if err != nil {
		return Outcome{Error: "the URL can't be asked"}
	}
	h := req.Header
	h.Set("Content-Type", ContentType)
	h.Set("User-Agent", "carasso-webhooks/1")
	h.Set("webhook-id", a.Event)
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", Sign(a.Event, at, a.Body, keys...))
	res, err := s.client.Do(req)
	if err != nil {
		return Outcome{Error: explain(err)}
	}
	// What is read lets the connection be used again; the rest is not waited for.
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswerBody)
	_ = res.Body.Close()
	o.Status = res.StatusCode
	switch o.Status / 100 {
	case 2:
		return o
	case 3:
		o.Error = fmt.Sprintf("answered %d; redirects are not followed", o.Status)
	default:
		o.Error = fmt.Sprintf("answered %d", o.Status)
	}
	o.RetryAfter = retryAfter(res.Header.Get("Retry-After"), at)
	return o
}

// explain says why there was no answer, in words of its own: what the network says names addresses, name servers and ports that
// only this server sees.
func explain(err error) string {
	var (
		late        interface{ Timeout() bool }
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, errAddress):
		return errAddress.Error()
	case errors.As(err, &name) && name.IsNotFound:
		return "the host's name is not known"
	case errors.As(err, &late) && late.Timeout():
		return "no answer in time"
	case name != nil:
		return "the host's name could not be looked up"
	case errors.As(err, &certificate):
		return untrusted(certificate.Err)
	case errors.As(err, &alert), errors.As(err, &record):
		return "TLS was not agreed on"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before an answer"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "the host can't be reached"
	case errors.Is(err, context.Canceled):
		return "the attempt was given up"
	}
	return "no connection, or no answer that is HTTP"
}

// untrusted says what is wrong with the host's certificate.
func untrusted(err error) string {
	var (
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		issuer  x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &host):
		return "the certificate is for another host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate is not valid now"
	case errors.As(err, &issuer):
		return "the certificate's issuer is not trusted"
	}
	return "the certificate is not trusted"
}

// retryAfter reads the header (RFC 9110, 10.2.3): seconds or a date; 0 if it is none or past.
func retryAfter(v string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}
