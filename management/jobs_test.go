package management_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/internal/river"
	"github.com/carasso/carasso/management"
)

var _ management.Jobs = (*river.Jobs)(nil)

func TestJobsAreForOperatorsToStart(t *testing.T) {
	b := newBench(t, nil)
	analyst, operator := b.token(t, credential.Analyst), b.token(t, credential.Operator)
	for _, tt := range []struct {
		method, path, token, body string
		status                    int
		want                      string
	}{
		{"GET", "/v1/jobs", analyst, "", 200, `"id":"41"`},
		{"GET", "/v1/jobs?limit=1", analyst, "", 200, `"next_cursor":"41"`},
		{"GET", "/v1/jobs?cursor=41&limit=1", analyst, "", 200, `"id":"40"`},
		{"GET", "/v1/jobs?state=done", analyst, "", 400, "queued, running"},
		{"GET", "/v1/jobs/x", analyst, "", 400, "id"},
		{"GET", "/v1/jobs/7", analyst, "", 404, "history"},
		{"GET", "/v1/job-kinds", "", "", 401, ""},
		{"POST", "/v1/jobs", analyst, `{"kind":"compaction"}`, 403, ""},
		{"POST", "/v1/jobs/41/cancel", analyst, "", 403, ""},
		{"POST", "/v1/jobs/41/retry", operator, "", 409, "conflict"},
		{"POST", "/v1/jobs", operator, `{"kind":"compaction"}`, 200, `"created":false`},
		{"POST", "/v1/jobs/41/cancel", operator, "", 200, `"id":"41"`},
		{"POST", "/v1/jobs/41/cancel", operator, "", 409, "ended"},
		{"POST", "/v1/jobs", operator, `{"kind":"compaction","args":{"dry_run":true}}`, 200, `"created":true`},
		{"GET", "/v1/jobs/42", analyst, "", 200, `"by":"tester"`},
		{"POST", "/v1/jobs", operator, `{"kind":"compaction","args":{"dry_run":1}}`, 400, `"/args/dry_run"`},
		{"POST", "/v1/jobs", operator, `{"kind":"nonsense"}`, 400, `"/kind"`},
		{"POST", "/v1/jobs", operator, `nonsense`, 400, "expected JSON"},
		{"POST", "/v1/jobs", operator, `{"kind":"compaction","args":{"x":"` + strings.Repeat("x", 65<<10) + `"}}`, 413, "64 KiB"},
	} {
		res, doc := b.do(t, tt.method, tt.path, tt.token, strings.NewReader(tt.body))
		if res.StatusCode != tt.status || !strings.Contains(string(doc), tt.want) {
			t.Errorf("%s %s %.60s: %d %s, want %d with %q", tt.method, tt.path, tt.body, res.StatusCode, doc, tt.status, tt.want)
		}
	}
}

// A job started through the API is carried out by another process, and the API tells how it went.
func TestJobThroughTheQueue(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	db := openDatabase(t)
	k, err := job.Define(job.Spec{Name: "count", Description: "Counts."}, func(_ context.Context, _ job.None, p job.Progress) (any, error) {
		p.Set(3, 3, "counted")
		return map[string]int{"counted": 3}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	queue := func(process string) *river.Jobs {
		j, err := river.New(river.Config{Process: process}, db.Pool(), []job.Kind{k}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	runCtx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- queue("jobs").Run(runCtx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	b := newBench(t, func(_ *management.Config, d *management.Deps) { d.Jobs = queue("") })
	token := b.token(t, credential.Operator)
	var started struct {
		Created bool
		Job     struct{ ID string }
	}
	_, doc := b.do(t, "POST", "/v1/jobs", token, strings.NewReader(`{"kind":"count"}`))
	if err := json.Unmarshal(doc, &started); err != nil || !started.Created {
		t.Fatalf("%s: %v", doc, err)
	}
	deadline := time.After(time.Minute)
	for {
		_, doc = b.do(t, "GET", "/v1/jobs/"+started.Job.ID, token, nil)
		if strings.Contains(string(doc), `"succeeded"`) {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("%s", doc)
		case <-time.After(20 * time.Millisecond):
		}
	}
	for _, want := range []string{`"result":{"counted":3}`, `"by":"tester"`, `"done":3`, `"message":"counted"`} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("%s is not in %s", want, doc)
		}
	}
	if _, doc = b.do(t, "GET", "/v1/job-kinds", token, nil); !strings.Contains(string(doc), `"processes":1`) || !strings.Contains(string(doc), `"last_succeeded":"2`) {
		t.Errorf("%s", doc)
	}
}
