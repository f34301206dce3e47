package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Keys of advisory locks that package postgres takes, by which a test keeps jobs from going on.
const (
	partitionsLock = 0x6361_7261_7373_6f03
	replayLock     = 0x6361_7261_7373_6f09
)

// database is the embedded database's connection string.
func (u *embeddedUp) database() string {
	u.t.Helper()
	sockets, err := filepath.Glob(filepath.Join(u.data, "postgres*", ".s.PGSQL.*[0-9]"))
	if err != nil || len(sockets) != 1 {
		u.t.Fatalf("the database's sockets: %v (%v)", sockets, err)
	}
	dir, port := filepath.Dir(sockets[0]), filepath.Ext(sockets[0])[1:]
	return fmt.Sprintf("host=%s port=%s user=postgres dbname=%s sslmode=disable", dir, port, databaseName)
}

// hold takes locks of the embedded database until release is called; killing the process releases them, too.
func (u *embeddedUp) hold(locks ...int64) (release func()) {
	u.t.Helper()
	conn, err := pgx.Connect(u.t.Context(), u.database())
	if err != nil {
		u.t.Fatal(err)
	}
	for _, l := range locks {
		if _, err := conn.Exec(u.t.Context(), "SELECT pg_advisory_lock($1)", l); err != nil {
			u.t.Fatal(err)
		}
	}
	return func() { _ = conn.Close(u.t.Context()) } // killed, perhaps
}

// kill -9 in the middle of a job: the restarted process takes it up and ends it.
func TestUpJobSurvivesKill(t *testing.T) {
	t.Parallel()
	u := newUp(t)
	token := u.operator()
	release := u.hold(partitionsLock)
	b := u.startJob(token, "partitions", "{}")
	u.awaitJob(token, b.ID, func(b *toldJob) bool { return b.State == "running" })
	u.kill()
	release()
	u.again()
	restarted := time.Now()
	b = u.awaitJob(token, b.ID, (*toldJob).ended)
	if b.State != "succeeded" || b.Attempt != 2 || len(b.Errors) != 1 {
		t.Errorf("%+v", b)
	}
	t.Logf("it took %v after the restart", time.Since(restarted).Round(time.Millisecond))
	u.terminate(time.Minute)
}

// What a fleet drove is replayed, compared and swapped through the API.
func TestUpReplay(t *testing.T) {
	t.Parallel()
	u := newUp(t)
	u.fleet("--vehicles", "300", "--duration", "8s", "--rate", "150", "--verify-for", "3m").finish(4 * time.Minute)
	token := u.operator()
	today := time.Now().UTC().Truncate(24 * time.Hour)
	days := fmt.Sprintf(`{"from":%q,"to":%q}`, today.AddDate(0, 0, -1).Format(time.DateOnly), today.AddDate(0, 0, 1).Format(time.DateOnly))

	type built struct {
		Replay  string
		Batches int64
		Equal   bool
		Diff    json.RawMessage
	}
	var first, second built
	u.succeed(token, "replay", days, &first)
	if !first.Equal || first.Batches < 500 {
		t.Errorf("%+v", first)
	}
	var told struct {
		State string
		Diff  json.RawMessage
	}
	if u.read(token, "/v1/replays/"+first.Replay, &told); told.State != "built" || len(told.Diff) < 10 {
		t.Errorf("%+v", told)
	}
	var standing struct{ Replay, State string }
	u.succeed(token, "replay-swap", fmt.Sprintf(`{"replay":%q}`, first.Replay), &standing)
	if u.read(token, "/v1/replays/"+first.Replay, &told); told.State != "swapped" || standing.State != "swapped" {
		t.Errorf("%+v, %+v", standing, told)
	}
	// The swapped tables are as good as those that were there, and go on being filled.
	u.fleet("--vehicles", "300", "--duration", "8s", "--rate", "150", "--seed", "9", "--no-verify").finish(4 * time.Minute)
	u.drained(token)
	u.succeed(token, "replay", days, &second)
	if !second.Equal || second.Batches < first.Batches+500 {
		t.Errorf("%+v after %+v", second, first)
	}
	u.succeed(token, "replay-drop", fmt.Sprintf(`{"replay":%q}`, second.Replay), &standing)
	if standing.State != "dropped" {
		t.Errorf("%+v", standing)
	}
	u.backfill()
	u.eraseCar("sim-1-000001")
	u.drained(token)
	u.terminate(time.Minute)
}

// Every kind of job can be started, retried and cancelled through the API, and says what is wrong with its arguments.
func TestUpJobKinds(t *testing.T) {
	t.Parallel()
	u := newUp(t)
	token := u.operator()
	var list struct{ Kinds []struct{ Name string } }
	u.read(token, "/v1/job-kinds", &list)
	if len(list.Kinds) < 11 {
		t.Fatalf("kinds: %+v", list)
	}
	// Arguments with which there is little to do; an archive or a replay of which there is none ends the job by saying so.
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	args := map[string]struct{ args, state string }{
		"backfill":    {fmt.Sprintf(`{"prefix":"import/","from":%q}`, yesterday), "cancelled"},
		"replay":      {fmt.Sprintf(`{"from":%q}`, yesterday), "succeeded"},
		"replay-swap": {`{"replay":"777"}`, "cancelled"},
		"replay-drop": {`{"replay":"777"}`, "cancelled"},
		"erasure":     {`{"erasure":"777"}`, "cancelled"},
	}
	for _, k := range list.Kinds {
		if _, ok := args[k.Name]; !ok {
			args[k.Name] = struct{ args, state string }{"{}", "succeeded"}
		}
		want := args[k.Name]
		var problem struct{ Detail, Pointer, Expected string }
		for _, wrong := range []string{`{"nonsense":1}`, `[]`, `"x"`} {
			code, body := post(t, u.url()+"/v1/jobs", token, fmt.Sprintf(`{"kind":%q,"args":%s}`, k.Name, wrong))
			if err := json.Unmarshal([]byte(body), &problem); err != nil || code != http.StatusBadRequest || problem.Pointer == "" || problem.Expected == "" {
				t.Errorf("%s %s: %d %s", k.Name, wrong, code, body)
			}
		}
		b := u.awaitJob(token, u.startJob(token, k.Name, want.args).ID, (*toldJob).ended)
		if b.State != want.state {
			t.Errorf("%s: %+v", k.Name, b)
		}
		if code, body := post(t, u.url()+"/v1/jobs/"+b.ID+"/cancel", token, ""); code != http.StatusConflict {
			t.Errorf("cancel %s, which has ended: %d %s", k.Name, code, body)
		}
		if code, body := post(t, u.url()+"/v1/jobs/"+b.ID+"/retry", token, ""); code != http.StatusOK {
			t.Errorf("retry %s: %d %s", k.Name, code, body)
		}
		if b = u.awaitJob(token, b.ID, (*toldJob).ended); b.State != want.state {
			t.Errorf("%s, once more: %+v", k.Name, b)
		}
	}
	// Both places taken by jobs that can't go on, the others wait: all can be cancelled.
	release := u.hold(partitionsLock, replayLock)
	defer release()
	var ids []string
	for _, kind := range []string{"partitions", "replay"} {
		b := u.startJob(token, kind, args[kind].args)
		u.awaitJob(token, b.ID, func(b *toldJob) bool { return b.State == "running" })
		ids = append(ids, b.ID)
	}
	for _, k := range list.Kinds {
		if k.Name != "partitions" && k.Name != "replay" {
			ids = append(ids, u.startJob(token, k.Name, args[k.Name].args).ID)
		}
	}
	for _, id := range slices.Backward(ids) { // those that wait first
		if code, body := post(t, u.url()+"/v1/jobs/"+id+"/cancel", token, ""); code != http.StatusOK {
			t.Errorf("cancel job %s: %d %s", id, code, body)
		}
	}
	for _, id := range ids {
		if b := u.awaitJob(token, id, (*toldJob).ended); b.State != "cancelled" {
			t.Errorf("%+v", b)
		}
	}
	u.terminate(time.Minute)
}
