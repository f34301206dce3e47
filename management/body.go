package management

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/carasso/carasso/internal/problem"
)

// maxBody bounds the body of a request that has no bound of its own, in bytes.
const maxBody = 16 << 10

// readJSON reads a request's body of one JSON value into v. Unknown members are refused: one that is misspelt and
// ignored asks for something else. expected says what the body should be.
func readJSON(r *http.Request, v any, expected string) error {
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return &problem.Problem{Kind: problem.UnsupportedMedia, Detail: "Send the body as application/json.", Expected: "application/json"}
	}
	body, err := readBody(r, maxBody, expected)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &problem.Problem{Kind: problem.InvalidRequest, Detail: "The body is not the expected JSON.", Expected: expected}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &problem.Problem{Kind: problem.InvalidRequest, Detail: "The body holds more than one JSON value.", Expected: expected}
	}
	return nil
}

// readBody reads a request's body of at most most bytes of JSON. Text that the database can't store is refused: what is not
// UTF-8, and U+0000.
func readBody(r *http.Request, most int64, expected string) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil {
		return nil, &problem.Problem{Kind: problem.InvalidRequest, Detail: "The body ended early.", Expected: expected}
	}
	if int64(len(body)) > most {
		return nil, &problem.Problem{Kind: problem.TooLarge, Detail: fmt.Sprintf("The body is larger than %d bytes.", most), Expected: expected}
	}
	if !utf8.Valid(body) {
		return nil, &problem.Problem{Kind: problem.InvalidRequest, Detail: "The body is not UTF-8.", Expected: expected}
	}
	if holdsNUL(body) {
		return nil, &problem.Problem{Kind: problem.InvalidRequest, Detail: "The body holds the character U+0000.", Expected: expected}
	}
	return body, nil
}

// holdsNUL looks into the strings and names of JSON, up to where it is none.
func holdsNUL(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	for token, err := d.Token(); err == nil; token, err = d.Token() {
		if text, ok := token.(string); ok && strings.ContainsRune(text, 0) {
			return true
		}
	}
	return false
}
