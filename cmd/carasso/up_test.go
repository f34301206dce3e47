package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// embeddedUp is one data folder and address that `carasso up` can be started on repeatedly.
type embeddedUp struct {
	t *testing.T
	managed
	extra []string // arguments
	*process
}

func newUp(t *testing.T) *embeddedUp {
	t.Helper()
	u := &embeddedUp{t: t, managed: managed{t, dataDir(t), freePort(t)}}
	u.again()
	return u
}

func (u *embeddedUp) again() {
	u.t.Helper()
	u.process = start(u.t, nil, append([]string{"up", "--data", u.data, "--listen", u.addr, "--fleet", "0", "--quiet"}, u.extra...)...)
	u.ready(u.url(), time.Minute)
}

func (u *embeddedUp) fleet(args ...string) *process {
	u.t.Helper()
	return start(u.t, nil, append([]string{"fleet", "--target", u.url(), "--data", u.data}, args...)...)
}

// underLoad waits until the pipeline has handled some batches of a fleet.
func (u *embeddedUp) underLoad() {
	u.t.Helper()
	const enough = 1000
	token := output(u.t, nil, "token", "--role", "operator", "--data", u.data)
	deadline := time.Now().Add(2 * time.Minute)
	for {
		var p struct{ Totals struct{ Handled int } }
		resp, err := get(u.t.Context(), u.url()+"/v1/pipeline", token)
		if err != nil {
			u.t.Fatal(err)
		}
		err = json.NewDecoder(resp.Body).Decode(&p)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			u.t.Fatal(err)
		}
		if p.Totals.Handled >= enough {
			return
		}
		if time.Now().After(deadline) {
			u.t.Fatalf("only %d batches handled", p.Totals.Handled)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// What a fleet was told is accepted is in the ledger once, whatever happens to the process:
// the fleet's own verification fails otherwise.
func TestUpFleet(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault func(t *testing.T, u *embeddedUp)
	}{
		{"undisturbed", func(*testing.T, *embeddedUp) {}},
		{"kill -9 and restart", func(t *testing.T, u *embeddedUp) {
			t.Helper()
			u.underLoad()
			u.kill()
			u.again()
		}},
		{"SIGTERM and restart", func(t *testing.T, u *embeddedUp) {
			t.Helper()
			u.underLoad()
			u.terminate(time.Minute)
			u.again()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u := newUp(t)
			f := u.fleet("--vehicles", "2000", "--duration", "20s", "--rate", "400", "--verify-for", "3m")
			tc.fault(t, u)
			f.finish(5 * time.Minute)
			u.terminate(time.Minute)
		})
	}
}

// A batch POSTed with nothing but HTTP and the printed credential comes out in the ledger;
// a broken one is told what is wrong.
func TestUpByHand(t *testing.T) {
	t.Parallel()
	u := newUp(t)
	token := output(t, nil, "token", "--vehicle", "WBA-1", "--data", u.data)
	operator := output(t, nil, "token", "--role", "operator", "--data", u.data)
	now := time.Now()
	id := fmt.Sprintf("%08x-%04x-7abc-8def-0123456789ab", now.UnixMilli()>>16, now.UnixMilli()&0xffff)
	batch := fmt.Sprintf(`{"batch_id":%q,"samples":[{"t":%d,"lat":42.50631,"lon":1.52183,"speed_mps":13.4,"heading_deg":271.5}]}`,
		id, now.UnixMilli())

	if code, body := post(t, u.url()+"/v1/batches", token, batch); code != http.StatusAccepted {
		t.Fatalf("good batch: %d %s", code, body)
	}
	code, body := post(t, u.url()+"/v1/batches", token, `{"batch_id":"x"}`)
	var problem struct {
		Type, Title, Pointer string
		Status               int
	}
	if err := json.Unmarshal([]byte(body), &problem); err != nil || code != http.StatusBadRequest || problem.Pointer != "/batch_id" {
		t.Fatalf("broken batch: %d %s (%v)", code, body, err)
	}
	if code, _ := post(t, u.url()+"/v1/batches", "nonsense", batch); code != http.StatusUnauthorized {
		t.Fatalf("bad token: %d", code)
	}

	lookup := fmt.Sprintf(`{"batches":[{"vehicle_id":"WBA-1","batch_id":%q}]}`, id)
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, body := post(t, u.url()+"/v1/ledger/batches", operator, lookup)
		var found struct{ Found, Samples int }
		if err := json.Unmarshal([]byte(body), &found); err != nil {
			t.Fatalf("lookup: %v in %s", err, body)
		}
		if found.Found == 1 && found.Samples == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the accepted batch is not in the ledger: %s", body)
		}
		time.Sleep(100 * time.Millisecond)
	}
	u.terminate(time.Minute)
}

func post(t *testing.T, url, token, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answerBytes, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answerBytes)
}
