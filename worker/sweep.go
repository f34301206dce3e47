package worker

import (
	"slices"
	"time"
)

// sweepTiles is how many tiles of a sweep a pass judges.
const sweepTiles = 100

// sweep goes through all tiles from time to time, some in each pass. The zero value begins at once: a process may
// not live until a sweep would be due.
type sweep struct {
	began time.Time
	left  []uint32 // z14 tiles still to be judged
	taken int      // of these, in this pass
}

// next is what the present pass is to judge; list lists all tiles.
func (s *sweep) next(now time.Time, every time.Duration, list func() ([]uint32, error)) ([]uint32, error) {
	if len(s.left) == 0 && (s.began.IsZero() || now.Sub(s.began) >= every) {
		all, err := list()
		if err != nil {
			return nil, err
		}
		slices.Sort(all) // neighbours together
		if len(all) > 0 {
			// Anywhere, so that those at the end have their turn even if no process lives for a whole sweep.
			first := int(now.UnixMilli() % int64(len(all)))
			all = slices.Concat(all[first:], all[:first])
		}
		s.began, s.left = now, all
	}
	s.taken = min(len(s.left), sweepTiles)
	return slices.Clone(s.left[:s.taken]), nil
}

// done takes what next gave out off the sweep.
func (s *sweep) done() { s.left, s.taken = s.left[s.taken:], 0 }
