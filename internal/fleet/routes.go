package fleet

import (
	"container/heap"
	"runtime"
	"slices"
	"sort"
	"sync"
)

// maxRouteBytes bounds the memory of all shortest-path trees.
const maxRouteBytes = 256 << 20

// routes knows, for each destination, by which arc to leave any junction so as to get
// there in the least free-flow time: O(1) a junction. It is immutable.
type routes struct {
	nodes        int32   // junctions and gates
	destinations []int32 // junctions
	next         []int32 // arc by destination × nodes + node; -1 at the destination itself
}

// newRoutes draws up to k distinct destinations by traffic and computes their reverse
// shortest-path trees (Dijkstra 1959) on all cores. closed arcs are not driven; nil: all are.
func newRoutes(n *Network, k int, seed uint64, closed []bool) *routes {
	nodes := int(n.nodes) + len(n.gates)
	k = min(k, int(n.nodes), max(2, maxRouteBytes/4/nodes))
	k = max(k, 2) // a vehicle that arrived needs somewhere else to go
	r := &routes{nodes: int32(nodes)}
	random := rng(mix(seed ^ purposeDestination))
	taken := make(map[int32]bool, k)
	for len(r.destinations) < k {
		node := n.junction(n.arcs[n.draw(random.float())].to)
		if len(taken) > 0 && taken[node] {
			node = int32(random.intn(int(n.nodes)))
		}
		if !taken[node] {
			taken[node] = true
			r.destinations = append(r.destinations, node)
		}
	}
	r.next = make([]int32, k*nodes)

	into, firstIn := n.incoming()
	var wg sync.WaitGroup
	work := make(chan int, k)
	for d := range k {
		work <- d
	}
	close(work)
	for range min(runtime.GOMAXPROCS(0), k) {
		wg.Go(func() {
			t := treeBuilder{n: n, into: into, firstIn: firstIn, cost: make([]float32, nodes), closed: closed}
			for d := range work {
				t.build(r.destinations[d], r.next[d*nodes:(d+1)*nodes])
			}
		})
	}
	wg.Wait()
	return r
}

// leave is the arc by which to leave node for the destination; -1 when it is there.
func (r *routes) leave(destination uint16, node int32) int32 {
	return r.next[int(destination)*int(r.nodes)+int(node)]
}

// closed marks the arcs of edges; nil if there are none.
func (n *Network) closed(edges []uint64) []bool {
	if len(edges) == 0 {
		return nil
	}
	closed := make([]bool, len(n.arcs))
	for i := range n.proper {
		closed[i] = slices.Contains(edges, n.edges[i])
	}
	return closed
}

// draw picks an arc by its share of the traffic, u in [0,1).
func (n *Network) draw(u float64) int32 {
	target := u * n.cumulative[len(n.cumulative)-1]
	i := sort.Search(len(n.cumulative), func(i int) bool { return n.cumulative[i] > target })
	return min(int32(i), n.proper-1)
}

// incoming lists the arcs that lead to each junction.
func (n *Network) incoming() (into, first []int32) {
	first = make([]int32, n.nodes+1)
	for i := range n.proper {
		first[n.junction(n.arcs[i].to)+1]++
	}
	for i := range n.nodes {
		first[i+1] += first[i]
	}
	into = make([]int32, n.proper)
	at := append([]int32(nil), first...)
	for i := range n.proper {
		t := n.junction(n.arcs[i].to)
		into[at[t]] = i
		at[t]++
	}
	return into, first
}

type treeBuilder struct {
	n             *Network
	into, firstIn []int32
	cost          []float32
	closed        []bool
	queue         frontier
}

func (t *treeBuilder) build(destination int32, next []int32) {
	const infinite = 1e30
	for i := range next {
		next[i], t.cost[i] = -1, infinite
	}
	t.cost[destination] = 0
	t.queue = append(t.queue[:0], reached{node: destination})
	for g := t.n.gateAt[destination]; g >= 0; g = t.n.gates[g-t.n.nodes].next {
		t.cost[g] = 0
		t.queue = append(t.queue, reached{node: g})
	}
	for len(t.queue) > 0 {
		at := heap.Pop(&t.queue).(reached)
		if at.cost > t.cost[at.node] {
			continue
		}
		junction := t.n.junction(at.node)
		for _, i := range t.into[t.firstIn[junction]:t.firstIn[junction+1]] {
			a := &t.n.arcs[i]
			if a.to != at.node || t.closed != nil && t.closed[i] {
				continue
			}
			c := at.cost + a.lengthM/a.freeMPS
			t.relax(a.from, i, c, next)
			for g := t.n.gateAt[a.from]; g >= 0; g = t.n.gates[g-t.n.nodes].next {
				if t.n.mayLeave(g, i) {
					t.relax(g, i, c, next)
				}
			}
		}
	}
}

// relax notes that arc i leads from a node to the destination at a cost.
func (t *treeBuilder) relax(node, i int32, cost float32, next []int32) {
	if cost < t.cost[node] {
		t.cost[node], next[node] = cost, i
		heap.Push(&t.queue, reached{cost: cost, node: node})
	}
}

type reached struct {
	cost float32
	node int32
}

type frontier []reached

func (f frontier) Len() int           { return len(f) }
func (f frontier) Less(i, j int) bool { return f[i].cost < f[j].cost }
func (f frontier) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *frontier) Push(x any)        { *f = append(*f, x.(reached)) }
func (f *frontier) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}
