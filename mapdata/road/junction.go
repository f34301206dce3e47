package road

// junctionM is how far beyond its node a junction reaches into the roads that leave it: two lanes each
// way, a pavement and the curve of the corner.
const junctionM = 10

// JunctionM is how far the junction at its start reaches into directed edge i, in metres, half of the
// edge at most; 0 where no more than two roads meet, as far as the graph has them.
func (g *Graph) JunctionM(i Index) float64 {
	n := g.Source(i)
	if len(g.Out(n))+len(g.OutWrong(n)) <= 2 { // every road's end once, in one of the two
		return 0
	}
	return min(junctionM, g.LengthM(i)/2)
}
