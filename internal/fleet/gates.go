package fleet

import "slices"

// gate is the end of an arc from which turns are forbidden. For routes it is a node of its
// own beside its junction: the arc leads there, and from there only what is allowed leads on.
// Gates are numbered from Network.nodes on.
type gate struct {
	arc      int32 // the only one that ends here
	junction int32
	not      []int32 // arcs that leave the junction and must not be entered from here
	next     int32   // the junction's next gate; -1 = none
}

// addGates makes the gates of forbidden turns: notTo are the edges that must not be entered
// from the end of an arc. A gate that would be a trap is left out: the map is wrong there.
func (n *Network) addGates(notTo map[int32][]uint64) {
	arcOf := make(map[uint64]int32, n.proper)
	for i := range n.proper {
		arcOf[n.edges[i]] = i
	}
	for i := range n.proper {
		var not []int32
		for _, e := range notTo[i] {
			if k, ok := arcOf[e]; ok && n.arcs[k].from == n.arcs[i].to {
				not = append(not, k)
			}
		}
		if len(not) > 0 {
			n.gates = append(n.gates, gate{arc: i, junction: n.arcs[i].to, not: not})
		}
	}
	for !n.openGates() {
	}
}

// openGates links arcs and junctions with the gates. If not every road leads to every other
// one, it takes away those gates that seem to be why, or all if none does, and returns false.
func (n *Network) openGates() bool {
	n.gateAt = make([]int32, n.nodes)
	for i := range n.gateAt {
		n.gateAt[i] = -1
	}
	for k := range n.gates {
		g := &n.gates[k]
		g.next, n.gateAt[g.junction] = n.gateAt[g.junction], n.nodes+int32(k)
		n.arcs[g.arc].to = n.nodes + int32(k)
	}
	var ways []RoadSpec
	for i := range n.proper {
		a := &n.arcs[i]
		ways = append(ways, RoadSpec{From: a.from, To: a.to})
		for g := n.gateAt[a.from]; g >= 0; g = n.gates[g-n.nodes].next {
			if n.mayLeave(g, i) {
				ways = append(ways, RoadSpec{From: g, To: a.to})
			}
		}
	}
	component, best := strongComponents(int(n.nodes)+len(n.gates), ways)
	// A junction itself does not matter where all arcs end in gates.
	if !slices.ContainsFunc(n.arcs[:n.proper], func(a arc) bool { return component[a.to] != best }) {
		return true
	}
	var sound []gate
	for _, g := range n.gates {
		// Either the gate leads into a trap, or it keeps vehicles out of what it forbids.
		outside := func(i int32) bool { return component[n.arcs[i].to] != best }
		if !outside(g.arc) && !slices.ContainsFunc(g.not, outside) {
			sound = append(sound, g)
		}
	}
	for i := range n.gates {
		n.arcs[n.gates[i].arc].to = n.gates[i].junction
	}
	if len(sound) == len(n.gates) {
		sound = nil
	}
	n.gates = sound
	return false
}

// junction is where a node is.
func (n *Network) junction(node int32) int32 {
	if node >= n.nodes {
		return n.gates[node-n.nodes].junction
	}
	return node
}

// mayLeave reports whether arc i, which starts at the node's junction, may be entered there.
func (n *Network) mayLeave(node, i int32) bool {
	return node < n.nodes || !slices.Contains(n.gates[node-n.nodes].not, i)
}

// ForbiddenTurns is the number of turns that vehicles do not make.
func (n *Network) ForbiddenTurns() int {
	turns := 0
	for i := range n.gates {
		turns += len(n.gates[i].not)
	}
	return turns
}
