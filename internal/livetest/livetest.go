// Package livetest is the conformance suite of the live store port: every adapter that keeps
// small current items under version conditions passes it.
package livetest

import (
	"context"
	"testing"
	"time"
)

// MaxValue is the largest value in bytes that a store has to take; a larger one is refused.
const MaxValue = 64 << 10

// Store is the port. Keys are 1 to 200 bytes of [a-zA-Z0-9/_.:-]; another key is an error that isn't
// fs.ErrNotExist. All methods are safe for concurrent use; a method that returned has taken effect for
// every later call (strong consistency). An expired item is absent to every method.
type Store interface {
	// Get is the item's value and version; errors.Is(err, fs.ErrNotExist) when absent.
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
	// PutIfNewer writes the item and reports true if it is absent or its version is lower than
	// version; otherwise it changes nothing and reports false. version is not negative. The item
	// expires ttl from now on; never if ttl is 0, whatever the old item's time was.
	PutIfNewer(ctx context.Context, key string, version int64, value []byte, ttl time.Duration) (bool, error)
	// Create writes the item with version 0 and reports true if it is absent, else false.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (created bool, err error)
	// Delete removes the item; an absent one is no error. Its version is forgotten.
	Delete(ctx context.Context, key string) error
}

// Options adapt the suite to the adapter's clock.
type Options struct {
	// TTL is the time to live that the tests give items; default 2 s.
	TTL time.Duration
	// Granularity is the resolution of the adapter's expiry: how much too early or too late an item may
	// become absent; default 1 s, as DynamoDB's epoch seconds have it.
	Granularity time.Duration
	// Rounds is the number of contested versions; default 20.
	Rounds int
}

// Run runs the suite. open returns a store that is nobody else's; it registers its own cleanup. It may
// be shared between the subtests (each uses keys of its own), and they run in parallel.
func Run(t *testing.T, open func(t *testing.T) Store, opts Options) {
	t.Helper()
	if opts.TTL == 0 {
		opts.TTL = 2 * time.Second
	}
	if opts.Granularity == 0 {
		opts.Granularity = time.Second
	}
	if opts.Rounds == 0 {
		opts.Rounds = 20
	}
	tests := []struct {
		name string
		run  func(*testing.T, Store, Options)
	}{
		{"Absent", testAbsent},
		{"PutIfNewer", testPutIfNewer},
		{"Create", testCreate},
		{"Delete", testDelete},
		{"Values", testValues},
		{"Keys", testKeys},
		{"InvalidKeys", testInvalidKeys},
		{"Cancelled", testCancelled},
		{"OneWinnerPerVersion", testOneWinnerPerVersion},
		{"NeverGoesBack", testNeverGoesBack},
		{"OneCreator", testOneCreator},
		{"PutExpires", testPutExpires},
		{"CreateExpires", testCreateExpires},
		{"PutRenews", testPutRenews},
		{"PutWithoutTTLStays", testPutWithoutTTLStays},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t), opts)
		})
	}
}
