package mysql

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

func (d *dialect) Resolve(ctx context.Context, q relational.Querier, name string) (string, error) {
	lines, err := relational.Texts(ctx, q, `SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES
		WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? OR TABLE_SCHEMA = SUBSTRING_INDEX(?, '.', 1) AND CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) = ? ORDER BY TABLE_SCHEMA = DATABASE() DESC LIMIT 2`, name, name, name)
	switch {
	case err != nil:
		return "", err
	case len(lines) == 0:
		return "", fault.New(fault.NotFound, "there is no table %.80q", name).At("table").WithHint("look how it is written; the user also needs the right to see it")
	}
	return lines[0][0], nil
}

// Links reads the foreign keys of all databases: what hangs on our rows from another one
// has children of its own there. Each of the two catalogues is asked by itself and
// without the server's own tables, which it would open one by one.
func (d *dialect) Links(ctx context.Context, q relational.Querier) ([]quarantine.Link, error) {
	const ours = "NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema', ?)"
	rules, err := relational.Texts(ctx, q, "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, LOWER(DELETE_RULE) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA "+ours, d.schema)
	if err != nil {
		return nil, err
	}
	onDelete := map[[3]string]string{}
	for _, l := range rules {
		onDelete[[3]string(l)] = l[3]
	}
	lines, err := relational.Texts(ctx, q, `SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, CONCAT(REFERENCED_TABLE_SCHEMA, '.', REFERENCED_TABLE_NAME), COLUMN_NAME, REFERENCED_COLUMN_NAME
		FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA `+ours+` AND REFERENCED_TABLE_NAME IS NOT NULL
		ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION`, d.schema)
	if err != nil {
		return nil, err
	}
	var out []quarantine.Link
	for _, l := range lines {
		child := l[0] + "." + l[1]
		if n := len(out); n == 0 || out[n-1].Name != l[2] || out[n-1].Child != child {
			// Who may only read a table does not see its rules. Such a table is refused.
			out = append(out, quarantine.Link{Name: l[2], Child: child, Parent: l[3], OnDelete: cmp.Or(onDelete[[3]string(l)], "no action")})
		}
		last := &out[len(out)-1]
		last.ChildColumns = append(last.ChildColumns, l[4])
		last.ParentColumns = append(last.ParentColumns, l[5])
	}
	return out, nil
}

// Alike implements relational.Dialect: of words from a list InnoDB compares the places in
// the list. One list may go on where the other ends.
func (d *dialect) Alike(parent, child quarantine.Column) bool {
	a, b := strings.TrimSuffix(parent.Type, ")"), strings.TrimSuffix(child.Type, ")")
	listed := strings.HasPrefix(a, "enum(") || strings.HasPrefix(a, "set(") || strings.HasPrefix(b, "enum(") || strings.HasPrefix(b, "set(")
	return !listed || a == b || strings.HasPrefix(a, b+",") || strings.HasPrefix(b, a+",")
}

// Locate implements relational.Dialect: names say it all.
func (d *dialect) Locate(_ context.Context, _ relational.Querier, names []string) (map[string]*relational.Info, error) {
	out := map[string]*relational.Info{}
	for _, name := range names {
		schema, table, _ := strings.Cut(name, ".")
		out[name] = &relational.Info{Schema: schema, Name: table, What: "table"}
	}
	return out, nil
}

// Describe reads the catalogue about some tables, those of each database at once.
func (d *dialect) Describe(ctx context.Context, q relational.Querier, names []string) (map[string]*relational.Info, error) {
	out := map[string]*relational.Info{}
	schemas := map[string][]any{}
	for _, name := range names {
		schema, table, _ := strings.Cut(name, ".")
		schemas[schema] = append(schemas[schema], table)
	}
	for schema, tables := range schemas {
		s := &description{q: q, d: d, schema: schema, args: append([]any{schema}, tables...), byName: map[string]*relational.Info{}}
		s.names = strings.TrimSuffix(strings.Repeat("?, ", len(tables)), ", ")
		for _, read := range []func(context.Context) error{s.tables, s.columns, s.indexes, s.triggers, s.rights} {
			if err := read(ctx); err != nil {
				return nil, err
			}
		}
		for _, i := range s.byName {
			out[i.Canonical()] = i
		}
	}
	return out, nil
}

// description gathers what is read about tables of one database, by their name.
type description struct {
	q      relational.Querier
	d      *dialect
	schema string
	names  string // places of the tables' names
	args   []any  // the database and the tables
	byName map[string]*relational.Info
}

func (s *description) refuse(i *relational.Info, rule quarantine.Rule, satisfy, reason string, args ...any) {
	i.Refused = append(i.Refused, quarantine.Refusal{Rule: rule, Table: i.Canonical(), Reason: fmt.Sprintf(reason, args...), Satisfy: satisfy})
}

// each reads lines that begin with the name of a table, of those that are tables.
func (s *description) each(ctx context.Context, query string, read func(*relational.Info, []string)) error {
	lines, err := relational.Texts(ctx, s.q, query, s.args...)
	for _, l := range lines {
		if i := s.byName[l[0]]; i != nil && i.What == "table" {
			read(i, l[1:])
		}
	}
	return err
}

// tables reads the tables themselves, and what refuses them.
func (s *description) tables(ctx context.Context) error {
	lines, err := relational.Texts(ctx, s.q, "SELECT TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, ''), COALESCE(TABLE_ROWS, -1), CREATE_OPTIONS LIKE '%partitioned%' FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN ("+s.names+")", s.args...)
	for _, l := range lines {
		if !slices.Contains(s.args[1:], any(l[0])) {
			continue // another one, which differs in case only
		}
		i := &relational.Info{Schema: s.schema, Name: l[0], What: "table", Partitioned: l[4] == "1"}
		i.Rows, _ = strconv.ParseInt(l[3], 10, 64)
		s.byName[i.Name] = i
		switch l[1] {
		case "BASE TABLE":
		case "SYSTEM VERSIONED":
			s.refuse(i, quarantine.RuleVersioned, "Take the rows out by hand.", "%s keeps its own history, so a row that comes back would not be the same.", i.Canonical())
		default:
			i.What = strings.ToLower(l[1])
			continue
		}
		if l[2] != "InnoDB" {
			s.refuse(i, quarantine.RuleEngine, "Turn it into an InnoDB table: ALTER TABLE "+s.d.Source(i)+" ENGINE=InnoDB.", "%s is kept by %s, which has no transactions: a move could stop half way.", i.Canonical(), l[2])
		}
		if s.schema == s.d.schema || slices.Contains([]string{"mysql", "sys", "information_schema", "performance_schema"}, s.schema) {
			s.refuse(i, quarantine.RuleSystem, "Name one of your own tables.", "%s belongs to the database itself, or to lifeboat.", i.Canonical())
		}
	}
	return err
}

// rights looks whether we may do what a move does, and whether we see every table of
// the database: a foreign key of one that is hidden would be followed by the database
// and not by us.
func (s *description) rights(ctx context.Context) error {
	if s.d.maria.Load() {
		if role, err := relational.Texts(ctx, s.q, "SELECT COALESCE(CURRENT_ROLE(), '')"); err != nil || role[0][0] != "" {
			return err // what a role grants does not stand in these tables
		}
	}
	wide, err := relational.Texts(ctx, s.q, `SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES
		UNION SELECT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES WHERE ? LIKE TABLE_SCHEMA`, s.schema)
	if err != nil {
		return err
	}
	have := map[string][]string{} // by table; those of the whole database by no name
	for _, l := range wide {
		have[""] = append(have[""], l[0])
	}
	if err := s.each(ctx, "SELECT TABLE_NAME, PRIVILEGE_TYPE FROM information_schema.TABLE_PRIVILEGES WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN ("+s.names+")", func(i *relational.Info, l []string) {
		have[i.Name] = append(have[i.Name], l[0])
	}); err != nil {
		return err
	}
	for _, i := range s.byName {
		if i.What == "table" {
			s.judge(i, have[""], have[i.Name])
		}
	}
	return nil
}

// judge refuses a table whose rights, of the whole database or of the table, do not do.
func (s *description) judge(i *relational.Info, wide, own []string) {
	var missing []string
	for _, r := range []string{"SELECT", "INSERT", "UPDATE", "DELETE", "TRIGGER"} { // TRIGGER: to see the triggers
		if !slices.Contains(wide, r) && !slices.Contains(own, r) {
			missing = append(missing, r)
		}
	}
	sees := slices.Contains(wide, "SELECT")
	if len(missing) == 0 && sees {
		return
	}
	reason := fmt.Sprintf("The database user lacks rights on %s: %s.", i.Canonical(), strings.Join(missing, ", "))
	if len(missing) == 0 {
		reason = fmt.Sprintf("The database user does not see every table of %s, so foreign keys could stay hidden.", i.Schema)
	}
	s.refuse(i, quarantine.RulePrivilege, fmt.Sprintf("GRANT SELECT, TRIGGER ON %s.* TO CURRENT_USER; GRANT INSERT, UPDATE, DELETE ON %s TO CURRENT_USER; (as an administrator, with the user's name).", s.d.Quote(i.Schema), s.d.Source(i)), "%s", reason)
}

var classes = map[string]quarantine.Class{
	"tinyint": quarantine.ClassInteger, "smallint": quarantine.ClassInteger, "mediumint": quarantine.ClassInteger, "int": quarantine.ClassInteger, "bigint": quarantine.ClassInteger,
	"year": quarantine.ClassInteger, "bit": quarantine.ClassInteger, "decimal": quarantine.ClassDecimal, "float": quarantine.ClassFloat, "double": quarantine.ClassFloat,
	"char": quarantine.ClassText, "varchar": quarantine.ClassText, "tinytext": quarantine.ClassText, "text": quarantine.ClassText, "mediumtext": quarantine.ClassText,
	"longtext": quarantine.ClassText, "enum": quarantine.ClassText, "set": quarantine.ClassText, "json": quarantine.ClassText,
	"binary": quarantine.ClassBytes, "varbinary": quarantine.ClassBytes, "tinyblob": quarantine.ClassBytes, "blob": quarantine.ClassBytes, "mediumblob": quarantine.ClassBytes, "longblob": quarantine.ClassBytes,
	"date": quarantine.ClassDate, "time": quarantine.ClassTime, "datetime": quarantine.ClassStamp, "timestamp": quarantine.ClassStamp, "uuid": quarantine.ClassUUID,
}

func (s *description) columns(ctx context.Context) error {
	return s.each(ctx, `SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, IS_NULLABLE, COLUMN_DEFAULT IS NOT NULL, LOWER(EXTRA), COALESCE(GENERATION_EXPRESSION, '') <> '' FROM information_schema.COLUMNS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN (`+s.names+`) ORDER BY TABLE_NAME, ORDINAL_POSITION`, func(i *relational.Info, l []string) {
		c := quarantine.Column{Name: l[0], Type: l[1], Class: classes[l[2]], NotNull: l[3] == "NO", Default: l[4] == "1", Generated: l[6] == "1"}
		if c.Class == "" {
			c.Class = quarantine.ClassOther
		}
		if strings.Contains(l[5], "auto_increment") {
			c.Identity = "auto"
		}
		if strings.Contains(l[5], "on update") {
			i.Stamps = append(i.Stamps, c.Name)
		}
		i.Columns = append(i.Columns, c)
	})
}

func (s *description) indexes(ctx context.Context) error {
	lines := map[*relational.Info][][]string{}
	err := s.each(ctx, `SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COALESCE(COLUMN_NAME, ''), SUB_PART IS NOT NULL OR COLUMN_NAME IS NULL, NULLABLE, INDEX_TYPE FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME IN (`+s.names+`) ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX`, func(i *relational.Info, l []string) { lines[i] = append(lines[i], l) })
	for i, of := range lines {
		readIndexes(i, of)
	}
	return err
}

// readIndexes reads the keys of one table, and what can serve a search.
func readIndexes(i *relational.Info, lines [][]string) {
	for start := 0; start < len(lines); {
		end := start
		var columns []string
		opaque, nullable := false, false
		for ; end < len(lines) && lines[end][0] == lines[start][0]; end++ {
			columns = append(columns, lines[end][2])
			opaque = opaque || lines[end][3] == "1"
			nullable = nullable || lines[end][4] == "YES"
		}
		unique := lines[start][1] == "0"
		switch {
		case unique && !opaque && !nullable && len(i.Key) == 0:
			i.Key = columns
		case unique:
			i.Unique = append(i.Unique, quarantine.Unique{Name: lines[start][0], Columns: columns, Opaque: opaque})
		}
		if lines[start][5] == "BTREE" && !opaque {
			i.Indexes = append(i.Indexes, columns)
		}
		start = end
	}
}

func (s *description) triggers(ctx context.Context) error {
	return s.each(ctx, `SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE IN (`+s.names+`) ORDER BY TRIGGER_NAME`, func(i *relational.Info, l []string) {
		i.Triggers = append(i.Triggers, fmt.Sprintf("%s (%s %s)", l[0], l[1], l[2]))
	})
}

// Forecast names transactions that are open for long, where we may see them.
func (d *dialect) Forecast(ctx context.Context, q relational.Querier, _ []*relational.Info) []string {
	lines, err := relational.Texts(ctx, q, "SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) FROM information_schema.INNODB_TRX WHERE trx_started < NOW() - INTERVAL 30 SECOND AND trx_mysql_thread_id <> CONNECTION_ID() LIMIT 5")
	if err != nil {
		return nil // needs the right PROCESS; a forecast is a courtesy
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = fmt.Sprintf("A transaction (connection %s) has been open for %s seconds; if it holds some of the rows, the move waits and gives up.", l[0], l[1])
	}
	return out
}

// Ready says what is missing.
func (d *dialect) Ready(ctx context.Context, q relational.Querier, tables []string) []string {
	var out []string
	lines, err := relational.Texts(ctx, q, "SELECT @@read_only, CURRENT_USER(), (SELECT count(*) FROM information_schema.SCHEMA_PRIVILEGES WHERE PRIVILEGE_TYPE = 'CREATE' AND ? LIKE TABLE_SCHEMA) + (SELECT count(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'CREATE')", d.schema)
	if err != nil || len(lines) == 0 {
		return []string{"The database does not answer. Look whether it runs and lets us in."}
	}
	if lines[0][0] == "1" {
		out = append(out, "This server is read only. Connect to the primary.")
	}
	if lines[0][2] == "0" {
		out = append(out, fmt.Sprintf("The user may not make tables for copies. As an administrator: GRANT ALL ON %s.* TO %s;", d.Quote(d.schema), lines[0][1]))
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
