// Package emf writes a process's metrics to CloudWatch as log lines, in its embedded metric format: logs are shipped
// anyway, so that there is no agent beside the process, no API to be refused by and no permission to have.
//
// Format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
package emf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/carasso/carasso/internal/emf/selection"
)

// Every is how often metrics are written: CloudWatch's own resolution.
const Every = time.Minute

// Emitter writes one process's metrics. One goroutine uses it.
type Emitter struct {
	service string
	from    prometheus.Gatherer
	to      io.Writer
	log     *slog.Logger
	metrics []selection.Metric
	before  map[string]total // by metric and dimensions
}

// total is what a counter or histogram had come to.
type total struct {
	value   float64
	buckets []uint64 // cumulative
}

// New emits the selection's metrics of service.
func New(service string, from prometheus.Gatherer, to io.Writer, log *slog.Logger) *Emitter {
	return &Emitter{service: service, from: from, to: to, log: log, before: map[string]total{}, metrics: slices.DeleteFunc(
		selection.Metrics(), func(m selection.Metric) bool { return !slices.Contains(m.Services, service) })}
}

// Run emits each minute until ctx ends, and once more then.
func (e *Emitter) Run(ctx context.Context) error {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		var at time.Time
		done := false
		select {
		case <-ctx.Done():
			at, done = time.Now(), true
		case at = <-tick.C:
		}
		if err := e.Emit(at); err != nil {
			e.log.WarnContext(ctx, "metrics were not written", "error", err)
		}
		if done {
			return nil
		}
	}
}

// Emit writes what happened since it was called last: one line for each set of dimensions.
func (e *Emitter) Emit(at time.Time) error {
	families, err := e.from.Gather()
	if families == nil && err != nil {
		return fmt.Errorf("emf: gather: %w", err)
	}
	byName := make(map[string]*dto.MetricFamily, len(families))
	for _, f := range families {
		byName[f.GetName()] = f
	}
	lines := map[string]*document{}
	for i := range e.metrics {
		m := &e.metrics[i]
		f := byName[m.Name]
		if f == nil {
			continue
		}
		for key, s := range sum(f, m.By) {
			value, ok := e.since(m, key, s)
			if !ok {
				continue
			}
			line := lines[key]
			if line == nil {
				line = newDocument(e.service, at, s.labels)
				lines[key] = line
			}
			line.add(m.Name, m.Unit, value)
		}
	}
	errs := []error{err}
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		b, err := json.Marshal(lines[key].fields)
		if err == nil {
			_, err = e.to.Write(append(b, '\n'))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// series is what a family's metrics with the same dimensions add up to.
type series struct {
	labels  [][2]string
	value   float64
	bounds  []float64
	buckets []uint64
}

func sum(f *dto.MetricFamily, by []string) map[string]*series {
	all := map[string]*series{}
	for _, m := range f.GetMetric() {
		var labels [][2]string
		var key strings.Builder
		for _, name := range by {
			for _, l := range m.GetLabel() {
				if l.GetName() == name {
					labels = append(labels, [2]string{name, l.GetValue()})
					key.WriteString(name + "=" + l.GetValue() + ",")
				}
			}
		}
		s := all[key.String()]
		if s == nil {
			s = &series{labels: labels}
			all[key.String()] = s
		}
		s.value += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		if h := m.GetHistogram(); h != nil {
			s.addHistogram(h)
		}
	}
	return all
}

func (s *series) addHistogram(h *dto.Histogram) {
	if s.buckets == nil {
		for _, b := range h.GetBucket() {
			s.bounds = append(s.bounds, b.GetUpperBound())
		}
		s.buckets = make([]uint64, len(s.bounds)+1) // the last one has no bound
	}
	for i, b := range h.GetBucket() {
		if i < len(s.bounds) {
			s.buckets[i] += b.GetCumulativeCount()
		}
	}
	s.buckets[len(s.bounds)] += h.GetSampleCount()
}

// since is what CloudWatch gets for s; not ok, if nothing.
func (e *Emitter) since(m *selection.Metric, key string, s *series) (value any, ok bool) {
	if m.Kind == selection.Gauge {
		return s.value, true
	}
	id := m.Name + "{" + key + "}"
	before := e.before[id]
	e.before[id] = total{s.value, s.buckets}
	if m.Kind == selection.Counter {
		return s.value - before.value, true
	}
	values := spread(s.bounds, s.buckets, before.buckets)
	return values, len(values) > 0
}

// most is how many values a metric may have in a line.
const most = 100

// spread is up to 100 values that stand for equal shares of what was observed between two states of a histogram,
// spread evenly within its buckets.
func spread(bounds []float64, now, before []uint64) []float64 {
	grown := make([]uint64, len(now))
	for i := range now {
		grown[i] = now[i]
		if i < len(before) {
			grown[i] -= before[i]
		}
	}
	if len(grown) == 0 || grown[len(grown)-1] == 0 {
		return nil
	}
	count := grown[len(grown)-1]
	n := min(count, most)
	values := make([]float64, 0, n)
	for i := range n {
		rank := (float64(i) + 0.5) * float64(count) / float64(n)
		b, _ := slices.BinarySearchFunc(grown, rank, func(c uint64, r float64) int {
			if float64(c) < r {
				return -1
			}
			return 1
		})
		if b >= len(bounds) { // beyond the last bound: that, for lack of anything better
			values = append(values, bounds[len(bounds)-1])
			continue
		}
		low, under := 0.0, uint64(0)
		if b > 0 {
			low, under = bounds[b-1], grown[b-1]
		}
		values = append(values, low+(bounds[b]-low)*(rank-float64(under))/float64(grown[b]-under))
	}
	return values
}
