// Package objecttest is the conformance suite of the object store port: every adapter that
// keeps the raw archive, map partitions and tiles passes it.
//
//nolint:thelper // these are the tests, not helpers
package objecttest

import (
	"context"
	"testing"
	"time"
)

// Store is the port. Keys are 1 to 512 bytes of [a-zA-Z0-9/_.:=-], segments divided by single
// slashes; no segment is empty, "." or "..", nor begins with ".". A key must not be another's folder (a
// and a/b): a store may refuse that. All methods are safe for concurrent use and
// end with an error soon after ctx ends. An invalid key is an error that isn't fs.ErrNotExist.
type Store interface {
	// Put creates or replaces the object and returns when it is durable. A concurrent or later
	// Get reads the old body or the new one, never a mix or a part, also when Put fails.
	Put(ctx context.Context, key string, body []byte, contentType, contentEncoding string) error
	// Get is the body as it was put, still encoded. errors.Is(err, fs.ErrNotExist) when absent.
	Get(ctx context.Context, key string) ([]byte, error)
	// Delete removes the object; an absent one is no error.
	Delete(ctx context.Context, key string) error
	// List calls each for every object whose key begins with prefix, in the order of the keys'
	// bytes, until each returns an error, which List returns (errors.Is).
	// size is that of the body in bytes. Objects put or deleted meanwhile may be missed.
	List(ctx context.Context, prefix string, each func(key string, size int64, modified time.Time) error) error
}

// Options bound the suite's size.
type Options struct {
	// Many is how many objects are listed at once; default 1,100, more than a page of S3's.
	Many int
	// Rounds is how often each writer replaces the contested object; default 20.
	Rounds int
}

// Run runs the suite. open returns a store that is empty and nobody else's; it registers its own cleanup.
func Run(t *testing.T, open func(t *testing.T) Store, opts Options) {
	t.Helper()
	if opts.Many == 0 {
		opts.Many = 1100
	}
	if opts.Rounds == 0 {
		opts.Rounds = 20
	}
	tests := []struct {
		name string
		run  func(*testing.T, Store)
	}{
		{"RoundTrip", testRoundTrip},
		{"Overwrite", testOverwrite},
		{"PutKeepsNothing", testPutKeepsNothing},
		{"EncodingIsKept", testEncodingIsKept},
		{"Absent", testAbsent},
		{"Delete", testDelete},
		{"InvalidKeys", testInvalidKeys},
		{"Cancelled", testCancelled},
		{"Atomic", func(t *testing.T, s Store) { testAtomic(t, s, opts.Rounds) }},
		{"ConcurrentKeys", testConcurrentKeys},
		{"List", testList},
		{"ListStops", testListStops},
		{"ListMany", func(t *testing.T, s Store) { testListMany(t, s, opts.Many) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}
