package learn

import "github.com/carasso/carasso/mapdata/road"

// Approaches writes to edges, one for each sample, the directed edge that its speed counts for; 0 for none.
// It is the matched one, except within the junction by which the vehicle entered it: there it is still the
// edge that led to the junction. What a junction costs (waiting for a gap in its middle, turning slowly, gathering
// speed again) is the delay of those who approach it, as in the control delay of the Highway Capacity
// Manual, and not of the road that they leave by; and who waits at its edge is not taken for one
// who drives off because his position is some metres off. Every sample still counts once, so times by edge
// add up to the time of a journey.
func Approaches(d *Drive, edges []road.Edge) {
	for i := range d.Matches {
		edges[i] = d.Matches[i].Edge
	}
	for i := 1; i < len(d.Path); i++ {
		before, s := &d.Path[i-1], &d.Path[i]
		if s.JunctionM == 0 || before.WrongWay {
			continue
		}
		for k := s.First; k < s.Last; k++ {
			if m := &d.Matches[k]; m.Edge == s.Edge && m.OffsetM < s.JunctionM {
				edges[k] = before.Edge
			}
		}
	}
}
