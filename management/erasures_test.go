package management_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/keyring"
	"github.com/carasso/carasso/telemetry/ledger"
)

// Pseudonyms are of the last two days.
func (fakeRing) Pseudonyms(_ context.Context, vehicle string, _, to time.Time) ([]keyring.DayPseudonym, error) {
	day := to.Truncate(24 * time.Hour)
	return []keyring.DayPseudonym{{Day: day.AddDate(0, 0, -1), Pseudonym: uint64(len(vehicle))}, {Day: day, Pseudonym: 7}}, nil
}

var receiptKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func (fakeRing) SignReceipt(document []byte) []byte { return ed25519.Sign(receiptKey, document) }

func (fakeRing) ReceiptKey() ed25519.PublicKey {
	return receiptKey.Public().(ed25519.PublicKey) //nolint:forcetypeassert // that is what it is
}

// fakeErasures are two: 13 is pending, 12 is done.
func (s *fakeStore) fakeErasures() []ledger.Erasure {
	subject := fakeRing{}.StatusID("WBA-4711")
	receipt, _ := json.Marshal(ledger.Receipt{
		Version: 1, Erasure: "12", Subject: "5742412d343731310000000000000000", Requested: documentTime, AcceptedBefore: documentTime, Ended: documentTime,
		Archive: ledger.ErasedCount{Objects: 2, Batches: 3, Samples: 30}, Status: "deleted", Kept: []ledger.ReceiptKept{{What: "claims", Why: "duplicates"}},
	})
	return []ledger.Erasure{
		{ID: 13, Subject: subject, State: ledger.ErasurePending, RequestedBy: "tester", RequestedAt: documentTime, Searched: 2, Job: 41},
		{ID: 12, Subject: subject, State: ledger.ErasureDone, RequestedBy: "alice", RequestedAt: documentTime, EndedAt: documentTime, Searched: 2, Job: 40, Receipt: receipt},
	}
}

func (s *fakeStore) ArchivedSince(context.Context) (time.Time, error) {
	return documentTime.AddDate(0, -1, 0), s.look()
}

func (s *fakeStore) RequestErasure(_ context.Context, e ledger.Erasure, days []ledger.ErasedDay) (ledger.Erasure, bool, error) {
	made := s.fakeErasures()[0]
	made.Subject, made.From, made.To, made.Searched, made.Job = e.Subject, e.From, e.To, len(days), 0
	return made, true, s.look()
}

func (s *fakeStore) ErasureJob(context.Context, int64, int64) error { return s.look() }

func (s *fakeStore) Erasures(_ context.Context, before int64, most int) (out []ledger.Erasure, err error) {
	for _, e := range s.fakeErasures() {
		if (before == 0 || e.ID < before) && len(out) < most {
			out = append(out, e)
		}
	}
	return out, s.look()
}

func (s *fakeStore) Erasure(_ context.Context, id int64) (ledger.Erasure, error) {
	for _, e := range s.fakeErasures() {
		if e.ID == id {
			return e, s.look()
		}
	}
	return ledger.Erasure{}, ledger.ErrNoErasure
}

type erasureAnswer struct {
	ID, Subject, State string
	Days               int
	Progress           *struct{ Done int }
	Receipt            json.RawMessage
}

func TestEraseVehicle(t *testing.T) {
	b := newBench(t, nil)
	admin := b.token(t, credential.Admin)
	res, doc := b.do(t, http.MethodPost, "/v1/vehicles:erase", admin, strings.NewReader(`{"vehicle_id":"WBA-4711"}`))
	var answer struct {
		Created bool
		Erasure erasureAnswer
	}
	if err := json.Unmarshal(doc, &answer); err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s: %v", res.StatusCode, doc, err)
	}
	if e := answer.Erasure; !answer.Created || e.ID != "13" || e.State != "running" || e.Days != 2 || e.Progress == nil || string(e.Receipt) != "null" {
		t.Errorf("%s", doc)
	}
	if strings.Contains(string(doc), "WBA-4711") {
		t.Error("the answer names the vehicle")
	}
	r := b.store.audited()[0]
	if entry, _ := json.Marshal(r); strings.Contains(string(entry), "WBA-4711") || r.Action != "vehicle.erase" || r.Outcome != "done" {
		t.Errorf("audit log: %s", entry)
	}
	for body, want := range map[string]int{
		`{"vehicle_id":""}`: 400, `{"vehicle_id":"` + strings.Repeat("x", 129) + `"}`: 400, `{}`: 400, `{"vehicle_id":"a","from":"yesterday"}`: 400,
		`{"vehicle_id":"a","to":"2026-11-31"}`: 400, `{"vehicle_id":"a","from":"2026-11-02","to":"2026-11-01"}`: 400, `{"vehicle_id":"a","vin":"b"}`: 400,
		`{"vehicle_id":"a","from":"2026-11-01","to":"2026-11-01"}`: 202, `nonsense`: 400,
	} {
		if res, doc := b.do(t, http.MethodPost, "/v1/vehicles:erase", admin, strings.NewReader(body)); res.StatusCode != want {
			t.Errorf("%s: %d %s", body, res.StatusCode, doc)
		}
	}
	if res, _ := b.do(t, http.MethodPost, "/v1/vehicles:erase", b.token(t, credential.Operator), strings.NewReader(`{"vehicle_id":"a"}`)); res.StatusCode != http.StatusForbidden {
		t.Errorf("an operator: %d", res.StatusCode)
	}
}

func TestErasures(t *testing.T) {
	b := newBench(t, nil)
	operator := b.token(t, credential.Operator)
	res, doc := b.do(t, http.MethodGet, "/v1/erasures?limit=1", operator, nil)
	var page struct {
		Erasures   []erasureAnswer
		NextCursor string `json:"next_cursor"`
	}
	if err := json.Unmarshal(doc, &page); err != nil || res.StatusCode != http.StatusOK || page.NextCursor != "13" || len(page.Erasures) != 1 || page.Erasures[0].State != "running" {
		t.Fatalf("%d %s: %v", res.StatusCode, doc, err)
	}
	for path, want := range map[string]int{"/12": 200, "/99": 404, "/x": 404, "/12?a=b": 400} {
		if res, doc := b.do(t, http.MethodGet, "/v1/erasures"+path, operator, nil); res.StatusCode != want {
			t.Errorf("%s: %d %s", path, res.StatusCode, doc)
		}
	}
}

// A receipt as it was given verifies, laid out anew too; a changed one does not, and it is known whom it is about.
func TestVerifyReceipt(t *testing.T) {
	b := newBench(t, nil)
	operator := b.token(t, credential.Operator)
	_, doc := b.do(t, http.MethodGet, "/v1/erasures/12", operator, nil)
	var e erasureAnswer
	if err := json.Unmarshal(doc, &e); err != nil || e.State != "done" {
		t.Fatalf("%s: %v", doc, err)
	}
	var laidOut any
	if err := json.Unmarshal(e.Receipt, &laidOut); err != nil {
		t.Fatal(err)
	}
	original := string(e.Receipt)
	spaced := strings.ReplaceAll(original, `":`, `" : `)
	for _, c := range []struct {
		receipt, vehicle string
		valid            bool
		about            string
	}{
		{original, "", true, "null"},
		{spaced, "WBA-4711", true, "true"},
		{original, "WBA-4712", true, "false"},
		{strings.Replace(original, `"batches":3`, `"batches":4`, 1), "WBA-4711", false, "true"},
		{strings.Replace(original, `"Ed25519"`, `"none"`, 1), "", false, "null"},
		{strings.Replace(original, `"signature":"`, `"signature":"AAAA`, 1), "", false, "null"},
	} {
		body := `{"receipt":` + c.receipt + `,"vehicle_id":` + strconv.Quote(c.vehicle) + `}`
		res, doc := b.do(t, http.MethodPost, "/v1/erasures:verify", operator, strings.NewReader(body))
		var v struct {
			Valid   bool
			Why     string
			Vehicle json.RawMessage
		}
		if err := json.Unmarshal(doc, &v); err != nil || res.StatusCode != http.StatusOK || v.Valid != c.valid || string(v.Vehicle) != c.about || v.Why == "" {
			t.Errorf("%s: %d %s, want valid %v, about the vehicle %s", c.receipt, res.StatusCode, doc, c.valid, c.about)
		}
	}
	for _, body := range []string{`{}`, `{"receipt":{"receipt":[]}}`, `{"receipt":{"receipt":"x"}}`, `{"vehicle_id":"` + strings.Repeat("x", 200) + `"}`} {
		if res, doc := b.do(t, http.MethodPost, "/v1/erasures:verify", operator, strings.NewReader(body)); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, res.StatusCode, doc)
		}
	}
}
