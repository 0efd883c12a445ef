package relational

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// found is what a closure has found of one table.
type found struct {
	info  *Info
	path  string
	via   string
	rows  map[string]quarantine.Row // by their key
	bytes int64
}

// closure is the rows that hang on the seed, over all links, to a fixpoint.
type closure struct {
	t        *tx
	all      []quarantine.Link
	infos    map[string]*Info
	found    map[string]*found
	order    []string // as they were found
	used     []quarantine.Link
	detached map[int]*detached // by their place in used
	rows     int
	cap      int // more rows than this end the search
	accept   []quarantine.Rule
	refused  []quarantine.Refusal
}

type detached struct {
	link quarantine.Link
	rows map[string]quarantine.Row
}

// keyID is a key as a map key.
func keyID(k quarantine.Key) string {
	b, _ := json.Marshal(k) // strings always encode
	return string(b)
}

// describe reads what is not known yet of some tables.
func (c *closure) describe(names ...string) error {
	var missing []string
	for _, n := range names {
		if c.infos[n] == nil && !slices.Contains(missing, n) {
			missing = append(missing, n)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	more, err := c.t.d.Describe(c.t.ctx, c.t.c, missing)
	if err != nil {
		return err
	}
	for _, n := range missing {
		if more[n] == nil {
			return fault.New(fault.NotFound, "there is no table %s", n).At(c.t.db.o.Name).WithHint("name the table with its schema, as in public.orders")
		}
		c.infos[n] = more[n]
	}
	return nil
}

// newClosure begins a closure at a table.
func (t *tx) newClosure(root string, limit int) (*closure, error) {
	links, err := t.links()
	if err != nil {
		return nil, err
	}
	c := &closure{t: t, all: links, infos: map[string]*Info{}, found: map[string]*found{}, detached: map[int]*detached{}, cap: limit}
	if err := c.describe(root); err != nil {
		return nil, err
	}
	for _, l := range t.db.o.Links {
		if err := c.checkLink(l); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// checkLink says whether the columns of a configured link are there.
func (c *closure) checkLink(l quarantine.Link) error {
	for i, end := range []string{l.Child, l.Parent} {
		name, err := c.t.d.Resolve(c.t.ctx, c.t.c, end)
		if err != nil {
			return err
		}
		if err := c.describe(name); err != nil {
			return err
		}
		columns := slices.Clone(l.ParentColumns)
		if i == 0 {
			columns = slices.Clone(l.ChildColumns)
			for _, w := range l.When {
				columns = append(columns, w.Column)
			}
		}
		for _, column := range columns {
			if _, ok := c.infos[name].Column(column); !ok {
				return fault.New(fault.Invalid, "the configured link names the column %q, which %s does not have", column, name).At(c.t.db.o.Name).WithHint("correct the link in the configuration")
			}
		}
	}
	return nil
}

// seed takes in the first rows: by key, or by a condition.
func (c *closure) seed(root string, keys []quarantine.Key, where *quarantine.Predicate) error {
	f := &found{info: c.infos[root], path: shortName(root), rows: map[string]quarantine.Row{}}
	c.found[root], c.order = f, []string{root}
	if where != nil {
		b := NewBuilder(c.t.d)
		condition := c.t.predicate(b, "t", f.info, where)
		_, err := c.take(f, "SELECT "+c.columns("t", f.info)+" FROM "+c.t.d.Source(f.info)+" t WHERE "+condition+c.limit(), b.Args)
		return err
	}
	for _, chunk := range c.t.chunks(f.info, keys) {
		b := NewBuilder(c.t.d)
		match := c.t.d.MatchKeys(b, "t", f.info, chunk)
		if _, err := c.take(f, "SELECT "+c.columns("t", f.info)+" FROM "+c.t.d.Source(f.info)+" t WHERE "+match, b.Args); err != nil {
			return err
		}
	}
	return nil
}

func (c *closure) limit() string { return " LIMIT " + strconv.Itoa(c.cap+1) }

func (c *closure) columns(alias string, i *Info) string {
	return c.t.key(alias, i) + ", " + c.t.d.Hash(alias, i, nil) + ", " + c.t.d.Size(alias, i)
}

// take reads rows of key texts, hash and size, and gives the keys that are new.
func (c *closure) take(f *found, query string, args []any) ([]quarantine.Key, error) {
	lines, err := c.t.texts(query, args...)
	if err != nil {
		return nil, err
	}
	var fresh []quarantine.Key
	n := len(f.info.Key)
	for _, line := range lines {
		key := quarantine.Key(line[:n:n])
		id := keyID(key)
		if _, there := f.rows[id]; there {
			continue
		}
		f.rows[id] = quarantine.Row{Key: key, Hash: line[n]}
		size, _ := strconv.ParseInt(line[n+1], 10, 64)
		f.bytes += size
		fresh = append(fresh, key)
	}
	c.rows += len(fresh)
	return fresh, nil
}

// full says whether the search has found more than may be touched.
func (c *closure) full() bool { return c.rows > c.cap }

// step is a set of parents whose children are still to be found.
type step struct {
	table string
	keys  []quarantine.Key
}

// walk follows the links breadth first until nothing new is found.
func (c *closure) walk() error {
	var queue []step
	for _, name := range c.order {
		queue = append(queue, step{name, keysOf(c.found[name].rows)})
	}
	for len(queue) > 0 && !c.full() {
		s := queue[0]
		queue = queue[1:]
		for _, l := range c.all {
			if l.Parent != s.table || len(s.keys) == 0 {
				continue
			}
			fresh, err := c.follow(l, s.keys)
			if err != nil {
				return err
			}
			if len(fresh) > 0 {
				queue = append(queue, step{l.Child, fresh})
			}
			if c.full() {
				break
			}
		}
	}
	return c.settle()
}

// follow finds the children of some parents over one link.
func (c *closure) follow(l quarantine.Link, parents []quarantine.Key) ([]quarantine.Key, error) {
	if err := c.describe(l.Child); err != nil {
		return nil, err
	}
	at := c.use(l)
	child, parent := c.infos[l.Child], c.infos[l.Parent]
	if !c.indexed(l, child) {
		return nil, nil
	}
	if refused := unreadable(child); len(refused) > 0 {
		for _, reason := range refused {
			if !slices.Contains(c.refused, reason) {
				c.refused = append(c.refused, reason)
			}
		}
		return nil, nil
	}
	if child.What != "table" || len(child.Key) == 0 {
		return nil, c.blind(l, parents)
	}
	if !c.alike(l, parent, child) {
		return nil, nil
	}
	var all []quarantine.Key
	for _, chunk := range c.t.chunks(parent, parents) {
		b := NewBuilder(c.t.d)
		from := " FROM " + c.t.d.Source(child) + " c JOIN " + c.t.d.Source(parent) + " p ON " + c.t.linkSQL(b, Side{"c", child}, Side{"p", parent}, l) +
			" WHERE " + c.t.d.MatchKeys(b, "p", parent, chunk)
		if l.Detaches() {
			if err := c.detach(at, l, child, from, b.Args); err != nil {
				return nil, err
			}
			continue
		}
		f := c.found[l.Child]
		if f == nil {
			f = &found{info: child, path: shortName(l.Child) + " via " + c.found[l.Parent].path, via: l.Name, rows: map[string]quarantine.Row{}}
		}
		fresh, err := c.take(f, "SELECT "+c.columns("c", child)+from+c.limit(), b.Args)
		if err != nil {
			return nil, err
		}
		if len(fresh) > 0 && c.found[l.Child] == nil {
			c.found[l.Child] = f
			c.order = append(c.order, l.Child)
		}
		all = append(all, fresh...)
	}
	return all, nil
}

// unreadable are the reasons why a table can't be searched at all.
func unreadable(i *Info) []quarantine.Refusal {
	return slices.DeleteFunc(slices.Clone(i.Refused), func(r quarantine.Refusal) bool {
		return r.Rule != quarantine.RulePrivilege && r.Rule != quarantine.RuleRowControl
	})
}

// indexed says whether a link can be searched, and refuses it if not.
func (c *closure) indexed(l quarantine.Link, child *Info) bool {
	large := c.t.db.limits.Large
	if child.Rows < large || slices.Contains(c.accept, quarantine.RuleIndex) || servesSearch(child.Indexes, l.ChildColumns) {
		return true
	}
	columns := strings.Join(l.ChildColumns, ", ")
	r := quarantine.Refusal{Rule: quarantine.RuleIndex, Table: l.Child,
		Reason:  fmt.Sprintf("%s has about %d rows and no index on %s: looking for what hangs on the rows would read all of it.", l.Child, child.Rows, columns),
		Satisfy: fmt.Sprintf("Create an index on %s (%s), or accept the rule %q with a reason.", l.Child, columns, quarantine.RuleIndex)}
	if !slices.Contains(c.refused, r) {
		c.refused = append(c.refused, r)
	}
	return false
}

// alike says whether who hangs on whom over a link can be seen by the values, and refuses
// it if not.
func (c *closure) alike(l quarantine.Link, parent, child *Info) bool {
	for i := range l.ChildColumns {
		from, okFrom := child.Column(l.ChildColumns[i])
		to, okTo := parent.Column(l.ParentColumns[i])
		if !okFrom || !okTo || c.t.d.Alike(to, from) {
			continue
		}
		r := quarantine.Refusal{Rule: quarantine.RuleColumn, Table: l.Child,
			Reason:  fmt.Sprintf("%s.%s refers to %s.%s, whose words are listed in another order, and the database compares their places in the lists: what hangs on what can't be seen.", l.Child, from.Name, l.Parent, to.Name),
			Satisfy: "Give both columns the same words in the same order, or take the rows out by hand."}
		if !slices.Contains(c.refused, r) {
			c.refused = append(c.refused, r)
		}
		return false
	}
	return true
}

// servesSearch says whether one of the indexes begins with all of the columns.
func servesSearch(indexes [][]string, columns []string) bool {
	return slices.ContainsFunc(indexes, func(index []string) bool {
		if len(index) < len(columns) {
			return len(index) > 0 && slices.Contains(columns, index[0])
		}
		for _, c := range index[:len(columns)] {
			if !slices.Contains(columns, c) {
				return false
			}
		}
		return true
	})
}

// blind looks whether a table whose rows can't be named has children at all.
func (c *closure) blind(l quarantine.Link, parents []quarantine.Key) error {
	child, parent := c.infos[l.Child], c.infos[l.Parent]
	if c.found[l.Child] != nil {
		return nil
	}
	for _, chunk := range c.t.chunks(parent, parents) {
		b := NewBuilder(c.t.d)
		there, err := c.t.some("SELECT 1 FROM "+c.t.d.Source(child)+" c JOIN "+c.t.d.Source(parent)+" p ON "+c.t.linkSQL(b, Side{"c", child}, Side{"p", parent}, l)+
			" WHERE "+c.t.d.MatchKeys(b, "p", parent, chunk)+" LIMIT 1", b.Args...)
		if err != nil {
			return err
		}
		if there {
			c.found[l.Child] = &found{info: child, path: shortName(l.Child) + " via " + c.found[l.Parent].path, via: l.Name, rows: map[string]quarantine.Row{}}
			c.order = append(c.order, l.Child)
			return nil
		}
	}
	return nil
}

// use notes that a link was followed and gives its place.
func (c *closure) use(l quarantine.Link) int {
	for i, u := range c.used {
		if compareLinks(u, l) == 0 {
			return i
		}
	}
	c.used = append(c.used, l)
	return len(c.used) - 1
}

// detach reads the children that lose a link.
func (c *closure) detach(at int, l quarantine.Link, child *Info, from string, args []any) error {
	d := c.detached[at]
	if d == nil {
		d = &detached{link: l, rows: map[string]quarantine.Row{}}
		c.detached[at] = d
	}
	lines, err := c.t.texts("SELECT "+c.t.key("c", child)+", "+c.t.d.Hash("c", child, l.ChildColumns)+from+c.limit(), args...)
	if err != nil {
		return err
	}
	n := len(child.Key)
	for _, line := range lines {
		key := quarantine.Key(line[:n:n])
		d.rows[keyID(key)] = quarantine.Row{Key: key, Hash: line[n]}
	}
	return nil
}

// settle takes rows that move anyway out of those that are detached.
func (c *closure) settle() error {
	for _, d := range c.detached {
		if f := c.found[d.link.Child]; f != nil {
			for id := range f.rows {
				delete(d.rows, id)
			}
		}
		c.rows += len(d.rows)
	}
	return nil
}

// keysOf gives the keys of rows, sorted.
func keysOf(rows map[string]quarantine.Row) []quarantine.Key {
	out := make([]quarantine.Key, 0, len(rows))
	for _, r := range rows {
		out = append(out, r.Key)
	}
	slices.SortFunc(out, compareKeys)
	return out
}

// sorted gives rows in the order of their keys.
func sorted(rows map[string]quarantine.Row) []quarantine.Row {
	out := make([]quarantine.Row, 0, len(rows))
	for _, r := range rows {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b quarantine.Row) int { return compareKeys(a.Key, b.Key) })
	return out
}

// compareKeys orders keys; whole numbers by their value, so that locks are taken in
// the order that the application would take them.
func compareKeys(a, b quarantine.Key) int {
	for i := range min(len(a), len(b)) {
		if a[i] == b[i] {
			continue
		}
		x, errX := strconv.ParseInt(a[i], 10, 64)
		y, errY := strconv.ParseInt(b[i], 10, 64)
		if errX == nil && errY == nil && x != y {
			if x < y {
				return -1
			}
			return 1
		}
		return strings.Compare(a[i], b[i])
	}
	return len(a) - len(b)
}

func shortName(table string) string { return table[strings.LastIndexByte(table, '.')+1:] }

// predicate is a checked condition as SQL.
func (t *tx) predicate(b *Builder, alias string, i *Info, p *quarantine.Predicate) string {
	for _, list := range []struct {
		parts []quarantine.Predicate
		word  string
	}{{p.And, " AND "}, {p.Or, " OR "}} {
		if len(list.parts) > 0 {
			return "(" + joinEach(list.parts, list.word, func(q quarantine.Predicate) string { return t.predicate(b, alias, i, &q) }) + ")"
		}
	}
	column, _ := i.Column(p.Column)
	cell := Cell(t.d, alias, p.Column)
	by := func(operator string, l quarantine.Literal) string {
		return Compared(t.d, column, cell, operator, t.d.Literal(b, column, l.Text))
	}
	switch p.Op {
	case quarantine.IsNull:
		return cell + " IS NULL"
	case quarantine.IsNotNull:
		return cell + " IS NOT NULL"
	case quarantine.In:
		if column.Operators != "" {
			return "(" + joinEach(p.Values, " OR ", func(l quarantine.Literal) string { return by("=", l) }) + ")"
		}
		return cell + " IN (" + joinEach(p.Values, ", ", func(l quarantine.Literal) string { return t.d.Literal(b, column, l.Text) }) + ")"
	case quarantine.Like:
		return by("LIKE", *p.Value)
	case quarantine.NotEqual:
		return by("<>", *p.Value)
	}
	return by(string(p.Op), *p.Value)
}
