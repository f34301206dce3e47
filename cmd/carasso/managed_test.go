package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// managed is a running deployment as its management API and its data folder let a test drive it.
type managed struct {
	t    *testing.T
	data string // folder with the keys
	addr string // of the management API
}

func (m *managed) url() string { return "http://" + m.addr }

// toldJob is a job as the API tells of it.
type toldJob struct {
	ID, Kind, State string
	Attempt         int
	Cancelling      bool
	Result          json.RawMessage
	Errors          []struct{ Error string }
}

func (b *toldJob) ended() bool {
	return b.State == "succeeded" || b.State == "failed" || b.State == "cancelled"
}

func (m *managed) operator() string {
	m.t.Helper()
	return output(m.t, nil, "token", "--role", "operator", "--data", m.data)
}

// read decodes an answer of the management API.
func (m *managed) read(token, path string, to any) {
	m.t.Helper()
	resp, err := get(m.t.Context(), m.url()+path, token)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		m.t.Fatalf("GET %s: %d %s (%v)", path, resp.StatusCode, body, err)
	}
	if err := json.Unmarshal(body, to); err != nil {
		m.t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

// startJob starts a job that is not there yet.
func (m *managed) startJob(token, kind, args string) toldJob {
	m.t.Helper()
	code, body := post(m.t, m.url()+"/v1/jobs", token, fmt.Sprintf(`{"kind":%q,"args":%s}`, kind, args))
	var started struct {
		Created bool
		Job     toldJob
	}
	if err := json.Unmarshal([]byte(body), &started); err != nil || code != http.StatusOK || !started.Created && args != "{}" { // a scheduled one may be under way
		m.t.Fatalf("start %s %s: %d %s (%v)", kind, args, code, body, err)
	}
	return started.Job
}

func (m *managed) awaitJob(token, id string, ok func(*toldJob) bool) toldJob {
	m.t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for {
		var b toldJob
		m.read(token, "/v1/jobs/"+id, &b)
		if ok(&b) {
			return b
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("job %s: %+v", id, b)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// succeed starts a job, waits for it and decodes its result.
func (m *managed) succeed(token, kind, args string, result any) {
	m.t.Helper()
	b := m.awaitJob(token, m.startJob(token, kind, args).ID, (*toldJob).ended)
	if b.State != "succeeded" {
		m.t.Fatalf("%s %s: %+v", kind, args, b)
	}
	if err := json.Unmarshal(b.Result, result); err != nil {
		m.t.Fatalf("%s: %v in %s", kind, err, b.Result)
	}
}

// drained waits until everything that was accepted is handled.
func (m *managed) drained(token string) {
	m.t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for {
		var p struct {
			Balanced bool
			Totals   struct {
				InFlight int `json:"in_flight"`
			}
		}
		if m.read(token, "/v1/ledger", &p); p.Balanced && p.Totals.InFlight == 0 {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("not drained: %+v", p)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// The command against a running deployment: a receipt without the vehicle's id, that verifies with and without asking, and only
// for its vehicle.
func (m *managed) eraseCar(vehicle string) {
	t := m.t
	t.Helper()
	file := filepath.Join(t.TempDir(), "receipt.json")
	at := []string{"--management", m.url(), "--data", m.data}
	output(t, nil, append([]string{"erase", "--vehicle", vehicle, "--receipt", file}, at...)...)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var signed struct {
		Receipt struct {
			Archive struct{ Batches int }
			Status  string
		}
		PublicKey string `json:"public_key"`
	}
	if err := json.Unmarshal(raw, &signed); err != nil || signed.Receipt.Archive.Batches == 0 || signed.Receipt.Status != "deleted" || strings.Contains(string(raw), vehicle) {
		t.Fatalf("receipt %s: %v", raw, err)
	}
	output(t, nil, append([]string{"erase", "--verify", file, "--vehicle", vehicle}, at...)...)
	output(t, nil, "erase", "--verify", file, "--public-key", signed.PublicKey)
	if err := verifyReceipt([]byte(strings.Replace(string(raw), `"status":"deleted"`, `"status":"kept"`, 1)), signed.PublicKey); err == nil {
		t.Error("a changed receipt verifies")
	}
}

// The command against a running deployment: of its own archive there is nothing to take in, and where nothing is it says so.
func (m *managed) backfill() {
	t := m.t
	t.Helper()
	at := []string{"--from", time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly), "--management", m.url(), "--data", m.data}
	var report struct {
		Objects  int
		Receiver string
	}
	if out := output(t, nil, append([]string{"backfill", "--prefix", "raw/"}, at...)...); json.Unmarshal([]byte(out), &report) != nil || report.Objects != 0 || report.Receiver == "" {
		t.Errorf("report %s", out)
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, append([]string{"backfill", "--prefix", "nowhere/"}, at...)...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "no object begins with it") {
		t.Errorf("nothing there: %v: %s", err, out)
	}
}
