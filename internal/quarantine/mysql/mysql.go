// Package mysql takes rows out of MariaDB (10.5 and newer) and puts them back. MySQL 8
// is meant to work and has not been tried.
//
// It is the dialect of package relational for InnoDB tables; only those who wire open
// it. Key texts are the values as text, binary ones in hexadecimal. Copies lie in a
// database of their own, lifeboat_q_NAME; making a table ends a transaction here, so
// they are made before it, and those that a crash leaves empty are swept by the next
// move.
//
// Invariants. Foreign keys are checked, always, and no cascade ever has anything left
// to do: cascades fire no triggers here. Every statement sees what was committed before
// it (READ COMMITTED). Only InnoDB tables are touched.
//
// Concurrency: as relational.DB.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

// Kind is the kind of this database in plans.
const Kind = "mysql"

// Open opens a database by its data source name (user:password@tcp(host:3306)/name),
// which is never logged nor part of an error. It does not connect yet.
func Open(dsn string, o relational.Options) (*relational.DB, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil || config.DBName == "" {
		return nil, fault.New(fault.Invalid, "the data source name can't be read, or names no database").At(o.Name).WithHint("write user:password@tcp(host:3306)/database, and check what stands in the file or the environment")
	}
	if strings.Contains(config.DBName, ".") {
		return nil, fault.New(fault.Invalid, "the database's name has a dot, which stands between database and table in ours").At(o.Name).WithHint("take rows out of it by hand, or give it another name")
	}
	config.ClientFoundRows = true // counts are of rows found, whether or not they differ
	config.InterpolateParams = true
	config.MultiStatements = false
	config.ParseTime = false
	config.Logger = &mysql.NopLogger{}
	if config.Timeout == 0 {
		config.Timeout = 5 * time.Second
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the data source name can't be used").At(o.Name).WithHint("write user:password@tcp(host:3306)/database")
	}
	schema := "lifeboat_q_" + config.DBName
	if len(schema) > 64 {
		schema = schema[:64]
	}
	return relational.New(sql.OpenDB(connector), &dialect{limits: o.Limits.WithDefaults(), schema: schema}, o)
}

type dialect struct {
	limits quarantine.Limits
	schema string
	maria  atomic.Bool
}

func (d *dialect) Kind() string { return Kind }

// Connect pins the session, whatever the server's own settings are. The mode keeps zeroes
// and odd dates as they are; no limit cuts a list of keys short, and a commit is nothing
// but a commit.
func (d *dialect) Connect(ctx context.Context, c *sql.Conn) error {
	lines, err := relational.Texts(ctx, c, "SELECT version()")
	if err != nil {
		return err
	}
	d.maria.Store(strings.Contains(lines[0][0], "MariaDB"))
	wait := strconv.Itoa(max(1, int(d.limits.Lock.Seconds())))
	settings := "SET NAMES utf8mb4, sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', foreign_key_checks = 1, unique_checks = 1, " +
		"autocommit = 1, completion_type = 'NO_CHAIN', sql_safe_updates = 0, sql_select_limit = 18446744073709551615, sql_big_selects = 1, sql_auto_is_null = 0, " +
		"innodb_lock_wait_timeout = " + wait + ", lock_wait_timeout = " + wait
	if d.maria.Load() {
		settings += ", check_constraint_checks = 1"
	}
	_, err = c.ExecContext(ctx, settings)
	return err
}

func (d *dialect) Begin(ctx context.Context, c *sql.Conn, p relational.Purpose) error {
	isolation, begin, limit := "READ COMMITTED", "START TRANSACTION READ WRITE", d.limits.Write
	if p == relational.Reading {
		isolation, begin, limit = "REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", d.limits.Read
	}
	timeout := fmt.Sprintf("SET max_execution_time = %d", limit.Milliseconds())
	if d.maria.Load() {
		timeout = fmt.Sprintf("SET max_statement_time = %.3f", limit.Seconds())
	}
	for _, s := range []string{timeout, "SET TRANSACTION ISOLATION LEVEL " + isolation, begin} {
		if _, err := c.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// lockName is the lock of one act per database; names are at most 64 long.
func (d *dialect) lockName() string { return d.schema[:min(64, len(d.schema))] }

func (d *dialect) TryLock(ctx context.Context, c *sql.Conn) (bool, error) {
	lines, err := relational.Texts(ctx, c, "SELECT GET_LOCK(?, 0)", d.lockName())
	return err == nil && lines[0][0] == "1", err
}

func (d *dialect) Unlock(ctx context.Context, c *sql.Conn) {
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, _ = c.ExecContext(short, "DO RELEASE_LOCK(?)", d.lockName()) // a lost connection has lost its lock, too
}

// Full implements relational.Dialect: too many connections of all, or of this user.
func (d *dialect) Full(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && (e.Number == 1040 || e.Number == 1203 || e.Number == 1226)
}

// Again implements relational.Dialect: another operation has just made or dropped a table
// (ER_TABLE_DEF_CHANGED).
func (d *dialect) Again(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == 1412
}

// Fault tells an error of the database. Its own texts are left out: they hold cells.
func (d *dialect) Fault(err error, place string) error {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		if told := tell(e.Number); told != nil {
			return told.At(place)
		}
		return fault.New(fault.Internal, "the database refused a statement (code %d)", e.Number).At(place).WithHint("nothing was changed; the database's own manual tells what the code means")
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fault.New(fault.Unavailable, "the database took too long, or was not waited for").At(place).WithHint("nothing was changed unless said otherwise; try again").Because(err)
	}
	return fault.New(fault.Unavailable, "the database does not answer").At(place).WithHint("look whether it runs and lets us in; what was under way is rolled back").Because(err)
}

// tell tells the codes that a person can do something about (MariaDB error codes).
func tell(code uint16) *fault.Error {
	switch code {
	case 1205:
		return fault.New(fault.Unavailable, "some of the rows or tables are locked by somebody else").WithHint("nothing was changed; try again, or look for a transaction that stays open")
	case 1213, 1020:
		return fault.New(fault.Unavailable, "somebody else changed the same rows at the same time").WithHint("nothing was changed; try again")
	case 1969, 3024, 1317:
		return fault.New(fault.Unavailable, "a statement took too long and was ended").WithHint("nothing was changed; choose fewer rows, or look whether an index is missing")
	case 1044, 1045, 1142, 1143, 1227, 1370:
		return fault.New(fault.Denied, "the database user lacks a right").WithHint("nothing was changed; lifeboat data doctor prints what to grant")
	case 1451, 1452, 1216, 1217:
		return fault.New(fault.Conflict, "a foreign key would be broken").WithHint("nothing was changed; put back the rows that are referred to first")
	case 1062, 1169:
		return fault.New(fault.Conflict, "another row has the same unique key").WithHint("nothing was changed; correct one of the two")
	case 1048, 1364:
		return fault.New(fault.Conflict, "a column can't be empty").WithHint("nothing was changed; give it a value")
	case 4025, 3819:
		return fault.New(fault.Conflict, "a check of the table does not hold").WithHint("nothing was changed; correct the row")
	case 1644:
		return fault.New(fault.Conflict, "a trigger of the database refused").WithHint("nothing was changed; look at the triggers that the plan names")
	case 1412:
		return fault.New(fault.Unavailable, "tables are being made or changed just now").WithHint("nothing was changed; try again")
	case 1290, 1792, 1836:
		return fault.New(fault.Unavailable, "the database is read only just now").WithHint("connect to the primary")
	case 1146, 1054, 1051, 1049:
		return fault.New(fault.Conflict, "a table or a column is no longer there").WithHint("nothing was changed; make a new plan")
	case 1264, 1265, 1292, 1366, 1406, 1367, 1411:
		return fault.New(fault.Invalid, "a value does not fit its column (code %d)", code).WithHint("nothing was changed; look at the types of the columns and write the value as they do")
	case 1040, 1203, 1226:
		return fault.New(fault.Unavailable, "the database lets nobody in just now").WithHint("try again in a moment")
	case 1053, 1077, 1927, 1152, 1184:
		return fault.New(fault.Unavailable, "the database ended the connection").WithHint("what was under way is rolled back; try again when it runs")
	}
	return nil
}
