package management

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

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
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return &problem.Problem{Kind: problem.InvalidRequest, Detail: "The body ended early.", Expected: expected}
	}
	if len(body) > maxBody {
		return &problem.Problem{Kind: problem.TooLarge, Detail: fmt.Sprintf("The body is larger than %d bytes.", maxBody), Expected: expected}
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
