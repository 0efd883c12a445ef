package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

func (d *dialect) Resolve(ctx context.Context, q relational.Querier, name string) (string, error) {
	lines, err := relational.Texts(ctx, q, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower(?)", strings.TrimPrefix(name, "main."))
	switch {
	case err != nil:
		return "", err
	case len(lines) == 0:
		return "", fault.New(fault.NotFound, "there is no table %.80q", name).At("table").WithHint("look how it is written in the database")
	}
	return lines[0][0], nil
}

// Links reads the foreign keys of all tables. How the parent's columns compare text stands
// with the unique index that every foreign key needs.
func (d *dialect) Links(ctx context.Context, q relational.Querier) ([]quarantine.Link, error) {
	lines, err := relational.Texts(ctx, q, `SELECT m.name, f.id, COALESCE(p.name, f."table"), f."from", COALESCE(
		(SELECT x.name FROM pragma_table_xinfo(f."table") x WHERE lower(x.name) = lower(f."to")), f."to", (SELECT x.name FROM pragma_table_xinfo(f."table") x WHERE x.pk = f.seq + 1), ''), lower(f.on_delete),
		COALESCE((SELECT NULLIF(upper(k.coll), 'BINARY') FROM pragma_index_list(f."table") i JOIN pragma_index_xinfo(i.name) k
			WHERE i."unique" AND k.key AND lower(k.name) = lower(COALESCE(f."to", (SELECT x.name FROM pragma_table_xinfo(f."table") x WHERE x.pk = f.seq + 1)))
			ORDER BY CASE i.origin WHEN 'pk' THEN 0 WHEN 'u' THEN 1 ELSE 2 END LIMIT 1), '')
		FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f LEFT JOIN sqlite_schema p ON p.type = 'table' AND lower(p.name) = lower(f."table")
		WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq`)
	if err != nil {
		return nil, err
	}
	var out []quarantine.Link
	for _, l := range lines {
		name := l[0] + " foreign key " + l[1]
		if len(out) == 0 || out[len(out)-1].Name != name {
			out = append(out, quarantine.Link{Name: name, Child: l[0], Parent: l[2], OnDelete: l[5], Deferrable: true})
		}
		last := &out[len(out)-1]
		last.ChildColumns = append(last.ChildColumns, l[3])
		last.ParentColumns = append(last.ParentColumns, l[4])
		last.Collate = append(last.Collate, l[6])
	}
	for i := range out {
		if !slices.ContainsFunc(out[i].Collate, func(c string) bool { return c != "" }) {
			out[i].Collate = nil
		}
	}
	return out, nil
}

// Alike implements relational.Dialect.
func (d *dialect) Alike(_, _ quarantine.Column) bool { return true }

// Locate implements relational.Dialect: there is nothing to lock but the file.
func (d *dialect) Locate(_ context.Context, _ relational.Querier, names []string) (map[string]*relational.Info, error) {
	out := map[string]*relational.Info{}
	for _, name := range names {
		out[name] = &relational.Info{Name: name, What: "table"}
	}
	return out, nil
}

// Describe reads what SQLite knows of some tables, all of them at once.
func (d *dialect) Describe(ctx context.Context, q relational.Querier, names []string) (map[string]*relational.Info, error) {
	list, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	s := &description{q: q, d: d, list: string(list), byName: map[string]*relational.Info{}}
	for _, read := range []func(context.Context) error{s.tables, s.columns, s.indexes, s.triggers, s.sizes} {
		if err := read(ctx); err != nil {
			return nil, err
		}
	}
	return s.byName, nil
}

// description gathers what is read about tables, by their names.
type description struct {
	q      relational.Querier
	d      *dialect
	list   string // the names, as JSON
	byName map[string]*relational.Info

	numbered []*relational.Info // tables that number their rows
}

// each reads lines that begin with the name of a table, of those that are tables. The
// query's argument is the list of names.
func (s *description) each(ctx context.Context, query string, read func(*relational.Info, []string)) error {
	lines, err := relational.Texts(ctx, s.q, query, s.list)
	for _, l := range lines {
		if i := s.byName[l[0]]; i != nil && i.What == "table" {
			read(i, l[1:])
		}
	}
	return err
}

func (s *description) tables(ctx context.Context) error {
	lines, err := relational.Texts(ctx, s.q, `SELECT l.name, l.type, l.wr, COALESCE(s.sql, '') FROM pragma_table_list l LEFT JOIN sqlite_schema s ON s.name = l.name
		WHERE l.schema = 'main' AND l.name IN (SELECT value FROM json_each(?))`, s.list)
	for _, l := range lines {
		i := &relational.Info{Name: l[0], What: l[1], Rows: -1, Empty: marked + "NULL"}
		if i.What == "virtual" || i.What == "shadow" {
			i.What += " table"
		}
		if strings.HasPrefix(i.Name, "sqlite_") || strings.HasPrefix(i.Name, Prefix) {
			i.Refused = append(i.Refused, quarantine.Refusal{Rule: quarantine.RuleSystem, Table: i.Name, Reason: i.Name + " belongs to the database itself, or to lifeboat.", Satisfy: "Name one of your own tables."})
		}
		// Whether it is so is seen with the columns and the indexes.
		i.RowKey = l[2] == "0"
		i.Reusable = i.RowKey && !strings.Contains(strings.ToUpper(l[3]), "AUTOINCREMENT")
		if i.RowKey && i.What == "table" {
			s.numbered = append(s.numbered, i)
		}
		s.byName[i.Name] = i
	}
	return err
}

// sizes bounds the rows of tables that number them: there are no more rows than numbers.
func (s *description) sizes(ctx context.Context) error {
	for _, i := range s.numbered {
		top, err := relational.Texts(ctx, s.q, "SELECT max(rowid) FROM "+s.d.Quote(i.Name))
		if err != nil {
			return err
		}
		i.Rows, _ = strconv.ParseInt(top[0][0], 10, 64)
		if i.RowKey {
			i.Indexes = append(i.Indexes, i.Key)
		}
	}
	return nil
}

// class follows SQLite's rules of affinity (sqlite.org/datatype3.html, 3.1).
func class(declared string) quarantine.Class {
	t := strings.ToUpper(declared)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(t, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("INT"):
		return quarantine.ClassInteger
	case has("CHAR", "CLOB", "TEXT"):
		return quarantine.ClassText
	case has("BLOB"):
		return quarantine.ClassBytes
	case has("REAL", "FLOA", "DOUB"):
		return quarantine.ClassFloat
	case has("NUMERIC", "DECIMAL"):
		return quarantine.ClassDecimal
	case has("BOOL"):
		return quarantine.ClassBool
	}
	return quarantine.ClassOther
}

func (s *description) columns(ctx context.Context) error {
	keys := map[*relational.Info]map[int]string{}
	err := s.each(ctx, `SELECT t.value, x.name, x.type, x."notnull", x.dflt_value IS NOT NULL, x.pk, x.hidden, COALESCE(x.dflt_value, '') FROM json_each(?) t JOIN pragma_table_xinfo(t.value) x ORDER BY t.value, x.cid`, func(i *relational.Info, l []string) {
		if keys[i] == nil {
			keys[i], i.Defaults = map[int]string{}, map[string]string{}
		}
		c := quarantine.Column{Name: l[0], Type: l[1], Class: class(l[1]), NotNull: l[2] == "1", Default: l[3] == "1", Generated: l[5] == "2" || l[5] == "3"}
		if n, _ := strconv.Atoi(l[4]); n > 0 {
			keys[i][n] = c.Name
			if strings.EqualFold(c.Type, "INTEGER") {
				c.Identity = "auto"
			}
		}
		i.Defaults[c.Name] = "NULL"
		if l[6] != "" {
			i.Defaults[c.Name] = "(" + l[6] + ")"
		}
		i.Columns = append(i.Columns, c)
	})
	for i, key := range keys {
		for n := 1; key[n] != ""; n++ {
			i.Key = append(i.Key, key[n])
		}
		c, _ := i.Column(key[1]) // https://sqlite.org/lang_createtable.html#rowid
		i.RowKey = i.RowKey && len(i.Key) == 1 && strings.EqualFold(c.Type, "INTEGER")
		i.Reusable = i.Reusable && i.RowKey
	}
	return err
}

// index is one of a table's indexes.
type index struct {
	name, origin            string
	unique, partial, opaque bool
	columns                 []string
}

func (s *description) indexes(ctx context.Context) error {
	all := map[*relational.Info][]*index{}
	err := s.each(ctx, `SELECT t.value, l.name, l."unique", l.origin, l.partial, x.cid, COALESCE(x.name, '') FROM json_each(?) t JOIN pragma_index_list(t.value) l JOIN pragma_index_xinfo(l.name) x
		WHERE x.key = 1 ORDER BY t.value, l.name, x.seqno`, func(i *relational.Info, l []string) {
		of := all[i]
		if len(of) == 0 || of[len(of)-1].name != l[0] {
			of = append(of, &index{name: l[0], origin: l[2], unique: l[1] == "1", partial: l[3] == "1"})
			all[i] = of
		}
		x := of[len(of)-1]
		x.opaque = x.opaque || l[4] == "-2"
		x.columns = append(x.columns, l[5])
	})
	for i, of := range all {
		for _, x := range of {
			takeIndex(i, x)
		}
	}
	return err
}

// takeIndex notes what an index says of its table.
func takeIndex(i *relational.Info, x *index) {
	whole := !x.partial && !x.opaque
	if whole {
		i.Indexes = append(i.Indexes, x.columns)
	}
	if x.origin == "pk" { // the key is no row number then, whatever its type
		i.RowKey, i.Reusable = false, false
	}
	if !x.unique || x.origin == "pk" {
		return
	}
	for _, name := range x.columns {
		c, _ := i.Column(name)
		whole = whole && c.NotNull
	}
	if len(i.Key) == 0 && whole {
		i.Key = x.columns
		return
	}
	i.Unique = append(i.Unique, quarantine.Unique{Name: x.name, Columns: x.columns, Opaque: x.partial || x.opaque})
}

var triggerForm = regexp.MustCompile(`(?is)\b(before|after|instead\s+of)?\s*\b(delete|insert|update)\b`)

func (s *description) triggers(ctx context.Context) error {
	return s.each(ctx, "SELECT t.value, s.name, s.sql FROM json_each(?) t JOIN sqlite_schema s ON s.type = 'trigger' AND lower(s.tbl_name) = lower(t.value) ORDER BY t.value, s.name", func(i *relational.Info, l []string) {
		when := "BEFORE"
		_, after, _ := strings.Cut(l[1], l[0])
		event := triggerForm.FindStringSubmatch(after)
		if event == nil {
			event = []string{"", "", "change"}
		}
		if event[1] != "" {
			when = strings.ToUpper(event[1])
		}
		i.Triggers = append(i.Triggers, fmt.Sprintf("%s (%s %s)", l[0], when, strings.ToUpper(event[2])))
	})
}

// Ready says what is missing.
func (d *dialect) Ready(ctx context.Context, q relational.Querier, tables []string) []string {
	var out []string
	lines, err := relational.Texts(ctx, q, "PRAGMA quick_check(1)")
	if err != nil || len(lines) == 0 || lines[0][0] != "ok" {
		out = append(out, "The file is damaged, or is no SQLite database. Look at it with: PRAGMA integrity_check")
	}
	for _, name := range tables {
		if _, err := d.Resolve(ctx, q, name); err != nil {
			out = append(out, fmt.Sprintf("The table %s of the list is not there. Correct the list.", name))
		}
	}
	return out
}
