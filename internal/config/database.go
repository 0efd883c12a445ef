package config

import (
	"regexp"
	"slices"
	"strings"
)

// The kinds of databases that rows can be taken away from.
const (
	KindPostgres = "postgres"
	KindMariaDB  = "mariadb"
	KindMySQL    = "mysql" // spoken as MariaDB's; untested against MySQL itself
	KindSQLite   = "sqlite"
)

// Database is one database that rows can be taken away from and put back into.
type Database struct {
	Name         string
	Kind         string // postgres, mariadb, mysql or sqlite
	Site         string // whose visitors meet its rows
	DSNFile      string // holds the address and password, one line; relative paths resolved against the file's folder
	DSNEnv       string // or the environment variable that holds them
	File         string // of SQLite: the database file's absolute path
	Tables       []string
	LogicalKeys  []LogicalKey
	Symptom      string            // a check of the site that shows the harm; "" = none
	SymptomQuery string            // a SELECT that shows the harm: it fails, or its first value is neither 0, false, empty nor null
	Pages        map[string]string // table → path with {column}, for example /orders/{id}
	Approval     bool              // another person has to read a plan before it is carried out
	MaxRows      int               // that one quarantine may take in one transaction: 1000
}

// LogicalKey is a foreign key that the database does not know of.
type LogicalKey struct {
	Table     string
	Columns   []string
	To        string
	ToColumns []string
	When      map[string]string // only rows with these values, for tables that point at several others
}

// The most that is taken of databases, of their tables and keys.
const (
	maxDatabases   = 20
	maxTables      = 500
	maxLogicalKeys = 200
	maxKeyColumns  = 16
	maxQuery       = 4000 // characters
)

// HardMaxRows is what no quarantine may take at once, whatever the file says.
const HardMaxRows = 100_000

const databaseSample = "databases: {shop: {kind: postgres, dsn_file: shop.dsn, tables: [public.orders]}}"

var (
	tablePattern    = regexp.MustCompile(`^[\pL_][\pL\pN_$-]{0,62}(\.[\pL_][\pL\pN_$-]{0,62})?$`)
	columnPattern   = regexp.MustCompile(`^[\pL_][\pL\pN_$]{0,62}$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)
	pathPattern     = regexp.MustCompile(`^/[A-Za-z0-9/._~!$&'()*+,;=:@%?{}-]{0,500}$`)
	bracesPattern   = regexp.MustCompile(`\{[^{}]*\}`)
)

// databases reads what rows can be taken away from.
func (b *builder) databases(top section) {
	for _, e := range b.atMost(maxDatabases, top.n.get("databases"), "databases", databaseSample) {
		b.id(e.at, "database", e.key)
		s, ok := b.section(e.value, "database "+clip(e.key), databaseKeys)
		if !ok {
			continue
		}
		if !s.needs("kind", "", "kind: postgres") {
			continue
		}
		d := Database{
			Name: e.key, Kind: s.choice("kind", "", KindPostgres, KindMariaDB, KindMySQL, KindSQLite),
			Site: b.ownSite(s), MaxRows: s.number("max_rows", 1000, 1, HardMaxRows), Approval: s.truth("approval", false),
		}
		b.located(s, &d)
		d.Tables = s.tables()
		d.LogicalKeys = s.logicalKeys(d.Tables)
		d.Symptom = b.symptom(s, d.Site)
		d.SymptomQuery = s.symptomQuery()
		d.Pages = s.pages(d.Tables)
		b.c.Databases = append(b.c.Databases, d)
	}
}

// located reads where the database is: a file of SQLite's, or the name of what
// holds an address with a password.
func (b *builder) located(s section, d *Database) {
	file, dsn, env := s.n.get("file"), s.n.get("dsn_file"), s.n.get("dsn_env")
	if d.Kind == KindSQLite {
		for _, key := range []string{"dsn_file", "dsn_env"} {
			if s.n.get(key) != nil {
				b.invalid(s.at(key), "%s: SQLite has no server to sign in at", s.of(key)).WithHint("write file: /var/lib/shop/shop.db")
				return
			}
		}
		if !s.needs("file", ": nobody would know where it is", "file: /var/lib/shop/shop.db") {
			return
		}
		d.File = s.line("file", "", "/var/lib/shop/shop.db", maxFilePath)
		s.absolutePath(file.at, s.of("file"), d.File, "file: /var/lib/shop/shop.db")
		return
	}
	switch {
	case file != nil:
		b.invalid(s.at("file"), "%s: only SQLite is a file", s.of("file")).WithHint("write dsn_file: the name of a file that holds its address")
	case dsn != nil && env != nil:
		b.invalid(s.at("dsn_env"), "%s has both dsn_file and dsn_env", s.where).WithHint("keep one of them")
	case dsn == nil && env == nil && !s.refused(databaseKeys):
		b.invalid(s.n.at, "%s does not say how to reach it", s.where).WithHint("add dsn_file: the name of a file that holds its address, user and password in one line")
	case dsn != nil:
		d.DSNFile = b.besideFile(s, "dsn_file", "shop.dsn")
	case env != nil:
		d.DSNEnv = s.line("dsn_env", "", "SHOP_DSN", 100)
		if d.DSNEnv != "" && !variablePattern.MatchString(d.DSNEnv) {
			b.invalid(s.at("dsn_env"), "%s is no name of an environment variable", s.of("dsn_env")).WithHint("write its name, for example dsn_env: SHOP_DSN, never the address itself")
		}
	}
}

// tables reads the allow-list: nothing else is ever looked at or touched.
func (s section) tables() []string {
	const sample = "[public.orders, public.order_lines]"
	if !s.needs("tables", ": nothing could be taken away", "tables: "+sample) {
		return nil
	}
	nodes := s.few("tables", sample, maxTables)
	if len(nodes) == 0 && s.n.get("tables").shape != textShape {
		s.invalid(s.at("tables"), "%s is empty", s.of("tables")).WithHint("for example tables: %s", sample)
	}
	var out []string
	for _, n := range nodes {
		name, ok := s.matching(n, s.of("tables"), tablePattern, "public.orders")
		switch {
		case !ok:
		case slices.Contains(out, name):
			s.invalid(n.at, "%s: %s is written twice", s.of("tables"), name).WithHint("remove one")
		default:
			out = append(out, name)
		}
	}
	return out
}

// matching reads one name of the database's.
func (r *report) matching(n *node, what string, pattern *regexp.Regexp, sample string) (string, bool) {
	text, ok := r.text(n, what, sample)
	if ok && !pattern.MatchString(text) {
		r.invalid(n.at, "%s: %q is no name of a table or column", what, clip(text)).WithHint("for example %s", sample)
		return "", false
	}
	return text, ok
}

// listed reads a table that must be in the allow-list.
func (s section) listed(key string, tables []string) string {
	if !s.needs(key, "", key+": public.orders") {
		return ""
	}
	name, ok := s.matching(s.n.get(key), s.of(key), tablePattern, "public.orders")
	if ok && !slices.Contains(tables, name) {
		s.invalid(s.at(key), "%s: %s is not among the tables of the database", s.of(key), name).WithHint("add it under tables, or remove this")
	}
	return name
}

func (s section) logicalKeys(tables []string) []LogicalKey {
	const sample = "[{table: notes, columns: [order_id], to: orders, to_columns: [id]}]"
	var out []LogicalKey
	for i, n := range s.few("logical_keys", sample, maxLogicalKeys) {
		k, ok := s.report.section(n, "logical key "+index(i+1)+" of "+s.where, logicalKeyKeys)
		if !ok {
			continue
		}
		key := LogicalKey{Table: k.listed("table", tables), Columns: k.columns("columns"), To: k.listed("to", tables), ToColumns: k.columns("to_columns")}
		if len(key.Columns) != len(key.ToColumns) && len(key.Columns) > 0 && len(key.ToColumns) > 0 {
			s.invalid(k.at("to_columns"), "%s: %d columns can't point at %d", k.where, len(key.Columns), len(key.ToColumns)).WithHint("write as many under to_columns as under columns")
		}
		key.When = k.when()
		out = append(out, key)
	}
	return out
}

func (s section) columns(key string) []string {
	if !s.needs(key, "", key+": [id]") {
		return nil
	}
	var out []string
	before := len(s.problems)
	for _, n := range s.few(key, "[id]", maxKeyColumns) {
		if name, ok := s.matching(n, s.of(key), columnPattern, "id"); ok {
			out = append(out, name)
		}
	}
	if len(out) == 0 && len(s.problems) == before {
		s.invalid(s.at(key), "%s is empty", s.of(key)).WithHint("for example %s: [id]", key)
	}
	return out
}

// when reads which rows of a table that points at several others a key is for.
func (s section) when() map[string]string {
	entries := s.atMost(maxKeyColumns, s.n.get("when"), s.of("when"), "when: {kind: order}")
	if len(entries) == 0 {
		return nil
	}
	out := make(map[string]string, len(entries))
	for _, e := range entries {
		if !columnPattern.MatchString(e.key) {
			s.invalid(e.at, "%s: %q is no name of a column", s.of("when"), clip(e.key)).WithHint("for example when: {kind: order}")
			continue
		}
		if text, ok := s.text(e.value, s.of("when"), "when: {kind: \"order\"}"); ok {
			out[e.key] = text
		}
	}
	return out
}

// symptom reads the check that shows whether the harm is still there.
func (b *builder) symptom(s section, site string) string {
	n := s.n.get("symptom")
	if n == nil {
		return ""
	}
	name, ok := b.text(n, s.of("symptom"), "symptom: home")
	i := slices.IndexFunc(b.c.Sites, func(x Site) bool { return x.ID == site })
	if !ok || i < 0 {
		return name
	}
	names := make([]string, 0, len(b.c.Sites[i].Checks))
	for _, c := range b.c.Sites[i].Checks {
		names = append(names, c.Name)
	}
	if !slices.Contains(names, name) {
		b.missing(n.at, s.of("symptom"), "check", name, names)
	}
	return name
}

// symptomQuery reads a SELECT. It is run read only; that it is one statement is
// checked here so that a mistake shows in calm.
func (s section) symptomQuery() string {
	n := s.n.get("symptom_query")
	if n == nil {
		return ""
	}
	const sample = "symptom_query: SELECT count(*) FROM orders WHERE total < 0"
	text, ok := s.text(n, s.of("symptom_query"), sample)
	if !ok {
		return ""
	}
	text = strings.TrimSuffix(strings.TrimSpace(text), ";")
	first, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(text, "\n", " "))+" ", " ")
	switch {
	case first != "select" && first != "with":
		s.invalid(n.at, "%s is no SELECT", s.of("symptom_query")).WithHint("for example %s", sample)
	case strings.Contains(text, ";"):
		s.invalid(n.at, "%s is more than one statement", s.of("symptom_query")).WithHint("write one SELECT without a semicolon")
	case len([]rune(text)) > maxQuery:
		s.invalid(n.at, "%s is too long: %d characters, %d fit", s.of("symptom_query"), len([]rune(text)), maxQuery).WithHint("make a shorter one")
	}
	return text
}

// pages reads where a row shows by itself.
func (s section) pages(tables []string) map[string]string {
	const sample = `pages: {orders: "/orders/{id}"}`
	entries := s.atMost(maxTables, s.n.get("pages"), s.of("pages"), sample)
	if len(entries) == 0 {
		return nil
	}
	out := make(map[string]string, len(entries))
	for _, e := range entries {
		path, ok := s.text(e.value, s.of("pages"), sample)
		braces := bracesPattern.FindAllString(path, -1)
		plain := bracesPattern.ReplaceAllString(path, "")
		switch {
		case !slices.Contains(tables, e.key):
			s.invalid(e.at, "%s: %s is not among the tables of the database", s.of("pages"), clip(e.key)).WithHint("add it under tables, or remove this")
		case !ok:
		case !pathPattern.MatchString(path), len(braces) == 0, strings.ContainsAny(plain, "{}"),
			slices.ContainsFunc(braces, func(b string) bool { return !columnPattern.MatchString(strings.Trim(b, "{}")) }):
			s.invalid(e.value.at, "%s: %q is no path with a key in braces", s.of("pages"), clip(path)).WithHint("for example %s", sample)
		default:
			out[e.key] = path
		}
	}
	return out
}
