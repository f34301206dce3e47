package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/disk"
	"github.com/carasso/carasso/internal/pgserver"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/mapdata/release"
	"github.com/carasso/carasso/mapdata/road"
)

// releaseCmd groups what is done with releases of the map.
type releaseCmd struct {
	Create releaseCreateCmd `cmd:"" help:"Release the current map with what has been learned on it."`
	List   releaseListCmd   `cmd:"" help:"List the releases, newest first."`
	Show   releaseShowCmd   `cmd:"" help:"Show a release's manifest."`
	Diff   releaseDiffCmd   `cmd:"" help:"Show what changed between two releases, why, and on what evidence."`
	Export releaseExportCmd `cmd:"" help:"Write a release as one PMTiles file."`
}

// objectFlags find the object store: a bucket, or a data folder.
type objectFlags struct {
	Data   string `default:"carasso-data" env:"CARASSO_DATA" help:"Data folder, when no bucket is given."`
	Bucket string `env:"CARASSO_BUCKET" help:"S3 bucket."`
	Tiles  string `name:"tile-bucket" env:"CARASSO_TILE_BUCKET" help:"S3 bucket of tiles and releases, where it is another."`
}

// open opens the object store; close ends its connections.
func (f *objectFlags) open(ctx context.Context) (o release.Objects, closeStore func(), err error) {
	if f.Bucket == "" {
		o, err := disk.Open(disk.Config{Dir: filepath.Join(f.Data, "objects")})
		return o, func() {}, err
	}
	clients, err := awsclient.Load(ctx, awsclient.Config{}, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("aws: %w", err)
	}
	store, err := openObjects(clients, f.Bucket, f.Tiles)
	if err != nil {
		clients.Close()
		return nil, nil, err
	}
	return store, clients.Close, nil
}

// releaseCreateCmd makes a release.
type releaseCreateCmd struct {
	objectFlags `embed:""`
	DatabaseURL string `env:"CARASSO_DATABASE_URL" help:"PostgreSQL, as a libpq connection string; default: the data folder's own, running or not."`
	PostgresBin string `env:"CARASSO_POSTGRES_BIN" help:"Folder with PostgreSQL's binaries, to start the data folder's own; found by itself if empty."`
	SpeedDays   int    `default:"7" help:"Days before now that speeds are of, 1 to 28."`
}

// Run implements the subcommand.
func (c *releaseCreateCmd) Run(ctx context.Context, logs *logFlags) (err error) {
	log, err := logs.logger()
	if err != nil {
		return err
	}
	o, closeStore, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	url, stop, err := c.database(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	db, err := postgres.Open(ctx, postgres.Config{URL: url, ApplicationName: "carasso-release"}, log)
	if err != nil {
		return err
	}
	defer db.Close()
	m, created, err := release.Create(ctx, o, db, release.Config{K: kAnonymity, SpeedDays: c.SpeedDays, Now: time.Now(), Logger: log})
	if err != nil {
		return err
	}
	if !created {
		_, err = fmt.Fprintf(os.Stdout, "nothing has changed since %s\n", m.Version)
		return err
	}
	return showRelease(os.Stdout, m)
}

// database is where the database is: the one named, the data folder's if it runs, else it is
// started for as long as it takes.
func (c *releaseCreateCmd) database(ctx context.Context, log *slog.Logger) (url string, stop func() error, err error) {
	nothing := func() error { return nil }
	if c.DatabaseURL != "" {
		return c.DatabaseURL, nothing, nil
	}
	if c.Bucket != "" {
		return "", nil, errors.New("with a bucket, --database-url must be given")
	}
	dir, err := filepath.Abs(filepath.Join(c.Data, "postgres"))
	if err != nil {
		return "", nil, err
	}
	url, ok, err := pgserver.RunningURL(dir, databaseName)
	if ok || err != nil {
		return url, nothing, err
	}
	if _, err := os.Stat(dir); err != nil {
		return "", nil, fmt.Errorf("nothing has been learned in %s yet: %w", c.Data, err)
	}
	server, err := pgserver.Start(ctx, pgserver.Config{DataDir: dir, BinDir: c.PostgresBin, Logger: log})
	if err != nil {
		return "", nil, err
	}
	return server.URL(databaseName), func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return server.Stop(ctx)
	}, nil
}

// releaseListCmd lists releases.
type releaseListCmd struct {
	objectFlags `embed:""`
	Most        int `default:"20" help:"How many at most."`
}

// Run implements the subcommand.
func (c *releaseListCmd) Run(ctx context.Context) error {
	o, closeStore, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	list, err := release.List(ctx, o, c.Most)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(os.Stdout, "no release has been made")
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "RELEASE\tCREATED\tMAP\tLEARNED LIMITS\tSPEEDS\tMAP ERRORS\tCHANGED LIMITS")
	for _, m := range list {
		s := &m.Changes
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t+%d ~%d -%d\n", m.Version, m.Created.Format(time.RFC3339), m.MapVersion,
			m.Limits.Rows, m.Speeds.Rows, m.MapErrors.Rows, s.LimitsAdded, s.LimitsChanged, s.LimitsRemoved)
	}
	return w.Flush()
}

// releaseShowCmd shows one release.
type releaseShowCmd struct {
	objectFlags `embed:""`
	Version     string `arg:"" optional:"" default:"current" help:"The release; default: the newest."`
}

// Run implements the subcommand.
func (c *releaseShowCmd) Run(ctx context.Context) error {
	o, closeStore, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	m, err := release.Read(ctx, o, c.Version)
	if err != nil {
		return err
	}
	return showRelease(os.Stdout, m)
}

func showRelease(out io.Writer, m *release.Manifest) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "release\t%s\tof %s\n", m.Version, m.Created.Format(time.RFC3339))
	before := m.Previous
	if before == "" {
		before = "none"
	}
	fmt.Fprintf(w, "before\t%s\n", before)
	fmt.Fprintf(w, "map\t%s\t%s; %s\n", m.MapVersion, m.MapSource, m.Attribution)
	for i := range m.Layers {
		l := &m.Layers[i]
		fmt.Fprintf(w, "layer %s\t%d tiles\t%.2f MB, zoom %d to %d, %d changed\n", l.ID, l.Tiles, float64(l.Bytes)/1e6, l.MinZoom, l.MaxZoom, m.Changes.Tiles[l.ID])
	}
	s := &m.Changes
	fmt.Fprintf(w, "learned limits\t%d\t%d new, %d changed, %d gone\n", m.Limits.Rows, s.LimitsAdded, s.LimitsChanged, s.LimitsRemoved)
	fmt.Fprintf(w, "speeds\t%d\tof %d days\n", m.Speeds.Rows, m.SpeedDays)
	fmt.Fprintf(w, "map errors accepted\t%d\t%d new, %d resolved\n", m.MapErrors.Rows, s.ErrorsAccepted, s.ErrorsResolved)
	return w.Flush()
}

// releaseDiffCmd compares two releases.
type releaseDiffCmd struct {
	objectFlags `embed:""`
	To          string `arg:"" optional:"" default:"current" help:"The later release; default: the newest."`
	From        string `help:"The earlier one; default: the one before."`
	Most        int    `default:"100" help:"How many changes of a kind to list."`
}

// Run implements the subcommand.
func (c *releaseDiffCmd) Run(ctx context.Context) error {
	o, closeStore, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	to, err := release.Read(ctx, o, c.To)
	if err != nil {
		return err
	}
	var from *release.Manifest
	if c.From == "" {
		c.From = to.Previous
	}
	if c.From != "" {
		if from, err = release.Read(ctx, o, c.From); err != nil {
			return err
		}
	}
	d, err := release.Compare(ctx, o, from, to)
	if err != nil {
		return err
	}
	return showDiff(os.Stdout, d, c.Most)
}

func showDiff(out io.Writer, d *release.Diff, most int) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	from := d.From
	if from == "" {
		from = "nothing"
	}
	fmt.Fprintf(w, "from %s to %s\n", from, d.To)
	if d.Summary.MapChanged {
		fmt.Fprintf(w, "map\t%s → %s\n", d.FromMap, d.ToMap)
	}
	for name, n := range d.Summary.Tiles {
		fmt.Fprintf(w, "tiles of %s\t%d differ\n", name, n)
	}
	fmt.Fprintf(w, "limits\t%d new, %d changed, %d gone\n", d.Summary.LimitsAdded, d.Summary.LimitsChanged, d.Summary.LimitsRemoved)
	for i := range d.Limits[:min(len(d.Limits), most)] {
		l := &d.Limits[i]
		fmt.Fprintf(w, "  edge %s\t%s → %s\t%s\n", l.Edge, told(l.Before), told(l.After), l.Why)
	}
	rest(w, len(d.Limits), most)
	fmt.Fprintf(w, "map errors\t%d accepted, %d resolved\n", d.Summary.ErrorsAccepted, d.Summary.ErrorsResolved)
	for i := range d.Accepted[:min(len(d.Accepted), most)] {
		e := &d.Accepted[i]
		fmt.Fprintf(w, "  %s at %.5f,%.5f\taccepted\t%d vehicles, %d against, score %.2f\n", e.Type, e.At[1], e.At[0], e.Vehicles, e.Against, e.Score)
	}
	rest(w, len(d.Accepted), most)
	return w.Flush()
}

func rest(w io.Writer, n, most int) {
	if n > most {
		fmt.Fprintf(w, "  … and %d more\n", n-most)
	}
}

// told is a limit as a release tells it.
func told(l *release.LimitRow) string {
	if l == nil {
		return "not learned"
	}
	s := fmt.Appendf(nil, "%d km/h", l.KMH)
	if l.KMH == road.Unlimited {
		s = []byte("no limit")
	}
	for _, v := range l.Variants {
		s = fmt.Appendf(s, ", %d", v.KMH)
		if v.Wet {
			s = append(s, " when wet"...)
		}
		if v.FromHour != v.ToHour {
			s = fmt.Appendf(s, " from %d to %d h", v.FromHour, v.ToHour)
		}
	}
	return string(fmt.Appendf(s, " (map %d)", l.MapKMH))
}

// releaseExportCmd writes an archive.
type releaseExportCmd struct {
	objectFlags `embed:""`
	Version     string   `arg:"" optional:"" default:"current" help:"The release; default: the newest."`
	PMTiles     string   `name:"pmtiles" required:"" type:"path" help:"File to write."`
	Layers      []string `help:"Layers to export; default: all."`
}

// Run implements the subcommand. The file is complete or not there.
func (c *releaseExportCmd) Run(ctx context.Context) (err error) {
	o, closeStore, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	m, err := release.Read(ctx, o, c.Version)
	if err != nil {
		return err
	}
	dir := filepath.Dir(c.PMTiles)
	spool, err := os.CreateTemp(dir, ".pmtiles-spool-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()
	out, err := os.CreateTemp(dir, ".pmtiles-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // unless it was renamed
	b := bufio.NewWriterSize(out, 1<<20)
	e, err := release.Export(ctx, o, m, b, spool, c.Layers...)
	if err = errors.Join(err, b.Flush()); err != nil {
		return errors.Join(err, out.Close())
	}
	info, err := out.Stat()
	if err = errors.Join(err, out.Chmod(0o644), out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), c.PMTiles); err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, "%s: %d tiles, %d different, layers %v, %.2f MB; release %s, %s\n",
		c.PMTiles, e.Tiles, e.Contents, e.Layers, float64(info.Size())/1e6, m.Version, m.Attribution)
	return err
}
