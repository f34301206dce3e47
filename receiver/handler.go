package receiver

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/problem"
	"github.com/carasso/carasso/internal/vehiclestatus"
	"github.com/carasso/carasso/telemetry"
)

// workspace is the memory that one request works in.
type workspace struct {
	raw, plain, payload []byte
	batch               telemetry.Batch
	vehicle             string             // that the request is from, as soon as that is known
	seen                vehiclestatus.Seen // what it tells of the vehicle
}

// release forgets what the request held and gives the workspace back, without buffers
// that grew beyond the ordinary.
func (rc *Receiver) release(ws *workspace) {
	for _, b := range [...]*[]byte{&ws.raw, &ws.plain, &ws.payload} {
		if cap(*b) > keepBuffer {
			*b = nil
		}
	}
	if cap(ws.batch.Samples) > keepSamples || cap(ws.batch.Events) > keepSamples {
		ws.batch = telemetry.Batch{}
	}
	ws.batch.Reset()
	ws.vehicle, ws.seen = "", vehiclestatus.Seen{}
	rc.works.Put(ws)
}

// keepSamples is how many samples or events a kept workspace may have room for.
const keepSamples = 4096

// postBatch answers POST /v1/batches.
func (rc *Receiver) postBatch(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	if !rc.enter() {
		rc.refuse(w, &problem.Problem{Kind: problem.Draining, RetryAfter: rc.cfg.RetryAfter, Close: true})
		return
	}
	defer rc.leave()
	res := reservation{of: rc.held}
	defer res.shrink(0)
	id, samples, p := rc.accept(w, r, &res)
	if p != nil {
		rc.refuse(w, p)
		return
	}
	rc.metrics.acceptSeconds.Observe(time.Since(started).Seconds())
	rc.metrics.answer(http.StatusAccepted)
	writeAccepted(w, id, samples)
}

func (rc *Receiver) refuse(w http.ResponseWriter, p *problem.Problem) {
	rc.metrics.answer(p.Kind.Status())
	problem.Write(w, p)
}

// accept returns when the queue has the batch, or says why not. It does not end when
// the client goes away: the batch is on its way then, and the client will send it again.
func (rc *Receiver) accept(w http.ResponseWriter, r *http.Request, res *reservation) (telemetry.BatchID, int, *problem.Problem) {
	fail := func(p *problem.Problem) (telemetry.BatchID, int, *problem.Problem) { return telemetry.BatchID{}, 0, p }
	who, err := rc.auth.Authenticate(r)
	if err != nil {
		rc.noteExpired(err)
		return fail(unauthorized(r))
	}
	if who.Kind != credential.KindVehicle && who.Kind != credential.KindGateway {
		return fail(problem.New(problem.Forbidden, "Only a vehicle or a gateway may send batches."))
	}
	now := rc.now()
	form, coding, p := mediaOf(r.Header)
	if p != nil {
		rc.noteRefused(ownVehicle(who), seenOf(r, who, now), p)
		return fail(p)
	}
	if who.Kind == credential.KindVehicle { // the gateway's vehicle is known only from the body
		if p := rc.limit(who.Subject, now); p != nil {
			return fail(p)
		}
	}
	if !res.grow(requestBytes) {
		return fail(rc.bodies.overloaded())
	}

	ws, _ := rc.works.Get().(*workspace)
	ws.vehicle, ws.seen = ownVehicle(who), seenOf(r, who, now)
	env, id, samples, p := rc.pack(w, r, who, form, coding, now, ws, res)
	held := requestBytes + len(ws.payload)
	vehicle, seen := ws.vehicle, ws.seen
	rc.release(ws)
	if p != nil {
		rc.noteRefused(vehicle, seen, p)
		return fail(p)
	}
	res.shrink(held)
	<-env.done // bounded by the linger and SendTimeout
	if env.err != nil {
		p := &problem.Problem{Kind: problem.QueueUnavailable, RetryAfter: rc.cfg.RetryAfter}
		rc.noteRefused(vehicle, seen, p)
		return fail(p)
	}
	rc.notes.Accepted(vehicle, seen)
	return id, samples, nil
}

// pack reads, checks and pseudonymises the batch and puts it into an envelope.
func (rc *Receiver) pack(w http.ResponseWriter, r *http.Request, who credential.Identity, f form, c coding,
	now time.Time, ws *workspace, res *reservation,
) (*envelope, telemetry.BatchID, int, *problem.Problem) {
	fail := func(p *problem.Problem) (*envelope, telemetry.BatchID, int, *problem.Problem) {
		return nil, telemetry.BatchID{}, 0, p
	}
	var p *problem.Problem
	if ws.raw, p = rc.bodies.read(w, r, ws.raw, res); p != nil {
		return fail(p)
	}
	plain, p := rc.bodies.inflate(c, ws.raw, ws.plain, res)
	if c != codingIdentity {
		ws.plain = plain
	}
	if p != nil {
		return fail(p)
	}
	rc.metrics.bodyBytes.Add(float64(len(ws.raw)))
	rc.metrics.inflatedBytes.Add(float64(len(plain)))

	b := &ws.batch
	b.Reset()
	decode := telemetry.DecodeJSON
	if f == formProto {
		decode = telemetry.DecodeProto
	}
	if err := decode(plain, b, rc.cfg.Limits); err != nil {
		return fail(invalid(err))
	}
	vehicle, p := speaker(who, b.VehicleID)
	if p != nil {
		return fail(p)
	}
	ws.vehicle = vehicle
	if n := len(b.Samples); n > 0 {
		ws.seen.EventMS, ws.seen.MedianMS = b.Samples[n-1].T, b.Samples[n/2].T
	}
	ws.seen.Model, ws.seen.Software = b.Vehicle.Model, b.Vehicle.Software
	if who.Kind == credential.KindGateway {
		if p := rc.limit(vehicle, now); p != nil {
			return fail(p)
		}
	}
	if err := b.Validate(now, rc.cfg.Limits); err != nil {
		return fail(invalid(err))
	}
	rec, err := rc.record(r, vehicle, ws)
	if err != nil {
		rc.log.WarnContext(r.Context(), "keys unavailable", "error", err)
		return fail(&problem.Problem{Kind: problem.ServiceUnavailable, RetryAfter: rc.cfg.RetryAfter})
	}
	if !res.grow(len(rec.Payload)) {
		return fail(rc.bodies.overloaded())
	}
	env, err := rc.packer.add(rec, b.Counted())
	switch {
	case errors.Is(err, errRecordSize):
		return fail(rc.bodies.tooLarge("in its stored form", rc.cfg.MaxEnvelope-headerRoom))
	case err != nil: // stopped while this request was being read
		return fail(&problem.Problem{Kind: problem.Draining, RetryAfter: rc.cfg.RetryAfter, Close: true})
	}
	return env, b.ID, b.Counted(), nil
}

// record is the batch as it may leave the process. Its payload is in ws.
func (rc *Receiver) record(r *http.Request, vehicle string, ws *workspace) (telemetry.Record, error) {
	b := &ws.batch
	day := b.Samples[min(b.LeadIn, len(b.Samples)-1)].T // of the first counted sample
	pseudonym, err := rc.ring.Pseudonym(r.Context(), vehicle, day)
	if err != nil {
		return telemetry.Record{}, err
	}
	b.Trip.Key = 0
	if b.Trip.ID != "" {
		if b.Trip.Key, err = rc.ring.TripKey(r.Context(), vehicle, b.Trip.ID, day); err != nil {
			return telemetry.Record{}, err
		}
	}
	ws.payload = telemetry.AppendCanonical(ws.payload[:0], b)
	return telemetry.Record{Claim: rc.ring.ClaimID(vehicle, b.ID), Vehicle: pseudonym, Payload: ws.payload}, nil
}

// speaker is the vehicle that the batch is from: identity comes from the credential,
// and only a gateway may name another.
func speaker(who credential.Identity, named string) (string, *problem.Problem) {
	switch {
	case who.Kind == credential.KindGateway && named == "":
		return "", &problem.Problem{
			Kind: problem.InvalidBatch, Detail: "A gateway must name the vehicle it speaks for.",
			Pointer: "/vehicle_id", Expected: "the vehicle's id",
		}
	case who.Kind == credential.KindGateway:
		return named, nil
	case named != "" && named != who.Subject:
		return "", &problem.Problem{
			Kind: problem.Forbidden, Detail: "A vehicle may only speak for itself.",
			Pointer: "/vehicle_id", Expected: "the credential's own vehicle, or nothing",
		}
	default:
		return who.Subject, nil
	}
}

func (rc *Receiver) limit(vehicle string, now time.Time) *problem.Problem {
	wait, ok := rc.limiter.allow(vehicle, now)
	if ok {
		return nil
	}
	rc.metrics.rateLimited.Inc()
	rc.notes.RateLimited(vehicle, now)
	return &problem.Problem{
		Kind: problem.RateLimited, RetryAfter: wait,
		Expected: "at most " + strconv.FormatFloat(rc.cfg.RateBatches, 'g', -1, 64) + " batches a second, " +
			strconv.Itoa(rc.cfg.RateBurst) + " at once",
	}
}

// unauthorized does not say why a credential failed (RFC 6750, 3.1).
func unauthorized(r *http.Request) *problem.Problem {
	p := &problem.Problem{Kind: problem.Unauthorized, Expected: "a Bearer token or a client certificate"}
	if len(r.Header["Authorization"]) > 0 {
		p.Challenge = `Bearer error="invalid_token"`
	}
	return p
}

// invalid turns a decoder's or validator's error into an answer.
func invalid(err error) *problem.Problem {
	p := &problem.Problem{Kind: problem.InvalidBatch}
	var inv *telemetry.Invalid
	if !errors.As(err, &inv) {
		return p
	}
	switch inv.Kind {
	case telemetry.KindTooLarge:
		p.Kind = problem.TooLarge
	case telemetry.KindOutsideWindow:
		p.Kind = problem.OutsideTimeWindow
	case telemetry.KindMalformed:
	}
	p.Detail, p.Pointer, p.Expected = inv.Error(), inv.Pointer, inv.Expected
	return p
}

// jsonType is shared by all answers; nothing changes it.
var jsonType = []string{"application/json"}

func writeAccepted(w http.ResponseWriter, id telemetry.BatchID, samples int) {
	var buf [96]byte
	b := append(buf[:0], `{"batch_id":"`...)
	b = append(b, id.String()...)
	b = append(b, `","samples":`...)
	b = strconv.AppendInt(b, int64(samples), 10)
	b = append(b, "}\n"...)
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(b)
}
