package fleet

// strongComponents numbers the strongly connected components of the roads' graph
// (Tarjan 1972, without recursion) and names the one with the greatest length of road
// between its own junctions, counted in roads.
func strongComponents(nodes int, roads []RoadSpec) (component []int32, best int32) {
	first := make([]int32, nodes+1)
	for i := range roads {
		first[roads[i].From+1]++
	}
	for i := range nodes {
		first[i+1] += first[i]
	}
	to := make([]int32, len(roads))
	at := append([]int32(nil), first...)
	for i := range roads {
		to[at[roads[i].From]] = roads[i].To
		at[roads[i].From]++
	}

	const unseen = -1
	component = make([]int32, nodes)
	index := make([]int32, nodes)
	low := make([]int32, nodes)
	cursor := append([]int32(nil), first[:nodes]...)
	for i := range nodes {
		index[i], component[i] = unseen, unseen
	}
	var stack, path []int32
	var next, components int32
	for root := range int32(nodes) {
		if index[root] != unseen {
			continue
		}
		path = append(path[:0], root)
		for len(path) > 0 {
			v := path[len(path)-1]
			if index[v] == unseen {
				index[v], low[v] = next, next
				next++
				stack = append(stack, v)
			}
			if cursor[v] < first[v+1] {
				w := to[cursor[v]]
				cursor[v]++
				if index[w] == unseen {
					path = append(path, w)
				} else if component[w] == unseen {
					low[v] = min(low[v], index[w])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				p := path[len(path)-1]
				low[p] = min(low[p], low[v])
			}
			if low[v] != index[v] {
				continue
			}
			for {
				w := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				component[w] = components
				if w == v {
					break
				}
			}
			components++
		}
	}

	size := make([]int, components)
	for i := range roads {
		if c := component[roads[i].From]; c == component[roads[i].To] {
			size[c]++
		}
	}
	for c := range components {
		if size[c] > size[best] {
			best = c
		}
	}
	return component, best
}
