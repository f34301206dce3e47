package road

// Partition is the part of the graph that serves one z14 tile: every segment that
// comes within 100 m of the tile, complete. Those whose midpoint is in the tile carry
// the flag Own; each segment of a map is owned by exactly one partition.
type Partition struct {
	*Graph
	Quadkey uint32
}
