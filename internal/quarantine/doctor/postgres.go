package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// pgTable is what the catalogue says of one table.
type pgTable struct {
	kind        string // relkind, "" where there is no such table
	full        string // schema.table, quoted
	schema      string
	usage       bool
	has         [4]bool // of tableRights
	rowSecurity bool
	sequences   []string // that its columns own, quoted
	without     []string // of these, those without rights
	children    []string // tables that point at it, quoted
}

// tableRights are needed on every table. UPDATE is for FOR UPDATE and for cells.
var tableRights = [4]string{"SELECT", "INSERT", "UPDATE", "DELETE"}

func checkPostgres(ctx context.Context, r *Report, t Target, conn *sql.Conn) error {
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '1s'"); err != nil {
		return err
	}
	var super, bypass, standby, schemaThere, canMake, canUse bool
	var database string
	err = tx.QueryRowContext(ctx, `SELECT current_user, current_database(), current_setting('server_version'), rolsuper, rolbypassrls, pg_is_in_recovery(),
		has_database_privilege(current_database(), 'CREATE'),
		EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
		COALESCE((SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1), false),
		current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - COALESCE(current_setting('reserved_connections', true)::int, 0),
		(SELECT COALESCE(sum(numbackends), 0)::int FROM pg_stat_database)
		FROM pg_roles WHERE rolname = current_user`, Schema).
		Scan(&r.User, &database, &r.Server, &super, &bypass, &standby, &canMake, &schemaThere, &canUse, &r.Most, &r.Used)
	if err != nil {
		return err
	}
	if standby {
		r.problem("", "Write the primary's address.", "This server is a standby: nothing can be changed here.")
	}
	if super {
		r.notice("The user %s is a superuser. A quarantine needs far less: make a user with the rights below.", r.User)
	}
	schema := pgx.Identifier{Schema}.Sanitize()
	if !canUse && (schemaThere || !canMake) {
		r.problem("", "Run: CREATE SCHEMA "+schema+" AUTHORIZATION "+pgx.Identifier{r.User}.Sanitize()+";", "There is no schema %s that %s may make tables in.", Schema, r.User)
	}
	tables := make([]pgTable, 0, len(t.Tables))
	for _, name := range t.Tables {
		table, err := lookPostgres(ctx, tx, name)
		if err != nil {
			return err
		}
		tables = append(tables, table)
	}
	for i, table := range tables {
		judgePostgres(r, t.Tables[i], table, super || bypass)
	}
	unlisted(r, t.Tables, tables)
	r.Grants = grantsPostgres(t, r.User, database, tables)
	if left := r.Most - r.Used; left*10 < r.Most {
		r.notice("%d of %d connections are in use. lifeboat keeps one of its own.", r.Used, r.Most)
	}
	return nil
}

func lookPostgres(ctx context.Context, tx *sql.Tx, name string) (pgTable, error) {
	var out pgTable
	schema, table := split(name)
	if schema == "" {
		schema = "public"
	}
	var children, sequences, without *string
	// Names are told apart by NUL's stand-in, which no identifier of the configuration has.
	err := tx.QueryRowContext(ctx, `SELECT c.relkind::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(n.nspname),
		has_schema_privilege(n.oid, 'USAGE'),
		has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'), has_table_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE'),
		c.relrowsecurity,
		(SELECT string_agg(DISTINCT quote_ident(cn.nspname) || '.' || quote_ident(cc.relname), chr(10)) FROM pg_constraint f JOIN pg_class cc ON cc.oid = f.conrelid
			JOIN pg_namespace cn ON cn.oid = cc.relnamespace WHERE f.confrelid = c.oid AND f.contype = 'f' AND f.conrelid <> c.oid AND NOT cc.relispartition),
		(SELECT string_agg(quote_ident(sn.nspname) || '.' || quote_ident(s.relname), chr(10)) FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
			JOIN pg_namespace sn ON sn.oid = s.relnamespace WHERE d.refobjid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')),
		(SELECT string_agg(quote_ident(sn.nspname) || '.' || quote_ident(s.relname), chr(10)) FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
			JOIN pg_namespace sn ON sn.oid = s.relnamespace WHERE d.refobjid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
			AND NOT (has_sequence_privilege(s.oid, 'SELECT') AND has_sequence_privilege(s.oid, 'UPDATE')))
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`, schema, table).
		Scan(&out.kind, &out.full, &out.schema, &out.usage, &out.has[0], &out.has[1], &out.has[2], &out.has[3], &out.rowSecurity, &children, &sequences, &without)
	if err == sql.ErrNoRows {
		return out, nil
	}
	out.children, out.sequences, out.without = lines(children), lines(sequences), lines(without)
	return out, err
}

func lines(text *string) []string {
	if text == nil {
		return nil
	}
	out := strings.Split(*text, "\n")
	slices.Sort(out)
	return out
}

func judgePostgres(r *Report, name string, t pgTable, bypass bool) {
	user := pgx.Identifier{r.User}.Sanitize()
	switch {
	case t.kind == "":
		r.problem(name, "Correct the name under tables, or remove it.", "There is no table %s.", name)
		return
	case t.kind != "r" && t.kind != "p":
		r.problem(name, "Name the table that it reads from.", "%s is no table but a view or a foreign table.", name)
		return
	case !t.usage:
		r.problem(name, "Run: GRANT USAGE ON SCHEMA "+t.schema+" TO "+user+";", "%s may not use the schema of %s.", r.User, name)
	}
	var missing []string
	for i, right := range tableRights {
		if !t.has[i] {
			missing = append(missing, right)
		}
	}
	if len(missing) > 0 {
		list := strings.Join(missing, ", ")
		r.problem(name, fmt.Sprintf("Run: GRANT %s ON %s TO %s;", list, t.full, user), "%s lacks %s on %s.", r.User, list, name)
	}
	if len(t.without) > 0 {
		r.problem(name, fmt.Sprintf("Run: GRANT SELECT, UPDATE ON SEQUENCE %s TO %s;", strings.Join(t.without, ", "), user), "%s may not use the counter of %s.", r.User, name)
	}
	if t.rowSecurity && !bypass {
		r.problem(name, "Run: ALTER ROLE "+user+" BYPASSRLS;", "%s has row security: some of its rows would stay unseen.", name)
	}
}

// unlisted says which tables hang on listed ones and are not listed: rows that
// they point at could not leave.
func unlisted(r *Report, listed []string, tables []pgTable) {
	known := map[string]bool{}
	for _, t := range tables {
		known[t.full] = true
	}
	told := map[string]bool{}
	for i, t := range tables {
		for _, child := range t.children {
			if !known[child] && !told[child] {
				told[child] = true
				r.notice("%s points at %s and is not among the tables: rows that it points at can't be taken away. Add it under tables.", child, listed[i])
			}
		}
	}
}

func grantsPostgres(t Target, user, database string, tables []pgTable) []string {
	u := pgx.Identifier{user}.Sanitize()
	if database == "" {
		database = t.Name
		if c, err := pgx.ParseConfig(t.DSN); err == nil && c.Database != "" {
			database = c.Database
		}
	}
	out := []string{
		"CREATE ROLE " + u + " LOGIN; -- give it a password with: \\password " + u,
		"GRANT CONNECT ON DATABASE " + pgx.Identifier{database}.Sanitize() + " TO " + u + ";",
		"CREATE SCHEMA IF NOT EXISTS " + Schema + " AUTHORIZATION " + u + ";",
	}
	schemas := map[string]bool{}
	for i, name := range t.Tables {
		schema, table := split(name)
		if schema == "" {
			schema = "public"
		}
		full, s := pgx.Identifier{schema, table}.Sanitize(), pgx.Identifier{schema}.Sanitize()
		if !schemas[s] {
			schemas[s] = true
			out = append(out, "GRANT USAGE ON SCHEMA "+s+" TO "+u+";")
		}
		out = append(out, "GRANT "+strings.Join(tableRights[:], ", ")+" ON "+full+" TO "+u+";")
		if i < len(tables) {
			for _, q := range tables[i].sequences {
				out = append(out, "GRANT SELECT, UPDATE ON SEQUENCE "+q+" TO "+u+";")
			}
			if tables[i].rowSecurity {
				out = append(out, "ALTER ROLE "+u+" BYPASSRLS; -- "+name+" has row security")
			}
		}
	}
	return out
}
