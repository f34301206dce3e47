package release

import (
	"context"
	"fmt"
	"slices"

	"github.com/carasso/carasso/mapdata/road"
)

// Summary counts what changed from one release to the next.
type Summary struct {
	MapChanged     bool           `json:"map_changed"`
	LimitsAdded    int            `json:"limits_added"`
	LimitsChanged  int            `json:"limits_changed"` // another value, or other variants
	LimitsRemoved  int            `json:"limits_removed"`
	ErrorsAccepted int            `json:"map_errors_accepted"`
	ErrorsResolved int            `json:"map_errors_resolved"` // accepted before, no longer in the list
	Tiles          map[string]int `json:"tiles"`               // by layer: added, changed or removed
}

// Empty reports whether nothing changed.
func (s *Summary) Empty() bool {
	for _, n := range s.Tiles {
		if n > 0 {
			return false
		}
	}
	return !s.MapChanged && s.LimitsAdded+s.LimitsChanged+s.LimitsRemoved+s.ErrorsAccepted+s.ErrorsResolved == 0
}

// Diff is what changed from one release to another.
type Diff struct {
	From, To       string
	FromMap, ToMap string
	Summary        Summary
	Limits         []LimitChange
	Accepted       []ErrorRow // errors of the map
	Resolved       []ErrorRow
}

// LimitChange is a limit that is another in the later release. Before and After are nil
// where the release publishes none.
type LimitChange struct {
	Edge          road.Edge
	Before, After *LimitRow
	Why           string
}

// Compare tells what changed from one release to another; from nil stands for an empty one.
func Compare(ctx context.Context, o Objects, from, to *Manifest) (*Diff, error) {
	before, err := content(ctx, o, from)
	if err != nil {
		return nil, fmt.Errorf("compare releases: %w", err)
	}
	after, err := content(ctx, o, to)
	if err != nil {
		return nil, fmt.Errorf("compare releases: %w", err)
	}
	d := &Diff{To: to.Version, ToMap: to.MapVersion}
	if from != nil {
		d.From, d.FromMap = from.Version, from.MapVersion
	}
	d.compareRows(before, after)
	d.Summary.Tiles = map[string]int{}
	for _, name := range layerNames(from, to) {
		a, err := readIndex(ctx, o, from.layer(name))
		if err != nil {
			return nil, fmt.Errorf("compare releases: %w", err)
		}
		b, err := readIndex(ctx, o, to.layer(name))
		if err != nil {
			return nil, fmt.Errorf("compare releases: %w", err)
		}
		d.Summary.Tiles[name] = differing(a, b)
	}
	return d, nil
}

// rowsOf are the rows of a release that a diff tells of.
type rowsOf struct {
	mapVersion string
	limits     []LimitRow
	errors     []ErrorRow
}

func content(ctx context.Context, o Objects, m *Manifest) (r rowsOf, err error) {
	if m == nil {
		return r, nil
	}
	r.mapVersion = m.MapVersion
	if r.limits, err = getRows[LimitRow](ctx, o, m.Limits); err != nil {
		return r, err
	}
	r.errors, err = getRows[ErrorRow](ctx, o, m.MapErrors)
	return r, err
}

// compareRows compares limits and accepted errors. Limits are in order of their edges.
func (d *Diff) compareRows(before, after rowsOf) {
	s := &d.Summary
	s.MapChanged = before.mapVersion != after.mapVersion
	i, k := 0, 0
	for i < len(before.limits) || k < len(after.limits) {
		switch {
		case k == len(after.limits) || i < len(before.limits) && before.limits[i].Edge < after.limits[k].Edge:
			b := &before.limits[i]
			why := "the evidence no longer suffices"
			if s.MapChanged {
				why = "the evidence no longer suffices, or the map no longer has the road"
			}
			d.Limits = append(d.Limits, LimitChange{Edge: b.Edge, Before: b, Why: why})
			s.LimitsRemoved++
			i++
		case i == len(before.limits) || after.limits[k].Edge < before.limits[i].Edge:
			a := &after.limits[k]
			d.Limits = append(d.Limits, LimitChange{Edge: a.Edge, After: a, Why: "learned: " + a.evidence()})
			s.LimitsAdded++
			k++
		default:
			b, a := &before.limits[i], &after.limits[k]
			if b.KMH != a.KMH || !slices.EqualFunc(b.Variants, a.Variants, sameVariant) {
				d.Limits = append(d.Limits, LimitChange{Edge: a.Edge, Before: b, After: a, Why: "learned anew: " + a.evidence()})
				s.LimitsChanged++
			}
			i, k = i+1, k+1
		}
	}
	d.Accepted, d.Resolved = onlyIn(after.errors, before.errors), onlyIn(before.errors, after.errors)
	s.ErrorsAccepted, s.ErrorsResolved = len(d.Accepted), len(d.Resolved)
}

func sameVariant(a, b VariantRow) bool {
	return a.KMH == b.KMH && a.Wet == b.Wet && a.FromHour == b.FromHour && a.ToHour == b.ToHour
}

// evidence says what a limit stands on.
func (r *LimitRow) evidence() string {
	return fmt.Sprintf("%d vehicles, %d readings since %s, probability %.4f", r.Vehicles, r.Readings, r.Since.Format("2006-01-02"), r.Posterior)
}

// onlyIn are the errors of one list whose ids the other does not have.
func onlyIn(list, other []ErrorRow) (out []ErrorRow) {
	ids := make(map[uint64]struct{}, len(other))
	for i := range other {
		ids[other[i].ID] = struct{}{}
	}
	for i := range list {
		if _, ok := ids[list[i].ID]; !ok {
			out = append(out, list[i])
		}
	}
	return out
}

func layerNames(ms ...*Manifest) (names []string) {
	for _, m := range ms {
		if m == nil {
			continue
		}
		for i := range m.Layers {
			if n := m.Layers[i].ID; !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}
