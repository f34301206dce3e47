package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/carasso/carasso/internal/credential"
	"github.com/carasso/carasso/internal/disk"
	"github.com/carasso/carasso/internal/fleet"
	"github.com/carasso/carasso/mapdata"
	"github.com/carasso/carasso/mapdata/road"
)

// tokenLife is how long the simulated cars' credentials are valid.
const tokenLife = 7 * 24 * time.Hour

// fleetCmd drives the simulated fleet against any receiver.
type fleetCmd struct {
	Target     string        `default:"http://127.0.0.1:8080" env:"CARASSO_TARGET" help:"Receiver's base URL."`
	Management string        `env:"CARASSO_MANAGEMENT" help:"Management API's base URL for the verification; the target if empty."`
	Vehicles   int           `default:"1000" help:"Simulated vehicles, up to 1,000,000."`
	Rate       float64       `default:"0" help:"Batches a second of all vehicles together; 0: each samples at 1 Hz."`
	Duration   time.Duration `default:"1m" help:"How long they drive."`
	Seed       uint64        `default:"1" help:"Same seed, same traffic."`
	BatchSize  int           `default:"10" help:"Samples a batch."`
	LeadIn     int           `default:"0" help:"Samples of the batch before that are repeated as context."`
	Format     string        `default:"protobuf" enum:"protobuf,json" help:"Form of the bodies: ${enum}."`
	Compress   string        `default:"" enum:",gzip,zstd" help:"Content-Encoding of the bodies: gzip or zstd."`
	Gateway    bool          `help:"One gateway credential for all, vehicle ids in the batches."`
	Conns      int           `default:"1024" help:"Connections, and so requests in flight."`
	Duplicates float64       `default:"0.005" help:"Share of batches that are sent again on purpose."`
	Offline    float64       `default:"0.005" help:"Share of vehicles that are out of coverage at a time."`
	Riders     int           `default:"5" help:"Vehicles that also keep a map of their own fresh, so that its traffic is known."`
	BadCars    float64       `default:"0.01" help:"Share of vehicles with a broken GPS, clock or camera."`
	FalseAlarm float64       `default:"0.0001" help:"Share of roads entered on which a hazard is reported that is none."`
	WrongLimit float64       `default:"0.01" help:"Share of the map's speed limits that are wrong."`
	Verify     bool          `default:"true" negatable:"" help:"Compare what was sent with the ledger and the map at the end."`
	VerifyFor  time.Duration `default:"2m" help:"How long settling, draining and looking up may take."`
	Map        string        `type:"path" env:"CARASSO_MAP" help:"OSM extract to drive on: the one that the target has imported. Default: the data folder's current map, else the Andorra extract."`
	Keys       keyFlags      `embed:""`
}

func (c *fleetCmd) config() fleet.Config {
	cfg := fleet.DefaultConfig()
	cfg.Target, cfg.Management = c.Target, c.Management
	cfg.Vehicles, cfg.Rate, cfg.Duration, cfg.Seed = c.Vehicles, c.Rate, c.Duration, c.Seed
	cfg.BatchSize, cfg.LeadIn, cfg.Format, cfg.Compression = c.BatchSize, c.LeadIn, c.Format, c.Compress
	cfg.Gateway, cfg.MaxConns = c.Gateway, c.Conns
	cfg.Riders = c.Riders
	cfg.BadCars, cfg.FalseAlarms, cfg.WrongLimits = c.BadCars, c.FalseAlarm, c.WrongLimit
	cfg.DuplicateShare, cfg.OfflineShare = c.Duplicates, c.Offline
	cfg.Verify, cfg.VerifyTimeout = c.Verify, c.VerifyFor
	return cfg
}

// Run implements the subcommand: exit code 1 when verification finds a difference.
func (c *fleetCmd) Run(ctx context.Context, logs *logFlags) error {
	log, err := logs.logger()
	if err != nil {
		return err
	}
	cfg := c.config()
	if err := cfg.Validate(); err != nil {
		return err
	}
	network, err := c.network(ctx)
	if err != nil {
		return err
	}
	issuer, err := c.Keys.issuer()
	if err != nil {
		return err
	}
	deps, err := fleetDeps(network, issuer)
	if err != nil {
		return err
	}
	deps.Logger, deps.Progress = log, os.Stderr
	report, err := fleet.Run(ctx, cfg, deps)
	if werr := report.WriteTable(os.Stdout); werr != nil {
		return werr
	}
	return err
}

// fleetDeps mints credentials with the key that the receiver trusts.
func fleetDeps(network *fleet.Network, issuer *credential.Issuer) (fleet.Deps, error) {
	operator, err := issuer.Role("fleet", credential.Operator, tokenLife)
	if err != nil {
		return fleet.Deps{}, err
	}
	gateway, err := issuer.Gateway("fleet", tokenLife)
	if err != nil {
		return fleet.Deps{}, err
	}
	return fleet.Deps{
		Network:       network,
		VehicleToken:  func(vehicle string) (string, error) { return issuer.Vehicle(vehicle, tokenLife) },
		GatewayToken:  gateway,
		OperatorToken: operator,
	}, nil
}

// network is the roads to drive on: those of a file that is named, else of the data folder,
// else of the demo's extract.
func (c *fleetCmd) network(ctx context.Context) (*fleet.Network, error) {
	if c.Map == "" {
		if _, err := os.Stat(filepath.Join(c.Keys.Data, "objects")); err == nil {
			store, err := disk.Open(disk.Config{Dir: filepath.Join(c.Keys.Data, "objects")})
			if err != nil {
				return nil, err
			}
			if network, err := loadNetwork(ctx, store); err == nil || !errors.Is(err, os.ErrNotExist) {
				return network, err
			}
		}
	}
	file, err := findMap(c.Map)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "carasso-fleet-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	store, err := disk.Open(disk.Config{Dir: dir, NoSync: true})
	if err != nil {
		return nil, err
	}
	if _, err := mapdata.ImportFile(ctx, file, store, mapdata.ImportOptions{Source: filepath.Base(file)}); err != nil {
		return nil, fmt.Errorf("map %s: %w", file, err)
	}
	return loadNetwork(ctx, store)
}

func loadNetwork(ctx context.Context, o road.Objects) (*fleet.Network, error) {
	graph, _, err := road.LoadGraph(ctx, o)
	if err != nil {
		return nil, err
	}
	return fleet.NewNetwork(graph)
}
