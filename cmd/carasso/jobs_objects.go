package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/carasso/carasso/internal/job"
	"github.com/carasso/carasso/internal/orphan"
	"github.com/carasso/carasso/internal/postgres"
	"github.com/carasso/carasso/mapdata/release"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// newOrphans wires the collection of orphans: who knows what is in use in which part of the object store. What is in none of
// these areas (maps, of which the archive names edges) is left alone.
func newOrphans(f jobsFlags, b backends, db *postgres.DB, log *slog.Logger) (*orphan.Collector, error) {
	releases := &keptReleases{objects: b.objects, keep: cmp.Or(f.Releases, 30)}
	return orphan.New(orphan.Config{}, db, b.objects, []orphan.Area{
		{Prefix: "raw/", Named: db.ArchiveNames},
		{Prefix: "quarantine/", Named: db.QuarantineNames, Reused: true}, // named by content: a redelivery's has the same key
		{Prefix: tile.Prefix, Named: func(ctx context.Context, keys []string) (map[string]bool, error) {
			version, err := road.ReadCurrent(ctx, b.objects)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			return tile.Named(ctx, b.live, version, keys)
		}, Reused: true},
		{Prefix: release.Prefix, Named: releases.named, Reused: true},
	}, log)
}

// keptReleases tells which objects the kept releases consist of; it reads their indexes again when there is a newer one.
type keptReleases struct {
	objects release.Objects
	keep    int

	mu     sync.Mutex
	newest string
	known  func(key string) bool
}

func (k *keptReleases) named(ctx context.Context, keys []string) (map[string]bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	newest, err := release.Current(ctx, k.objects)
	if err != nil {
		return nil, err
	}
	if k.known == nil || newest != k.newest {
		if k.known, err = release.Named(ctx, k.objects, k.keep); err != nil {
			return nil, err
		}
		k.newest = newest
	}
	out := make(map[string]bool, len(keys))
	for _, key := range keys {
		out[key] = k.known(key)
	}
	return out, nil
}

// releaseArgs are the arguments of a release.
type releaseArgs struct {
	SpeedDays int `json:"speed_days" doc:"Days before now that speeds are of, 1 to 28; 7 if missing or 0."`
}

// Validate implements job.Args.
func (a releaseArgs) Validate() error {
	if a.SpeedDays < 0 || a.SpeedDays > 28 {
		return &job.ArgsError{Pointer: "/speed_days", Detail: "expected 1 to 28"}
	}
	return nil
}

// releaseResult is what a release job did.
type releaseResult struct {
	Version string `json:"version"` // "" without a map
	Created bool   `json:"created"` // false: nothing has changed
	PMTiles string `json:"pmtiles"` // object
	Bytes   int    `json:"bytes"`   // of it, if it was made now
}

// makeRelease makes a release, unless nothing has changed, and sees that its archive is there: so a run that was killed in
// between is ended by the next.
func makeRelease(ctx context.Context, a releaseArgs, b backends, db *postgres.DB, log *slog.Logger, p job.Progress) (r releaseResult, err error) {
	if _, err := road.ReadCurrent(ctx, b.objects); errors.Is(err, fs.ErrNotExist) {
		return r, nil // there is nothing to release yet
	}
	p.Set(0, 2, "release")
	m, created, err := release.Create(ctx, b.objects, db, release.Config{K: kAnonymity, SpeedDays: a.SpeedDays, Now: time.Now(), Logger: log})
	if err != nil {
		return r, err
	}
	r.Version, r.Created = m.Version, created
	p.Set(1, 2, "PMTiles of "+m.Version)
	r.PMTiles, r.Bytes, err = release.Publish(ctx, b.objects, m, "")
	p.Set(2, 2, m.Version)
	return r, err
}
