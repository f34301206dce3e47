package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asked is the error of an attempt that failed for want of what cause says.
func asked(cause error) error {
	return &url.Error{Op: "Post", URL: "https://hook.internal:8443/x?token=secret", Err: &net.OpError{
		Op: "dial", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 40000}, Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 4), Port: 8443}, Err: cause,
	}}
}

// The log of deliveries is read by who subscribed: it says what failed, and nothing of what only this server sees.
func TestExplainTellsNothingOfTheNetwork(t *testing.T) {
	t.Parallel()
	verification := func(err error) error { return asked(&tls.CertificateVerificationError{Err: err}) }
	dns := func(e net.DNSError) error {
		e.Name, e.Server = "hook.internal", "10.1.2.5:53"
		return asked(&e)
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{asked(Guard{}.Control("tcp4", "10.1.2.4:8443", nil)), "the address is not a public one"},
		{dns(net.DNSError{Err: "no such host", IsNotFound: true}), "the host's name is not known"},
		{dns(net.DNSError{Err: "server misbehaving", IsTemporary: true}), "the host's name could not be looked up"},
		{dns(net.DNSError{Err: "i/o timeout", IsTimeout: true}), "no answer in time"},
		{asked(syscall.ECONNREFUSED), "the connection was refused"},
		{asked(syscall.ECONNRESET), "the connection was closed before an answer"},
		{asked(syscall.ENETUNREACH), "the host can't be reached"},
		{asked(syscall.EHOSTUNREACH), "the host can't be reached"},
		{asked(syscall.ETIMEDOUT), "no answer in time"},
		{asked(context.DeadlineExceeded), "no answer in time"},
		{asked(context.Canceled), "the attempt was given up"},
		{verification(x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"hook.internal"}}, Host: "10.1.2.4"}), "the certificate is for another host"},
		{verification(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}), "the certificate is not valid now"},
		{verification(x509.UnknownAuthorityError{}), "the certificate's issuer is not trusted"},
		{verification(errors.New("of 10.1.2.4")), "the certificate is not trusted"},
		{asked(tls.AlertError(40)), "TLS was not agreed on"},
		{asked(tls.RecordHeaderError{Msg: "first record from 10.1.2.4"}), "TLS was not agreed on"},
		{asked(errors.New("malformed answer of 10.1.2.4: secret")), "no connection, or no answer that is HTTP"},
	} {
		if got := explain(tt.err); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}

// The same of what really fails.
func TestExplainRealFailures(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hangs":
			<-r.Context().Done()
		case "/resets":
			panic(http.ErrAbortHandler)
		case "/babbles":
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = conn.Write([]byte("SSH-2.0-secret 10.1.2.4\r\n\r\n"))
				_ = conn.Close()
			}
		}
	}))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of a handshake that fails
	secure.StartTLS()
	defer secure.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		url   string
		guard Guard
		want  string
	}{
		{plain.URL + "/hangs", Guard{AllowPrivate: true}, "no answer in time"},
		{plain.URL + "/resets", Guard{AllowPrivate: true}, "the connection was closed before an answer"},
		{plain.URL + "/babbles", Guard{AllowPrivate: true}, "no connection, or no answer that is HTTP"},
		{strings.Replace(plain.URL, "http:", "https:", 1), Guard{AllowPrivate: true}, "no connection, or no answer that is HTTP"},
		{secure.URL, Guard{AllowPrivate: true}, "the certificate's issuer is not trusted"},
		{nobody, Guard{AllowPrivate: true}, "the connection was refused"},
		{plain.URL, Guard{}, "the address is not a public one"},
	} {
		s := newSender(tt.guard, 1, time.Second, time.Now)
		o := s.send(t.Context(), &Attempt{URL: tt.url}, nil)
		s.close()
		if o.Error != tt.want {
			t.Errorf("%s: %q, want %q", tt.url, o.Error, tt.want)
		}
	}
}
