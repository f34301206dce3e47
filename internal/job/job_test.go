package job_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/job"
)

type cleanArgs struct {
	Hour   time.Time `json:"hour,omitzero" doc:"Which hour."`
	DryRun bool      `json:"dry_run" doc:"Only tell."`
	Most   int       `json:"most" doc:"How many."`
}

func (a cleanArgs) Validate() error {
	if a.Most < 0 {
		return &job.ArgsError{Pointer: "/most", Detail: "expected 0 or more"}
	}
	return nil
}

func clean(t *testing.T) job.Kind {
	t.Helper()
	k, err := job.Define(job.Spec{Name: "clean", Description: "Cleans.", Schedule: job.Schedule{Every: time.Hour}},
		func(_ context.Context, a cleanArgs, _ job.Progress) (any, error) { return a.Most, nil })
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestArguments(t *testing.T) {
	k := clean(t)
	for in, want := range map[string]string{
		"":                                   `{"dry_run":false,"most":0}`,
		" {} ":                               `{"dry_run":false,"most":0}`,
		`{"most":3,"dry_run":true}`:          `{"dry_run":true,"most":3}`,
		`{"hour":"2026-11-30T10:00:00Z"}`:    `{"hour":"2026-11-30T10:00:00Z","dry_run":false,"most":0}`,
		`{"hour":"0001-01-01T00:00:00Z"}   `: `{"dry_run":false,"most":0}`,
	} {
		got, err := k.Canonical(json.RawMessage(in))
		if err != nil || string(got) != want {
			t.Errorf("%q = %s, %v; want %s", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		`null`: "args: expected an object", `[]`: "args: expected an object", `{`: "args: unexpected EOF",
		`{"most":-1}`: "args/most: expected 0 or more", `{"most":"x"}`: "args/most: a string where it should be int",
		`{"least":1}`: `args: json: unknown field "least"`, `{} {}`: "args: something follows the object",
	} {
		var wrong *job.ArgsError
		if _, err := k.Canonical(json.RawMessage(in)); !errors.As(err, &wrong) || err.Error() != want {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	if got, err := k.Run(t.Context(), json.RawMessage(`{"most":7}`), nil); got != 7 || err != nil {
		t.Errorf("Run = %v, %v", got, err)
	}
}

func TestSchema(t *testing.T) {
	const want = `{"additionalProperties":false,"properties":{"dry_run":{"description":"Only tell.","type":"boolean"},` +
		`"hour":{"description":"Which hour.","format":"date-time","type":"string"},"most":{"description":"How many.","type":"integer"}},"type":"object"}`
	if got := string(clean(t).Schema); got != want {
		t.Errorf("schema %s", got)
	}
}

type undocumented struct {
	X int `json:"x"`
}

func (undocumented) Validate() error { return nil }

type needy struct{}

func (needy) Validate() error { return errors.New("something is missing") }

func TestDefineRefuses(t *testing.T) {
	spec := job.Spec{Name: "x-1", Description: "Does."}
	if _, err := job.Define(spec, func(context.Context, undocumented, job.Progress) (any, error) { return nil, nil }); err == nil {
		t.Error("a field without doc is accepted")
	}
	daily := spec
	daily.Schedule.Every = 24 * time.Hour
	if _, err := job.Define(daily, func(context.Context, needy, job.Progress) (any, error) { return nil, nil }); err == nil {
		t.Error("a schedule without valid arguments is accepted")
	}
	for name, change := range map[string]func(*job.Spec){
		"name": func(s *job.Spec) { s.Name = "X" }, "description": func(s *job.Spec) { s.Description = "" },
		"timeout": func(s *job.Spec) { s.Timeout = time.Millisecond }, "attempts": func(s *job.Spec) { s.MaxAttempts = -1 },
		"every": func(s *job.Spec) { s.Schedule.Every = time.Millisecond }, "at": func(s *job.Spec) { s.Schedule = job.Schedule{Every: time.Hour, At: time.Hour} },
	} {
		s := spec
		change(&s)
		if _, err := job.Define(s, func(context.Context, job.None, job.Progress) (any, error) { return nil, nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestScheduleFollowsTheClock(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	daily := job.Schedule{Every: 24 * time.Hour, At: 3 * time.Hour}
	for from, want := range map[string]string{
		"2026-11-30T02:59:59Z": "2026-11-30T03:00:00Z", "2026-11-30T03:00:00Z": "2026-12-01T03:00:00Z", "1969-12-31T01:00:00Z": "1969-12-31T03:00:00Z",
	} {
		if got := daily.Next(at(from)); !got.Equal(at(want)) {
			t.Errorf("after %s: %v, want %s", from, got, want)
		}
	}
	if !(job.Schedule{}).Next(time.Now()).IsZero() {
		t.Error("without a schedule there is a next time")
	}
	for want, s := range map[string]job.Schedule{
		"on demand": {}, "every 1d, 3h after its start": daily, "every 1h": {Every: time.Hour}, "every 5m, 30s after its start": {Every: 5 * time.Minute, At: 30 * time.Second},
	} {
		if s.String() != want {
			t.Errorf("%v, want %s", s, want)
		}
	}
}
