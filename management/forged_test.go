package management_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/management"
)

// What PostgreSQL can't store as text is the sender's fault wherever it comes: in a path, a parameter or a body.
func TestForgedTextIsRefused(t *testing.T) {
	t.Parallel()
	db := openDatabase(t)
	b := newBench(t, func(_ *management.Config, d *management.Deps) { d.Store = db })
	token := b.token(t, credential.Admin)
	forged := []string{"%00", "a%00b", "%ff", "%0a"}
	s := loadSpec(t, b)
	variable := regexp.MustCompile(`\{[a-z]+\}`)
	asked := 0
	for path, operations := range object(s.at("paths")) {
		if strings.HasPrefix(path, "/v1/tiles") || path == "/v1/hazards/stream" || !strings.HasPrefix(path, "/v1/") {
			continue // cars read these; no database is asked
		}
		get := object(object(operations)["get"])
		for _, text := range forged {
			if forgedPath := variable.ReplaceAllString(path, text); get != nil && forgedPath != path {
				asked++
				if res, doc := b.do(t, "GET", forgedPath, token, nil); res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusNotFound {
					t.Errorf("GET %s: %d %.200s", forgedPath, res.StatusCode, doc)
				}
			}
			for _, p := range list(get["parameters"]) {
				p := object(s.resolve(p))
				if p["in"] != "query" {
					continue
				}
				asked++
				url := variable.ReplaceAllString(path, "1") + "?" + p["name"].(string) + "=" + text
				if res, doc := b.do(t, "GET", url, token, nil); res.StatusCode != http.StatusBadRequest {
					t.Errorf("GET %s: %d %.200s", url, res.StatusCode, doc)
				}
			}
		}
	}
	if asked < 400 {
		t.Errorf("only %d questions", asked)
	}
	for _, tt := range []struct{ method, path, body string }{
		{"POST", "/v1/jobs", `{"kind":"count` + `\u0000"}`},
		{"POST", "/v1/jobs", `{"kind":"count","args":{"a":["` + `\u0000"]}}`},
		{"POST", "/v1/jobs", `{"kind":"count","args":{"` + `\u0000":1}}`},
		{"POST", "/v1/jobs", "{\"kind\":\"\xff\"}"},
		{"POST", "/v1/jobs", "{\"kind\":\"count\",\"args\":{\"a\":\"\xff\"}}"},
		{"POST", "/v1/webhooks", `{"url":"https://example.org/` + `\u0000"}`},
		{"POST", "/v1/webhooks", `{"url":"https://example.org/","description":"` + `\u0000"}`},
		{"POST", "/v1/vehicles:erase", `{"vehicle_id":"` + `\u0000"}`},
		{"PUT", "/v1/map-errors/1/status", `{"status":"` + `\u0000"}`},
	} {
		if res, doc := b.do(t, tt.method, tt.path, token, strings.NewReader(tt.body)); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s %s with %q: %d %s", tt.method, tt.path, tt.body, res.StatusCode, doc)
		}
	}
}
