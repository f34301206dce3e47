package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/disk"
	"github.com/carasso/carasso/internal/fleet"
	"github.com/carasso/carasso/mapdata"
)

// benchCmd measures the embedded pipeline with real processes: this one is the fleet, a child
// is `carasso up` with its PostgreSQL. First the whole pipeline under a steady rate, verified
// to zero loss; then receiver and worker by themselves, one after the other over the same
// batches, for what each costs; with AWS_ENDPOINT_URL set, also what AWS would bill.
type benchCmd struct {
	Map      string        `type:"path" env:"CARASSO_MAP" help:"OSM extract to drive on; default: the Andorra extract."`
	Vehicles int           `default:"100000" help:"Simulated cars."`
	Rate     float64       `default:"10000" help:"Batches a second; 0: all cars at 1 Hz, a tenth of their number, less those that are parked."`
	Duration time.Duration `default:"60s" help:"Of the sustained run."`
	Parts    time.Duration `default:"20s" help:"Of the run that tells receiver and worker apart; 0s leaves it out."`
	Conns    int           `default:"1024" help:"Connections of the fleet."`
	Keep     string        `help:"Folder to keep the data in; default: a temporary one."`
}

// bench is one run of benchCmd.
type bench struct {
	*benchCmd
	log     *slog.Logger
	out     io.Writer
	dir     string
	network *fleet.Network
}

// Run implements the subcommand.
func (c *benchCmd) Run(ctx context.Context, logs *logFlags) (err error) {
	if runtime.GOOS != "linux" {
		return errors.New("bench reads CPU time and memory from /proc, which only Linux has")
	}
	log, err := logs.logger()
	if err != nil {
		return err
	}
	b := &bench{benchCmd: c, log: log, out: os.Stdout, dir: c.Keep}
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "carasso-bench-*"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	}
	if err := os.Chmod(b.dir, 0o711); err != nil { //nolint:gosec // PostgreSQL's user passes through
		return err
	}
	if c.Map, err = findMap(c.Map); err != nil {
		return err
	}
	store, err := disk.Open(disk.Config{Dir: filepath.Join(b.dir, "map"), NoSync: true})
	if err != nil {
		return err
	}
	if _, err := mapdata.ImportFile(ctx, c.Map, store, mapdata.ImportOptions{}); err != nil {
		return err
	}
	if b.network, err = loadNetwork(ctx, store); err != nil {
		return err
	}
	whole, err := b.whole(ctx)
	if err != nil {
		return fmt.Errorf("whole pipeline: %w", err)
	}
	table := b.machine() + "\n" + whole
	if c.Parts > 0 {
		parts, err := b.apart(ctx)
		if err != nil {
			return fmt.Errorf("receiver and worker apart: %w", err)
		}
		table += parts
	}
	if os.Getenv("AWS_ENDPOINT_URL") != "" {
		bill, err := b.bill(ctx)
		if err != nil {
			return fmt.Errorf("billed requests: %w", err)
		}
		table += bill
	}
	_, err = io.WriteString(b.out, "\n"+table)
	return err
}

// config is the fleet's for one phase.
func (b *bench) config(target string, duration time.Duration, verify bool) fleet.Config {
	cfg := fleet.DefaultConfig()
	cfg.Target, cfg.Vehicles, cfg.Rate, cfg.Duration = target, b.Vehicles, b.Rate, duration
	cfg.MaxConns, cfg.Verify, cfg.VerifyTimeout = b.Conns, verify, 5*time.Minute
	return cfg
}

// drive runs the fleet in this process.
func (b *bench) drive(ctx context.Context, cfg fleet.Config, data string) (fleet.Report, error) {
	private, err := credential.LoadOrCreate(keysDir(data))
	if err != nil {
		return fleet.Report{}, err
	}
	issuer, err := credential.NewIssuer(private, nil)
	if err != nil {
		return fleet.Report{}, err
	}
	deps, err := fleetDeps(b.network, issuer)
	if err != nil {
		return fleet.Report{}, err
	}
	deps.Logger, deps.Progress = b.log, os.Stderr
	return fleet.Run(ctx, cfg, deps)
}

// whole measures the sustained run.
func (b *bench) whole(ctx context.Context) (_ string, err error) {
	data := filepath.Join(b.dir, "whole")
	up, err := startUp(ctx, data, b.Map, "")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, up.stop()) }()
	if err := up.waitForMap(ctx); err != nil {
		return "", err
	}
	watch := up.watch(ctx)
	before, self := up.usage(), ownCPU()
	report, err := b.drive(ctx, b.config(up.url, b.Duration, true), data)
	fleetCPU := ownCPU() - self
	seen := watch()
	if err != nil {
		_ = report.WriteTable(b.out)
		return "", err
	}
	after := up.usage()
	samples := float64(report.Samples) / 1e6
	wire := up.metric(ctx, "carasso_receiver_body_bytes_total")
	queue := up.metric(ctx, "carasso_receiver_envelope_bytes_sum")
	archive, err := archivedBytes(data)
	if err != nil {
		return "", err
	}
	slices.Sort(seen.queueAge)
	verdict := "every check passed"
	if !report.OK() {
		verdict = "DIFFERENCES FOUND"
	}
	return tabulate(fmt.Sprintf("The whole pipeline, embedded, generator included: %d cars for %s, %s bodies",
		b.Vehicles, b.Duration, fleet.FormatProtobuf), [][2]string{
		{"accepted", fmt.Sprintf("%.0f batches/s, %.0f samples/s", report.AcceptedPerSecond(), float64(report.Samples)/report.Elapsed.Seconds())},
		{"behind schedule at the end", report.EndLag.Round(time.Millisecond).String()},
		{"accept latency", fmt.Sprintf("p50 %s, p99 %s", report.P50.Round(100*time.Microsecond), report.P99.Round(100*time.Microsecond))},
		{"age of the queue", fmt.Sprintf("p50 %.1f s, worst %.1f s, at the end of driving %.1f s", quantile(seen.queueAge, 0.5), quantile(seen.queueAge, 1), seen.lastAge)},
		{"freshness, POST to tile", fmt.Sprintf("p50 %.1f s, p95 %.1f s", seen.freshP50, seen.freshP95)},
		{"verification", fmt.Sprintf("%s (%d batches, %d duplicates recognised)", verdict, report.Accepted, report.Duplicates)},
		{"CPU s per million samples", fmt.Sprintf("receiver + queue + worker %.1f, PostgreSQL %.1f, generator %.1f",
			(after.cpu-before.cpu)/samples, (after.pgCPU-before.pgCPU)/samples, fleetCPU/samples)},
		{"peak memory", fmt.Sprintf("receiver + queue + worker %.0f MB", after.peakMB)},
		{"bytes per sample", fmt.Sprintf("%.1f on the wire (bodies), %.1f in the queue, %.1f in the archive",
			wire/float64(report.Samples), queue/float64(report.Samples), float64(archive)/float64(report.Samples))},
	}), nil
}

// apart runs the same load through the receiver alone, and what it left in the queue then
// through the worker alone.
func (b *bench) apart(ctx context.Context) (_ string, err error) {
	data := filepath.Join(b.dir, "apart")
	rx, err := startUp(ctx, data, b.Map, "receiver")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rx.stop()) }()
	before := rx.usage()
	report, err := b.drive(ctx, b.config(rx.url, b.Parts, false), data)
	if err != nil {
		return "", err
	}
	received := rx.usage()
	accepted := rx.metric(ctx, "carasso_receiver_accepted_samples_total")
	if err := rx.stop(); err != nil {
		return "", err
	}

	wk, err := startUp(ctx, data, b.Map, "worker,management")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, wk.stop()) }()
	started := time.Now()
	if err := wk.waitForSamples(ctx, int64(accepted)); err != nil {
		return "", err
	}
	took := time.Since(started)
	worked := wk.usage()
	millions := accepted / 1e6
	return tabulate(fmt.Sprintf("Receiver and worker apart, each with the embedded queue: %s of the same load", b.Parts), [][2]string{
		{"receiver, CPU s per million samples", fmt.Sprintf("%.1f at %.0f batches/s", (received.cpu-before.cpu)/millions, report.AcceptedPerSecond())},
		{"worker, CPU s per million samples", fmt.Sprintf("%.1f, and PostgreSQL %.1f", worked.cpu/millions, worked.pgCPU/millions)},
		{"worker, catching up with that backlog", fmt.Sprintf("%.0f batches/s", accepted/10/took.Seconds())},
		{"peak memory", fmt.Sprintf("receiver %.0f MB, worker %.0f MB", received.peakMB, worked.peakMB)},
	}), nil
}

func (b *bench) machine() string {
	return fmt.Sprintf("Machine: %s, %d cores, %s/%s, %s\n", cpuModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

func tabulate(title string, rows [][2]string) string {
	var s writer
	fmt.Fprintf(&s, "\n%s\n", title)
	t := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(t, "  %s\t%s\n", r[0], r[1])
	}
	_ = t.Flush()
	return string(s)
}

// writer is a string that can be written to.
type writer []byte

func (w *writer) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

// quantile is of sorted values; 0 when there is none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// loopback is a free address on this machine.
func loopback(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
