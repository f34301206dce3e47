package emf

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carasso/carasso/internal/emf/selection"
)

// line is a line as CloudWatch reads it.
type line struct {
	AWS struct {
		Timestamp         int64
		CloudWatchMetrics []directive
	} `json:"_aws"`
	fields map[string]any
}

func emit(t *testing.T, e *Emitter, out *bytes.Buffer) []line {
	t.Helper()
	out.Reset()
	if err := e.Emit(time.UnixMilli(1_764_000_000_123)); err != nil {
		t.Fatal(err)
	}
	var all []line
	for l := range strings.Lines(out.String()) {
		var x line
		if err := json.Unmarshal([]byte(l), &x); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(l), &x.fields); err != nil {
			t.Fatal(err)
		}
		check(t, &x)
		all = append(all, x)
	}
	return all
}

// check holds a line against the specification: each metric and dimension is a member, values are numbers, at most 100.
func check(t *testing.T, l *line) {
	t.Helper()
	if l.AWS.Timestamp != 1_764_000_000_123 || len(l.AWS.CloudWatchMetrics) != 1 {
		t.Fatalf("bad header: %+v", l.AWS)
	}
	d := l.AWS.CloudWatchMetrics[0]
	if d.Namespace != selection.Namespace || len(d.Dimensions) != 1 || len(d.Metrics) == 0 || len(d.Metrics) > 100 {
		t.Fatalf("bad directive: %+v", d)
	}
	for _, name := range d.Dimensions[0] {
		if s, ok := l.fields[name].(string); !ok || s == "" {
			t.Errorf("dimension %s is %v", name, l.fields[name])
		}
	}
	for _, m := range d.Metrics {
		switch v := l.fields[m.Name].(type) {
		case float64:
		case []any:
			if len(v) == 0 || len(v) > 100 {
				t.Errorf("%s has %d values", m.Name, len(v))
			}
		default:
			t.Errorf("%s is %v", m.Name, v)
		}
	}
}

func find(lines []line, name, label, value string) any {
	for _, l := range lines {
		if v, ok := l.fields[name]; ok && (label == "" || l.fields[label] == value) {
			return v
		}
	}
	return nil
}

func TestEmit(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "carasso_receiver_requests_total", Help: "x"}, []string{"code"})
	flying := prometheus.NewGauge(prometheus.GaugeOpts{Name: "carasso_receiver_in_flight_bytes", Help: "x"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "carasso_receiver_accept_seconds", Help: "x", Buckets: []float64{1, 2, 4}})
	other := prometheus.NewCounter(prometheus.CounterOpts{Name: "not_selected_total", Help: "x"})
	reg.MustRegister(requests, flying, took, other)
	var out bytes.Buffer
	e := New("receiver", reg, &out, slog.New(slog.DiscardHandler))

	requests.WithLabelValues("202").Add(5)
	requests.WithLabelValues("503").Add(1)
	flying.Set(7)
	for range 1000 {
		took.Observe(1.5)
	}
	took.Observe(100)
	lines := emit(t, e, &out)
	if got := find(lines, "carasso_receiver_requests_total", "code", "202"); got != 5.0 {
		t.Errorf("202: %v", got)
	}
	if got := find(lines, "carasso_receiver_in_flight_bytes", "", ""); got != 7.0 {
		t.Errorf("gauge: %v", got)
	}
	values, _ := find(lines, "carasso_receiver_accept_seconds", "", "").([]any)
	if len(values) != 100 || values[0].(float64) < 1 || values[98].(float64) > 2 {
		t.Errorf("histogram: %v", values)
	}
	if strings.Contains(out.String(), "not_selected") {
		t.Error("more than the selection")
	}

	requests.WithLabelValues("202").Add(3)
	took.Observe(3)
	lines = emit(t, e, &out)
	if got := find(lines, "carasso_receiver_requests_total", "code", "202"); got != 3.0 {
		t.Errorf("a counter tells its growth: %v", got)
	}
	if got := find(lines, "carasso_receiver_requests_total", "code", "503"); got != 0.0 {
		t.Errorf("a counter that did not grow tells 0, so that alarms have data: %v", got)
	}
	if values, _ := find(lines, "carasso_receiver_accept_seconds", "", "").([]any); len(values) != 1 || values[0] != 3.0 {
		t.Errorf("histogram: %v", values)
	}
	lines = emit(t, e, &out)
	if got := find(lines, "carasso_receiver_accept_seconds", "", ""); got != nil {
		t.Errorf("nothing observed is nothing told: %v", got)
	}
}

// Labels that are no dimensions are added up, histograms too.
func TestEmitSums(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	errs := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "carasso_worker_errors_total", Help: "x"}, []string{"operation"})
	reg.MustRegister(errs)
	var out bytes.Buffer
	e := New("worker", reg, &out, slog.New(slog.DiscardHandler))
	errs.WithLabelValues("put").Add(2)
	errs.WithLabelValues("get").Add(3)
	if got := find(emit(t, e, &out), "carasso_worker_errors_total", "", ""); got != 5.0 {
		t.Errorf("sum: %v", got)
	}
}

func TestSpreadKeepsPercentiles(t *testing.T) {
	t.Parallel()
	bounds := prometheus.LinearBuckets(0.1, 0.1, 100)
	now := make([]uint64, len(bounds)+1)
	for i := range now {
		now[i] = uint64(100 * (i + 1)) // evenly from 0 to 10
	}
	now[len(bounds)] = now[len(bounds)-1]
	values := spread(bounds, now, nil)
	if len(values) != 100 || !slices.IsSorted(values) {
		t.Fatalf("%d values, sorted %v", len(values), slices.IsSorted(values))
	}
	for p, want := range map[int]float64{50: 5, 95: 9.5, 99: 9.9} {
		if got := values[p-1]; math.Abs(got-want) > 0.1 {
			t.Errorf("p%d: %v, want %v", p, got, want)
		}
	}
}

func TestSelectionIsInForm(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range selection.Metrics() {
		if seen[m.Name] || m.Unit == "" || len(m.Services) == 0 || !strings.HasPrefix(m.Name, "carasso_") {
			t.Errorf("%+v", m)
		}
		seen[m.Name] = true
		if (m.Kind == selection.Counter) != strings.HasSuffix(m.Name, "_total") {
			t.Errorf("%s: kind and name disagree", m.Name)
		}
	}
}
