package service

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// A client that asks for much and reads nothing must not hold its request for good.
func TestClientThatReadsNothing(t *testing.T) {
	ended := make(chan error, 1)
	cfg := config()
	if cfg.WriteTimeout <= 0 {
		t.Fatal("there is no bound by default")
	}
	cfg.WriteTimeout = 500 * time.Millisecond
	s, err := New(t.Context(), cfg, Deps{Logger: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20))
		ended <- err
	})})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("all was written to a client that reads nothing")
		}
	case <-time.After(time.Minute):
		t.Error("the request is still held")
	}
	if err := s.http.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
