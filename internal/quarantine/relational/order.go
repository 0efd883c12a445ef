package relational

import (
	"slices"

	"lifeboat/internal/quarantine"
)

// groups orders tables parents first. Tables that refer to each other in a circle
// share a group; the others have one each. The order is the same for the same input.
func groups(names []string, links []quarantine.Link) [][]string {
	children := map[string][]string{}
	for _, l := range links {
		if l.Child != l.Parent && slices.Contains(names, l.Child) && slices.Contains(names, l.Parent) {
			children[l.Parent] = append(children[l.Parent], l.Child)
		}
	}
	t := &tarjan{children: children, index: map[string]int{}, low: map[string]int{}, on: map[string]bool{}}
	for _, n := range names {
		if _, seen := t.index[n]; !seen {
			t.visit(n)
		}
	}
	slices.Reverse(t.out)
	for _, g := range t.out { // in a group: as the caller had them
		slices.SortFunc(g, func(a, b string) int { return slices.Index(names, a) - slices.Index(names, b) })
	}
	return t.out
}

// tarjan finds strongly connected components, leaves first.
type tarjan struct {
	children   map[string][]string
	index, low map[string]int
	on         map[string]bool
	stack      []string
	out        [][]string
}

func (t *tarjan) visit(n string) {
	t.index[n], t.low[n] = len(t.index), len(t.index)
	t.stack = append(t.stack, n)
	t.on[n] = true
	for _, c := range t.children[n] {
		if _, seen := t.index[c]; !seen {
			t.visit(c)
			t.low[n] = min(t.low[n], t.low[c])
		} else if t.on[c] {
			t.low[n] = min(t.low[n], t.index[c])
		}
	}
	if t.low[n] != t.index[n] {
		return
	}
	at := slices.Index(t.stack, n)
	group := slices.Clone(t.stack[at:])
	t.stack = t.stack[:at]
	for _, m := range group {
		t.on[m] = false
	}
	t.out = append(t.out, group)
}

// broken are the columns of a table that are null while its group is deleted or
// inserted: those of links inside the group which the database checks row by row.
func broken(d Dialect, table string, group []string, links []quarantine.Link) map[string]bool {
	var out map[string]bool
	for _, l := range links {
		if l.Child != table || !slices.Contains(group, l.Parent) || l.Logical || !d.Breaks(l) {
			continue
		}
		if out == nil {
			out = map[string]bool{}
		}
		for _, c := range l.ChildColumns {
			out[c] = true
		}
	}
	return out
}
