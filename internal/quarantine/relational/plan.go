package relational

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

const maxSamples = 5

// Plan resolves a request into frozen rows. It changes nothing.
func (db *DB) Plan(ctx context.Context, r quarantine.Request) (quarantine.Plan, error) {
	if err := db.checkRequest(&r); err != nil {
		return quarantine.Plan{}, err
	}
	var p quarantine.Plan
	err := db.within(ctx, Reading, func(t *tx) error {
		var err error
		p, err = t.plan(r)
		return err
	})
	if err != nil {
		return quarantine.Plan{}, err
	}
	p.Hash, err = quarantine.HashPlan(p)
	return p, err
}

// checkRequest finds what is wrong with a request by itself.
func (db *DB) checkRequest(r *quarantine.Request) error {
	if err := checkID(r.ID, "id"); err != nil {
		return err
	}
	if r.Mode == "" {
		r.Mode = quarantine.Move
	}
	switch {
	case r.Mode != quarantine.Move && r.Mode != quarantine.Replace:
		return fault.New(fault.Invalid, "%.40q is no mode", r.Mode).At("mode").WithHint("the modes are move and replace")
	case strings.TrimSpace(r.Table) == "":
		return fault.New(fault.Invalid, "no table is named").At("table").WithHint("name the table with its schema, as in public.orders")
	case len(r.Keys) > 0 && r.Where != nil:
		return fault.New(fault.Invalid, "rows are chosen by keys or by a condition, not by both").At("keys").WithHint("leave one of them out")
	case len(r.Keys) == 0 && r.Where.Empty():
		return fault.New(fault.Invalid, "no rows are chosen").At("keys").WithHint("name rows by their keys, or compare at least one column")
	case len(r.Keys) > db.limits.Hard:
		return fault.New(fault.Invalid, "%d keys are more than may be touched at all (%d)", len(r.Keys), db.limits.Hard).At("keys").WithHint("take fewer rows at a time")
	case r.Mode == quarantine.Replace && len(r.Set) == 0:
		return fault.New(fault.Invalid, "nothing is to be replaced").At("set").WithHint("name a column and its safe value")
	case r.Mode == quarantine.Move && len(r.Set) > 0:
		return fault.New(fault.Invalid, "values are given, but rows are to be moved").At("set").WithHint("choose mode replace, or leave the values out")
	}
	for _, rule := range r.Accept {
		if !rule.Acceptable() {
			return fault.New(fault.Invalid, "the rule %.40q can't be accepted", rule).At("accept").WithHint("do what the refusal says")
		}
	}
	return nil
}

// plan does the work of Plan inside its transaction.
func (t *tx) plan(r quarantine.Request) (quarantine.Plan, error) {
	root, err := t.d.Resolve(t.ctx, t.c, r.Table)
	if err != nil {
		return quarantine.Plan{}, err
	}
	now := t.db.o.Now().UTC()
	p := quarantine.Plan{ID: r.ID, Kind: t.d.Kind(), Database: t.db.o.Name, Mode: r.Mode, Batch: r.Batch, Root: root, Request: r,
		Made: now, Expires: now.Add(t.db.limits.Life)}
	c, err := t.newClosure(root, t.db.limits.Hard)
	if err != nil {
		return p, err
	}
	c.accept = r.Accept
	info := c.infos[root]
	if refused := t.refuseTable(info, true); info.What != "table" || len(info.Key) == 0 || len(info.Refused) > 0 {
		p.Refused = refused
		return p, nil
	}
	r.Keys = slices.Clone(r.Keys)
	for n := range r.Keys {
		r.Keys[n] = whole(info, r.Keys[n])
	}
	if err := t.checkRows(info, r); err != nil {
		return p, err
	}
	if err := c.seed(root, r.Keys, r.Where); err != nil {
		return p, err
	}
	if err := missingKeys(c.found[root], r.Keys); err != nil {
		return p, err
	}
	if r.Mode == quarantine.Move && len(c.found[root].rows) > 0 {
		if err := c.walk(); err != nil {
			return p, err
		}
	}
	return p, t.fill(&p, c)
}

// checkRows finds what in a request does not fit its table.
func (t *tx) checkRows(i *Info, r quarantine.Request) error {
	for n, key := range r.Keys {
		if err := t.checkKey(i, key, fmt.Sprintf("keys: %d", n+1)); err != nil {
			return err
		}
	}
	if r.Where != nil {
		if err := r.Where.Check(i.Columns, t.d.Odd); err != nil {
			return err
		}
	}
	for _, cell := range r.Set {
		column, ok := i.Column(cell.Column)
		if !ok {
			return fault.New(fault.Invalid, "%s has no column %.60q", i.Canonical(), cell.Column).At("set").WithHint("name one of its columns")
		}
		if err := t.checkValue(column, cell, "set: "+cell.Column); err != nil {
			return err
		}
	}
	return nil
}

// whole is a key that has one part only: people write commas between parts, and there are
// some in texts.
func whole(i *Info, key quarantine.Key) quarantine.Key {
	if len(i.Key) == 1 && len(key) > 1 {
		return quarantine.Key{strings.Join(key, ",")}
	}
	return key
}

// checkKey says whether a key can be one of a table's.
func (t *tx) checkKey(i *Info, key quarantine.Key, place string) error {
	if len(key) != len(i.Key) {
		return fault.New(fault.Invalid, "a key of %s has %d parts, not %d", i.Canonical(), len(i.Key), len(key)).At(place).WithHint("give a value for each of: %s", strings.Join(i.Key, ", "))
	}
	for at, name := range i.Key {
		column, _ := i.Column(name)
		if err := t.checkText(column, key[at], place); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) checkText(c quarantine.Column, text, place string) error {
	if err := c.Check(quarantine.Literal{Text: text, Kind: quarantine.Text}, t.d.Odd); err != nil {
		return err.(*fault.Error).At(place)
	}
	return nil
}

// checkValue says whether a value can be written into a column.
func (t *tx) checkValue(c quarantine.Column, cell quarantine.Cell, place string) error {
	switch {
	case c.Generated:
		return fault.New(fault.Invalid, "%s is computed and can't be written", c.Name).At(place).WithHint("write the columns that it is computed from")
	case cell.Value == nil && c.NotNull:
		return fault.New(fault.Invalid, "%s can't be empty", c.Name).At(place).WithHint("give a value")
	case cell.Value == nil:
		return nil
	}
	return t.checkText(c, *cell.Value, place)
}

// missingKeys says which of the named rows are not there.
func missingKeys(f *found, keys []quarantine.Key) error {
	if len(f.rows) >= len(keys) || len(keys) == 0 {
		return nil
	}
	distinct := map[string]bool{}
	for _, k := range keys {
		distinct[keyID(k)] = true
	}
	if missing := len(distinct) - len(f.rows); missing > 0 {
		return fault.New(fault.NotFound, "%s not in %s", quarantine.Of(missing, len(distinct), "named row", "named rows"), f.info.Canonical()).At("keys").WithHint("look whether the keys are right; somebody may have deleted the rows already")
	}
	return nil
}

// fill makes the plan out of what was found.
func (t *tx) fill(p *quarantine.Plan, c *closure) error {
	if err := t.d.Feeds(t.ctx, t.c, c.touched()); err != nil {
		return err
	}
	p.Rows = 0
	names := []string{}
	for _, group := range groups(c.order, slices.Concat(c.all)) {
		names = append(names, group...)
	}
	if at := slices.Index(names, p.Root); at > 0 { // the root's own group comes first; so does the root
		names = slices.Insert(slices.Delete(names, at, at+1), 0, p.Root)
	}
	for n, name := range names {
		table, err := t.table(p, c.found[name], n)
		if err != nil {
			return err
		}
		p.Tables = append(p.Tables, table)
		p.Rows += len(table.Frozen)
		p.Bytes += table.Bytes
	}
	p.Links = c.used
	for at, l := range c.used {
		if d := c.detached[at]; d != nil && len(d.rows) > 0 {
			rows := sorted(d.rows)
			p.Detached = append(p.Detached, quarantine.Detach{Link: l, Key: c.infos[l.Child].Key, Frozen: rows,
				SetHash: quarantine.HashSet(rows), Hold: holdName(p.ID, "d", len(p.Detached))})
		}
	}
	if err := t.refuse(p, c); err != nil {
		return err
	}
	if err := t.sample(p, c); err != nil {
		return err
	}
	t.notices(p, c)
	p.SQL, p.Inverse = t.script(p, c.infos)
	p.Locks = t.d.Forecast(t.ctx, t.c, c.touched())
	return nil
}

// touched are the tables that a plan changes.
func (c *closure) touched() []*Info {
	var out []*Info
	for _, name := range c.order {
		out = append(out, c.infos[name])
	}
	for _, d := range c.detached {
		if info := c.infos[d.link.Child]; len(d.rows) > 0 && !slices.Contains(out, info) {
			out = append(out, info)
		}
	}
	return out
}

// table is a table of the plan.
func (t *tx) table(p *quarantine.Plan, f *found, n int) (quarantine.Table, error) {
	rows := sorted(f.rows)
	i := f.info
	out := quarantine.Table{Name: i.Canonical(), Path: f.path, Key: i.Key, Columns: i.Columns, Frozen: rows, Bytes: f.bytes, Total: i.Rows,
		SetHash: quarantine.HashSet(rows), DDLHash: quarantine.HashColumns(i.Columns), Unique: i.Unique, Triggers: i.Triggers, Feeds: i.Feeds,
		Partition: i.Partitioned, Hold: holdName(p.ID, "", n)}
	switch {
	case i.Canonical() == p.Root && p.Mode == quarantine.Replace:
		out.Why = "You chose " + quarantine.Count(len(rows), "row here; some of its", "rows here; some of their") + " cells get safe values."
	case i.Canonical() == p.Root:
		out.Why = "You chose rows here; " + quarantine.Count(len(rows), "row leaves.", "rows leave.")
	default:
		out.Why = quarantine.Count(len(rows), "row here hangs", "rows here hang") + fmt.Sprintf(" on rows that leave (%s), and so ", f.via) + map[bool]string{true: "leaves", false: "leave"}[len(rows) == 1] + " with them."
	}
	// Statistics are too coarse for a guard rail: count as far as the share needs.
	enough := int(float64(max(len(rows), t.db.limits.ShareFloor))/t.db.limits.Share) + 1
	lines, err := t.texts("SELECT count(*) FROM (SELECT 1 FROM " + t.d.Source(i) + " t LIMIT " + strconv.Itoa(enough) + ") n")
	if err != nil {
		return out, err
	}
	if n, err := strconv.Atoi(lines[0][0]); err == nil && (n < enough || out.Total < int64(n)) {
		out.Total = int64(n)
	}
	return out, t.image(&out, i)
}

// maxImage is how large the rows of a table may be for one hash of their texts.
const maxImage = 64 << 20

// image hashes the frozen rows as one where the database can, in the same view of the
// data that they were found in.
func (t *tx) image(table *quarantine.Table, i *Info) error {
	image := t.d.Image("t", i)
	if image == "" || table.Bytes > maxImage || len(table.Frozen) == 0 || len(table.Frozen) > t.d.Chunk(i) {
		return nil
	}
	b := NewBuilder(t.d)
	lines, err := t.texts("SELECT "+image+" FROM "+t.d.Source(i)+" t WHERE "+t.d.MatchKeys(b, "t", i, keysOfRows(table.Frozen)), b.Args...)
	if err != nil {
		return err
	}
	table.Image = lines[0][0]
	return nil
}

// refuseTable gives the reasons that lie in a table itself.
func (t *tx) refuseTable(i *Info, root bool) []quarantine.Refusal {
	name := i.Canonical()
	out := slices.Clone(i.Refused)
	switch {
	case i.What != "table":
		out = append(out, quarantine.Refusal{Rule: quarantine.RuleNotTable, Table: name,
			Reason: fmt.Sprintf("%s is a %s, not a table.", name, i.What), Satisfy: "Name the table that the rows are kept in."})
	case len(i.Key) == 0:
		out = append(out, quarantine.Refusal{Rule: quarantine.RuleNoKey, Table: name,
			Reason:  fmt.Sprintf("The rows of %s can't be told apart: it has no primary key, nor a unique key without nulls.", name),
			Satisfy: "Give the table a primary key."})
	}
	if root && len(t.db.o.Tables) > 0 && !slices.Contains(t.db.o.Tables, name) && !slices.Contains(t.db.o.Tables, shortName(name)) {
		out = append(out, quarantine.Refusal{Rule: quarantine.RuleNotListed, Table: name,
			Reason: fmt.Sprintf("%s is not on the list of tables that rows may be taken from.", name), Satisfy: "Add it to the list in the configuration of this database."})
	}
	return out
}

// refuse gathers the reasons why the plan can't be applied.
func (t *tx) refuse(p *quarantine.Plan, c *closure) error {
	add := func(rule quarantine.Rule, table, satisfy, reason string, args ...any) {
		p.Refused = append(p.Refused, quarantine.Refusal{Rule: rule, Table: table, Reason: fmt.Sprintf(reason, args...), Satisfy: satisfy})
	}
	for _, i := range c.touched() {
		p.Refused = append(p.Refused, t.refuseTable(i, i.Canonical() == p.Root)...)
	}
	p.Refused = append(p.Refused, c.refused...)
	rows := p.Rows
	for _, d := range p.Detached {
		rows += len(d.Frozen)
	}
	limits := t.db.limits
	switch {
	case p.Rows == 0 && len(p.Tables) > 0 && p.Tables[0].Frozen != nil && len(p.Tables[0].Frozen) == 0:
		add(quarantine.RuleNothing, p.Root, "Look whether the condition is right.", "No row of %s fits.", p.Root)
	case c.full():
		add(quarantine.RuleHard, "", "Choose fewer rows.", "More than %d rows would be touched; that is more than may be moved at all.", limits.Hard)
	case (rows > limits.Rows || p.Bytes > limits.Bytes) && p.Mode == quarantine.Replace:
		add(quarantine.RuleMax, "", "Choose fewer rows.", "%d rows of about %d MiB are more than may be replaced (%d rows, %d MiB).", rows, p.Bytes>>20, limits.Rows, limits.Bytes>>20)
	case (rows > limits.Rows || p.Bytes > limits.Bytes) && !p.Batch:
		add(quarantine.RuleMax, "", "Choose fewer rows, or ask for a batch: many transactions, so not all at once.",
			"%d rows of about %d MiB are more than are moved in one transaction (%d rows, %d MiB).", rows, p.Bytes>>20, limits.Rows, limits.Bytes>>20)
	}
	for _, table := range p.Tables {
		t.refuseShare(p, table, add)
		refuseEmpty(c.infos[table.Name], table.Frozen, add)
	}
	for _, d := range p.Detached {
		refuseEmpty(c.infos[d.Link.Child], d.Frozen, add)
	}
	if p.Mode == quarantine.Replace {
		refuseCells(p, c, add)
	}
	t.refuseCircles(p, c, add)
	return t.refuseOpen(p, c, add)
}

// refuseEmpty refuses rows of whose key a part is empty, which SQLite allows.
func refuseEmpty(i *Info, rows []quarantine.Row, add refuser) {
	if i.Empty != "" && slices.ContainsFunc(rows, func(r quarantine.Row) bool { return slices.Contains(r.Key, i.Empty) }) {
		add(quarantine.RuleNoKey, i.Canonical(), fmt.Sprintf("Give every row a value in: %s.", strings.Join(i.Key, ", ")), "The key of some of the rows of %s is empty, so they can't be told apart.", i.Canonical())
	}
}

type refuser func(rule quarantine.Rule, table, satisfy, reason string, args ...any)

// refuseShare keeps a plan from emptying a table.
func (t *tx) refuseShare(p *quarantine.Plan, table quarantine.Table, add refuser) {
	n := int64(len(table.Frozen))
	if n == 0 || table.Total < 0 || p.Mode == quarantine.Replace && n < table.Total {
		return
	}
	root := table.Name == p.Root
	share := float64(n) / float64(max(table.Total, 1))
	switch {
	case root && n >= table.Total:
		add(quarantine.RuleWhole, table.Name, "Choose some of its rows.", "All rows of %s would leave.", table.Name)
	case n > int64(t.db.limits.ShareFloor) && share > t.db.limits.Share && !slices.Contains(p.Request.Accept, quarantine.RuleShare):
		add(quarantine.RuleShare, table.Name, fmt.Sprintf("Choose fewer rows, or accept the rule %q with a reason.", quarantine.RuleShare),
			"%d of about %d rows of %s would leave: %.0f %%, and more than %.0f %% is seldom meant.", n, table.Total, table.Name, share*100, t.db.limits.Share*100)
	}
}

// refuseCells refuses to replace what names rows or is named by others.
func refuseCells(p *quarantine.Plan, c *closure, add refuser) {
	info := c.infos[p.Root]
	for _, cell := range p.Request.Set {
		referred := slices.ContainsFunc(c.all, func(l quarantine.Link) bool {
			return l.Parent == p.Root && slices.Contains(l.ParentColumns, cell.Column)
		})
		if slices.Contains(info.Key, cell.Column) || referred {
			add(quarantine.RuleColumn, p.Root, "Move the row instead.", "%s names rows of %s; replacing it would make them other rows.", cell.Column, p.Root)
		}
	}
}

// refuseCircles refuses circles of references that can't be opened for a moment.
func (t *tx) refuseCircles(p *quarantine.Plan, c *closure, add refuser) {
	if p.Mode != quarantine.Move {
		return
	}
	for _, group := range groups(c.order, c.all) {
		if _, name := arrange(t.d, group, c.all, c.infos); name != "" {
			add(quarantine.RuleCircle, name, "Take the rows out by hand.", "%s is part of a circle of references of which none can be empty, so this database can't take the circle apart.", name)
		}
	}
}

// refuseOpen refuses tables that another operation holds rows of, and ids that are
// taken.
func (t *tx) refuseOpen(p *quarantine.Plan, c *closure, add refuser) error {
	ops, err := t.operations()
	if err != nil {
		return err
	}
	for _, op := range ops {
		if op.ID == p.ID {
			return fault.New(fault.Conflict, "there is an operation %s already", p.ID).At("id").WithHint("take another id")
		}
		if op.State == quarantine.Restored || op.State == quarantine.Ended || op.State == quarantine.Purged || slices.Contains(p.Request.Accept, quarantine.RuleOpen) {
			continue
		}
		for _, i := range c.touched() {
			if slices.ContainsFunc(op.Tables, func(h quarantine.Holding) bool { return h.Table == i.Canonical() }) {
				add(quarantine.RuleOpen, i.Canonical(), fmt.Sprintf("Put %s back or discard it first, or accept the rule %q with a reason.", op.ID, quarantine.RuleOpen),
					"Operation %s holds rows of %s.", op.ID, i.Canonical())
			}
		}
	}
	return nil
}

// sample adds some rows of each table for people to recognise.
func (t *tx) sample(p *quarantine.Plan, c *closure) error {
	for n := range p.Tables {
		table := &p.Tables[n]
		info := c.infos[table.Name]
		keys := keysOfRows(table.Frozen[:min(maxSamples, len(table.Frozen))])
		if len(keys) == 0 {
			continue
		}
		b := NewBuilder(t.d)
		lengths := joinEach(info.Columns, ", ", func(column quarantine.Column) string {
			return "CASE WHEN " + Cell(t.d, "t", column.Name) + " IS NULL THEN -1 ELSE LENGTH(" + t.d.KeyText("t", column) + ") END"
		})
		lines, err := t.texts("SELECT "+t.key("t", info)+", "+lengths+" FROM "+t.d.Source(info)+" t WHERE "+t.d.MatchKeys(b, "t", info, keys), b.Args...)
		if err != nil {
			return err
		}
		for _, line := range lines {
			s := quarantine.Sample{Key: line[:len(info.Key):len(info.Key)]}
			for at, column := range info.Columns {
				s.Cells = append(s.Cells, masked(column, line[len(info.Key)+at]))
			}
			table.Samples = append(table.Samples, s)
		}
	}
	return nil
}

// masked says what a cell is like without its contents.
func masked(c quarantine.Column, length string) string {
	if length == "-1" {
		return c.Name + ": empty"
	}
	if length == "1" {
		return c.Name + ": " + string(c.Class) + ", 1 character"
	}
	return c.Name + ": " + string(c.Class) + ", " + length + " characters"
}

func keysOfRows(rows []quarantine.Row) []quarantine.Key {
	out := make([]quarantine.Key, len(rows))
	for i, r := range rows {
		out[i] = r.Key
	}
	return out
}

// notices says what will be noticed.
func (t *tx) notices(p *quarantine.Plan, c *closure) {
	say := func(table, format string, args ...any) {
		p.Notices = append(p.Notices, quarantine.Notice{Table: table, Text: fmt.Sprintf(format, args...)})
	}
	for _, table := range p.Tables {
		for _, trigger := range table.Triggers {
			say(table.Name, "The trigger %s will run.", trigger)
		}
		for _, feed := range table.Feeds {
			say(table.Name, "%s will see the change.", feed)
		}
		if c.infos[table.Name].Reusable && p.Mode == quarantine.Move {
			say(table.Name, "The database may give a number that leaves to the next new row; then the old row can't come back under it.")
		}
	}
	for _, d := range p.Detached {
		say(d.Link.Child, "%s link to %s (%s) until the rows come back.", quarantine.Count(len(d.Frozen), "row stays and loses its", "rows stay and lose their"), d.Link.Parent, strings.Join(d.Link.ChildColumns, ", "))
		for _, trigger := range c.infos[d.Link.Child].Triggers {
			say(d.Link.Child, "The trigger %s may run.", trigger)
		}
	}
	for _, l := range p.Links {
		if l.Logical {
			say(l.Child, "The database itself does not see to it that %s refers to rows of %s that are there: rows that are added meanwhile are not kept from naming what has left.", l.Child, l.Parent)
		}
	}
	if p.Batch {
		say("", "This is done in many transactions: it is not atomic. Until it is through, some of the rows have left and others not.")
	}
	switch {
	case p.Mode == quarantine.Replace:
		say("", "Visitors see the safe values instead of what was there. Everything else stays.")
	case p.Rows > 0:
		say("", "Visitors no longer find these rows: pages that list them get shorter, links to them lead nowhere. Nothing else changes.")
	}
}
