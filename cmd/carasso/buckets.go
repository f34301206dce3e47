package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/carasso/carasso/internal/awsclient"
	"github.com/carasso/carasso/internal/s3"
	"github.com/carasso/carasso/mapdata/release"
	"github.com/carasso/carasso/mapdata/tile"
)

// openObjects opens the bucket; with a second one, that has what everybody may read.
func openObjects(c *awsclient.Clients, bucket, tileBucket string) (objects, error) {
	raw, err := s3.New(c.S3(), s3.Config{Bucket: bucket})
	if err != nil || tileBucket == "" || tileBucket == bucket {
		return raw, err
	}
	public, err := s3.New(c.S3(), s3.Config{Bucket: tileBucket})
	if err != nil {
		return nil, err
	}
	return split{public: public, rest: raw}, nil
}

// split keeps tiles and releases apart from all else, so that a store can be public without the archive being near.
type split struct{ public, rest objects }

// published are the prefixes of what everybody may read.
func published() []string { return []string{tile.Prefix, release.Prefix} }

func (s split) of(key string) objects {
	for _, p := range published() {
		if strings.HasPrefix(key, p) {
			return s.public
		}
	}
	return s.rest
}

func (s split) Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error {
	return s.of(key).Put(ctx, key, body, contentType, contentEncoding)
}

func (s split) Get(ctx context.Context, key string) ([]byte, error) { return s.of(key).Get(ctx, key) }

func (s split) Delete(ctx context.Context, key string) error { return s.of(key).Delete(ctx, key) }

// List lists both stores where the prefix may be of either, in the order of their keys: no key of the rest is among
// those of a published prefix.
func (s split) List(ctx context.Context, prefix string, each func(key string, size int64, modified time.Time) error) error {
	if s.of(prefix) == s.public {
		return s.public.List(ctx, prefix, each)
	}
	pending := slices.DeleteFunc(published(), func(p string) bool { return !strings.HasPrefix(p, prefix) })
	slices.Sort(pending)
	until := func(key string) error { // the published ones before key; "": all that are left
		for len(pending) > 0 && (key == "" || pending[0] < key) {
			p := pending[0]
			pending = pending[1:]
			if err := s.public.List(ctx, p, each); err != nil {
				return err
			}
		}
		return nil
	}
	err := s.rest.List(ctx, prefix, func(key string, size int64, modified time.Time) error {
		if err := until(key); err != nil {
			return err
		}
		return each(key, size, modified)
	})
	if err != nil {
		return err
	}
	return until("")
}
