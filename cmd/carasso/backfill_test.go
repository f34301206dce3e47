package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/job"
)

// TestBackfillCommand: what is asked for, and what becomes of a job's end; a deployment's own are TestUpReplay's.
func TestBackfillCommand(t *testing.T) {
	t.Parallel()
	const running = `{"id":"7","state":"running","progress":{"done":1,"total":3,"message":"import/1.parquet"},"result":null,"errors":[]}`
	for name, c := range map[string]struct {
		wait time.Duration
		told []string // the job, each time it is asked for; "" is 503
		err  string   // part of the error
	}{
		"succeeded":        {time.Minute, []string{running, `{"id":"7","state":"succeeded","result":{"batches":3}}`}, ""},
		"cancelled":        {time.Minute, []string{`{"id":"7","state":"cancelled","errors":[{"error":"no object begins with it"}]}`}, "no object begins with it"},
		"failed":           {time.Minute, []string{`{"id":"7","state":"failed","errors":[{"error":"first"},{"error":"second"}]}`}, "failed\nfirst\nsecond"},
		"takes long":       {1500 * time.Millisecond, slices.Repeat([]string{running}, 5), "job 7 is still running, after 1.5s; it goes on"},
		"away for a while": {time.Minute, []string{"", running, "", `{"id":"7","state":"succeeded","result":{"batches":3}}`}, ""},
		"away":             {1500 * time.Millisecond, slices.Repeat([]string{""}, 5), "is still queued, after 1.5s; it goes on, but"},
		"not waited":       {0, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := c.told
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				switch {
				case r.Header.Get("Authorization") != "Bearer secret":
					w.WriteHeader(http.StatusUnauthorized)
				case r.Method == http.MethodPost && r.URL.Path == "/v1/jobs":
					if want := `{"args":{"prefix":"import/","from":"2026-11-01","to":"2026-11-03"},"kind":"backfill"}`; string(body) != want {
						t.Errorf("asked for %s, want %s", body, want)
					}
					fmt.Fprint(w, `{"created":true,"job":{"id":"7","state":"queued"}}`)
				case r.URL.Path == "/v1/jobs/7" && len(told) > 0:
					if told[0] == "" {
						w.WriteHeader(http.StatusServiceUnavailable)
					}
					fmt.Fprint(w, told[0])
					told = told[1:]
				default:
					t.Errorf("%s %s", r.Method, r.URL.Path)
				}
			}))
			defer srv.Close()
			cmd := backfillCmd{managementClient: managementClient{Management: srv.URL, Token: "secret"}, Prefix: "import/", From: "2026-11-01", To: "2026-11-03", Wait: c.wait}
			err := cmd.Run(t.Context())
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// What is wrong with the arguments is told without asking anybody.
func TestBackfillCommandArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []backfillCmd{{Prefix: "/import", From: "2026-11-01"}, {Prefix: "import/", From: "yesterday"}, {Prefix: "import/", From: "2026-11-02", To: "2026-11-01"}} {
		c.Management = "http://127.0.0.1:1"
		var wrong *job.ArgsError
		if err := c.Run(t.Context()); !errors.As(err, &wrong) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
