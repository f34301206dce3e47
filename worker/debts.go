package worker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/carasso/carasso/mapdata/geo"
	"github.com/carasso/carasso/mapdata/maperror"
	"github.com/carasso/carasso/mapdata/road"
	"github.com/carasso/carasso/mapdata/tile"
)

// debt is a tile that could not be published, or lost to an equal or newer version.
type debt struct {
	tries int
	after time.Time // when it is tried again
}

// maxWait is the longest pause between two tries.
const maxWait = time.Minute

// debts are the tiles that are still to be published. They need not survive the process: tiles with content are on
// the list of live tiles until their last publication won, and a successor renews those.
type debts map[tile.ID]debt

// add notes a failure: the next try is in the next pass, then after 1 s, 2 s and so on.
func (d debts) add(id tile.ID, now time.Time) {
	x := d[id]
	x.after = now
	if x.tries > 0 {
		x.after = now.Add(min(maxWait, time.Second<<min(x.tries-1, 10)))
	}
	x.tries++
	d[id] = x
}

// due lists what is to be tried now, also when the clock was set back.
func (d debts) due(now time.Time) (ids []tile.ID) {
	for id, x := range d {
		if wait := x.after.Sub(now); wait <= 0 || wait > maxWait {
			ids = append(ids, id)
		}
	}
	return ids
}

// around tells whether a tile is owed that may show what is in a z14 tile (quadkey).
func (d debts) around(q uint32) bool {
	if len(d) == 0 {
		return false
	}
	for _, n := range maperror.Neighbours(q) {
		leaf := geo.FromQuadkey(road.Zoom, n)
		for z := range uint8(road.Zoom + 1) {
			if _, ok := d[leaf.Ancestor(z)]; ok {
				return true
			}
		}
	}
	return false
}

// settled splits z14 tiles into those of which nothing is owed any more and the others.
func (d debts) settled(quadkeys []uint32) (done, owed []uint32) {
	for _, q := range quadkeys {
		if d.around(q) {
			owed = append(owed, q)
		} else {
			done = append(done, q)
		}
	}
	return done, owed
}

// debtor is a Layer that publishes.
type debtor interface {
	debts() debts
	waits(now time.Time) bool
}

func (s *speeds) debts() debts  { return s.out.owed }
func (h *hazards) debts() debts { return h.out.owed }
func (l *limits) debts() debts  { return l.out.owed }

func (s *speeds) waits(now time.Time) bool  { return s.out.waits(now) }
func (h *hazards) waits(now time.Time) bool { return h.out.waits(now) }
func (l *limits) waits(now time.Time) bool  { return l.out.waits(now) }

// redrawn is a Layer that has to know when it is drawn on another map, before Begin.
type redrawn interface{ redraw() }

// A partialError is a failure of some tiles, which the layer repeats by itself; all others are done.
type partialError struct {
	failed int
	first  error
}

func (e *partialError) Error() string {
	return fmt.Sprintf("%d tiles failed, the first: %v", e.failed, e.first)
}
func (e *partialError) Unwrap() error { return e.first }

// guarded turns a panic of f into an error.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{r, debug.Stack()}
		}
	}()
	return f()
}

// tileAtFault tells whether an error may be that of one tile, and not the database's.
func tileAtFault(err error) bool {
	var db interface{ Permanent() bool }
	return !errors.As(err, &db) || db.Permanent()
}

// hopeless tells whether so much fails that the rest needn't be tried now.
func hopeless(failed, done int) bool { return failed >= 16+done }
