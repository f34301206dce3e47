package keyring

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// DayPseudonym is what a vehicle was called on a UTC day.
type DayPseudonym struct {
	Day       time.Time // its start
	Pseudonym uint64
}

// lookUps bounds the day keys that one call of Pseudonyms reads at once.
const lookUps = 16

// Pseudonyms are the vehicle's for those UTC days from from to to (both included) whose key exists, in their order. Unlike
// Pseudonym it makes no key and keeps none in memory. It reads the store for each day.
func (r *Ring) Pseudonyms(ctx context.Context, vehicle string, from, to time.Time) ([]DayPseudonym, error) {
	first, last := dayOf(from.UnixMilli()), dayOf(to.UnixMilli())
	if last < first {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type found struct {
		pseudonym uint64
		ok        bool
	}
	all := make([]found, last-first+1)
	var wg sync.WaitGroup
	var once sync.Once
	var failure error
	next := make(chan int)
	for range min(lookUps, len(all)) {
		wg.Go(func() {
			for i := range next {
				key, ok, err := r.days.stored(ctx, first+day(i))
				if err != nil {
					once.Do(func() { failure = err; cancel() })
					continue
				}
				if ok {
					sum := newHasher(key[:]).sum(purposeVehicle, vehicle, "")
					all[i] = found{binary.BigEndian.Uint64(sum[:8]), true}
				}
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	wg.Wait()
	if failure != nil {
		return nil, failure
	}
	var out []DayPseudonym
	for i, f := range all {
		if f.ok {
			out = append(out, DayPseudonym{time.UnixMilli(int64(first+day(i)) * dayMS).UTC(), f.pseudonym})
		}
	}
	return out, nil
}

// stored reads a day's key; ok is false if there is none.
func (s *days) stored(ctx context.Context, d day) (key [KeySize]byte, ok bool, err error) {
	value, _, err := s.store.Get(ctx, d.item())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return key, false, nil
	case err != nil:
		return key, false, fmt.Errorf("keyring get %s: %w", d.item(), err)
	}
	key, err = s.wrap.open(d.item(), value)
	return key, err == nil, err
}
