// Package replay sends recorded drives to a receiver as if they happened now.
package replay

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// Drive is one vehicle's recorded drive: samples and events in order of time, at least one sample.
type Drive struct {
	Vehicle string
	Samples []telemetry.Sample
	Events  []telemetry.Event
}

// Config says how drives are sent.
type Config struct {
	Target    string        // the receiver's base URL
	Token     string        // gateway credential
	Speedup   float64       // how many recorded seconds pass in one, ≥ 1
	BatchSize int           // samples a batch, 1 to 3,600
	BatchTime time.Duration // after which a batch is sent though it is not full, in recorded time, > 0
	LeadIn    int           // samples of the batch before that are repeated, from 0
	Retries   int           // how often a batch that is refused for now is sent again
	Timeout   time.Duration // of one request, > 0
	Vehicle   telemetry.Vehicle
}

// DefaultConfig sends batches of 10 samples in real time.
func DefaultConfig() Config {
	return Config{
		Target: "http://127.0.0.1:8080", Speedup: 1, BatchSize: 10, BatchTime: 10 * time.Second, LeadIn: 3,
		Retries: 5, Timeout: 10 * time.Second,
	}
}

// Validate names the first setting that is out of its range.
func (c *Config) Validate() error {
	u, err := url.Parse(c.Target)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("replay: target must be an http or https URL, is %q", c.Target)
	case !(c.Speedup >= 1 && c.Speedup <= 1e6):
		return fmt.Errorf("replay: speedup must be 1 to 1e6, is %v", c.Speedup)
	case c.BatchSize < 1 || c.BatchSize > 3600:
		return fmt.Errorf("replay: batch size must be 1 to 3,600, is %d", c.BatchSize)
	case c.LeadIn < 0 || c.LeadIn+c.BatchSize > 3600:
		return fmt.Errorf("replay: lead-in must be 0 to 3,600 less the batch size, is %d", c.LeadIn)
	case c.BatchTime <= 0 || c.Timeout <= 0 || c.Retries < 0:
		return errors.New("replay: batch time and timeout must be positive, retries not negative")
	}
	return nil
}

// Planned is a batch and when it is sent.
type Planned struct {
	After time.Duration // since the start of the replay
	Batch telemetry.Batch
}

// Plan cuts drives into batches and shifts their times: all drives begin together at start
// and go on at the speed-up, and each one's event times are moved as a whole, spacing kept,
// so that its last sample is sent when it happens. With a speed-up, earlier ones are sent
// the later after they happened, never before. Batch ids are made when sending.
func Plan(cfg *Config, drives []Drive, start time.Time) []Planned {
	var plan []Planned
	for n := range drives {
		d := &drives[n]
		if len(d.Samples) == 0 {
			continue
		}
		first, last := d.Samples[0].T, d.Samples[len(d.Samples)-1].T
		took := time.Duration(float64(last-first)/cfg.Speedup) * time.Millisecond
		shift := start.Add(took).UnixMilli() - last
		event := 0
		for at := 0; at < len(d.Samples); {
			end := at + 1
			for end < len(d.Samples) && end-at < cfg.BatchSize && d.Samples[end].T-d.Samples[at].T < cfg.BatchTime.Milliseconds() {
				end++
			}
			from := max(at-cfg.LeadIn, 0)
			b := telemetry.Batch{
				VehicleID: d.Vehicle, Vehicle: cfg.Vehicle, LeadIn: at - from,
				Trip:    telemetry.Trip{ID: d.Vehicle + "-" + strconv.Itoa(n), ElapsedS: uint32((d.Samples[at].T - first) / 1000), Final: end == len(d.Samples)},
				Samples: slices.Clone(d.Samples[from:end]),
			}
			for i := range b.Samples {
				b.Samples[i].T += shift
			}
			for event < len(d.Events) && (end == len(d.Samples) || d.Events[event].T < d.Samples[end].T) {
				e := d.Events[event]
				e.T += shift
				b.Events = append(b.Events, e)
				event++
			}
			plan = append(plan, Planned{After: time.Duration(float64(d.Samples[end-1].T-first)/cfg.Speedup) * time.Millisecond, Batch: b})
			at = end
		}
	}
	slices.SortStableFunc(plan, func(a, b Planned) int { return cmp.Compare(a.After, b.After) })
	return plan
}

// Report is what became of the batches.
type Report struct {
	Batches, Samples, Events int // accepted
	Retries                  int
	Refused                  map[string]int // for good, by status and title
	Took                     time.Duration
}

// Send sends a plan that was made for now, each batch when it is due. A batch that is refused for good is
// counted; an error means that the target could not be reached or ctx ended.
func Send(ctx context.Context, cfg *Config, plan []Planned, log *slog.Logger) (Report, error) {
	r := Report{Refused: map[string]int{}}
	client := &http.Client{Timeout: cfg.Timeout}
	defer client.CloseIdleConnections()
	start := time.Now()
	var body []byte
	for i := range plan {
		p := &plan[i]
		if err := sleep(ctx, time.Until(start.Add(p.After))); err != nil {
			return r, err
		}
		var err error
		if p.Batch.ID, err = telemetry.NewBatchID(time.Now(), rand.Reader); err != nil {
			return r, fmt.Errorf("replay: batch id: %w", err)
		}
		body = telemetry.AppendProto(body[:0], &p.Batch)
		refused, err := r.post(ctx, client, cfg, body)
		if err != nil {
			return r, err
		}
		if refused != "" {
			r.Refused[refused]++
			log.WarnContext(ctx, "batch refused", "vehicle", p.Batch.VehicleID, "answer", refused)
			continue
		}
		r.Batches++
		r.Samples += p.Batch.Counted()
		r.Events += len(p.Batch.Events)
	}
	r.Took = time.Since(start)
	return r, nil
}

// post sends one batch until it is accepted or refused for good.
func (r *Report) post(ctx context.Context, client *http.Client, cfg *Config, body []byte) (refused string, err error) {
	for try := 0; ; try++ {
		status, answer, wait, err := once(ctx, client, cfg, body)
		switch {
		case err == nil && status == http.StatusAccepted:
			return "", nil
		case err == nil && status != http.StatusTooManyRequests && status < 500:
			return answer, nil
		case try >= cfg.Retries && err != nil:
			return "", fmt.Errorf("replay: %w", err)
		case try >= cfg.Retries:
			return answer, nil
		}
		r.Retries++
		if err := sleep(ctx, wait); err != nil {
			return "", err
		}
	}
}

// maxWait bounds what a Retry-After may ask for.
const maxWait = 30 * time.Second

func once(ctx context.Context, client *http.Client, cfg *Config, body []byte) (status int, answer string, wait time.Duration, err error) {
	wait = time.Second
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(cfg.Target, "/")+"/v1/batches", bytes.NewReader(body))
	if err != nil {
		return 0, "", wait, err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Authorization", "Bearer "+cfg.Token)
	req.Header.Set("User-Agent", "carasso-replay")
	resp, err := client.Do(req) // #nosec G704 -- the operator's own target
	if err != nil {
		return 0, "", wait, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return 0, "", wait, err
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 {
		wait = min(time.Duration(s)*time.Second, maxWait)
	}
	return resp.StatusCode, fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(text))), wait, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
