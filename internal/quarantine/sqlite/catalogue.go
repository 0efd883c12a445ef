package sqlite

import (
	"context"
	"fmt"
	"regexp"
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

// Links reads the foreign keys of all tables.
func (d *dialect) Links(ctx context.Context, q relational.Querier) ([]quarantine.Link, error) {
	lines, err := relational.Texts(ctx, q, `SELECT m.name, f.id, COALESCE(p.name, f."table"), f."from", COALESCE(f."to",
		(SELECT x.name FROM pragma_table_xinfo(f."table") x WHERE x.pk = f.seq + 1), ''), lower(f.on_delete)
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
	}
	return out, nil
}

// Locate implements relational.Dialect: there is nothing to lock but the file.
func (d *dialect) Locate(_ context.Context, _ relational.Querier, names []string) (map[string]*relational.Info, error) {
	out := map[string]*relational.Info{}
	for _, name := range names {
		out[name] = &relational.Info{Name: name, What: "table"}
	}
	return out, nil
}

// Describe reads what SQLite knows of some tables.
func (d *dialect) Describe(ctx context.Context, q relational.Querier, names []string) (map[string]*relational.Info, error) {
	out := map[string]*relational.Info{}
	for _, name := range names {
		i, err := d.describe(ctx, q, name)
		if err != nil {
			return nil, err
		}
		if i != nil {
			out[name] = i
		}
	}
	return out, nil
}

func (d *dialect) describe(ctx context.Context, q relational.Querier, name string) (*relational.Info, error) {
	lines, err := relational.Texts(ctx, q, `SELECT l.type, l.wr, COALESCE(s.sql, '') FROM pragma_table_list l LEFT JOIN sqlite_schema s ON s.name = l.name WHERE l.schema = 'main' AND l.name = ?`, name)
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	i := &relational.Info{Name: name, What: lines[0][0], Rows: -1}
	if i.What == "virtual" || i.What == "shadow" {
		i.What += " table"
	}
	if strings.HasPrefix(name, "sqlite_") || strings.HasPrefix(name, Prefix) {
		i.Refused = append(i.Refused, quarantine.Refusal{Rule: quarantine.RuleSystem, Table: name, Reason: name + " belongs to the database itself, or to lifeboat.", Satisfy: "Name one of your own tables."})
	}
	if i.What != "table" {
		return i, nil
	}
	rowid := lines[0][1] == "0"
	for _, read := range []func(context.Context, relational.Querier, *relational.Info) error{d.columns, d.indexes, d.triggers} {
		if err := read(ctx, q, i); err != nil {
			return nil, err
		}
	}
	if rowid {
		if top, err := relational.Texts(ctx, q, "SELECT max(rowid) FROM "+d.Quote(name)); err == nil && len(top) > 0 {
			i.Rows, _ = strconv.ParseInt(top[0][0], 10, 64) // no more rows than numbers
		}
		c, _ := i.Column(first(i.Key))
		i.Reusable = len(i.Key) == 1 && strings.EqualFold(c.Type, "INTEGER") && !strings.Contains(strings.ToUpper(lines[0][2]), "AUTOINCREMENT")
		if len(i.Key) == 1 && strings.EqualFold(c.Type, "INTEGER") {
			i.Indexes = append(i.Indexes, i.Key)
		}
	}
	return i, nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
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

func (d *dialect) columns(ctx context.Context, q relational.Querier, i *relational.Info) error {
	lines, err := relational.Texts(ctx, q, `SELECT name, type, "notnull", dflt_value IS NOT NULL, pk, hidden, COALESCE(dflt_value, '') FROM pragma_table_xinfo(?) ORDER BY cid`, i.Name)
	if err != nil {
		return err
	}
	key := map[int]string{}
	i.Defaults = map[string]string{}
	for _, l := range lines {
		c := quarantine.Column{Name: l[0], Type: l[1], Class: class(l[1]), NotNull: l[2] == "1", Default: l[3] == "1", Generated: l[5] == "2" || l[5] == "3"}
		if n, _ := strconv.Atoi(l[4]); n > 0 {
			key[n] = c.Name
			if strings.EqualFold(c.Type, "INTEGER") {
				c.Identity = "auto"
			}
		}
		i.Defaults[c.Name] = "NULL"
		if l[6] != "" {
			i.Defaults[c.Name] = "(" + l[6] + ")"
		}
		i.Columns = append(i.Columns, c)
	}
	for n := 1; key[n] != ""; n++ {
		i.Key = append(i.Key, key[n])
	}
	return nil
}

func (d *dialect) indexes(ctx context.Context, q relational.Querier, i *relational.Info) error {
	lines, err := relational.Texts(ctx, q, `SELECT l.name, l."unique", l.origin, l.partial, x.cid, COALESCE(x.name, '') FROM pragma_index_list(?) l JOIN pragma_index_xinfo(l.name) x WHERE x.key = 1 ORDER BY l.name, x.seqno`, i.Name)
	if err != nil {
		return err
	}
	type index struct {
		name, origin            string
		unique, partial, opaque bool
		columns                 []string
	}
	var all []*index
	for _, l := range lines {
		if len(all) == 0 || all[len(all)-1].name != l[0] {
			all = append(all, &index{name: l[0], origin: l[2], unique: l[1] == "1", partial: l[3] == "1"})
		}
		x := all[len(all)-1]
		x.opaque = x.opaque || l[4] == "-2"
		x.columns = append(x.columns, l[5])
	}
	for _, x := range all {
		if !x.partial && !x.opaque {
			i.Indexes = append(i.Indexes, x.columns)
		}
		if !x.unique || x.origin == "pk" {
			continue
		}
		whole := !x.partial && !x.opaque
		for _, name := range x.columns {
			c, _ := i.Column(name)
			whole = whole && c.NotNull
		}
		if len(i.Key) == 0 && whole {
			i.Key = x.columns
			continue
		}
		i.Unique = append(i.Unique, quarantine.Unique{Name: x.name, Columns: x.columns, Opaque: x.partial || x.opaque})
	}
	return nil
}

var triggerForm = regexp.MustCompile(`(?is)\b(before|after|instead\s+of)?\s*\b(delete|insert|update)\b`)

func (d *dialect) triggers(ctx context.Context, q relational.Querier, i *relational.Info) error {
	lines, err := relational.Texts(ctx, q, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?) ORDER BY name", i.Name)
	for _, l := range lines {
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
	}
	return err
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
