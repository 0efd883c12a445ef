package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
)

// keepRights are needed in the database that holds taken rows.
var keepRights = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX"}

// seeRights are needed on the whole database: a table that points at a listed one and
// is hidden would be followed by the database and not by us; TRIGGER shows which
// triggers will fire.
var seeRights = []string{"SELECT", "TRIGGER"}

// rowRights are needed on every listed table.
var rowRights = []string{"INSERT", "UPDATE", "DELETE"}

// keep is the database that holds the rows that were taken from one (package
// quarantine/mysql).
func keep(database string) string {
	name := Schema + "_" + database
	return name[:min(len(name), 64)]
}

// wide writes a database's name where it would be a pattern.
func wide(database string) string {
	return tick(strings.NewReplacer("_", `\_`, "%", `\%`).Replace(database)) + ".*"
}

func checkMariaDB(ctx context.Context, r *Report, t Target, conn *sql.Conn) error {
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var database string
	var readOnly bool
	if err := tx.QueryRowContext(ctx, "SELECT CURRENT_USER(), VERSION(), DATABASE(), @@read_only, @@max_connections").Scan(&r.User, &r.Server, &database, &readOnly, &r.Most); err != nil {
		return err
	}
	var discard string
	_ = tx.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_connected'").Scan(&discard, &r.Used)
	if readOnly {
		r.problem("", "Write the primary's address.", "This server is read only: nothing can be changed here.")
	}
	if t.Kind == MySQL || !strings.Contains(r.Server, "MariaDB") {
		r.notice("This is MySQL, not MariaDB. lifeboat speaks to it in the same way, and that is untested.")
	}
	has, err := grantsOf(ctx, tx)
	if err != nil {
		return err
	}
	if has["*.*"]["ALL PRIVILEGES"] || has["*.*"]["SUPER"] {
		r.notice("The user %s may do everything. A quarantine needs far less: make a user with the rights below.", r.User)
	}
	held := keep(database)
	if missing := has.missing(held, "", keepRights); len(missing) > 0 {
		list := strings.Join(missing, ", ")
		r.problem("", fmt.Sprintf("Run: GRANT %s ON %s TO %s;", list, wide(held), account(r.User)), "%s lacks %s in the database %s, which holds taken rows.", r.User, list, held)
	}
	if missing := has.missing(database, "", seeRights); len(missing) > 0 {
		list := strings.Join(missing, ", ")
		r.problem("", fmt.Sprintf("Run: GRANT %s ON %s TO %s;", list, wide(database), account(r.User)),
			"%s lacks %s on the whole database %s: tables that point at the listed ones could stay hidden.", r.User, list, database)
	}
	for _, name := range t.Tables {
		if err := judgeMariaDB(ctx, r, tx, has, name, database); err != nil {
			return err
		}
	}
	if !has["*.*"]["PROCESS"] && !has["*.*"]["ALL PRIVILEGES"] {
		r.notice("Without PROCESS lifeboat can't say beforehand who may be in the way. To allow it: GRANT PROCESS ON *.* TO %s;", account(r.User))
	}
	if left := r.Most - r.Used; left*10 < r.Most {
		r.notice("%d of %d connections are in use. lifeboat keeps one of its own.", r.Used, r.Most)
	}
	r.Grants = grantsMariaDB(t, r.User, database)
	return nil
}

func judgeMariaDB(ctx context.Context, r *Report, tx *sql.Tx, has rights, name, database string) error {
	schema, table := split(name)
	if schema == "" {
		schema = database
	}
	if missing := has.missing(schema, table, rowRights); len(missing) > 0 {
		list := strings.Join(missing, ", ")
		r.problem(name, fmt.Sprintf("Run: GRANT %s ON %s.%s TO %s;", list, tick(schema), tick(table), account(r.User)), "%s lacks %s on %s.", r.User, list, name)
	}
	var kind string
	var engine sql.NullString
	err := tx.QueryRowContext(ctx, "SELECT TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", schema, table).Scan(&kind, &engine)
	switch {
	case err == sql.ErrNoRows:
		r.problem(name, "Correct the name under tables, or remove it.", "There is no table %s.", name)
		return nil
	case err != nil:
		return err
	case kind != "BASE TABLE":
		r.problem(name, "Name the table that it reads from.", "%s is no plain table (%s).", name, strings.ToLower(kind))
	case !strings.EqualFold(engine.String, "InnoDB"):
		r.problem(name, fmt.Sprintf("Run in calm: ALTER TABLE %s.%s ENGINE=InnoDB;", tick(schema), tick(table)), "%s is kept by %s, which has no transactions.", name, engine.String)
	}
	return nil
}

// rights are what SHOW GRANTS says: by `schema.table`, `schema.*` or `*.*`.
type rights map[string]map[string]bool

// maxGrants is how many lines of SHOW GRANTS are read.
const maxGrants = 5000

func grantsOf(ctx context.Context, tx *sql.Tx) (rights, error) {
	rows, err := tx.QueryContext(ctx, "SHOW GRANTS")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := rights{}
	for n := 0; rows.Next() && n < maxGrants; n++ {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		out.add(line)
	}
	return out, rows.Err()
}

var grantLine = regexp.MustCompile("^GRANT (.+) ON (?:TABLE )?((?:`(?:[^`]|``)*`|\\*)\\.(?:`(?:[^`]|``)*`|\\*)) TO ")

// add takes one line: GRANT SELECT, INSERT (`a`) ON `shop`.`orders` TO `x`@`y`.
// Rights on single columns do not count: a whole row is copied.
func (r rights) add(line string) {
	m := grantLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	on := unquote(m[2])
	if r[on] == nil {
		r[on] = map[string]bool{}
	}
	depth, from := 0, 0
	list := m[1] + ","
	for i, c := range list {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth <= 0 {
				if word := strings.ToUpper(strings.TrimSpace(list[from:i])); !strings.Contains(word, "(") {
					r[on][word] = true
				}
				from = i + 1
			}
		}
	}
}

// unquote takes the ticks off `schema`.`table`; \_ and \% in a schema stand for
// themselves.
func unquote(on string) string {
	on = strings.ReplaceAll(on, "``", "\x00")
	on = strings.ReplaceAll(on, "`", "")
	on = strings.NewReplacer("\x00", "`", `\_`, "_", `\%`, "%").Replace(on)
	return on
}

// missing says which rights are not there on a table, or on a whole schema.
func (r rights) missing(schema, table string, need []string) []string {
	var out []string
	for _, right := range need {
		found := false
		for _, on := range []string{"*.*", schema + ".*", schema + "." + table} {
			found = found || r[on][right] || r[on]["ALL PRIVILEGES"] || r[on]["ALL"]
		}
		if !found {
			out = append(out, right)
		}
	}
	return out
}

func tick(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// account writes user@host as statements do.
func account(user string) string {
	i := strings.LastIndex(user, "@")
	if i < 0 {
		return "'" + strings.ReplaceAll(user, "'", "''") + "'@'%'"
	}
	return "'" + strings.ReplaceAll(user[:i], "'", "''") + "'@'" + strings.ReplaceAll(user[i+1:], "'", "''") + "'"
}

func grantsMariaDB(t Target, user, database string) []string {
	if database == "" {
		database = t.Name
	}
	u := account(user)
	out := []string{
		"CREATE USER IF NOT EXISTS " + u + "; -- give it a password with: SET PASSWORD",
		"GRANT " + strings.Join(keepRights, ", ") + " ON " + wide(keep(database)) + " TO " + u + ";",
		"GRANT " + strings.Join(seeRights, ", ") + " ON " + wide(database) + " TO " + u + ";",
	}
	for _, name := range t.Tables {
		schema, table := split(name)
		if schema == "" {
			schema = database
		}
		out = append(out, "GRANT "+strings.Join(rowRights, ", ")+" ON "+tick(schema)+"."+tick(table)+" TO "+u+";")
	}
	return out
}
