package management

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/telemetry/ledger"
)

// Erasures are requests to erase vehicles' data; jobs carry them out. Safe for concurrent use.
type Erasures interface {
	// ArchivedSince is when the oldest that is archived, or in quarantine, was put there.
	ArchivedSince(ctx context.Context) (time.Time, error)
	// RequestErasure enters a request with the pseudonyms of its days, or finds the same one that is pending; ErasureJob notes who
	// carries it out.
	RequestErasure(ctx context.Context, e ledger.Erasure, days []ledger.ErasedDay) (_ ledger.Erasure, created bool, err error)
	ErasureJob(ctx context.Context, id, job int64) error
	// Erasures lists up to most with ids below before (0: the newest), newest first; Erasure is one, or ledger.ErrNoErasure.
	Erasures(ctx context.Context, before int64, most int) ([]ledger.Erasure, error)
	Erasure(ctx context.Context, id int64) (ledger.Erasure, error)
}

func (s *Server) erasureRoutes(operator, admin chi.Router) {
	admin.Method(http.MethodPost, "/v1/vehicles:erase", s.change("vehicle.erase", s.postErasure))
	operator.Get("/v1/erasures", s.handle(s.getErasures))
	operator.Get("/v1/erasures/{id}", s.handle(s.getErasure))
	operator.Method(http.MethodPost, "/v1/erasures:verify", s.change("erasure.verify", s.postErasureVerification))
}

const (
	// eventsBefore and eventsAfter are how long before and after its archiving the events of a batch can be: a backfill brings old ones.
	eventsBefore = 40 * 24 * time.Hour
	eventsAfter  = 2 * 24 * time.Hour
	// maxErasedDays bounds the days of which one request asks for the key.
	maxErasedDays = 3 * 366
	// maxErasures is the longest page of erasures.
	maxErasures = 200
	// erasureKind is the kind of jobs that erase.
	erasureKind = "erasure"
)

type erasureQuery struct {
	VehicleID string `json:"vehicle_id"`
	From      string `json:"from"`
	To        string `json:"to"`
}

// erasureAsked is what the audit log keeps of a request.
type erasureAsked struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// erasureDoc's progress and job are null when no job does it, its receipt until it is done.
type erasureDoc struct {
	ID        string         `json:"id"`
	Subject   string         `json:"subject"` // keyed hash of the vehicle's id
	From      *string        `json:"from"`
	To        *string        `json:"to"`
	State     string         `json:"state"`
	By        string         `json:"by"`
	Requested time.Time      `json:"requested"`
	Ended     *time.Time     `json:"ended"`
	Days      int            `json:"days"`
	Job       *string        `json:"job"`
	Progress  *progressDoc   `json:"progress"`
	Receipt   *receiptDoc    `json:"receipt"`
	Counts    *erasureCounts `json:"counts"`
}

// erasureCounts is the receipt in short.
type erasureCounts struct {
	Archive    ledger.ErasedCount `json:"archive"`
	Copies     ledger.ErasedCount `json:"copies"`
	Quarantine ledger.ErasedCount `json:"quarantine"`
}

// receiptDoc is a signed receipt. The signature (Ed25519) is of the receipt as compact JSON, members in the order given.
type receiptDoc struct {
	Receipt   json.RawMessage `json:"receipt"`
	Algorithm string          `json:"algorithm"`
	PublicKey string          `json:"public_key"`
	Signature string          `json:"signature"`
}

type erasuresDoc struct {
	Erasures   []erasureDoc `json:"erasures"`
	NextCursor string       `json:"next_cursor,omitempty"`
}

// requestedErasureDoc answers a request. Asking twice is asking once.
type requestedErasureDoc struct {
	Created bool       `json:"created"`
	Erasure erasureDoc `json:"erasure"`
}

func (requestedErasureDoc) status() int { return http.StatusAccepted }

const expectedErasure = `{"vehicle_id":"WBA-4711","from":"2026-11-01","to":"2026-11-23"}; the id of 1 to 128 bytes; from and to are UTC days of the events, and may be left out`

// postErasure requests the erasure of a vehicle's data. Its id is needed here only: what is stored is its hash and, until the erasure ends, its
// pseudonyms.
func (s *Server) postErasure(r *http.Request) (change, error) {
	var q erasureQuery
	if err := readJSON(r, &q, expectedErasure); err != nil {
		return change{}, err
	}
	if q.VehicleID == "" || len(q.VehicleID) > maxVehicleID {
		return change{}, &problem.Problem{Kind: problem.InvalidRequest, Pointer: "/vehicle_id", Detail: "The vehicle's id is empty or too long.", Expected: expectedErasure}
	}
	e := ledger.Erasure{Subject: s.deps.Ring.StatusID(q.VehicleID)}
	for _, d := range []struct {
		pointer, text string
		to            *time.Time
	}{{"/from", q.From, &e.From}, {"/to", q.To, &e.To}} {
		var err error
		if d.text == "" {
			continue
		}
		if *d.to, err = time.Parse(time.DateOnly, d.text); err != nil {
			return change{}, &problem.Problem{Kind: problem.InvalidRequest, Pointer: d.pointer, Detail: "It is no day.", Expected: expectedErasure}
		}
	}
	if !e.From.IsZero() && !e.To.IsZero() && e.To.Before(e.From) {
		return change{}, &problem.Problem{Kind: problem.InvalidRequest, Pointer: "/from", Detail: "It is after to.", Expected: expectedErasure}
	}
	return change{
		target: "vehicle/" + hex.EncodeToString(e.Subject[:6]), asked: erasureAsked{q.From, q.To},
		apply: func(ctx context.Context) (effect, error) { return s.requestErasure(ctx, e, q.VehicleID) },
	}, nil
}

func (s *Server) requestErasure(ctx context.Context, e ledger.Erasure, vehicle string) (effect, error) {
	days, err := s.erasedDays(ctx, e, vehicle)
	if err != nil {
		return effect{}, err
	}
	e.RequestedBy = sender(ctx).Subject
	e, created, err := s.deps.Store.RequestErasure(ctx, e, days)
	if err != nil {
		return effect{}, err
	}
	// Whether or not a job was started before: one that is not finished is found again.
	args, err := json.Marshal(struct {
		Erasure string `json:"erasure"`
	}{strconv.FormatInt(e.ID, 10)})
	if err != nil {
		return effect{}, err
	}
	b, _, err := s.deps.Jobs.Start(ctx, erasureKind, args, e.RequestedBy)
	if err != nil {
		return effect{}, jobProblem(err)
	}
	if err := s.deps.Store.ErasureJob(ctx, e.ID, b.ID); err != nil {
		return effect{}, err
	}
	e.Job = b.ID
	doc, err := s.newErasureDoc(ctx, &e)
	return effect{answer: requestedErasureDoc{created, doc}, after: erasureState{doc.ID, doc.State, doc.Days}}, err
}

// erasureState is what the audit log keeps of an erasure.
type erasureState struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Days  int    `json:"days"`
}

// erasedDays are the vehicle's pseudonyms on the days that anything stored can be of.
func (s *Server) erasedDays(ctx context.Context, e ledger.Erasure, vehicle string) ([]ledger.ErasedDay, error) {
	from, to := e.From, e.To
	now := s.deps.Now().UTC()
	since, err := s.deps.Store.ArchivedSince(ctx)
	if err != nil {
		return nil, err
	}
	since = since.Add(-eventsBefore)
	if from.Before(since) {
		from = since
	}
	if last := now.Add(eventsAfter); to.IsZero() || to.After(last) {
		to = last
	}
	if to.Sub(from) > maxErasedDays*24*time.Hour {
		return nil, &problem.Problem{
			Kind: problem.InvalidRequest, Pointer: "/from", Detail: fmt.Sprintf("The archive goes back more than %d days: erase some years at a time.", maxErasedDays), Expected: expectedErasure,
		}
	}
	known, err := s.deps.Ring.Pseudonyms(ctx, vehicle, from, to)
	if err != nil {
		return nil, err
	}
	days := make([]ledger.ErasedDay, len(known))
	for i, k := range known {
		days[i] = ledger.ErasedDay(k)
	}
	return days, nil
}

// newErasureDoc tells how an erasure stands, by its job while it is pending.
func (s *Server) newErasureDoc(ctx context.Context, e *ledger.Erasure) (erasureDoc, error) {
	d := erasureDoc{
		ID: strconv.FormatInt(e.ID, 10), Subject: hex.EncodeToString(e.Subject[:]), From: dayOrNull(e.From), To: dayOrNull(e.To), State: string(e.State),
		By: e.RequestedBy, Requested: e.RequestedAt, Ended: instantOrNull(e.EndedAt), Days: e.Searched,
	}
	if e.Receipt != nil {
		signed := s.sign(e.Receipt)
		var r ledger.Receipt
		if err := json.Unmarshal(e.Receipt, &r); err != nil {
			return d, fmt.Errorf("receipt of erasure %d: %w", e.ID, err)
		}
		d.Receipt, d.Counts = &signed, &erasureCounts{r.Archive, r.Copies, r.Quarantine}
	}
	if e.Job == 0 {
		return d, nil
	}
	name := strconv.FormatInt(e.Job, 10)
	d.Job = &name
	if e.State != ledger.ErasurePending {
		return d, nil
	}
	b, err := s.deps.Jobs.Get(ctx, e.Job)
	if errors.Is(err, job.ErrNotFound) { // past the history's retention
		return d, nil
	}
	if err != nil {
		return d, err
	}
	doc := newJobDoc(&b)
	d.State, d.Progress = string(b.State), &doc.Progress
	if b.State == job.Succeeded { // and the erasure is read from before it did
		d.State = string(job.Running)
	}
	return d, nil
}

func dayOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	d := t.UTC().Format(time.DateOnly)
	return &d
}

const receiptAlgorithm = "Ed25519"

func (s *Server) sign(receipt json.RawMessage) receiptDoc {
	return receiptDoc{
		Receipt: receipt, Algorithm: receiptAlgorithm, PublicKey: base64.StdEncoding.EncodeToString(s.deps.Ring.ReceiptKey()),
		Signature: base64.StdEncoding.EncodeToString(s.deps.Ring.SignReceipt(receipt)),
	}
}

// getErasures lists erasures, newest first.
func (s *Server) getErasures(r *http.Request) (any, error) {
	p := newParams(r.URL.RawQuery, "limit", "cursor")
	limit, before := p.integer("limit", 20, 1, maxErasures), int64(p.cursor("cursor"))
	if err := p.problem(); err != nil {
		return nil, err
	}
	all, err := s.deps.Store.Erasures(r.Context(), before, limit+1)
	if err != nil {
		return nil, err
	}
	doc := erasuresDoc{Erasures: []erasureDoc{}}
	for i := range all {
		if i == limit {
			doc.NextCursor = strconv.FormatInt(all[i-1].ID, 10)
			break
		}
		d, err := s.newErasureDoc(r.Context(), &all[i])
		if err != nil {
			return nil, err
		}
		doc.Erasures = append(doc.Erasures, d)
	}
	return doc, nil
}

// getErasure tells how an erasure stands, and its receipt.
func (s *Server) getErasure(r *http.Request) (any, error) {
	if err := newParams(r.URL.RawQuery).problem(); err != nil {
		return nil, err
	}
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil || id < 1 {
		return nil, errNoErasure()
	}
	e, err := s.deps.Store.Erasure(r.Context(), id)
	if errors.Is(err, ledger.ErrNoErasure) {
		return nil, errNoErasure()
	}
	if err != nil {
		return nil, err
	}
	return s.newErasureDoc(r.Context(), &e)
}

func errNoErasure() error { return problem.New(problem.NotFound, "There is no such erasure.") }

type verificationQuery struct {
	Receipt   receiptDoc `json:"receipt"`
	VehicleID string     `json:"vehicle_id"`
}

// verificationDoc tells whether a receipt is this deployment's, and about a vehicle: null if none was named.
type verificationDoc struct {
	Valid   bool   `json:"valid"`
	Why     string `json:"why"`
	Vehicle *bool  `json:"vehicle"`
}

const expectedVerification = `{"receipt":{"receipt":{…},"algorithm":"Ed25519","public_key":"…","signature":"…"},"vehicle_id":"WBA-4711"}: a receipt as /v1/erasures/{id} gives it; the id may be left out`

// postErasureVerification tells whether a receipt is genuine, and whether it is about a vehicle. It is a question, but about one vehicle by its
// name.
func (s *Server) postErasureVerification(r *http.Request) (change, error) {
	var q verificationQuery
	if err := readJSON(r, &q, expectedVerification); err != nil {
		return change{}, err
	}
	if len(q.VehicleID) > maxVehicleID {
		return change{}, &problem.Problem{Kind: problem.InvalidRequest, Pointer: "/vehicle_id", Detail: "The vehicle's id is too long.", Expected: expectedVerification}
	}
	var receipt ledger.Receipt
	var compact bytes.Buffer
	if json.Unmarshal(q.Receipt.Receipt, &receipt) != nil || json.Compact(&compact, q.Receipt.Receipt) != nil {
		return change{}, &problem.Problem{Kind: problem.InvalidRequest, Pointer: "/receipt/receipt", Detail: "It is no receipt.", Expected: expectedVerification}
	}
	target := "receipt"
	if id, err := strconv.ParseInt(receipt.Erasure, 10, 64); err == nil {
		target = "erasure/" + strconv.FormatInt(id, 10)
	}
	return change{target: target, apply: func(context.Context) (effect, error) {
		doc := verificationDoc{Valid: true, Why: "The signature is this deployment's."}
		signature, err := base64.StdEncoding.DecodeString(q.Receipt.Signature)
		if err != nil || q.Receipt.Algorithm != receiptAlgorithm || !ed25519.Verify(s.deps.Ring.ReceiptKey(), compact.Bytes(), signature) {
			doc = verificationDoc{Why: "The signature is not this deployment's, or the receipt was changed."}
		}
		if q.VehicleID != "" {
			id := s.deps.Ring.StatusID(q.VehicleID)
			same := receipt.Subject == hex.EncodeToString(id[:])
			doc.Vehicle = &same
		}
		return effect{answer: doc, after: doc}, nil
	}}, nil
}
