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
// inserted: those of links inside the group which the database checks row by row, as
// far as they may be empty.
func broken(d Dialect, info *Info, group []string, links []quarantine.Link) map[string]bool {
	var out map[string]bool
	for _, l := range links {
		if l.Child != info.Canonical() || !inside(d, l, group) {
			continue
		}
		for _, c := range nullable(info, l) {
			if out == nil {
				out = map[string]bool{}
			}
			out[c] = true
		}
	}
	return out
}

// inside says whether a link lies in a group and is checked row by row.
func inside(d Dialect, l quarantine.Link, group []string) bool {
	return !l.Logical && slices.Contains(group, l.Child) && slices.Contains(group, l.Parent) && d.Breaks(l)
}

// nullable are the columns of a link that may be empty; one empty column is enough for
// a link to hold no longer.
func nullable(info *Info, l quarantine.Link) []string {
	var out []string
	for _, name := range l.ChildColumns {
		if c, _ := info.Column(name); !c.NotNull && !c.Generated && !slices.Contains(info.Key, name) {
			out = append(out, name)
		}
	}
	return out
}

// arrange orders the tables of a group, parents first, by the links that can't be put to
// null. circle is a table whose links still go round.
func arrange(d Dialect, group []string, links []quarantine.Link, infos map[string]*Info) (order []string, circle string) {
	var hard []quarantine.Link
	for _, l := range links {
		if inside(d, l, group) && infos[l.Child] != nil && len(nullable(infos[l.Child], l)) == 0 {
			hard = append(hard, l)
			if l.Child == l.Parent {
				circle = l.Child
			}
		}
	}
	for _, g := range groups(group, hard) {
		if len(g) > 1 && len(hard) > 0 {
			circle = g[0]
		}
		order = append(order, g...)
	}
	return order, circle
}
