package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/carasso/carasso/internal/autosim"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The sheets that infra/README.md shows are what the command prints.
func TestCostSheets(t *testing.T) {
	var b bytes.Buffer
	if err := costSheets(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "infra", "README.md")
	readme, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(readme, []byte(sheetsMark)) // to the end
	if at < 0 {
		t.Fatalf("%s has no sheets", file)
	}
	if *update {
		if err := os.WriteFile(file, slices.Concat(readme[:at], b.Bytes()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(b.Bytes(), readme[at:]) {
		t.Errorf("%s is not what `carasso cost --sheets` prints (-update writes it anew):\n%s", file, &b)
	}
}

// parsed is a command as the command line makes it.
func parsed(t *testing.T, args ...string) *cli {
	t.Helper()
	var c cli
	parser, err := kong.New(&c, kong.Vars(simulateVars()), kong.Exit(func(int) { t.Fatal("exits") }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestCostForms(t *testing.T) {
	s, err := parsed(t, "cost", "--vehicles", "5000", "--profile", "always", "--region", "us-east-1").Cost.sheet()
	if err != nil {
		t.Fatal(err)
	}
	if s.month.Samples != 5000*730*3600 || s.region != "us-east-1" || s.plan.Tiles != 5000 {
		t.Errorf("%v samples, %s, %v tiles", s.month.Samples, s.region, s.plan.Tiles)
	}
	var doc costSheetDoc
	body, err := json.Marshal(s.doc())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, l := range doc.Lines {
		sum += l.USD
	}
	if doc.USD <= 0 || math.Abs(sum-doc.USD) > 1e-6 || doc.Profile.Name != "always" || doc.Assumptions.PassS != 15 || doc.Counted.SQSSends != 261.9 {
		t.Errorf("%s", body)
	}
	for _, want := range []string{"WAF", "what dominates", "per 1,000 km", "a million samples", "a vehicle and month"} {
		if !strings.Contains(s.table(), want) || !strings.Contains(s.markdown(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, c := range []costCmd{
		{Vehicles: 0, Profile: "always", Pass: time.Second},
		{Vehicles: 10, Profile: "tram", Pass: time.Second},
		{Vehicles: 10, Profile: "always", Readers: 2, Pass: time.Second},
		{Vehicles: 10, Profile: "always"},
	} {
		if _, err := c.sheet(); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// Whoever changes what was counted changes the bill of the counted part: sends, receives, deletes and renewals at full envelopes
// are the sum that `carasso bench` prints.
func TestCountedIsTheBenchs(t *testing.T) {
	c := counted()
	if sum := c.SQSSends + c.SQSReceives + c.SQSDeletes + c.SQSVisibility; math.Abs(sum-649.7) > 1e-9 {
		t.Errorf("%v requests per million samples", sum)
	}
	if full := 1e6 / c.SamplesPerBatch / c.SQSSends; math.Abs(full-autosim.DefaultConfig().BatchesPerEnvelope) > 2 {
		t.Errorf("full envelopes hold %v batches here, %v there", full, autosim.DefaultConfig().BatchesPerEnvelope)
	}
}

func TestNumbersInWords(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.1234: "0.12", 9.4: "9.4", 9.97: "10", 999.6: "1,000", 1234567: "1,234,567", -12345: "-12,345"} {
		if got := thousands(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0.0123: "0.012", 0.999: "1.00", 12.345: "12.35", 1234.5: "1,234"} {
		if got := usd(v); got != want {
			t.Errorf("%v USD: %s, want %s", v, got, want)
		}
	}
}

func TestSimulateAutoscale(t *testing.T) {
	c := &parsed(t, "simulate", "autoscale", "--vehicles", "20000", "--for", "2h", "--outage-at", "30m", "--outage-for", "10m", "--changes").Simulate.Autoscale
	cfg, err := c.config()
	if err != nil {
		t.Fatal(err)
	}
	if d := autosim.DefaultConfig(); cfg.Workers.PerTask != d.Workers.PerTask || cfg.Workers.Max != d.Workers.Max || cfg.Workers.Min != d.Workers.Min ||
		cfg.Receivers.Max != d.Receivers.Max || cfg.WorkerCPU != d.WorkerCPU || cfg.Delays != d.Delays || cfg.ScaleInShare != d.ScaleInShare || cfg.Resend != d.Resend || cfg.AgeTarget != d.AgeTarget {
		t.Errorf("the flags' defaults are not the policy's: %+v", cfg)
	}
	// A worker of one processor and 4 GiB in Frankfurt.
	if want := 0.03725 + 4*0.00409; math.Abs(cfg.Workers.USDPerHour-want) > 1e-12 {
		t.Errorf("%v USD an hour", cfg.Workers.USDPerHour)
	}
	r, err := autosim.Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.print(&b, &cfg, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"HELD all the time", "what breaks first", "batches made = held + handled + queued", "▁"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &b)
		}
	}
	c.Out = filepath.Join(t.TempDir(), "day.svg")
	if err := c.plot(&cfg, r); err != nil {
		t.Fatal(err)
	}
	if svg, err := os.ReadFile(c.Out); err != nil || !bytes.HasPrefix(svg, []byte("<svg")) {
		t.Errorf("no plot: %v", err)
	}
	for _, bad := range [][]string{{"--vehicles", "0"}, {"--swing", "0.5"}, {"--peak-share", "2"}, {"--outage-at", "23h50m"}, {"--max-workers", "1"}, {"--for", "1s"}, {"--age-target", "0s"}} {
		c := &parsed(t, append([]string{"simulate", "autoscale"}, bad...)...).Simulate.Autoscale
		cfg, err := c.config()
		if err == nil {
			err = cfg.Validate()
		}
		if err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// A part that is full from so many vehicles on has room for one per cent fewer.
func TestFullFrom(t *testing.T) {
	c := &parsed(t, "simulate", "autoscale").Simulate.Autoscale
	cfg, err := c.config()
	if err != nil {
		t.Fatal(err)
	}
	// 20 receivers take 60,000 batches a second: 600,000 vehicles. Two processors at 50 %: 1 / (2.6 µs × 1/s) = 384,615.
	for part, want := range map[string]float64{"receivers": 600_000, "database processors": 380_000} {
		if got := c.fullFrom(&cfg, part); math.Abs(got-want) > 0.03*want {
			t.Errorf("%s: %v, want %v", part, got, want)
		}
	}
}

// The figures of DESIGN.md's "On paper" are what the commands reckon now.
func TestDesignSaysWhatIsReckoned(t *testing.T) {
	design, err := os.ReadFile(filepath.Join("..", "..", "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, paper, _ := strings.Cut(string(design), "\n## On paper\n")
	paper, _, _ = strings.Cut(paper, "\n## ")
	says := func(what, figure string) {
		t.Helper()
		if !strings.Contains(paper, figure) {
			t.Errorf("%s is %q now, which it does not say", what, figure)
		}
	}
	for _, args := range [][]string{{"--vehicles", "1000"}, {"--vehicles", "100000"}, {"--vehicles", "10000000"}, {"--vehicles", "10000000", "--pass", "1m"}} {
		s, err := parsed(t, append([]string{"cost"}, args...)...).Cost.sheet()
		if err != nil {
			t.Fatal(err)
		}
		says(strings.Join(args, " "), thousands(s.bill.USD))
	}
	commuters := []string{"simulate", "autoscale", "--vehicles", "10e6", "--peak-share", "0.13"}
	c := &parsed(t, commuters...).Simulate.Autoscale
	cfg, err := c.config()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range c.limits(&cfg, c.Vehicles) {
		says(l.Part, "| "+thousands(l.Need))
	}
	for args, figures := range map[string]string{"": "17 min (559 task-hours)", "--worker-cpu 0": "80 min of the day (2,070 task-hours of workers)"} {
		all := slices.Concat(commuters, strings.Fields("--max-workers 500 --max-receivers 200 --outage-for 0 "+args))
		c := &parsed(t, all...).Simulate.Autoscale
		cfg, err := c.config()
		if err != nil {
			t.Fatal(err)
		}
		r, err := autosim.Run(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		var minutes, hours string
		if minutes, hours, _ = strings.Cut(figures, " min"); minutes != thousands(math.Floor(r.Over.Minutes())) || !strings.Contains(hours, "("+thousands(r.WorkerHours)+" ") {
			t.Errorf("%s: %v over, %v task-hours", args, r.Over, r.WorkerHours)
		}
		says(args, figures)
	}
	// The policy's days: the first of the twenty.
	c = &parsed(t, "simulate", "autoscale").Simulate.Autoscale
	if cfg, err = c.config(); err != nil {
		t.Fatal(err)
	}
	r, err := autosim.Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.Over != 4*time.Minute+27*time.Second || r.WorstAge != 83*time.Second {
		t.Errorf("a day of the policy: over for %s, the oldest %s", r.Over, r.WorstAge)
	}
	says("the policy", "4 min 27 s")
}
