package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

var kinds = map[string]string{"r": "table", "p": "table", "v": "view", "m": "materialised view", "f": "foreign table", "c": "type", "S": "sequence", "t": "system table"}

// Resolve finds a table by the name that a person wrote.
func (d *dialect) Resolve(ctx context.Context, q relational.Querier, name string) (string, error) {
	lines, err := relational.Texts(ctx, q, `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (n.nspname || '.' || c.relname = $1 OR c.relname = $1 AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '`+Schema+`'))
		ORDER BY n.nspname || '.' || c.relname = $1 DESC, n.nspname = 'public' DESC, 1 LIMIT 3`, name)
	switch {
	case err != nil:
		return "", err
	case len(lines) == 0:
		return "", fault.New(fault.NotFound, "there is no table %.80q", name).At("table").WithHint("name it with its schema and its exact case, as in public.orders; the role also needs the right to see it")
	case len(lines) > 1 && lines[0][0] != name && !strings.HasPrefix(lines[0][0], "public."):
		return "", fault.New(fault.Invalid, "there are several tables %.80q", name).At("table").WithHint("name it with its schema, as in %s", lines[0][0])
	}
	return lines[0][0], nil
}

var deleteRules = map[string]string{"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}

// notKept: a foreign key that was declared so (PostgreSQL 18), or whose triggers, which
// are what keeps it, do not fire for us.
const notKept = `to_jsonb(con.*)->'conenforced' = 'false' OR current_setting('session_replication_role') = 'replica' OR
	EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgconstraint = con.oid AND g.tgenabled IN ('D', 'R'))`

// Links reads the foreign keys; those that partitions inherit are their parents'.
func (d *dialect) Links(ctx context.Context, q relational.Querier) ([]quarantine.Link, error) {
	columns := func(rel, key string) string {
		return "(SELECT json_agg(json_build_array(a.attname, a.attcollation::text || ' ' || a.atttypid) ORDER BY k.n) FROM unnest(con." + key + ") WITH ORDINALITY k(num, n) JOIN pg_attribute a ON a.attrelid = con." + rel + " AND a.attnum = k.num)"
	}
	lines, err := relational.Texts(ctx, q, `SELECT con.conname, cn.nspname || '.' || c.relname, pn.nspname || '.' || p.relname, con.confdeltype, `+flag("con.condeferrable")+", "+flag(notKept)+`,
		`+columns("conrelid", "conkey")+", "+columns("confrelid", "confkey")+`,
		(SELECT json_agg(json_build_array(a.attname, '') ORDER BY a.attnum) FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(to_jsonb(con.*)->'confdelsetcols') = 'array' THEN to_jsonb(con.*)->'confdelsetcols' END) e(num)
			JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = e.num::int)
		FROM pg_constraint con JOIN pg_class c ON c.oid = con.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
		JOIN pg_class p ON p.oid = con.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE con.contype = 'f' AND con.conparentid = 0`)
	if err != nil {
		return nil, err
	}
	out := make([]quarantine.Link, len(lines))
	differ := false
	for i, l := range lines {
		out[i] = quarantine.Link{Name: l[0], Child: l[1], Parent: l[2], OnDelete: deleteRules[l[3]], Deferrable: l[4] == yes, Logical: l[5] == yes}
		var kinds [3][]string
		for n, into := range []*[]string{&out[i].ChildColumns, &out[i].ParentColumns, &out[i].Empties} {
			if *into, kinds[n], err = named(l[6+n]); err != nil {
				return nil, err
			}
		}
		differ = differ || !slices.Equal(kinds[0], kinds[1])
	}
	if !differ {
		return out, nil
	}
	return out, d.compared(ctx, q, out)
}

// named reads a list of columns and their collations and types.
func named(text string) (names, kinds []string, err error) {
	if text == "" {
		return nil, nil, nil
	}
	var list [][2]string
	err = json.Unmarshal([]byte(text), &list)
	for _, c := range list {
		names, kinds = append(names, c[0]), append(kinds, c[1])
	}
	return names, kinds, err
}

// compared says how foreign keys compare columns that differ. Text goes by the parent's
// collation; where neither of two takes different texts for equal both say the same, and it
// is the child's, whose index serves. What refers to a char(n) is turned into one first:
// blanks at its end do not count.
func (d *dialect) compared(ctx context.Context, q relational.Querier, links []quarantine.Link) error {
	lines, err := relational.Texts(ctx, q, `SELECT con.conname, cn.nspname || '.' || c.relname, u.n - 1,
		CASE WHEN ca.attcollation = pa.attcollation THEN '' WHEN cc.collisdeterministic AND pc.collisdeterministic THEN ccn.nspname || '.' || cc.collname ELSE COALESCE(pcn.nspname || '.' || pc.collname, '') END,
		CASE WHEN op.oprright = 'bpchar'::regtype AND op.oprright <> ca.atttypid THEN 'pg_catalog.bpchar' ELSE '' END
		FROM pg_constraint con JOIN pg_class c ON c.oid = con.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
		CROSS JOIN LATERAL unnest(con.conkey, con.confkey, con.conpfeqop) WITH ORDINALITY u(child, parent, operator, n) JOIN pg_operator op ON op.oid = u.operator
		JOIN pg_attribute ca ON ca.attrelid = con.conrelid AND ca.attnum = u.child LEFT JOIN pg_collation cc ON cc.oid = ca.attcollation LEFT JOIN pg_namespace ccn ON ccn.oid = cc.collnamespace
		JOIN pg_attribute pa ON pa.attrelid = con.confrelid AND pa.attnum = u.parent LEFT JOIN pg_collation pc ON pc.oid = pa.attcollation LEFT JOIN pg_namespace pcn ON pcn.oid = pc.collnamespace
		WHERE con.contype = 'f' AND con.conparentid = 0 AND (ca.attcollation <> pa.attcollation OR ca.atttypid <> pa.atttypid)`)
	for _, line := range lines {
		at := slices.IndexFunc(links, func(l quarantine.Link) bool { return l.Name == line[0] && l.Child == line[1] })
		n, convErr := strconv.Atoi(line[2])
		if at < 0 || convErr != nil {
			continue
		}
		l := &links[at]
		note := func(list *[]string, text string) {
			if text == "" {
				return
			}
			if *list == nil {
				*list = make([]string, len(l.ChildColumns))
			}
			(*list)[n] = text
		}
		note(&l.Collate, line[3])
		note(&l.Casts, line[4])
	}
	return err
}

// Alike implements relational.Dialect.
func (d *dialect) Alike(_, _ quarantine.Column) bool { return true }

// description gathers what is read about tables, by their object id.
type description struct {
	q    relational.Querier
	d    *dialect
	ids  []string
	byID map[string]*relational.Info

	partitioned, publications bool // some of the tables are; there are any at all
}

// Locate implements relational.Dialect.
func (d *dialect) Locate(ctx context.Context, q relational.Querier, names []string) (map[string]*relational.Info, error) {
	lines, err := relational.Texts(ctx, q, `SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = ANY($1)`, names)
	out := map[string]*relational.Info{}
	for _, l := range lines {
		i := &relational.Info{Schema: l[0], Name: l[1], What: kinds[l[2]], Partitioned: l[2] == "p"}
		out[i.Canonical()] = i
	}
	return out, err
}

// Describe reads the catalogue about some tables.
func (d *dialect) Describe(ctx context.Context, q relational.Querier, names []string) (map[string]*relational.Info, error) {
	s := &description{q: q, d: d, byID: map[string]*relational.Info{}}
	for _, read := range []func(context.Context, []string) error{s.classes, s.parts, s.columns, s.indexes, s.triggers, s.published} {
		if err := read(ctx, names); err != nil {
			return nil, err
		}
	}
	out := map[string]*relational.Info{}
	for _, i := range s.byID {
		out[i.Canonical()] = i
	}
	return out, nil
}

func (s *description) refuse(id string, rule quarantine.Rule, reason, satisfy string) {
	i := s.byID[id]
	i.Refused = append(i.Refused, quarantine.Refusal{Rule: rule, Table: i.Canonical(), Reason: fmt.Sprintf(reason, i.Canonical()), Satisfy: satisfy})
}

const yes = "yes"

func flag(condition string) string { return "CASE WHEN " + condition + " THEN 'yes' ELSE '' END" }

// classes reads the tables themselves, and what refuses them.
func (s *description) classes(ctx context.Context, names []string) error {
	rights := []string{"SELECT", "INSERT", "UPDATE", "DELETE"}
	var missing []string
	for _, r := range rights {
		missing = append(missing, "CASE WHEN has_table_privilege(c.oid, '"+r+"') THEN NULL ELSE '"+r+"' END")
	}
	// What only partitions and publications need is asked where there are some: planning
	// such questions costs more than the rest.
	lines, err := relational.Texts(ctx, s.q, `SELECT c.oid, n.nspname, c.relname, c.relkind,
		CASE WHEN c.relkind = 'r' AND c.reltuples < 0 THEN pg_relation_size(c.oid) / 80 ELSE c.reltuples END::bigint,
		`+flag("c.relispartition")+", "+flag("row_security_active(c.oid)")+", "+flag("EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')")+`,
		concat_ws(', ', `+strings.Join(missing, ", ")+`), `+flag("has_schema_privilege(n.oid, 'USAGE')")+`, current_user, `+flag("EXISTS (SELECT 1 FROM pg_publication)")+`
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = ANY($1)`, names)
	if err != nil {
		return err
	}
	for _, l := range lines {
		id := l[0]
		i := &relational.Info{Schema: l[1], Name: l[2], What: kinds[l[3]], Partitioned: l[3] == "p"}
		s.publications, s.partitioned = l[11] == yes, s.partitioned || i.Partitioned
		i.Rows, _ = strconv.ParseInt(l[4], 10, 64)
		s.ids, s.byID[id] = append(s.ids, id), i
		if i.Schema == Schema || i.Schema == "information_schema" || strings.HasPrefix(i.Schema, "pg_") {
			s.refuse(id, quarantine.RuleSystem, "%s belongs to the database itself, or to lifeboat.", "Name one of your own tables.")
		}
		if l[5] == yes {
			s.refuse(id, quarantine.RulePartition, "%s is one part of a larger table.", "Name the whole table; foreign keys of single parts can't be followed.")
		}
		if l[6] == yes {
			s.refuse(id, quarantine.RuleRowControl, "Row security hides some rows of %s from us.", "Let the role bypass row security: ALTER ROLE "+s.d.Quote(l[10])+" BYPASSRLS.")
		}
		if l[7] == yes {
			s.refuse(id, quarantine.RuleRules, "%s has rewrite rules, which turn a delete into something else.", "Take the rows out by hand, or turn the rules into triggers.")
		}
		if i.What == "table" && (l[8] != "" || l[9] != yes) {
			s.refuse(id, quarantine.RulePrivilege, "The database role lacks rights on %s: "+firstOf(l[8], "USAGE on the schema")+".",
				fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %[2]s.", s.d.Quote(i.Schema), s.d.Quote(l[10]), s.d.Target(i)))
		}
	}
	return nil
}

// parts reads what only partitioned tables have.
func (s *description) parts(ctx context.Context, _ []string) error {
	if !s.partitioned {
		return nil
	}
	lines, err := relational.Texts(ctx, s.q, `SELECT c.oid, (SELECT sum(CASE WHEN l.reltuples < 0 THEN pg_relation_size(l.oid) / 80 ELSE l.reltuples END) FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid AND t.isleaf)::bigint,
		`+flag("EXISTS (SELECT 1 FROM pg_partition_tree(c.oid) t JOIN pg_constraint k ON k.confrelid = t.relid WHERE t.relid <> c.oid AND k.contype = 'f' AND k.conparentid = 0)")+`,
		`+flag("EXISTS (SELECT 1 FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid WHERE l.relkind = 'f')")+`
		FROM pg_class c WHERE c.oid = ANY(CAST($1 AS oid[])) AND c.relkind = 'p'`, s.ids)
	for _, l := range lines {
		s.byID[l[0]].Rows, _ = strconv.ParseInt(l[1], 10, 64)
		if l[2] == yes || l[3] == yes {
			s.refuse(l[0], quarantine.RulePartition, "Foreign keys name single parts of %s, or some of its parts are foreign tables.", "Take the rows out by hand.")
		}
	}
	return err
}

// published refuses tables that the database lets nobody delete from, because of those
// who are told of changes.
func (s *description) published(ctx context.Context, _ []string) error {
	if !s.publications {
		return nil
	}
	lines, err := relational.Texts(ctx, s.q, `SELECT c.oid, `+flag(nameless)+` FROM pg_class c WHERE c.oid = ANY(CAST($1 AS oid[])) ORDER BY c.oid`, s.ids)
	for _, l := range lines {
		if l[1] == yes {
			s.refuse(l[0], quarantine.RulePublished, "%s is published for replication without an identity, so the database refuses every delete.", "Give it a primary key, or: ALTER TABLE "+s.d.Target(s.byID[l[0]])+" REPLICA IDENTITY FULL.")
		}
	}
	return err
}

// nameless: deletes are published, and the rows have no identity.
const nameless = `EXISTS (SELECT 1 FROM (SELECT c.oid AS relid UNION SELECT relid FROM pg_partition_tree(c.oid)) t JOIN pg_class l ON l.oid = t.relid JOIN pg_namespace ln ON ln.oid = l.relnamespace
	JOIN pg_publication_tables pt ON pt.schemaname = ln.nspname AND pt.tablename = l.relname JOIN pg_publication p ON p.pubname = pt.pubname
	WHERE (p.pubdelete OR p.pubupdate) AND (l.relreplident = 'n' OR l.relreplident = 'd' AND NOT EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = l.oid AND x.indisprimary)))`

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

var classes = map[string]quarantine.Class{
	"int2": quarantine.ClassInteger, "int4": quarantine.ClassInteger, "int8": quarantine.ClassInteger, "oid": quarantine.ClassInteger, "numeric": quarantine.ClassDecimal,
	"float4": quarantine.ClassFloat, "float8": quarantine.ClassFloat, "bool": quarantine.ClassBool, "text": quarantine.ClassText, "varchar": quarantine.ClassText,
	"bpchar": quarantine.ClassText, "name": quarantine.ClassText, "citext": quarantine.ClassText, "bytea": quarantine.ClassBytes, "date": quarantine.ClassDate,
	"time": quarantine.ClassTime, "timetz": quarantine.ClassTime, "timestamp": quarantine.ClassStamp, "timestamptz": quarantine.ClassStamp, "uuid": quarantine.ClassUUID,
}

// casts are the types that mean something shorter when they are written bare.
var casts = map[string]string{"bpchar": "pg_catalog.bpchar", "bit": `pg_catalog."bit"`, "char": `pg_catalog."char"`}

func (s *description) columns(ctx context.Context, _ []string) error {
	lines, err := relational.Texts(ctx, s.q, `SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, NULL), t.typname, COALESCE(b.typname, t.typname), `+
		flag("a.attnotnull OR t.typnotnull")+", "+flag("a.atthasdef OR t.typdefault IS NOT NULL")+", "+flag("a.attgenerated <> ''")+`, a.attidentity,
		CASE WHEN a.attgenerated = '' THEN COALESCE(pg_get_expr(f.adbin, f.adrelid), t.typdefault) END, `+flag("a.atttypid >= "+firstForeign)+`
		FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd' LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
		WHERE a.attrelid = ANY(CAST($1 AS oid[])) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum`, s.ids)
	foreign := false
	for _, l := range lines {
		c := quarantine.Column{Name: l[1], Type: l[2], Class: classes[l[5]], NotNull: l[6] == yes, Default: l[7] == yes, Generated: l[8] == yes}
		if c.Class == "" {
			c.Class = quarantine.ClassOther
		}
		if l[3] != l[2] {
			c.Cast = l[3]
		}
		if special := casts[l[4]]; special != "" {
			c.Cast = special
		}
		c.Identity = map[string]string{"a": "always", "d": "default"}[l[9]]
		i := s.byID[l[0]]
		i.Columns = append(i.Columns, c)
		if l[10] != "" {
			if i.Defaults == nil {
				i.Defaults = map[string]string{}
			}
			i.Defaults[c.Name] = "CAST((" + l[10] + ") AS " + c.Type + ")"
		}
		foreign = foreign || l[11] == yes
	}
	if err != nil || !foreign {
		return err
	}
	return s.operators(ctx)
}

// operators finds what compares columns whose types the server did not come with: without
// a search path = is looked for in pg_catalog only, where citext, say, has none and is
// compared as text would be. Of a domain the type below counts, of a type its own default
// class of operators. The operators of a class lie beside each other, as extensions make them.
func (s *description) operators(ctx context.Context) error {
	lines, err := relational.Texts(ctx, s.q, `WITH RECURSIVE base(relation, name, id) AS (
			SELECT a.attrelid, a.attname, a.atttypid FROM pg_attribute a WHERE a.attrelid = ANY(CAST($1 AS oid[])) AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= `+firstForeign+`
			UNION SELECT b.relation, b.name, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.id WHERE t.typtype = 'd')
		SELECT b.relation, b.name, n.nspname FROM base b JOIN pg_opclass c ON c.opcintype = b.id AND c.opcdefault JOIN pg_am am ON am.oid = c.opcmethod AND am.amname = 'btree'
		JOIN pg_amop p ON p.amopfamily = c.opcfamily AND p.amoplefttype = b.id AND p.amoprighttype = b.id AND p.amopstrategy = 3
		JOIN pg_operator o ON o.oid = p.amopopr AND o.oprname = '=' JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname <> 'pg_catalog'`, s.ids)
	for _, l := range lines {
		columns := s.byID[l[0]].Columns
		columns[slices.IndexFunc(columns, func(c quarantine.Column) bool { return c.Name == l[1] })].Operators = l[2]
	}
	return err
}

// firstForeign is the first object id that nothing has which the server came with
// (FirstNormalObjectId in access/transam.h).
const firstForeign = "16384"

// indexes reads keys, unique keys and what can serve a search.
func (s *description) indexes(ctx context.Context, _ []string) error {
	lines, err := relational.Texts(ctx, s.q, `SELECT x.indrelid, i.relname, `+flag("x.indisprimary")+", "+flag("x.indisunique")+", "+flag("x.indpred IS NOT NULL OR x.indexprs IS NOT NULL")+", "+
		flag("x.indisexclusion")+", "+flag("am.amname IN ('btree', 'hash') AND x.indpred IS NULL")+`,
		(SELECT json_agg(COALESCE(a.attname, '') ORDER BY k.n) FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(num, n) LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.num AND k.num > 0 WHERE k.n <= x.indnkeyatts),
		`+flag("NOT EXISTS (SELECT 1 FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(num, n) LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.num WHERE k.n <= x.indnkeyatts AND (a.attnotnull IS NOT TRUE))")+`
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am am ON am.oid = i.relam
		WHERE x.indrelid = ANY(CAST($1 AS oid[])) AND x.indisvalid AND x.indislive ORDER BY x.indrelid, x.indisprimary DESC, x.indnkeyatts, i.relname`, s.ids)
	if err != nil {
		return err
	}
	for _, l := range lines {
		i := s.byID[l[0]]
		var columns []string
		if err := json.Unmarshal([]byte(l[7]), &columns); err != nil {
			return err
		}
		opaque := l[4] == yes
		switch {
		case l[2] == yes || l[3] == yes && !opaque && l[8] == yes && len(i.Key) == 0:
			i.Key = columns
		case l[3] == yes || l[5] == yes:
			i.Unique = append(i.Unique, quarantine.Unique{Name: l[1], Columns: columns, Opaque: opaque || l[5] == yes})
		}
		if l[6] == yes {
			if end := slices.Index(columns, ""); end >= 0 {
				columns = columns[:end]
			}
			i.Indexes = append(i.Indexes, columns)
		}
	}
	return nil
}

func (s *description) triggers(ctx context.Context, _ []string) error {
	lines, err := relational.Texts(ctx, s.q, `SELECT t.tgrelid, t.tgname, CASE WHEN t.tgtype & 2 > 0 THEN 'BEFORE' WHEN t.tgtype & 64 > 0 THEN 'INSTEAD OF' ELSE 'AFTER' END,
		concat_ws(' OR ', CASE WHEN t.tgtype & 4 > 0 THEN 'INSERT' END, CASE WHEN t.tgtype & 8 > 0 THEN 'DELETE' END, CASE WHEN t.tgtype & 16 > 0 THEN 'UPDATE' END), n.nspname || '.' || p.proname
		FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE t.tgrelid = ANY(CAST($1 AS oid[])) AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') ORDER BY t.tgrelid, t.tgname`, s.ids)
	for _, l := range lines {
		s.byID[l[0]].Triggers = append(s.byID[l[0]].Triggers, fmt.Sprintf("%s (%s %s, runs %s)", l[1], l[2], l[3], l[4]))
	}
	return err
}

// Feeds implements relational.Dialect.
func (d *dialect) Feeds(ctx context.Context, q relational.Querier, tables []*relational.Info) error {
	names, byName := make([]string, len(tables)), map[string]*relational.Info{}
	for n, i := range tables {
		names[n], byName[i.Canonical()] = i.Canonical(), i
	}
	feed := func(query string) error {
		lines, err := relational.Texts(ctx, q, "SELECT DISTINCT n.nspname || '.' || c.relname, "+query+" AND n.nspname || '.' || c.relname = ANY($1) ORDER BY 1, 2", names)
		for _, l := range lines {
			byName[l[0]].Feeds = append(byName[l[0]].Feeds, l[1])
		}
		return err
	}
	if err := feed(`'The materialised view ' || vn.nspname || '.' || v.relname || ' (when it is refreshed)' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_depend d ON d.refobjid = c.oid AND d.refclassid = 'pg_class'::regclass JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
		JOIN pg_class v ON v.oid = r.ev_class JOIN pg_namespace vn ON vn.oid = v.relnamespace WHERE v.relkind = 'm'`); err != nil {
		return err
	}
	if some, err := relational.Texts(ctx, q, "SELECT 1 FROM pg_publication LIMIT 1"); err != nil || len(some) == 0 {
		return err // planning the next question costs more than all the others
	}
	return feed(`'The publication ' || p.pubname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_publication_tables p ON p.schemaname = n.nspname AND p.tablename = c.relname WHERE true`)
}

// Forecast names transactions that are open for long, and standbys that lag.
func (d *dialect) Forecast(ctx context.Context, q relational.Querier, _ []*relational.Info) []string {
	lines, err := relational.Texts(ctx, q, `SELECT 'A transaction of ' || COALESCE(usename, '?') || ' (' || COALESCE(application_name, '') || ', process ' || pid || ') has been open for ' ||
		extract(epoch FROM now() - xact_start)::bigint || ' seconds; if it holds some of the rows, the move waits and gives up.' FROM pg_stat_activity
		WHERE pid <> pg_backend_pid() AND datname = current_database() AND xact_start < now() - interval '30 seconds' AND backend_type = 'client backend' ORDER BY xact_start LIMIT 5`)
	if err != nil {
		return nil // a forecast is a courtesy
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l[0]
	}
	return out
}

// Ready says what the role lacks.
func (d *dialect) Ready(ctx context.Context, q relational.Querier, tables []string) []string {
	var out []string
	lines, err := relational.Texts(ctx, q, `SELECT current_user, current_database(), `+flag("EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = '"+Schema+"')")+`,
		`+flag("COALESCE((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = '"+Schema+"'), has_database_privilege(current_database(), 'CREATE'))")+", "+flag("pg_is_in_recovery()"))
	if err != nil {
		return []string{"The database does not answer. Look whether it runs and lets us in."}
	}
	role, database, there, may, standby := d.Quote(lines[0][0]), d.Quote(lines[0][1]), lines[0][2], lines[0][3], lines[0][4]
	if standby == yes {
		out = append(out, "This is a standby, which can't be written to. Connect to the primary.")
	}
	if may != yes && there != yes {
		out = append(out, fmt.Sprintf("The schema for copies is missing. As the owner of the database: CREATE SCHEMA %s AUTHORIZATION %s; (database %s)", Schema, role, database))
	} else if may != yes {
		out = append(out, fmt.Sprintf("The role may not make tables for copies. ALTER SCHEMA %s OWNER TO %s;", Schema, role))
	}
	for _, name := range tables {
		canonical, err := d.Resolve(ctx, q, name)
		if err != nil {
			out = append(out, fmt.Sprintf("The table %s of the list is not there. Correct the list.", name))
			continue
		}
		infos, err := d.Describe(ctx, q, []string{canonical})
		if err != nil || infos[canonical] == nil {
			out = append(out, fmt.Sprintf("The table %s can't be looked at.", name))
			continue
		}
		for _, r := range infos[canonical].Refused {
			out = append(out, r.Reason+" "+r.Satisfy)
		}
	}
	return out
}
