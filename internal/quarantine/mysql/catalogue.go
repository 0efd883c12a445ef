package mysql

import (
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

func (d *dialect) Links(ctx context.Context, q relational.Querier) ([]quarantine.Link, error) {
	lines, err := relational.Texts(ctx, q, `SELECT k.CONSTRAINT_NAME, CONCAT(k.TABLE_SCHEMA, '.', k.TABLE_NAME), CONCAT(k.REFERENCED_TABLE_SCHEMA, '.', k.REFERENCED_TABLE_NAME), k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME, LOWER(r.DELETE_RULE)
		FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r
			ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
		WHERE k.REFERENCED_TABLE_NAME IS NOT NULL AND k.TABLE_SCHEMA = DATABASE()
			OR k.REFERENCED_TABLE_SCHEMA = DATABASE() ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION`)
	if err != nil {
		return nil, err
	}
	var out []quarantine.Link
	for _, l := range lines {
		if n := len(out); n == 0 || out[n-1].Name != l[0] || out[n-1].Child != l[1] {
			out = append(out, quarantine.Link{Name: l[0], Child: l[1], Parent: l[2], OnDelete: l[5]})
		}
		last := &out[len(out)-1]
		last.ChildColumns = append(last.ChildColumns, l[3])
		last.ParentColumns = append(last.ParentColumns, l[4])
	}
	return out, nil
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

func (d *dialect) Describe(ctx context.Context, q relational.Querier, names []string) (map[string]*relational.Info, error) {
	out := map[string]*relational.Info{}
	for _, name := range names {
		schema, table, _ := strings.Cut(name, ".")
		i, err := d.describe(ctx, q, schema, table)
		if err != nil {
			return nil, err
		}
		if i != nil {
			out[name] = i
		}
	}
	return out, nil
}

func (d *dialect) describe(ctx context.Context, q relational.Querier, schema, table string) (*relational.Info, error) {
	lines, err := relational.Texts(ctx, q, "SELECT TABLE_TYPE, COALESCE(ENGINE, ''), COALESCE(TABLE_ROWS, -1), CREATE_OPTIONS LIKE '%partitioned%' FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", schema, table)
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	i := &relational.Info{Schema: schema, Name: table, What: "table", Partitioned: lines[0][3] == "1"}
	i.Rows, _ = strconv.ParseInt(lines[0][2], 10, 64)
	refuse := func(rule quarantine.Rule, satisfy, reason string, args ...any) {
		i.Refused = append(i.Refused, quarantine.Refusal{Rule: rule, Table: i.Canonical(), Reason: fmt.Sprintf(reason, args...), Satisfy: satisfy})
	}
	switch kind := lines[0][0]; kind {
	case "BASE TABLE":
	case "SYSTEM VERSIONED":
		refuse(quarantine.RuleVersioned, "Take the rows out by hand.", "%s keeps its own history, so a row that comes back would not be the same.", i.Canonical())
	default:
		i.What = strings.ToLower(kind)
		return i, nil
	}
	if lines[0][1] != "InnoDB" {
		refuse(quarantine.RuleEngine, "Turn it into an InnoDB table: ALTER TABLE "+d.Source(i)+" ENGINE=InnoDB.", "%s is kept by %s, which has no transactions: a move could stop half way.", i.Canonical(), lines[0][1])
	}
	if schema == d.schema || slices.Contains([]string{"mysql", "sys", "information_schema", "performance_schema"}, schema) {
		refuse(quarantine.RuleSystem, "Name one of your own tables.", "%s belongs to the database itself, or to lifeboat.", i.Canonical())
	}
	for _, read := range []func(context.Context, relational.Querier, *relational.Info) error{d.columns, d.indexes, d.triggers} {
		if err := read(ctx, q, i); err != nil {
			return nil, err
		}
	}
	return i, d.rights(ctx, q, i)
}

// rights looks whether we may do what a move does, and whether we see every table of
// the database: a foreign key of one that is hidden would be followed by the database
// and not by us.
func (d *dialect) rights(ctx context.Context, q relational.Querier, i *relational.Info) error {
	lines, err := relational.Texts(ctx, q, `SELECT COALESCE(MAX(wide), 0), GROUP_CONCAT(DISTINCT p) FROM (
		SELECT PRIVILEGE_TYPE p, PRIVILEGE_TYPE = 'SELECT' wide FROM information_schema.USER_PRIVILEGES
		UNION ALL SELECT PRIVILEGE_TYPE, PRIVILEGE_TYPE = 'SELECT' FROM information_schema.SCHEMA_PRIVILEGES WHERE ? LIKE TABLE_SCHEMA
		UNION ALL SELECT PRIVILEGE_TYPE, 0 FROM information_schema.TABLE_PRIVILEGES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?) g`, i.Schema, i.Schema, i.Name)
	if err != nil {
		return err
	}
	if d.maria.Load() {
		if role, err := relational.Texts(ctx, q, "SELECT COALESCE(CURRENT_ROLE(), '')"); err != nil || role[0][0] != "" {
			return err // what a role grants does not stand in these tables
		}
	}
	have := strings.Split(lines[0][1], ",")
	var missing []string
	for _, r := range []string{"SELECT", "INSERT", "UPDATE", "DELETE"} {
		if !slices.Contains(have, r) {
			missing = append(missing, r)
		}
	}
	if len(missing) == 0 && lines[0][0] == "1" {
		return nil
	}
	reason := fmt.Sprintf("The database user lacks rights on %s: %s.", i.Canonical(), strings.Join(missing, ", "))
	if len(missing) == 0 {
		reason = fmt.Sprintf("The database user does not see every table of %s, so foreign keys could stay hidden.", i.Schema)
	}
	i.Refused = append(i.Refused, quarantine.Refusal{Rule: quarantine.RulePrivilege, Table: i.Canonical(), Reason: reason,
		Satisfy: fmt.Sprintf("GRANT SELECT, TRIGGER ON %s.* TO CURRENT_USER; GRANT INSERT, UPDATE, DELETE ON %s TO CURRENT_USER; (as an administrator, with the user's name).", d.Quote(i.Schema), d.Source(i))})
	return nil
}

var classes = map[string]quarantine.Class{
	"tinyint": quarantine.ClassInteger, "smallint": quarantine.ClassInteger, "mediumint": quarantine.ClassInteger, "int": quarantine.ClassInteger, "bigint": quarantine.ClassInteger,
	"year": quarantine.ClassInteger, "bit": quarantine.ClassInteger, "decimal": quarantine.ClassDecimal, "float": quarantine.ClassFloat, "double": quarantine.ClassFloat,
	"char": quarantine.ClassText, "varchar": quarantine.ClassText, "tinytext": quarantine.ClassText, "text": quarantine.ClassText, "mediumtext": quarantine.ClassText,
	"longtext": quarantine.ClassText, "enum": quarantine.ClassText, "set": quarantine.ClassText, "json": quarantine.ClassText,
	"binary": quarantine.ClassBytes, "varbinary": quarantine.ClassBytes, "tinyblob": quarantine.ClassBytes, "blob": quarantine.ClassBytes, "mediumblob": quarantine.ClassBytes, "longblob": quarantine.ClassBytes,
	"date": quarantine.ClassDate, "time": quarantine.ClassTime, "datetime": quarantine.ClassStamp, "timestamp": quarantine.ClassStamp, "uuid": quarantine.ClassUUID,
}

func (d *dialect) columns(ctx context.Context, q relational.Querier, i *relational.Info) error {
	lines, err := relational.Texts(ctx, q, `SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, IS_NULLABLE, COLUMN_DEFAULT IS NOT NULL, LOWER(EXTRA), COALESCE(GENERATION_EXPRESSION, '') <> '' FROM information_schema.COLUMNS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`, i.Schema, i.Name)
	for _, l := range lines {
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
	}
	return err
}

func (d *dialect) indexes(ctx context.Context, q relational.Querier, i *relational.Info) error {
	lines, err := relational.Texts(ctx, q, `SELECT INDEX_NAME, NON_UNIQUE, COALESCE(COLUMN_NAME, ''), SUB_PART IS NOT NULL OR COLUMN_NAME IS NULL, NULLABLE, INDEX_TYPE FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX`, i.Schema, i.Name)
	if err != nil {
		return err
	}
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
	return nil
}

func (d *dialect) triggers(ctx context.Context, q relational.Querier, i *relational.Info) error {
	lines, err := relational.Texts(ctx, q, `SELECT TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ? ORDER BY TRIGGER_NAME`, i.Schema, i.Name)
	for _, l := range lines {
		i.Triggers = append(i.Triggers, fmt.Sprintf("%s (%s %s)", l[0], l[1], l[2]))
	}
	return err
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
