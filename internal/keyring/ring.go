// Package keyring turns what identifies people into what does not: pseudonyms and
// trip keys under keys that change every UTC day and can be destroyed, and claim ids and
// status ids under one key each that stays.
package keyring

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"sync"
	"time"

	"github.com/carasso/carasso/telemetry"
)

// KeySize is the size of the master key and of every derived and day key, in bytes.
const KeySize = 32

// LiveStore is where the day keys live, wrapped, one item a day.
type LiveStore interface {
	// Get returns fs.ErrNotExist when the item is absent.
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
	// Create writes the item iff it is absent.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (created bool, err error)
	Delete(ctx context.Context, key string) error
}

// Deps are what a Ring works with.
type Deps struct {
	// Master wraps the day keys and derives the claim key. Losing it makes every
	// pseudonym unlinkable and lets every batch in the time window be claimed again.
	Master [KeySize]byte
	Store  LiveStore
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Ring derives claim ids, pseudonyms and trip keys. Safe for concurrent use. It works
// without Run, which only keeps its day keys fresh.
type Ring struct {
	claim   *hasher
	status  *hasher
	receipt ed25519.PrivateKey
	days    *days
}

// New derives the fixed keys; day keys are fetched when first needed.
func New(deps Deps) (*Ring, error) {
	if deps.Store == nil || deps.Logger == nil {
		return nil, errors.New("keyring: Store and Logger are required")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	claimKey, err := hkdf.Key(sha256.New, deps.Master[:], nil, "carasso claim id", KeySize)
	if err != nil {
		return nil, fmt.Errorf("keyring derive: %w", err)
	}
	statusKey, err := hkdf.Key(sha256.New, deps.Master[:], nil, "carasso vehicle status", KeySize)
	if err != nil {
		return nil, fmt.Errorf("keyring derive: %w", err)
	}
	wrapKey, err := hkdf.Key(sha256.New, deps.Master[:], nil, "carasso day key", KeySize)
	if err != nil {
		return nil, fmt.Errorf("keyring derive: %w", err)
	}
	seed, err := hkdf.Key(sha256.New, deps.Master[:], nil, "carasso receipt", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("keyring derive: %w", err)
	}
	w, err := newWrapper(wrapKey)
	if err != nil {
		return nil, err
	}
	return &Ring{claim: newHasher(claimKey), status: newHasher(statusKey), receipt: ed25519.NewKeyFromSeed(seed), days: newDays(deps, w)}, nil
}

// SignReceipt signs a document with Ed25519 (RFC 8032), under a key derived from the master key. The same document has always
// the same signature.
func (r *Ring) SignReceipt(document []byte) []byte { return ed25519.Sign(r.receipt, document) }

// ReceiptKey is the public key of SignReceipt, of 32 bytes.
func (r *Ring) ReceiptKey() ed25519.PublicKey {
	return ed25519.PublicKey(r.receipt[ed25519.SeedSize:])
}

// ClaimID is the time prefix of batch and 80 bits of HMAC-SHA-256 over batch and
// vehicle. It is the same for ever, so that a resend after midnight is still a
// duplicate, and differs by vehicle, so that none can claim another's batch.
func (r *Ring) ClaimID(vehicle string, batch telemetry.BatchID) telemetry.ClaimID {
	sum := r.claim.sum(batch[:], vehicle, "")
	var id telemetry.ClaimID
	copy(id[:6], batch[:6])
	copy(id[6:], sum[:])
	return id
}

// StatusID is 128 bits of HMAC-SHA-256 over vehicle under a key of its own that stays: the name under which is kept
// whether the vehicle gets through, and nothing of where it was.
func (r *Ring) StatusID(vehicle string) [16]byte {
	sum := r.status.sum(purposeVehicle, vehicle, "")
	return [16]byte(sum[:16])
}

// Pseudonym is 64 bits of HMAC-SHA-256 over vehicle, under the key of the UTC day of
// eventTimeMS (ms since the epoch). It fails when that day's key is neither in memory
// nor to be had from the store.
func (r *Ring) Pseudonym(ctx context.Context, vehicle string, eventTimeMS int64) (uint64, error) {
	h, err := r.days.hasher(ctx, eventTimeMS)
	if err != nil {
		return 0, err
	}
	sum := h.sum(purposeVehicle, vehicle, "")
	return binary.BigEndian.Uint64(sum[:8]), nil
}

// TripKey is 64 bits of HMAC-SHA-256 over vehicle and trip, under the same day key as
// Pseudonym: a trip over midnight has two. Never 0; fails as Pseudonym does.
func (r *Ring) TripKey(ctx context.Context, vehicle, trip string, eventTimeMS int64) (uint64, error) {
	h, err := r.days.hasher(ctx, eventTimeMS)
	if err != nil {
		return 0, err
	}
	sum := h.sum(purposeTrip, vehicle, trip)
	return max(binary.BigEndian.Uint64(sum[:8]), 1), nil
}

// Run keeps today's and tomorrow's keys in memory and follows keys that were destroyed
// elsewhere, until ctx ends.
func (r *Ring) Run(ctx context.Context) { r.days.run(ctx) }

// Ready fetches today's key: a check for readiness.
func (r *Ring) Ready(ctx context.Context) error {
	_, err := r.days.hasher(ctx, r.days.now().UnixMilli())
	return err
}

// Destroy removes the key of day's UTC day for good: what was stored under it can't be
// linked to a vehicle any more. Other processes forget it within Refresh.
func (r *Ring) Destroy(ctx context.Context, day time.Time) error {
	return r.days.destroy(ctx, dayOf(day.UnixMilli()))
}

// Purposes separate the uses of one key; each is as long as a BatchID is not.
var (
	purposeVehicle = []byte("vehicle")
	purposeTrip    = []byte("trip")
)

// hasher computes HMACs under one key without allocating. Safe for concurrent use.
type hasher struct{ pool sync.Pool }

type hashState struct {
	mac hash.Hash
	buf []byte
	out [sha256.Size]byte
}

func newHasher(key []byte) *hasher {
	return &hasher{pool: sync.Pool{New: func() any {
		s := &hashState{mac: hmac.New(sha256.New, key)}
		s.mac.Reset() // keeps the key's state, so that later Resets cost nothing
		return s
	}}}
}

// sum is the HMAC over the parts, each with its length before it.
func (h *hasher) sum(prefix []byte, a, b string) [sha256.Size]byte {
	s, _ := h.pool.Get().(*hashState)
	s.mac.Reset()
	s.buf = s.buf[:0]
	s.buf = append(binary.AppendUvarint(s.buf, uint64(len(prefix))), prefix...)
	s.buf = append(binary.AppendUvarint(s.buf, uint64(len(a))), a...)
	s.buf = append(binary.AppendUvarint(s.buf, uint64(len(b))), b...)
	_, _ = s.mac.Write(s.buf) // never fails
	s.mac.Sum(s.out[:0])
	out := s.out
	h.pool.Put(s)
	return out
}
