package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/carasso/carasso/internal/credential"
)

// child is a carasso process that the benchmark watches.
type child struct {
	cmd    *exec.Cmd
	url    string
	token  string
	exited chan struct{}
	err    error // valid after exited
}

// startUp starts `carasso up` on data with the given parts ("" is all) and waits until it
// is ready.
func startUp(ctx context.Context, data, osm, parts string) (*child, error) {
	addr, err := loopback(ctx)
	if err != nil {
		return nil, err
	}
	args := []string{"up", "--data", data, "--listen", addr, "--fleet", "0", "--quiet", "--map", osm}
	if parts != "" {
		args = append(args, "--parts", parts)
	}
	c, err := startChild(ctx, addr, nil, args...)
	if err != nil {
		return nil, err
	}
	private, err := credential.LoadOrCreate(keysDir(data))
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	issuer, err := credential.NewIssuer(private, nil)
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	if c.token, err = issuer.Role("bench", credential.Operator, tokenLife); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// startChild runs this binary and waits until it is ready on addr. Its warnings go to the
// benchmark's standard error.
func startChild(ctx context.Context, addr string, env []string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, append([]string{"--log-level=warn"}, args...)...) //nolint:gosec,noctx // itself; stopped by signal
	cmd.Stderr, cmd.Env = os.Stderr, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, url: "http://" + addr, exited: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.exited)
	}()
	for {
		if resp, err := c.get(ctx, "/readyz"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return c, nil
			}
		}
		select {
		case <-c.exited:
			return nil, fmt.Errorf("carasso %s: %w", args[0], c.err)
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), c.stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the child cleanly; a second call returns the same.
func (c *child) stop() error {
	select {
	case <-c.exited:
		return c.err
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-c.exited:
	case <-time.After(time.Minute):
		_ = c.cmd.Process.Kill()
		<-c.exited
	}
	return c.err
}

func (c *child) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	return http.DefaultClient.Do(req)
}

// pipelineFigures is what the benchmark reads of /v1/pipeline.
type pipelineFigures struct {
	Queue struct {
		Visible    int64   `json:"visible"`
		InFlight   int64   `json:"in_flight"`
		OldestAgeS float64 `json:"oldest_age_s"`
	} `json:"queue"`
	LagS      float64 `json:"lag_s"`
	Freshness map[string]struct {
		P50S float64 `json:"p50_s"`
		P95S float64 `json:"p95_s"`
	} `json:"freshness"`
	Totals struct {
		HandledSamples int64 `json:"handled_samples"`
	} `json:"totals"`
}

func (c *child) pipeline(ctx context.Context) (f pipelineFigures, err error) {
	resp, err := c.get(ctx, "/v1/pipeline")
	if err != nil {
		return f, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return f, fmt.Errorf("/v1/pipeline: %s", resp.Status)
	}
	return f, json.NewDecoder(resp.Body).Decode(&f)
}

func (c *child) waitForMap(ctx context.Context) error {
	for {
		resp, err := c.get(ctx, "/v1/tiles.json")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := c.pause(ctx); err != nil {
			return fmt.Errorf("waiting for the map: %w", err)
		}
	}
}

func (c *child) waitForSamples(ctx context.Context, n int64) error {
	for {
		f, err := c.pipeline(ctx)
		if err == nil && f.Totals.HandledSamples >= n {
			return nil
		}
		if err := c.pause(ctx); err != nil {
			return fmt.Errorf("waiting for %d samples: %w", n, err)
		}
	}
}

func (c *child) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.exited:
		return fmt.Errorf("it ended: %w", c.err)
	case <-time.After(200 * time.Millisecond):
		return nil
	}
}

// observed is what was seen each second of a run.
type observed struct {
	queueAge           []float64 // s
	lastAge            float64   // s, highest of the last five seconds
	freshP50, freshP95 float64   // s
}

// watch looks at the pipeline each second until the returned function is called.
func (c *child) watch(ctx context.Context) func() observed {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan observed, 1)
	go func() {
		var o observed
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				for _, age := range o.queueAge[max(0, len(o.queueAge)-5):] {
					o.lastAge = max(o.lastAge, age)
				}
				done <- o
				return
			case <-tick.C:
			}
			f, err := c.pipeline(ctx)
			if err != nil {
				continue
			}
			o.queueAge = append(o.queueAge, f.Queue.OldestAgeS)
			if fresh, ok := f.Freshness["speeds"]; ok {
				o.freshP50, o.freshP95 = fresh.P50S, fresh.P95S
			}
		}
	}()
	return func() observed { cancel(); return <-done }
}

// metric is the sum over all label sets of a Prometheus metric; 0 if it can't be read.
func (c *child) metric(ctx context.Context, name string) (sum float64) {
	for _, v := range c.metrics(ctx, name) {
		sum += v
	}
	return sum
}

// metrics are the values of a Prometheus metric by label set.
func (c *child) metrics(ctx context.Context, name string) map[string]float64 {
	found := map[string]float64{}
	resp, err := c.get(ctx, "/metrics")
	if err != nil {
		return found
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		at := strings.LastIndexByte(rest, ' ')
		if v, err := strconv.ParseFloat(rest[at+1:], 64); err == nil {
			found[rest[:at]] = v
		}
	}
	return found
}

// spent is what a child and the PostgreSQL below it have used so far.
type spent struct {
	cpu, pgCPU float64 // s
	peakMB     float64 // of the child alone
}

func (c *child) usage() (u spent) {
	pid := c.cmd.Process.Pid
	u.cpu, _ = procCPU(pid, false)
	u.peakMB = procPeakMB(pid)
	for _, p := range childrenOf(pid) {
		for _, backend := range append(childrenOf(p), p) {
			_, t := procCPU(backend, backend == p)
			u.pgCPU += t
		}
	}
	return u
}

// ticks is USER_HZ, which is 100 on all Linux systems that Go runs on.
const ticks = 100

// procCPU is user and system time in seconds; with reaped also that of ended children.
func procCPU(pid int, reaped bool) (own, total float64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 15 {
		return 0, 0
	}
	v := func(i int) float64 { f, _ := strconv.ParseFloat(fields[i], 64); return f / ticks }
	own = v(11) + v(12)
	total = own
	if reaped {
		total += v(13) + v(14)
	}
	return own, total
}

func procPeakMB(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb / 1000
		}
	}
	return 0
}

func childrenOf(pid int) (children []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		b, _ := os.ReadFile(t)
		for f := range strings.FieldsSeq(string(b)) {
			if c, err := strconv.Atoi(f); err == nil {
				children = append(children, c)
			}
		}
	}
	return children
}

func ownCPU() float64 {
	own, _ := procCPU(os.Getpid(), false)
	return own
}

func cpuModel() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if key, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown processor"
}

func archivedBytes(data string) (n int64, err error) {
	err = filepath.WalkDir(filepath.Join(data, "objects", "raw"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
