package management_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/pgtest"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/internal/webhook"
	"github.com/carasso/carasso/management"
)

// Webhooks as people handle them: who may, what is wrong with what they ask, and that a secret is shown once and logged nowhere.
func TestWebhooks(t *testing.T) {
	b := newBench(t, nil)
	analyst, operator := b.token(t, credential.Analyst), b.token(t, credential.Operator)
	const good = `{"url":"https://hazards.example.org/carasso?key=hidden"}`
	for _, tt := range []struct {
		method, path, body string
		token              string
		status             int
		says               string
	}{
		{"GET", "/v1/webhooks", "", "", 401, ""},
		{"GET", "/v1/webhooks", "", analyst, 200, "wh_road_authority"},
		{"POST", "/v1/webhooks", good, analyst, 403, "operator"},
		{"PATCH", "/v1/webhooks/wh_road_authority", `{"state":"paused"}`, analyst, 403, "operator"},
		{"DELETE", "/v1/webhooks/wh_road_authority", "", analyst, 403, "operator"},
		{"POST", "/v1/webhooks/wh_road_authority/test", "", analyst, 403, "operator"},
		{"POST", "/v1/webhooks/wh_road_authority/rotate-secret", "{}", analyst, 403, "operator"},
		{"POST", "/v1/webhooks/wh_road_authority/deliveries/8/redeliver", "", analyst, 403, "operator"},
		{"GET", "/v1/webhooks/other", "", analyst, 404, "no such webhook"},
		{"GET", "/v1/webhooks/%20", "", analyst, 404, ""},
		{"GET", "/v1/webhooks/wh_road_authority?x=1", "", analyst, 400, "not a parameter"},
		{"GET", "/v1/webhooks/wh_road_authority/deliveries?limit=0", "", analyst, 400, "limit"},
		{"GET", "/v1/webhooks/wh_road_authority/deliveries?limit=1", "", analyst, 200, `"next_cursor":"9"`},
		{"GET", "/v1/webhooks/other/deliveries", "", analyst, 404, ""},
		{"PATCH", "/v1/webhooks/other", `{"state":"paused"}`, operator, 404, ""},
		{"DELETE", "/v1/webhooks/other", "", operator, 404, ""},
		{"POST", "/v1/webhooks/other/test", "", operator, 404, ""},
		{"POST", "/v1/webhooks/other/rotate-secret", `{}`, operator, 404, ""},
		{"POST", "/v1/webhooks/wh_road_authority/deliveries/7/redeliver", "", operator, 404, ""},
		{"POST", "/v1/webhooks/wh_road_authority/deliveries/x/redeliver", "", operator, 404, ""},
		{"POST", "/v1/webhooks", `{}`, operator, 400, "/url"},
		{"POST", "/v1/webhooks", `{"url":"https://10.0.0.1/"}`, operator, 400, "public"},
		{"POST", "/v1/webhooks", `{"url":"http://example.org/"}`, operator, 400, "https"},
		{"POST", "/v1/webhooks", `{"url":"https://e.org","urls":1}`, operator, 400, "expected JSON"},
		{"POST", "/v1/webhooks", `{"url":"https://e.org","state":"paused"}`, operator, 400, "/state"},
		{"POST", "/v1/webhooks", `{"url":"https://e.org","categories":["accident","snow"]}`, operator, 400, "/categories/1"},
		{"POST", "/v1/webhooks", `{"url":"https://e.org","bbox":[1,2,3]}`, operator, 400, "/bbox"},
		{"POST", "/v1/webhooks", `{"url":"https://e.org","bbox":[2,42,1,43]}`, operator, 400, "/bbox"},
		{"POST", "/v1/webhooks", `{"url":"https://e.org","bbox":"x"}`, operator, 400, "/bbox"},
		{"POST", "/v1/webhooks", `{"url":"https://e.org","min_probability":1.1}`, operator, 400, "/min_probability"},
		{"POST", "/v1/webhooks", `{"url":"https://e.org","description":"` + strings.Repeat("x", 201) + `"}`, operator, 400, "/description"},
		{"POST", "/v1/webhooks", `{"url":"https://e.org","description":"a\u0007b"}`, operator, 400, "/description"},
		{"POST", "/v1/webhooks", `{"url":"https://e.org","description":"` + strings.Repeat("x", 20_000) + `"}`, operator, 413, ""},
		{"PATCH", "/v1/webhooks/wh_road_authority", `{"state":"disabled"}`, operator, 400, "/state"},
		{"PATCH", "/v1/webhooks/wh_road_authority", `{"bbox":null}`, operator, 200, `"bbox":null`},
		{"PATCH", "/v1/webhooks/wh_road_authority", `{"description":"x"}`, operator, 200, `"bbox":[1.4`},
		{"POST", "/v1/webhooks/wh_road_authority/rotate-secret", `{"grace_hours":-1}`, operator, 400, "/grace_hours"},
	} {
		res, doc := b.do(t, tt.method, tt.path, tt.token, strings.NewReader(tt.body))
		if res.StatusCode != tt.status || !strings.Contains(string(doc), tt.says) {
			t.Errorf("%s %s %.100s: %d %s, want %d with %q", tt.method, tt.path, tt.body, res.StatusCode, doc, tt.status, tt.says)
		}
	}

	for path, body := range map[string]string{"/v1/webhooks": good, "/v1/webhooks/wh_road_authority/rotate-secret": `{}`} {
		_, doc := b.do(t, "POST", path, operator, strings.NewReader(body))
		var shown struct{ Secret string }
		if err := json.Unmarshal(doc, &shown); err != nil || !strings.HasPrefix(shown.Secret, "whsec_") {
			t.Fatalf("%s: %s (%v)", path, doc, err)
		}
		log, err := json.Marshal(b.store.audited())
		if err != nil || strings.Contains(string(log), shown.Secret[6:20]) || strings.Contains(string(log), "hidden") {
			t.Errorf("the audit log shows a secret: %s", log)
		}
	}
	for _, r := range b.store.audited() {
		if !strings.HasPrefix(r.Action, "webhook.") || !strings.HasPrefix(r.Target, "webhook/") {
			t.Errorf("audit: %+v", r)
		}
	}
	for _, path := range []string{"/v1/webhooks", "/v1/webhooks/wh_road_authority"} {
		if _, doc := b.do(t, "GET", path, operator, nil); strings.Contains(string(doc), "secret\":") || strings.Contains(string(doc), "whsec") {
			t.Errorf("%s shows a secret: %s", path, doc)
		}
	}
}

// From subscribing through the API to the database and back.
func TestWebhooksInPostgreSQL(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	db, err := postgres.Open(ctx, postgres.Config{URL: pgtest.New(t)}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(_ *management.Config, d *management.Deps) { d.Store = db })
	operator := b.token(t, credential.Operator)
	call := func(method, path, body string, status int) (doc map[string]any) {
		t.Helper()
		res, raw := b.do(t, method, path, operator, strings.NewReader(body))
		if err := json.Unmarshal(raw, &doc); err != nil || res.StatusCode != status {
			t.Fatalf("%s %s: %d %s (%v)", method, path, res.StatusCode, raw, err)
		}
		return doc
	}
	made := call("POST", "/v1/webhooks", `{"url":"https://hazards.example.org/carasso?key=hidden","categories":["accident"],"bbox":[1.4,42.42,1.79,42.66],"min_probability":0.9}`, 201)
	path := "/v1/webhooks/" + made["id"].(string)
	if now := call("GET", path, "", 200); now["created_by"] != "tester" || now["state"] != "active" || now["min_probability"] != 0.9 || len(now["bbox"].([]any)) != 4 {
		t.Errorf("%v", now)
	}
	const url = "https://hazards.example.org/carasso"
	for token, shown := range map[string]string{b.token(t, credential.Analyst): `"` + url + `"`, operator: `"` + url + `?key=hidden"`} {
		for _, from := range []string{"/v1/webhooks", path} { // only who may subscribe sees where secrets are
			if _, doc := b.do(t, "GET", from, token, nil); !strings.Contains(string(doc), shown) {
				t.Errorf("%s does not have %s: %s", from, shown, doc)
			}
		}
	}
	if now := call("PATCH", path, `{"state":"paused","bbox":null,"categories":[]}`, 200); now["state"] != "paused" || now["reason"] != "paused by request" || now["bbox"] != nil || len(now["categories"].([]any)) != 0 {
		t.Errorf("%v", now)
	}
	test := call("POST", path+"/test", "", 202)
	if test["state"] != "pending" || test["type"] != webhook.Test || test["hazard"] != nil {
		t.Errorf("%v", test)
	}
	call("POST", path+"/deliveries/"+test["id"].(string)+"/redeliver", "", 202)
	call("POST", path+"/deliveries/999/redeliver", "", 404)
	if log := call("GET", path+"/deliveries?state=pending", "", 200)["deliveries"].([]any); len(log) != 1 {
		t.Errorf("%v", log)
	}
	if now := call("POST", path+"/rotate-secret", `{"grace_hours":1}`, 200); now["old_secret_until"] == nil {
		t.Errorf("%v", now)
	}
	call("DELETE", path, "", 200)
	call("GET", path, "", 404)
	if all := call("GET", "/v1/webhooks", "", 200)["webhooks"].([]any); len(all) != 0 {
		t.Errorf("%v", all)
	}

	// No more than may be, whoever comes at once.
	for range webhook.MaxWebhooks {
		if _, err := db.CreateWebhook(ctx, webhook.Webhook{ID: "wh_" + time.Now().Format("150405.000000000"), URL: "https://e.org", Filter: webhook.Filter{Box: webhook.World()}}, []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	if res, doc := b.do(t, http.MethodPost, "/v1/webhooks", operator, strings.NewReader(`{"url":"https://e.org"}`)); res.StatusCode != http.StatusConflict {
		t.Errorf("%d %s", res.StatusCode, doc)
	}
	if _, err := db.Webhook(ctx, "none"); !errors.Is(err, webhook.ErrNotFound) {
		t.Error(err)
	}
}
