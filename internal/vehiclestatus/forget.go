package vehiclestatus

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/carasso/carasso/internal/livedoc"
)

// ForgetWithin is how long after Forget a receiver that reaches the live store may still write what it noted before, with the default
// Config.
const ForgetWithin = time.Minute

const (
	// forgottenKey is the item that lists who was to be forgotten lately.
	forgottenKey = "vehicles/forgotten"
	// forgottenFor is how long somebody is on the list: for receivers that do not reach the live store for a while.
	forgottenFor = time.Hour
	// maxForgotten bounds the list; the oldest go first.
	maxForgotten = 2000
)

// forgotten is who was to be forgotten and when, in ms since the epoch, oldest first.
type forgotten struct {
	ID   string `json:"id"`
	AtMS int64  `json:"at"`
}

// Forget tells all receivers to forget what they noted of a vehicle: they do so within ForgetWithin. What it sends later they note anew.
func Forget(ctx context.Context, store livedoc.Store, id ID, now time.Time) error {
	err := livedoc.Update(ctx, store, forgottenKey, forgottenFor, func(old []byte) ([]byte, error) {
		var all, list []forgotten
		if old != nil {
			if err := json.Unmarshal(old, &all); err != nil {
				return nil, err
			}
		}
		name := hex.EncodeToString(id[:])
		for _, f := range all {
			if f.ID != name && f.AtMS > now.Add(-forgottenFor).UnixMilli() {
				list = append(list, f)
			}
		}
		list = append(list, forgotten{name, now.UnixMilli()})
		return json.Marshal(list[max(0, len(list)-maxForgotten):])
	})
	if err != nil {
		return fmt.Errorf("forget a vehicle's status: %w", err)
	}
	return nil
}

// forget forgets who is on the list, once for each time that they came onto it.
func (n *Notebook) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	value, _, err := n.store.Get(ctx, forgottenKey)
	if errors.Is(err, fs.ErrNotExist) {
		n.forgotten = nil
		return
	}
	var list []forgotten
	if err == nil {
		err = json.Unmarshal(value, &list)
	}
	if err != nil {
		n.failures.Inc()
		n.log.WarnContext(ctx, "vehicles to be forgotten not readable", "error", err)
		return
	}
	now, fresh := make(map[ID]int64, len(list)), map[ID]bool{}
	for _, f := range list {
		var id ID
		if k, err := hex.Decode(id[:], []byte(f.ID[:min(len(f.ID), 2*len(id))])); err != nil || k != len(id) {
			continue
		}
		now[id] = f.AtMS
		if n.forgotten[id] != f.AtMS {
			fresh[id] = true
		}
	}
	n.forgotten = now
	if len(fresh) == 0 {
		return
	}
	for i := range n.shards {
		n.shards[i].forget(fresh)
	}
}

func (s *shard) forget(ids map[ID]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h, v := range s.notes {
		if ids[v.id] {
			v.forgotten = true
			delete(s.notes, h)
		}
	}
}

// Eraser forgets vehicles for good.
type Eraser struct {
	Store interface {
		livedoc.Store
		Delete(ctx context.Context, key string) error
	}
	Now func() time.Time
}

// Forget is Forget.
func (e Eraser) Forget(ctx context.Context, id [16]byte) error {
	return Forget(ctx, e.Store, id, e.Now())
}

// Delete deletes what is stored; without Forget, and ForgetWithin after it, receivers may write it anew.
func (e Eraser) Delete(ctx context.Context, id [16]byte) error {
	if err := e.Store.Delete(ctx, Key(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete a vehicle's status: %w", err)
	}
	return nil
}
