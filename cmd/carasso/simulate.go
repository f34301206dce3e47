package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/carasso/carasso/internal/autosim"
	"github.com/carasso/carasso/internal/scaling"
	"github.com/carasso/carasso/management/cost"
)

// simulateCmd groups simulations.
type simulateCmd struct {
	Autoscale simulateAutoscaleCmd `cmd:"" help:"A day of autoscaling: demand, backlog, age, tasks and cost, and what breaks first."`
}

// simulateAutoscaleCmd plays a day through with the policy's constants.
type simulateAutoscaleCmd struct {
	Vehicles   float64       `default:"100000" help:"Vehicles of the fleet."`
	PeakShare  float64       `default:"1" help:"Share of them that drive at once in the peak: 1 is what infra/ is sized for, 0.13 are commuters."`
	Tiles      float64       `default:"0" help:"Tiles of zoom 14 with roads in their area, as of 'carasso cost'; 0: as many as vehicles, from 300 to 150,000."`
	Swing      float64       `default:"100" help:"Peak over night."`
	Bursts     bool          `default:"true" negatable:"" help:"Add bursts at trips' ends."`
	Seed       uint64        `default:"1" help:"Of chance; the same seed gives the same day."`
	For        time.Duration `default:"24h" help:"How long, from midnight."`
	OutageAt   time.Duration `default:"16h45m" help:"When something is away, from midnight."`
	OutageFor  time.Duration `default:"20m" help:"For how long; 0: no outage."`
	OutageOf   string        `default:"ingest" enum:"ingest,workers" help:"What is away: ingest (cars keep their batches and send them again) or workers (as when the database is)."`
	Resend     float64       `default:"4" help:"Batches that cars send again for each new one, at most, after an outage."`
	Rate       float64       `default:"${worker_rate}" help:"Full envelopes a second that one worker handles; the policy's own is ${worker_rate}."`
	MinWorkers int           `default:"${min_workers}" help:"Fewest workers."`
	MinReceive int           `name:"min-receivers" default:"${min_receivers}" help:"Fewest receivers."`
	MaxWorkers int           `default:"${max_workers}" help:"Most workers."`
	MaxReceive int           `name:"max-receivers" default:"${max_receivers}" help:"Most receivers."`
	CPU        float64       `name:"worker-cpu" default:"${worker_cpu}" help:"Target of workers' processors in per cent; 0: by backlog and age alone."`
	ScaleIn    float64       `default:"0.5" help:"Greatest share of tasks that one decision takes away: AWS says \"gradually\" and no number."`
	AgeTarget  time.Duration `default:"${age_target}" help:"How old the oldest message may be: the policy's own is ${age_target}."`
	Start      time.Duration `default:"45s" help:"From the wish for a task to one that handles."`
	Metric     time.Duration `default:"60s" help:"From the end of a metric's minute until it is evaluated."`
	Region     string        `default:"eu-central-1" enum:"eu-central-1,us-east-1" help:"Prices of this region: ${enum}."`
	Out        string        `type:"path" help:"Plot to this SVG file."`
	Changes    bool          `help:"Also list what autoscaling decided."`
}

// simulateVars are the flags' defaults, which are the policy's.
func simulateVars() map[string]string {
	return map[string]string{
		"worker_rate": fmt.Sprint(scaling.MinEnvelopesPerS), "worker_cpu": strconv.Itoa(scaling.WorkerCPUPercent),
		"age_target":  scaling.LatencyTarget.String(),
		"min_workers": strconv.Itoa(scaling.MinTasks), "min_receivers": strconv.Itoa(scaling.MinReceivers),
		"max_workers": strconv.Itoa(scaling.MaxWorkers), "max_receivers": strconv.Itoa(scaling.MaxReceivers),
	}
}

func (c *simulateAutoscaleCmd) config() (autosim.Config, error) {
	cfg := autosim.DefaultConfig()
	for _, f := range []struct {
		name        string
		v, low, top float64
	}{{"vehicles", c.Vehicles, 1, 1e9}, {"peak-share", c.PeakShare, 1e-6, 1}, {"swing", c.Swing, 1, 1e6}, {"rate", c.Rate, 0.01, 1e6}} {
		if !(f.v >= f.low && f.v <= f.top) {
			return cfg, fmt.Errorf("--%s: expected %v to %v, found %v", f.name, f.low, f.top, f.v)
		}
	}
	prices, err := cost.List()
	if err != nil {
		return cfg, err
	}
	p := prices.Regions[c.Region]
	cfg.Seed, cfg.Duration, cfg.Resend = c.Seed, c.For, c.Resend
	cfg.Demand = autosim.Commuters(c.peak(), c.Swing)
	if c.Bursts {
		cfg.Demand = autosim.WithBursts(cfg.Demand, c.Seed)
	}
	if c.OutageFor > 0 {
		cfg.Outage = autosim.Outage{At: c.OutageAt, For: c.OutageFor, Of: c.OutageOf}
	}
	cfg.Workers.Min, cfg.Receivers.Min = c.MinWorkers, c.MinReceive
	cfg.Workers.Max, cfg.Receivers.Max = c.MaxWorkers, c.MaxReceive
	cfg.Workers.PerTask = c.Rate * cfg.BatchesPerEnvelope
	cfg.Workers.USDPerHour = scaling.WorkerVCPU*p.FargateVCPUHour + scaling.WorkerGiB*p.FargateGBHour
	cfg.Receivers.USDPerHour = scaling.ReceiverVCPU*p.FargateVCPUHour + scaling.ReceiverGiB*p.FargateGBHour
	cfg.WorkerCPU, cfg.ScaleInShare = c.CPU, c.ScaleIn
	cfg.Delays.Start, cfg.Delays.Metric = c.Start, c.Metric
	cfg.AgeTarget = c.AgeTarget
	return cfg, nil
}

// peak is in batches a second, at a sample a second of each car that drives.
func (c *simulateAutoscaleCmd) peak() float64 {
	return c.Vehicles * c.PeakShare / counted().SamplesPerBatch
}

// Run simulates, prints, and plots when asked to.
func (c *simulateAutoscaleCmd) Run(ctx context.Context) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	r, err := autosim.Run(ctx, cfg)
	if err != nil {
		return err
	}
	if err := c.print(os.Stdout, &cfg, r); err != nil {
		return err
	}
	if c.Out == "" {
		return nil
	}
	return c.plot(&cfg, r)
}

func (c *simulateAutoscaleCmd) plot(cfg *autosim.Config, r *autosim.Result) error {
	var b bytes.Buffer
	title := fmt.Sprintf("%s vehicles, %s batches/s in the peak, swing %gx, outage of %s for %s, seed %d",
		thousands(c.Vehicles), thousands(c.peak()), c.Swing, c.OutageOf, c.OutageFor, c.Seed)
	if err := r.WriteSVG(&b, title, cfg.AgeTarget); err != nil {
		return err
	}
	return os.WriteFile(c.Out, b.Bytes(), 0o644) //nolint:gosec // a plot is no secret
}

func (c *simulateAutoscaleCmd) print(out io.Writer, cfg *autosim.Config, r *autosim.Result) error {
	var b bytes.Buffer
	_, _ = fmt.Fprintf(&b, "%s vehicles, %s batches/s in the peak and a %gth of that by night, seed %d\n", thousands(c.Vehicles), thousands(c.peak()), c.Swing, c.Seed)
	_, _ = fmt.Fprintf(&b, "policy: %d to %d workers at %g envelopes/s; backlog %g a worker, processors %g %%; receivers %d to %d at %d requests/s\n",
		cfg.Workers.Min, cfg.Workers.Max, c.Rate, scaling.AllowedBacklog, c.CPU, cfg.Receivers.Min, cfg.Receivers.Max, scaling.ReceiverRequestsPerS)
	if c.OutageFor > 0 {
		_, _ = fmt.Fprintf(&b, "outage: %s away from %s for %s\n", c.OutageOf, c.OutageAt, c.OutageFor)
	}
	b.WriteByte('\n')
	const width = 72
	if err := r.Sparklines(&b, cfg.AgeTarget, width); err != nil {
		return err
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	verdict := "HELD all the time"
	if !r.Holds() {
		verdict = fmt.Sprintf("MISSED for %s, %s of it without a break; older than a minute for %s", r.Over, r.LongestOver, r.OverMinute)
	}
	for _, row := range [][2]string{
		{"age target of " + cfg.AgeTarget.String(), verdict},
		{"worst age, worst backlog", fmt.Sprintf("%s, %s envelopes", r.WorstAge, thousands(float64(r.WorstBacklog)))},
		{"sent at most", thousands(r.PeakSent) + " batches/s over a minute"},
		{"kept by cars at most", fmt.Sprintf("%s batches; %s requests refused", thousands(float64(r.WorstHeld)), thousands(float64(r.Refused)))},
		{"batches made = held + handled + queued", fmt.Sprintf("%s = %s + %s + %s", thousands(float64(r.Totals.Made)), thousands(float64(r.Totals.Held)),
			thousands(float64(r.Totals.Handled)), thousands(float64(r.Totals.Queued)))},
		{"envelopes", fmt.Sprintf("%s, %.0f batches each", thousands(float64(r.Envelopes)), float64(r.Totals.Accepted)/max(float64(r.Envelopes), 1))},
		{"tasks at most", fmt.Sprintf("%d workers (%s at the bound), %d receivers (%s at the bound); %d changes", r.PeakWorkers, r.WorkersAtMax, r.PeakReceivers, r.ReceiversAtMax, len(r.Changes))},
		{"task-hours", fmt.Sprintf("%.0f of workers, %.0f of receivers: %.2f USD", r.WorkerHours, r.ReceiverHours, r.USD)},
	} {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	_, _ = fmt.Fprintf(w, "\nwhat breaks first, in a peak of %s batches/s without bursts\tneeded\tthere is\tused\tfull from\tthen\n", thousands(c.peak()))
	for _, l := range c.limits(cfg, c.Vehicles) {
		_, _ = fmt.Fprintf(w, "  %s\t%s %s\t%s (%s)\t%s %%\t%s vehicles\t%s\n", l.Part, thousands(l.Need), l.Unit, thousands(l.Can), l.Source, thousands(100*l.Used()),
			thousands(c.fullFrom(cfg, l.Part)), l.Remedy)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if c.Changes {
		b.WriteByte('\n')
		for _, ch := range r.Changes {
			_, _ = fmt.Fprintf(&b, "%8s  %s %d -> %d: %s\n", ch.At, ch.Service, ch.From, ch.To, ch.Why)
		}
	}
	_, err := out.Write(b.Bytes())
	return err
}

// limits are for a fleet of another size, otherwise the same.
func (c *simulateAutoscaleCmd) limits(cfg *autosim.Config, vehicles float64) []autosim.Limit {
	const databaseVCPU = 2 // db.m6g.large
	pl := cost.Plan{Tiles: cmp.Or(c.Tiles, tilesOf(c.Vehicles)), Deployment: cost.DefaultDeployment()}
	driving := vehicles * c.PeakShare
	return autosim.Limits(driving/counted().SamplesPerBatch, pl.TilesPerS(driving), cfg, measured(), databaseVCPU)
}

// fullFrom is the size of the fleet from which on a part needs more than there is, to two digits.
func (c *simulateAutoscaleCmd) fullFrom(cfg *autosim.Config, part string) float64 {
	low, high := 1.0, 1e10
	for high/low > 1.005 {
		middle := math.Sqrt(low * high)
		for _, l := range c.limits(cfg, middle) {
			if l.Part != part {
				continue
			}
			if l.Used() > 1 {
				high = middle
			} else {
				low = middle
			}
		}
	}
	digits := math.Pow(10, math.Floor(math.Log10(high))-1)
	return math.Round(high/digits) * digits
}
