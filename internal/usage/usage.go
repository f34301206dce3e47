// Package usage adds up what all processes use of what AWS bills, by five minutes, in the live store: so management can
// tell what the last hour and day cost, whichever process caused it.
package usage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"time"

	"github.com/carasso/carasso/internal/livedoc"
)

// Kind is a kind of billed unit.
type Kind string

// The kinds. Units are AWS's: package awsclient counts them at the SDK's boundary, embedded mode their equivalents.
const (
	SQSRequests  Kind = "sqs"       // per started 64 KiB of payload
	S3Puts       Kind = "s3_put"    // PUT and LIST
	S3Gets       Kind = "s3_get"    // GET
	DynamoWrites Kind = "ddb_write" // write request units
	DynamoReads  Kind = "ddb_read"  // read request units
	EgressBytes  Kind = "egress"    // answers of the management API and the tiles
	CPUSeconds   Kind = "cpu_s"     // of the process
)

// Counts are totals by kind.
type Counts map[Kind]float64

// Add adds other counts.
func (c Counts) Add(o Counts) {
	for k, v := range o {
		c[k] += v
	}
}

const (
	slot = 5 * time.Minute
	keep = 50 * time.Hour
	// writeTimeout bounds one write.
	writeTimeout = 3 * time.Second
)

func hourKey(at time.Time) string { return "usage/hour/" + at.UTC().Format("2006-01-02T15") }

// hourDoc is an hour's counts by slot, from 0 to 11.
type hourDoc map[string]Counts

// Source tells totals since the process's start.
type Source func() Counts

// Recorder adds what one process used to the common counts.
type Recorder struct {
	store   livedoc.Store
	sources []Source
	every   time.Duration
	log     *slog.Logger
	now     func() time.Time
	last    Counts // totals that are written
}

// NewRecorder makes a Recorder that writes each every; 0 is 30 s.
func NewRecorder(store livedoc.Store, every time.Duration, log *slog.Logger, sources ...Source) *Recorder {
	if every == 0 {
		every = 30 * time.Second
	}
	return &Recorder{store: store, sources: sources, every: every, log: log, now: time.Now, last: Counts{}}
}

// Run writes until ctx ends, and then once more. Call it once.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.record(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
			r.record(ctx)
		}
	}
}

// record writes what was used since the last time. What can't be written is so the next time.
func (r *Recorder) record(ctx context.Context) {
	total := Counts{}
	for _, s := range r.sources {
		total.Add(s())
	}
	used := Counts{}
	for k, v := range total {
		if d := v - r.last[k]; d > 0 {
			used[k] = d
		}
	}
	if len(used) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	now := r.now().UTC()
	name := strconv.Itoa(now.Minute() / int(slot/time.Minute))
	err := livedoc.Update(ctx, r.store, hourKey(now), keep, func(old []byte) ([]byte, error) {
		doc := hourDoc{}
		if old != nil {
			if err := json.Unmarshal(old, &doc); err != nil {
				return nil, err
			}
		}
		if doc[name] == nil {
			doc[name] = Counts{}
		}
		doc[name].Add(used)
		return json.Marshal(doc)
	})
	if err != nil {
		r.log.WarnContext(ctx, "usage not written", "error", err)
		return
	}
	r.last = total
}

// Read adds up what was used in the slots that lie in [from, to); the first may have begun before.
func Read(ctx context.Context, store livedoc.Reader, from, to time.Time) (Counts, error) {
	sum := Counts{}
	first := from.UTC().Truncate(slot)
	for hour := first.Truncate(time.Hour); hour.Before(to); hour = hour.Add(time.Hour) {
		value, _, err := store.Get(ctx, hourKey(hour))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var doc hourDoc
		if err == nil {
			err = json.Unmarshal(value, &doc)
		}
		if err != nil {
			return nil, fmt.Errorf("read usage: %w", err)
		}
		for i := range int(time.Hour / slot) {
			if at := hour.Add(time.Duration(i) * slot); !at.Before(first) && at.Before(to) {
				sum.Add(doc[strconv.Itoa(i)])
			}
		}
	}
	return sum, nil
}
