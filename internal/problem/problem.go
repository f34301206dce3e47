// Package problem writes errors to HTTP clients as RFC 9457 problem details: a
// stable type URI to branch on, what was wrong, where, and what was expected.
// Internals stay in the log.
package problem

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// ContentType is the media type of RFC 9457 in JSON.
const ContentType = "application/problem+json"

// Base is the prefix of every type URI; a Kind's slug follows.
const Base = "https://carasso.dev/problems/"

// Problem is one answer to a client. It is an error, so that it can be returned
// through layers; its text is meant for the client and must hold no secrets.
type Problem struct {
	Kind Kind
	// Detail explains this occurrence. Optional.
	Detail string
	// Pointer is the JSON pointer (RFC 6901) of the offending field. Optional.
	Pointer string
	// Expected says what that field should have been. Optional.
	Expected string
	// RetryAfter is when to try again; rounded up to whole seconds. 0: no header.
	RetryAfter time.Duration
	// Challenge is the WWW-Authenticate header (RFC 9110, 11.6.1). A problem with status
	// 401 that has none gets "Bearer".
	Challenge string
	// Close asks the client to open a new connection for its next request.
	Close bool
}

// New is a Problem with nothing but its kind and detail.
func New(kind Kind, detail string) *Problem { return &Problem{Kind: kind, Detail: detail} }

// Error is the title and the detail, for logs.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Kind.Title()
	}
	return p.Kind.Title() + ": " + p.Detail
}

// body is the document of RFC 9457, 3.1, with two extension members.
type body struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Pointer  string `json:"pointer,omitempty"`
	Expected string `json:"expected,omitempty"`
}

// Write answers the request with p. Nothing may have been written to w before. A
// failure to write means that the client is gone and is ignored.
func Write(w http.ResponseWriter, p *Problem) {
	doc, err := json.Marshal(body{
		Type: p.Kind.Type(), Title: p.Kind.Title(), Status: p.Kind.Status(),
		Detail: p.Detail, Pointer: p.Pointer, Expected: p.Expected,
	})
	if err != nil { // cannot be: strings and an int
		http.Error(w, p.Kind.Title(), p.Kind.Status())
		return
	}
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Content-Length", strconv.Itoa(len(doc)))
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(p.RetryAfter.Seconds())), 10))
	}
	switch {
	case p.Challenge != "":
		h.Set("WWW-Authenticate", p.Challenge)
	case p.Kind.Status() == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.Close {
		h.Set("Connection", "close")
	}
	w.WriteHeader(p.Kind.Status())
	_, _ = w.Write(doc)
}
