package management_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/audit"
	"github.com/carasso/carasso/internal/credential"
)

// What is asked by POST because it does not fit into a URL, and changes nothing.
var questions = []string{"POST /v1/ledger/batches", "POST /v1/tiles:delta", "POST /v1/trends/speeds"}

// Nothing can be changed past the audit log: whatever is no GET is served by Server.change, or stands above.
func TestEveryChangeIsAudited(t *testing.T) {
	b := newBench(t, nil)
	actions := map[string]string{}
	asked := 0
	err := chi.Walk(b.server.Routes(), func(method, route string, h http.Handler, _ ...func(http.Handler) http.Handler) error {
		name := method + " " + route
		switch method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
			return nil
		}
		if slices.Contains(questions, name) {
			asked++
			return nil
		}
		a, ok := h.(interface{ Action() string })
		if !ok || a.Action() == "" {
			t.Errorf("%s changes something past the audit log", name)
			return nil
		}
		if other, ok := actions[a.Action()]; ok {
			t.Errorf("%s and %s are both %s", name, other, a.Action())
		}
		actions[a.Action()] = name
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if asked != len(questions) || len(actions) == 0 {
		t.Errorf("%d of %d questions, %d changes: the list is out of date", asked, len(questions), len(actions))
	}
}

func TestAuditTellsWhoChangedWhat(t *testing.T) {
	b := newBench(t, nil)
	put := func(id, body string, status int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, b.URL+"/v1/map-errors/"+id+"/status", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+b.token(t, credential.Operator))
		req.Header.Set("X-Request-Id", "review-"+id)
		res, err := b.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != status || res.Header.Get("X-Request-Id") != "review-"+id {
			t.Fatalf("%s: %d, request %s", id, res.StatusCode, res.Header.Get("X-Request-Id"))
		}
	}
	put("21", `{"status":"accepted"}`, http.StatusOK)
	put("99", `{"status":"accepted"}`, http.StatusNotFound)
	put("21", `{"status":"no"}`, http.StatusBadRequest) // asks for nothing that could be changed
	res, doc := b.do(t, "GET", "/v1/audit?subject=tester&action=map_error.review", b.token(t, credential.Admin), nil)
	var got struct{ Entries []map[string]json.RawMessage }
	if err := json.Unmarshal(doc, &got); err != nil || res.StatusCode != http.StatusOK || len(got.Entries) != 2 {
		t.Fatalf("%d %s: %v", res.StatusCode, doc, err)
	}
	for i, want := range []map[string]string{
		{"target": `"map-error/99"`, "outcome": `"refused"`, "request_id": `"review-99"`, "role": `"operator"`},
		{"target": `"map-error/21"`, "outcome": `"done"`, "before": `{"status":"open"}`, "after": `{"status":"accepted"}`, "subject": `"tester"`},
	} {
		for k, v := range want {
			if string(got.Entries[i][k]) != v {
				t.Errorf("entry %d: %s is %s, want %s", i, k, got.Entries[i][k], v)
			}
		}
	}
	_, doc = b.do(t, "GET", "/v1/audit?limit=1", b.token(t, credential.Admin), nil)
	if !strings.Contains(string(doc), `"next_cursor":"2"`) {
		t.Errorf("a first page: %s", doc)
	}
	if res, _ := b.do(t, "GET", "/v1/audit", b.token(t, credential.Operator), nil); res.StatusCode != http.StatusForbidden {
		t.Errorf("an operator reads the audit log: %d", res.StatusCode)
	}
}

func TestNoChangeWithoutTheAuditLog(t *testing.T) {
	b := newBench(t, nil)
	b.store.fail(errors.New("away"))
	res, _ := b.do(t, "PUT", "/v1/map-errors/21/status", b.token(t, credential.Operator), strings.NewReader(`{"status":"accepted"}`))
	b.store.fail(nil)
	if n := len(b.store.audited()); res.StatusCode != http.StatusServiceUnavailable || n != 0 || b.store.reviews != 0 {
		t.Errorf("status %d, %d entries, %d reviews", res.StatusCode, n, b.store.reviews)
	}
}

func TestFailedChangesAreTold(t *testing.T) {
	b := newBench(t, nil)
	b.store.reviewErr = errors.New("connection lost")
	res, doc := b.do(t, "PUT", "/v1/map-errors/21/status", b.token(t, credential.Operator), strings.NewReader(`{"status":"accepted"}`))
	if res.StatusCode != http.StatusServiceUnavailable || strings.Contains(string(doc), "connection lost") {
		t.Errorf("%d %s", res.StatusCode, doc)
	}
	if all := b.store.audited(); len(all) != 1 || all[0].Outcome != audit.Failed || all[0].Detail != "connection lost" {
		t.Errorf("%+v", all)
	}
}
