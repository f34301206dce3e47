package management

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/carasso/carasso/internal/problem"
)

// endpoint answers a request with a document, or an error: a *problem.Problem is for the
// client, anything else is logged and answered 500 or 503.
type endpoint func(r *http.Request) (any, error)

// handle bounds an endpoint's time and writes what it returns.
func (s *Server) handle(f endpoint) http.HandlerFunc { return s.answer(f, s.write) }

type answerWriter func(w http.ResponseWriter, r *http.Request, contentType string, doc any)

// answer bounds an endpoint's time and gives what it returns to write.
func (s *Server) answer(f endpoint, write answerWriter) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.QueryTimeout)
		defer cancel()
		doc, err := f(r.WithContext(ctx))
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if f, ok := doc.(*file); ok {
			s.stream(w, r, f)
			return
		}
		contentType := "application/json"
		if c, ok := doc.(interface{ contentType() string }); ok {
			contentType = c.contentType()
		}
		write(w, r, contentType, doc)
	}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem.Problem
	if !errors.As(err, &p) {
		switch {
		case r.Context().Err() != nil: // the client is gone
			return
		case errors.Is(err, context.DeadlineExceeded):
			p = &problem.Problem{
				Kind: problem.ServiceUnavailable, RetryAfter: 5 * time.Second,
				Detail: "The query took longer than " + s.cfg.QueryTimeout.String() + ". Ask for a shorter time range or a smaller area.",
			}
		default:
			p = &problem.Problem{Kind: problem.ServiceUnavailable, RetryAfter: 2 * time.Second, Detail: "The data is out of reach at the moment."}
		}
		s.deps.Logger.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
	}
	problem.Write(w, p)
}

// gzipMin is the size from which an answer is compressed, in bytes.
const gzipMin = 1 << 10

var gzipPool = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return z
}}

func (s *Server) write(w http.ResponseWriter, r *http.Request, contentType string, doc any) {
	body, err := json.Marshal(doc)
	if err != nil {
		s.deps.Logger.ErrorContext(r.Context(), "answer not encodable", "path", r.URL.Path, "error", err)
		problem.Write(w, problem.New(problem.Internal, ""))
		return
	}
	status := http.StatusOK
	if c, ok := doc.(interface{ status() int }); ok {
		status = c.status()
	}
	send(w, r, contentType, status, append(body, '\n'))
}

// send answers with a body, compressed if that is worth it and the client takes it.
func send(w http.ResponseWriter, r *http.Request, contentType string, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept-Encoding")
	if len(body) < gzipMin || !acceptsGzip(r) {
		w.WriteHeader(status)
		_, _ = w.Write(body) // an error: the client is gone
		return
	}
	h.Set("Content-Encoding", "gzip")
	z, ok := gzipPool.Get().(*gzip.Writer)
	if !ok {
		return
	}
	defer gzipPool.Put(z)
	w.WriteHeader(status)
	z.Reset(w)
	_, _ = z.Write(body) // an error: the client is gone
	_ = z.Close()        // the same
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3) as far as it matters: gzip or * is
// named and not refused with q=0.
func acceptsGzip(r *http.Request) bool {
	accepts := false
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		refused := strings.HasPrefix(strings.ReplaceAll(q, " ", ""), "q=0") && !strings.ContainsAny(q, "123456789")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return !refused
		case "*":
			accepts = !refused
		}
	}
	return accepts
}

// withHeavy runs f when fewer than Config.HeavyQueries others do.
func (s *Server) withHeavy(ctx context.Context, f func(context.Context) error) error {
	select {
	case s.heavy <- struct{}{}:
		defer func() { <-s.heavy }()
		return f(ctx)
	case <-ctx.Done():
		return &problem.Problem{
			Kind: problem.Overloaded, RetryAfter: 2 * time.Second,
			Detail: "Too many large queries are running. Try again in a moment.",
		}
	}
}
