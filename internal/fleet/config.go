// Package fleet simulates vehicles that drive over a real road network, report
// floating car data to a receiver, and at the end verify that every batch accepted is
// in the ledger exactly once and that the speeds learned are the speeds driven.
//
// A Simulation is deterministic: the same Config and Network give the same roads,
// speeds, signals and batches, shifted in time by when it starts. What depends on the
// network and the target (retries, latencies) never reaches back into it.
package fleet

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"
)

// The body forms of Config.Format and Config.Compression.
const (
	FormatProtobuf = "protobuf"
	FormatJSON     = "json"
	Gzip           = "gzip"
	Zstd           = "zstd"
)

// Config says how many vehicles drive where and how they report. DefaultConfig gives
// the documented defaults; a zero Config is not valid.
type Config struct {
	Target     string        // receiver's base URL, http or https
	Management string        // management API's base URL; "" = Target
	Vehicles   int           // simulated vehicles, 1 to 1,000,000; default 1,000
	Rate       float64       // batches/s of all vehicles; 0 = each at SampleHz, about Vehicles/BatchSize
	Duration   time.Duration // of driving; 0 = until the context ends (Verify must be off); default 1 min
	Seed       uint64        // same seed, same traffic; default 1

	BatchSize   int    // counted samples a batch, 1 to 3,600; default 10
	LeadIn      int    // samples repeated from the batch before, 0 to 60; default 0
	Format      string // FormatProtobuf (default) or FormatJSON
	Compression string // "" (default), Gzip or Zstd
	Gateway     bool   // one gateway credential for all, vehicle_id in the batches
	Altitude    bool   // report a plausible altitude

	Riders int // vehicles that also keep a map of their own fresh, from Management, 0 to 1,000; default 0

	Destinations int           // trip ends known to the router, 1 to 4,096; default 256, fewer on huge maps
	DayStart     time.Duration // time of day at the start, 0 to 24 h; < 0 = follow the clock (UTC); default 8 h
	GPSSigmaM    float64       // standard deviation of each position axis, m; default 4
	GPSTau       time.Duration // correlation time of the position's error; default 30 s
	ParkedShare  float64       // share of time parked between trips, 0 to 0.5; default 0.03

	World       uint64   // seed of the truth: limits, speeds, hazards; 0 = Seed
	Closed      []uint64 // road.Edge that nobody drives, whatever the map says; the others must lead to one another
	WrongLimits float64  // share of the map's limits that are wrong, by stretch of road, 0 to 0.5; default 0.01
	SignEvery   float64  // share of main roads longer than 100 m with a sign of their own, 0 to 1; elsewhere a third; default 0.9
	Variants    float64  // share of main roads with another limit when wet or at night, 0 to 1; default 0.03
	FalseAlarms float64  // share of roads entered on which a hazard is reported that is none, 0 to 0.5; default 0.0001
	BadCars     float64  // share of vehicles with a broken sensor, see Fault, 0 to 0.5; default 0.01
	WrongWays   float64  // share of passes by a one-way road's end that turn into it, 0 to 0.1; default 0.00002

	OfflineShare   float64       // share of vehicles silent at a time, 0 to 0.5; default 0.005
	OfflineMax     time.Duration // longest silence (shortest is a tenth); what was not sent comes then; default 1 min
	DuplicateShare float64       // share of batches sent again on purpose, at once or within 30 s; default 0.005
	BurstShare     float64       // share of batches sent 5 times concurrently; default 0.0005

	MaxConns    int           // connections = requests in flight, 1 to 20,000; default 1,024
	MaxBuffered int           // batches generated and not yet settled, offline ones included; default 65,536
	Timeout     time.Duration // of one request (up to twice as long); default 10 s

	Verify        bool          // compare with ledger and map at the end; default true
	VerifyTimeout time.Duration // for settling, draining and looking up; default 2 min
}

// DefaultConfig is the documented default of every field; Target is left empty.
func DefaultConfig() Config {
	return Config{
		Vehicles: 1000, Duration: time.Minute, Seed: 1,
		BatchSize: 10, Format: FormatProtobuf,
		Destinations: 256, DayStart: 8 * time.Hour, GPSSigmaM: 4, GPSTau: 30 * time.Second, ParkedShare: 0.03,
		WrongLimits: 0.01, SignEvery: 0.9, Variants: 0.03, FalseAlarms: 1e-4, BadCars: 0.01, WrongWays: 2e-5,
		OfflineShare: 0.005, OfflineMax: time.Minute, DuplicateShare: 0.005, BurstShare: 0.0005,
		MaxConns: 1024, MaxBuffered: 65536, Timeout: 10 * time.Second,
		Verify: true, VerifyTimeout: 2 * time.Minute,
	}
}

// SampleHz is the sampling rate when Rate is 0.
const SampleHz = 1

// maxRecords bounds the memory that verification keeps: 24 B a batch.
const maxRecords = 100_000_000

// Validate names every field that is out of its range. It checks what Run needs;
// a Simulation alone needs no Target.
func (c Config) Validate() error {
	errs := []error{c.validateSimulation()}
	check := func(ok bool, field, want string, got any) {
		if !ok {
			errs = append(errs, fmt.Errorf("fleet config: %s: want %s, got %v", field, want, got))
		}
	}
	check(validURL(c.Target), "target", "an http or https URL", c.Target)
	check(c.Management == "" || validURL(c.Management), "management", "empty or an http or https URL", c.Management)
	check(c.Duration >= 0, "duration", "0 or more", c.Duration)
	check(c.Duration > 0 || !c.Verify, "duration", "more than 0 when verifying", c.Duration)
	check(!c.Verify || c.Duration.Seconds()*c.batchRate() <= maxRecords, "duration × rate", "at most 1e8 batches when verifying",
		c.Duration.Seconds()*c.batchRate())
	check(c.MaxConns >= 1 && c.MaxConns <= 20000, "max_conns", "1 to 20000", c.MaxConns)
	check(c.MaxBuffered >= c.MaxConns && c.MaxBuffered <= 1<<22, "max_buffered", "max_conns to 4194304", c.MaxBuffered)
	check(c.Riders >= 0 && c.Riders <= 1000, "riders", "0 to 1000", c.Riders)
	check(c.Timeout >= 100*time.Millisecond, "timeout", "at least 100ms", c.Timeout)
	check(!c.Verify || c.VerifyTimeout >= time.Second, "verify_timeout", "at least 1s", c.VerifyTimeout)
	return errors.Join(errs...)
}

func (c Config) validateSimulation() error {
	var errs []error
	check := func(ok bool, field, want string, got any) {
		if !ok {
			errs = append(errs, fmt.Errorf("fleet config: %s: want %s, got %v", field, want, got))
		}
	}
	check(c.Vehicles >= 1 && c.Vehicles <= 1_000_000, "vehicles", "1 to 1000000", c.Vehicles)
	check(c.Rate >= 0 && c.Rate <= 1e6, "rate", "0 to 1e6", c.Rate)
	check(c.BatchSize >= 1 && c.BatchSize <= 3600, "batch_size", "1 to 3600", c.BatchSize)
	check(c.LeadIn >= 0 && c.LeadIn <= 60 && c.LeadIn+c.BatchSize <= 3600, "lead_in", "0 to 60", c.LeadIn)
	check(c.Format == FormatProtobuf || c.Format == FormatJSON, "format", "protobuf or json", c.Format)
	check(c.Compression == "" || c.Compression == Gzip || c.Compression == Zstd, "compression", "empty, gzip or zstd", c.Compression)
	check(c.Destinations >= 1 && c.Destinations <= 4096, "destinations", "1 to 4096", c.Destinations)
	check(c.DayStart <= 24*time.Hour, "day_start", "at most 24h", c.DayStart)
	check(c.GPSSigmaM >= 0 && c.GPSSigmaM <= 100, "gps_sigma_m", "0 to 100", c.GPSSigmaM)
	check(c.GPSTau >= 0, "gps_tau", "0 or more", c.GPSTau)
	check(c.ParkedShare >= 0 && c.ParkedShare <= 0.5, "parked_share", "0 to 0.5", c.ParkedShare)
	check(c.WrongLimits >= 0 && c.WrongLimits <= 0.5, "wrong_limits", "0 to 0.5", c.WrongLimits)
	check(c.SignEvery >= 0 && c.SignEvery <= 1, "sign_every", "0 to 1", c.SignEvery)
	check(c.Variants >= 0 && c.Variants <= 1, "variants", "0 to 1", c.Variants)
	check(c.FalseAlarms >= 0 && c.FalseAlarms <= 0.5, "false_alarms", "0 to 0.5", c.FalseAlarms)
	check(c.BadCars >= 0 && c.BadCars <= 0.5, "bad_cars", "0 to 0.5", c.BadCars)
	check(c.BadCars*float64(c.Vehicles) < 60_000, "bad_cars × vehicles", "less than 60000", c.BadCars*float64(c.Vehicles))
	check(c.WrongWays >= 0 && c.WrongWays <= 0.1, "wrong_ways", "0 to 0.1", c.WrongWays)
	check(c.OfflineShare >= 0 && c.OfflineShare <= 0.5, "offline_share", "0 to 0.5", c.OfflineShare)
	check(c.OfflineShare == 0 || c.OfflineMax >= time.Millisecond && c.OfflineMax <= 24*time.Hour, "offline_max", "1ms to 24h", c.OfflineMax)
	check(c.DuplicateShare >= 0 && c.DuplicateShare <= 1, "duplicate_share", "0 to 1", c.DuplicateShare)
	check(c.BurstShare >= 0 && c.BurstShare <= 1, "burst_share", "0 to 1", c.BurstShare)
	if c.Vehicles >= 1 && c.BatchSize >= 1 {
		iv := c.interval()
		check(iv >= time.Millisecond && iv <= time.Minute, "rate", "vehicles, rate and batch_size that give a sample every 1ms to 1m", iv)
	}
	return errors.Join(errs...)
}

func validURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// slotRate is how often a vehicle's turn comes, per second over all vehicles. A parked
// vehicle's turn stays empty, so an explicit Rate is raised by what parking costs.
func (c Config) slotRate() float64 {
	if c.Rate == 0 {
		return float64(c.Vehicles) * SampleHz / float64(c.BatchSize)
	}
	return c.Rate / (1 - c.ParkedShare)
}

// batchRate is the expected number of batches per second.
func (c Config) batchRate() float64 { return c.slotRate() * (1 - c.ParkedShare) }

// interval is the time between two samples of a vehicle: its batches tile time
// without gap or overlap.
func (c Config) interval() time.Duration {
	return time.Duration(float64(c.Vehicles) / c.slotRate() / float64(c.BatchSize) * float64(time.Second))
}

// period is the time between two batches of a vehicle.
func (c Config) period() time.Duration { return c.interval() * time.Duration(c.BatchSize) }

func (c Config) management() string {
	if c.Management == "" {
		return c.Target
	}
	return c.Management
}

// Deps are the live objects that Run works with.
type Deps struct {
	// Network is the roads to drive on. It is read only and may be shared.
	Network *Network
	// VehicleToken returns a credential of the vehicle, valid for longer than the run. It is
	// called once a vehicle, from several goroutines. Unused when Config.Gateway is set.
	VehicleToken func(vehicle string) (string, error)
	// GatewayToken is a credential that may speak for any vehicle; used when Config.Gateway is set.
	GatewayToken string
	// OperatorToken opens the ledger for verification.
	OperatorToken string
	Logger        *slog.Logger // nil = discard
	Progress      io.Writer    // a line every second; nil = none
}

func (d *Deps) check(cfg Config) error {
	switch {
	case d.Network == nil || d.Network.Arcs() == 0:
		return errors.New("fleet: no road network")
	case cfg.Gateway && d.GatewayToken == "":
		return errors.New("fleet: no gateway token")
	case !cfg.Gateway && d.VehicleToken == nil:
		return errors.New("fleet: no source of vehicle tokens")
	case cfg.Verify && d.OperatorToken == "":
		return errors.New("fleet: no operator token to verify with")
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Progress == nil {
		d.Progress = io.Discard
	}
	return nil
}
