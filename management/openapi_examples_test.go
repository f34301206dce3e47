package management_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/management"
)

// The document's examples are the requests of this test: whoever adds a path adds its examples there, and no line here.
//
// A path's parameters take the values of their examples. The base request has those query parameters that are
// required. Then every example, member of an enum, truth value and default of every query parameter and header is sent too, added to the
// base. What that can't say is said by extensions of the operation and of the parameter:
//
//   - x-example-requests, of an operation: requests to send instead of the base, the first of which is the base of
//     the parameters' examples. Each may have query and headers (objects), body (instead of the body's example) and
//     status (200 unless it says otherwise; the answer must be described under it).
//   - x-excludes, of a parameter: names of the parameters that it can't be combined with.

// documentTime is the present of the examples.
var documentTime = time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)

// exampleRequest is a request that the document shows.
type exampleRequest struct {
	query, headers map[string]string
	body           []byte
	bodyType       string
	status         string
}

// operation is a method of a path.
type operation struct {
	spec         spec
	method, path string
	doc          map[string]any
	parameters   []map[string]any
}

func (s spec) operations() (ops []operation) {
	for _, path := range slices.Sorted(maps.Keys(object(s.at("paths")))) {
		for method, doc := range object(s.at("paths", path)) {
			op := operation{spec: s, method: strings.ToUpper(method), path: path, doc: object(doc)}
			for _, p := range list(op.doc["parameters"]) {
				op.parameters = append(op.parameters, object(s.resolve(p)))
			}
			ops = append(ops, op)
		}
	}
	return ops
}

func (o *operation) String() string { return o.method + " " + o.path }

// values are what the document shows of a parameter, its example first.
func (o *operation) values(p map[string]any) (values []any) {
	add := func(v any) {
		if v != nil && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	add(p["example"])
	for _, e := range object(p["examples"]) {
		add(object(o.spec.resolve(e))["value"])
	}
	schema := object(o.spec.resolve(p["schema"]))
	for _, v := range list(schema["examples"]) {
		add(v)
	}
	for _, v := range list(schema["enum"]) {
		add(v)
	}
	if schema["type"] == "boolean" {
		add(true)
		add(false)
	}
	add(schema["default"])
	return values
}

func words(m any) map[string]string {
	out := map[string]string{}
	for k, v := range object(m) {
		out[k] = fmt.Sprint(v)
	}
	return out
}

// bases are the requests that parameters' examples are added to, of which the first, and those to send besides.
func (o *operation) bases(t *testing.T) (bases []exampleRequest) {
	t.Helper()
	body, bodyType := o.exampleBody()
	for _, r := range list(o.doc["x-example-requests"]) {
		r := object(r)
		e := exampleRequest{words(r["query"]), words(r["headers"]), body, bodyType, "200"}
		if own, ok := r["body"]; ok {
			e.body, _ = json.Marshal(own)
		}
		if status, ok := r["status"]; ok {
			e.status = fmt.Sprint(status)
		}
		bases = append(bases, e)
	}
	if len(bases) > 0 {
		return bases
	}
	e := exampleRequest{query: map[string]string{}, headers: map[string]string{}, body: body, bodyType: bodyType, status: "200"}
	for _, p := range o.parameters {
		if p["in"] != "query" || p["required"] != true {
			continue
		}
		values := o.values(p)
		if len(values) == 0 {
			t.Fatalf("%s: the required parameter %v has no example", o, p["name"])
		}
		e.query[fmt.Sprint(p["name"])] = fmt.Sprint(values[0])
	}
	return []exampleRequest{e}
}

// exampleBody is that of the first kind of body that shows one.
func (o *operation) exampleBody() (body []byte, kind string) {
	content := object(object(o.spec.resolve(o.doc["requestBody"]))["content"])
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		if example, ok := object(content[kind])["example"]; ok {
			body, _ = json.Marshal(example)
			return body, kind
		}
	}
	return nil, ""
}

// requests are all that the document shows of an operation.
func (o *operation) requests(t *testing.T) []exampleRequest {
	t.Helper()
	all := o.bases(t)
	base := all[0]
	for _, p := range o.parameters {
		name := fmt.Sprint(p["name"])
		for _, v := range o.values(p) {
			e := base
			switch p["in"] {
			case "query":
				e.query = maps.Clone(base.query)
				for _, other := range list(p["x-excludes"]) {
					delete(e.query, fmt.Sprint(other))
				}
				e.query[name] = fmt.Sprint(v)
			case "header":
				e.headers = maps.Clone(base.headers)
				e.headers[name] = fmt.Sprint(v)
			default:
				continue
			}
			all = append(all, e)
		}
	}
	return all
}

// target is the path with its parameters' examples, and the query.
func (o *operation) target(t *testing.T, e exampleRequest) string {
	t.Helper()
	path := o.path
	for _, p := range o.parameters {
		if p["in"] != "path" {
			continue
		}
		values := o.values(p)
		if len(values) == 0 {
			t.Fatalf("%s: the path's parameter %v has no example", o, p["name"])
		}
		path = strings.ReplaceAll(path, "{"+fmt.Sprint(p["name"])+"}", fmt.Sprint(values[0]))
	}
	query := url.Values{}
	for k, v := range e.query {
		query.Set(k, v)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

func TestEveryExampleIsAnsweredAsDescribed(t *testing.T) {
	b := newBench(t, func(_ *management.Config, d *management.Deps) {
		d.Now = func() time.Time { return documentTime }
		d.Tiles = demoTiles(t)
	})
	s := loadSpec(t, b)
	token := b.token(t, credential.Admin)
	for _, o := range s.operations() {
		requests := o.requests(t)
		for _, e := range requests {
			o.execute(t, b, token, e)
		}
		t.Logf("%s: %d requests", &o, len(requests))
	}
}

// execute sends a request and holds the answer against the document.
func (o *operation) execute(t *testing.T, b *bench, token string, e exampleRequest) {
	t.Helper()
	target := o.target(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, o.method, b.URL+target, bytes.NewReader(e.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if e.bodyType != "" {
		req.Header.Set("Content-Type", e.bodyType)
	}
	for k, v := range e.headers {
		req.Header.Set(k, v)
	}
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", o.method, target, err)
	}
	defer res.Body.Close()
	kind := strings.TrimSpace(strings.SplitN(res.Header.Get("Content-Type"), ";", 2)[0])
	body, err := readAnswer(res.Body, kind)
	if err != nil {
		t.Fatalf("%s %s: %v", o.method, target, err)
	}
	if strconv.Itoa(res.StatusCode) != e.status {
		t.Errorf("%s %s: status %d, want %s: %.400s", o.method, target, res.StatusCode, e.status, body)
		return
	}
	described := object(object(o.spec.resolve(object(o.doc["responses"])[e.status]))["content"])
	if len(described) == 0 && len(body) == 0 {
		return
	}
	media, ok := described[kind]
	switch {
	case !ok:
		t.Errorf("%s %s: answers %q, which is not described", o.method, target, kind)
	case len(body) == 0:
		t.Errorf("%s %s: answers nothing", o.method, target)
	case strings.HasSuffix(kind, "json"):
		for _, problem := range o.spec.check("answer", object(media)["schema"], parseJSON(t, body)) {
			t.Errorf("%s %s: %s", o.method, target, problem)
		}
	}
}

// readAnswer reads a body, of a stream of events only the first.
func readAnswer(r io.Reader, kind string) ([]byte, error) {
	if kind != "text/event-stream" {
		return io.ReadAll(r)
	}
	var got []byte
	for buf := make([]byte, 4096); !bytes.Contains(got, []byte("\n\n")); {
		n, err := r.Read(buf)
		got = append(got, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return got, io.ErrUnexpectedEOF
		} else if err != nil {
			return got, err
		}
	}
	return got, nil
}

// What the document shows fits what it says: parameters, bodies and answers.
func TestEveryExampleFitsItsSchema(t *testing.T) {
	b := newBench(t, nil)
	s := loadSpec(t, b)
	examples := 0
	check := func(where string, schema, v any) {
		t.Helper()
		examples++
		for _, problem := range s.check("example", schema, v) {
			t.Errorf("%s: %s", where, problem)
		}
	}
	content := func(where string, v any) {
		for kind, media := range object(object(s.resolve(v))["content"]) {
			if example, ok := object(media)["example"]; ok && strings.HasSuffix(kind, "json") {
				check(where+" "+kind, object(media)["schema"], example)
			}
		}
	}
	for _, o := range s.operations() {
		for _, p := range o.parameters {
			if example, ok := p["example"]; ok {
				check(fmt.Sprintf("%s: parameter %v", &o, p["name"]), p["schema"], example)
			}
		}
		if body, ok := o.doc["requestBody"]; ok {
			content(o.String()+": body", body)
		}
		for status, r := range object(o.doc["responses"]) {
			content(o.String()+": answer "+status, r)
		}
	}
	if examples < 20 {
		t.Errorf("only %d examples", examples)
	}
}
