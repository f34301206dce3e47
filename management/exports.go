package management

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/management/export"
)

// What tells how much a file has, after it: only whole files have them.
const (
	rowsTrailer       = "Carasso-Rows"
	suppressedTrailer = "Carasso-Suppressed"
)

// row is what a file's line says.
type row interface{ export(r *export.Record) }

// file is an answer that is written while it is read: every page of the question, in constant memory.
type file struct {
	format  export.Format
	summary export.Summary
	columns row // any row: tells the columns
	// read gives every row to put, and tells how many were suppressed. put's errors end it and are returned.
	read func(ctx context.Context, put func(row) error) (suppressed int, err error)
}

// format reads format; "" is JSON. A file has all pages: limit and cursor don't go with it.
func (p *params) format() export.Format {
	f := p.choice("format", "json", string(export.CSV), string(export.GeoJSON), string(export.Parquet))
	if f == "json" {
		return ""
	}
	for _, name := range []string{"limit", "cursor"} {
		if _, ok := p.get(name); ok {
			p.fail(name, "is given with format "+f, "none: a file has all pages")
		}
	}
	return export.Format(f)
}

// name is the file's, of what it is and its range.
func (f *file) name() string {
	parts := []string{"carasso", f.summary.Title}
	for _, t := range []*time.Time{f.summary.From, f.summary.To} {
		if t != nil {
			parts = append(parts, t.UTC().Format("20060102T1504Z"))
		}
	}
	return strings.Join(parts, "-") + "." + string(f.format)
}

// putAll gives the rows of a list.
func putAll[T any, R interface {
	*T
	row
}](list []T, put func(row) error) error {
	for i := range list {
		if err := put(R(&list[i])); err != nil {
			return err
		}
	}
	return nil
}

// errTooManyRows ends a file that would be longer than Config.MaxExportRows.
var errTooManyRows = errors.New("more rows than a file may have")

// heldBytes is how much of a file is held back, so that what goes wrong by then is answered with a problem.
const heldBytes = 64 << 10

// stream answers with a file. What goes wrong after its first bytes aborts the connection: no client takes a part for the whole.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, f *file) {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.ExportTimeout)
	defer cancel()
	select {
	case s.exports <- struct{}{}:
		defer func() { <-s.exports }()
	case <-time.After(s.cfg.QueryTimeout):
		problem.Write(w, &problem.Problem{Kind: problem.Overloaded, RetryAfter: 30 * time.Second, Detail: "Too many exports are running. Try again in a while."})
		return
	case <-ctx.Done():
		return // the client is gone
	}
	// A client that reads no more must not hold the query: writes end with the time that a file may take.
	rc := http.NewResponseController(w)
	if deadline, ok := ctx.Deadline(); ok {
		_ = rc.SetWriteDeadline(deadline) // not every writer has one
	}
	h := w.Header()
	h.Set("Content-Type", f.format.ContentType())
	h.Set("Content-Disposition", `attachment; filename="`+f.name()+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Trailer", rowsTrailer+", "+suppressedTrailer)
	zip := !f.format.Compressed() && acceptsGzip(r)
	if h.Add("Vary", "Accept-Encoding"); zip {
		h.Set("Content-Encoding", "gzip")
	}
	held := &heldWriter{to: w}
	summary, err := f.write(ctx, held, zip, s.cfg.MaxExportRows)
	if err == nil {
		err = held.release()
	}
	if err != nil {
		s.endExport(w, r, held, err)
		return
	}
	h.Set(rowsTrailer, strconv.Itoa(summary.Rows))
	h.Set(suppressedTrailer, strconv.Itoa(summary.Suppressed))
}

// endExport answers a failed export with a problem, or aborts the connection if a part of the file is out.
func (s *Server) endExport(w http.ResponseWriter, r *http.Request, held *heldWriter, err error) {
	if errors.Is(err, errTooManyRows) {
		err = &problem.Problem{
			Kind: problem.InvalidRequest, Detail: fmt.Sprintf("The file would have more than %d rows.", s.cfg.MaxExportRows),
			Expected: "a coarser resolution, a shorter range or a smaller area",
		}
	}
	if held.out {
		if r.Context().Err() == nil {
			s.deps.Logger.ErrorContext(r.Context(), "export aborted", "path", r.URL.Path, "error", err)
		}
		panic(http.ErrAbortHandler) // net/http's way to close a connection in the middle of an answer
	}
	for _, name := range []string{"Content-Disposition", "Content-Encoding", "Trailer"} {
		w.Header().Del(name)
	}
	s.fail(w, r, tooMuch(err))
}

// write writes the whole file.
func (f *file) write(ctx context.Context, to io.Writer, zip bool, most int) (export.Summary, error) {
	sum := f.summary
	var z *gzip.Writer
	if zip {
		var ok bool
		if z, ok = gzipPool.Get().(*gzip.Writer); !ok {
			return sum, errors.New("no compressor")
		}
		defer gzipPool.Put(z)
		z.Reset(to)
		to = z
	}
	var rec export.Record
	f.columns.export(&rec)
	out, err := export.NewWriter(f.format, to, &rec)
	if err != nil {
		return sum, err
	}
	sum.Suppressed, err = f.read(ctx, func(r row) error {
		if sum.Rows == most {
			return errTooManyRows
		}
		sum.Rows++
		rec.Reset()
		r.export(&rec)
		return out.Write(&rec)
	})
	if err == nil {
		err = ctx.Err() // a question that was broken off may end without an error of its own
	}
	if err == nil {
		err = out.Close(sum)
	}
	if err == nil && z != nil {
		err = z.Close()
	}
	return sum, err
}

// heldWriter holds back what it is given until that is more than heldBytes.
type heldWriter struct {
	to   io.Writer
	held []byte
	out  bool // the first bytes are written
}

func (h *heldWriter) Write(b []byte) (int, error) {
	if !h.out && len(h.held)+len(b) <= heldBytes {
		h.held = append(h.held, b...)
		return len(b), nil
	}
	if err := h.release(); err != nil {
		return 0, err
	}
	return h.to.Write(b)
}

// release writes what is held, and lets the rest pass.
func (h *heldWriter) release() error {
	if h.out {
		return nil
	}
	h.out = true
	_, err := h.to.Write(h.held)
	h.held = nil
	return err
}
