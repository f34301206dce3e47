package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/disk"
	"github.com/carasso/carasso/mapdata"
)

// mapCmd groups what is done with maps.
type mapCmd struct {
	Import mapImportCmd `cmd:"" help:"Import an OpenStreetMap extract and make it the current map."`
}

// mapImportCmd imports into the bucket, or into a data folder.
type mapImportCmd struct {
	File   string `arg:"" type:"existingfile" help:"OSM extract: PBF, or XML plain, .gz or .bz2."`
	Data   string `default:"carasso-data" env:"CARASSO_DATA" help:"Data folder to import into, when no bucket is given."`
	Bucket string `env:"CARASSO_BUCKET" help:"S3 bucket to import into."`
	Tiles  string `name:"tile-bucket" env:"CARASSO_TILE_BUCKET" help:"S3 bucket of tiles, where it is another."`
}

// Run implements the subcommand.
func (c *mapImportCmd) Run(ctx context.Context, logs *logFlags) error {
	log, err := logs.logger()
	if err != nil {
		return err
	}
	var store mapdata.Objects
	if c.Bucket != "" {
		clients, err := awsclient.Load(ctx, awsclient.Config{}, nil)
		if err != nil {
			return fmt.Errorf("aws: %w", err)
		}
		defer clients.Close()
		if store, err = openObjects(clients, c.Bucket, c.Tiles); err != nil {
			return err
		}
	} else if store, err = disk.Open(disk.Config{Dir: filepath.Join(c.Data, "objects")}); err != nil {
		return err
	}
	start := time.Now()
	stage := ""
	m, err := mapdata.ImportFile(ctx, c.File, store, mapdata.ImportOptions{
		Source: filepath.Base(c.File),
		Logger: log,
		Progress: func(p mapdata.Progress) {
			if p.Stage != stage {
				stage = p.Stage
				fmt.Fprintf(os.Stderr, "%5.1f s  %s\n", time.Since(start).Seconds(), stage)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("import %s: %w", c.File, err)
	}
	_, err = fmt.Fprintf(os.Stdout, "map %s: %d segments, %.0f km, %d tiles, %.1f MB; %s\n",
		m.Version, m.Segments, m.LengthKM, len(m.Tiles), float64(m.Bytes)/1e6, m.Attribution)
	return err
}

// findMap is the map to import at the first start: the one named, else the Andorra extract
// among the module cache's test data, where the build of this binary has put it.
func findMap(named string) (string, error) {
	if named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("map: %w", err)
		}
		return named, nil
	}
	cache := os.Getenv("GOMODCACHE")
	if cache == "" {
		gopath := os.Getenv("GOPATH")
		if gopath == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", errNoMapFile
			}
			gopath = filepath.Join(home, "go")
		}
		cache = filepath.Join(gopath, "pkg", "mod")
	}
	found, err := filepath.Glob(filepath.Join(cache, "github.com", "paulmach", "osm@*", "testdata", "andorra-latest.osm.bz2"))
	if err != nil || len(found) == 0 {
		return "", errNoMapFile
	}
	return found[len(found)-1], nil
}

var errNoMapFile = errors.New("no map: give an OpenStreetMap extract with --map FILE.osm.pbf (PBF, or XML plain, .gz, .bz2); " +
	"`make run` uses the Andorra extract that comes with a dependency")
