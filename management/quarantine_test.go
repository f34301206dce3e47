package management_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/credential"
)

func (b *bench) quarantined(t *testing.T, query string) (ids []int, next string) {
	t.Helper()
	res, doc := b.do(t, http.MethodGet, "/v1/quarantine"+query, b.token(t, credential.Operator), nil)
	var page struct {
		Entries []struct {
			ID     int
			Detail string
		}
		NextCursor string `json:"next_cursor"`
	}
	if err := json.Unmarshal(doc, &page); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s: %v", query, res.StatusCode, doc, err)
	}
	for _, e := range page.Entries {
		if strings.Contains(e.Detail, "main.go") {
			t.Errorf("%d tells of the program's insides: %s", e.ID, e.Detail)
		}
		ids = append(ids, e.ID)
	}
	return ids, page.NextCursor
}

func TestQuarantineList(t *testing.T) {
	b := newBench(t, nil)
	for query, want := range map[string]string{
		"":                     "[23 22 21]",
		"?state=any":           "[23 22 21 20]",
		"?state=resolved":      "[20]",
		"?reason=event_time":   "[22]",
		"?limit=1":             "[23]23",
		"?limit=2&cursor=23":   "[22 21]",
		"?limit=1&cursor=22":   "[21]",
		"?from=1795452000000":  "[23 22]",
		"?to=1795452000000":    "[21]",
		"?reason=max_receives": "[]",
	} {
		ids, next := b.quarantined(t, query)
		if got := fmt.Sprint(ids) + next; got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if res, doc := b.do(t, http.MethodGet, "/v1/quarantine?reason=bad", b.token(t, credential.Operator), nil); res.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown reason: %d %s", res.StatusCode, doc)
	}
	if res, _ := b.do(t, http.MethodGet, "/v1/quarantine", b.token(t, credential.Analyst), nil); res.StatusCode != http.StatusForbidden {
		t.Errorf("an analyst: %d", res.StatusCode)
	}
}

func TestQuarantineDetailTellsNoIdentity(t *testing.T) {
	b := newBench(t, nil)
	for id, wants := range map[int][]string{
		21: {`"header":{`, `"seq":812`, `"model":"G30"`, `"index":2,"bytes":1,"error":`, `"redrives":[{`},
		22: {`"records":[{"index":1,`, `"scope":"batch"`},
		23: {`"hex":"` + hex.EncodeToString([]byte("no envelope")), `"available":true`},
	} {
		res, raw := b.do(t, http.MethodGet, fmt.Sprint("/v1/quarantine/", id), b.token(t, credential.Operator), nil)
		doc := string(raw)
		if res.StatusCode != http.StatusOK {
			t.Errorf("%d: %d %s", id, res.StatusCode, doc)
		}
		for _, want := range wants {
			if !strings.Contains(doc, want) {
				t.Errorf("%d: no %s in %s", id, want, doc)
			}
		}
		for _, secret := range []string{
			strconv.FormatUint(secrets.Vehicle, 10), strconv.FormatUint(secrets.Vehicle, 16), "77000077", "42.50", "4250631", "1521830", hex.EncodeToString(secrets.Claim[:]), secrets.Claim.String(),
		} {
			if strings.Contains(doc, secret) {
				t.Errorf("%d: tells %s in %s", id, secret, doc)
			}
		}
	}
	if res, _ := b.do(t, http.MethodGet, "/v1/quarantine/99", b.token(t, credential.Operator), nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown entry: %d", res.StatusCode)
	}
}

func TestRedriveIsRequested(t *testing.T) {
	b := newBench(t, nil)
	for _, tt := range []struct {
		name, path, body string
		role             credential.Role
		status           int
		wants            string
	}{
		{"an analyst", "/v1/quarantine/21/redrive", "", credential.Analyst, 403, "operator"},
		{"one", "/v1/quarantine/21/redrive", "", credential.Operator, 202, `{"requested":1,"state":"pending","more":false}`},
		{"again", "/v1/quarantine/21/redrive", "", credential.Operator, 202, `{"requested":0,"state":"pending"`},
		{"resolved", "/v1/quarantine/20/redrive", "", credential.Operator, 202, `{"requested":0,"state":"resolved"`},
		{"unknown", "/v1/quarantine/99/redrive", "", credential.Operator, 404, ""},
		{"no id", "/v1/quarantine/x/redrive", "", credential.Operator, 400, "id of an entry"},
		{"by reason", "/v1/quarantine:redrive", `{"reason":"event_time"}`, credential.Operator, 202, `{"requested":1,"more":false}`},
		{"before", "/v1/quarantine:redrive", `{"reason":"any","to":"2026-11-23T16:00:00Z"}`, credential.Operator, 202, `{"requested":0,`},
		{"all", "/v1/quarantine:redrive", `{"reason":"any"}`, credential.Admin, 202, `{"requested":1,`},
		{"no reason", "/v1/quarantine:redrive", `{}`, credential.Operator, 400, "/reason"},
		{"misspelt", "/v1/quarantine:redrive", `{"reason":"any","form":"2026-11-23T16:00:00Z"}`, credential.Operator, 400, "expected JSON"},
		{"backwards", "/v1/quarantine:redrive", `{"reason":"any","from":"2026-11-23T16:00:00Z","to":"2026-11-23T15:00:00Z"}`, credential.Operator, 400, "/from"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, doc := b.do(t, http.MethodPost, tt.path, b.token(t, tt.role), strings.NewReader(tt.body))
			if res.StatusCode != tt.status || !strings.Contains(string(doc), tt.wants) {
				t.Errorf("%d %s, want %d %s", res.StatusCode, doc, tt.status, tt.wants)
			}
		})
	}
	log := b.store.audited()
	if len(log) != 7 { // those that were well put
		t.Fatalf("%d entries in the audit log: %+v", len(log), log)
	}
	if first := log[6]; first.Action != "quarantine.redrive" || first.Target != "quarantine/21" || string(first.Before) != `{"state":"open"}` || string(first.After) != `{"state":"pending"}` {
		t.Errorf("%+v", first)
	}
}
