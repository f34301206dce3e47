package match

import "github.com/carasso/carasso/mapdata/geo"

// wrongWay decides where driving against one-way roads is considered at all: only around
// positions that nothing else explains, and only for as many as make up a drive. A window
// is first decoded without, then with it, then without what was too short.
type wrongWay struct {
	stage  uint8 // 0: not considered; 1: around suspects; 2: where it was long enough; 3: given up
	ranges []span
}

// span is a range of samples, both included.
type span struct{ first, last int32 }

// allows reports whether a sample may be against a one-way.
func (w *wrongWay) allows(sample int32) bool {
	if w.stage == 0 || w.stage == 3 {
		return false
	}
	for _, r := range w.ranges {
		if sample >= r.first && sample <= r.last {
			return true
		}
	}
	return false
}

// again looks at a decoded window with so many breaks and reports whether it must be
// decoded again: where the budget is spent, only to give up what was too short.
func (w *wrongWay) again(columns []column, cands []candidate, breaks int, spent bool) bool {
	switch w.stage {
	case 0:
		if spent {
			return false
		}
		w.ranges = w.ranges[:0]
		suspects := 0
		for k := range columns {
			if columns[k].suspect {
				suspects++
				w.ranges = append(w.ranges, span{columns[max(k-aroundSuspect, 0)].sample, columns[min(k+aroundSuspect, len(columns)-1)].sample})
			}
		}
		if suspects < minWrongRun && (suspects == 0 || breaks == 0) {
			return false
		}
		w.stage = 1
		return true
	case 1, 2:
		w.ranges = w.ranges[:0]
		if w.runs(columns, cands) {
			return false
		}
		w.stage++
		if len(w.ranges) == 0 || spent {
			w.stage = 3
		}
		return true
	}
	return false
}

// runs notes the runs of wrong-way driving that are long enough; false if some are not.
func (w *wrongWay) runs(columns []column, cands []candidate) bool {
	all := true
	for k := 0; k < len(columns); {
		if !chosenWrong(columns, cands, k) {
			k++
			continue
		}
		first, last, n := k, k, 1
		metres := 0.0
		for k++; k < len(columns); k++ {
			if columns[k].chosen < 0 {
				continue
			}
			if !chosenWrong(columns, cands, k) || columns[k].before < 0 {
				break
			}
			metres += geo.DistanceM(columns[last].p, columns[k].p)
			last = k
			n++
		}
		if n >= minWrongRun && metres >= minWrongM || first == 0 && columns[0].before < 0 && columns[0].pinned {
			w.ranges = append(w.ranges, span{columns[first].sample, columns[last].sample})
		} else {
			all = false
		}
	}
	return all
}

func chosenWrong(columns []column, cands []candidate, k int) bool {
	return columns[k].chosen >= 0 && cands[columns[k].chosen].wrong
}
