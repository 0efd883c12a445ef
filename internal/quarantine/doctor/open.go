package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"lifeboat/internal/fault"
)

// dialFor is how long signing in may take.
const dialFor = 5 * time.Second

// maxDSN is how long an address with its password may be, in bytes.
const maxDSN = 4096

// ReadDSN reads the one line that holds an address, user and password.
func ReadDSN(file, variable string) (string, error) {
	text, place := os.Getenv(variable), "$"+variable
	if file != "" {
		place = file
		info, err := os.Stat(file)
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxDSN {
			return "", fault.New(fault.Invalid, "can't read the database's address").At(file).WithHint("it is a file of one line, readable for lifeboat's user")
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fault.New(fault.Invalid, "can't read the database's address").At(file).Because(err).WithHint("make the file readable for lifeboat's user, and for nobody else")
		}
		text = string(b)
	}
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxDSN || strings.ContainsAny(text, "\n\r\x00") {
		return "", fault.New(fault.Invalid, "the database's address is empty or more than one line").At(place).WithHint("write it in one line, for example postgres://lifeboat:PASSWORD@127.0.0.1:5432/shop")
	}
	return text, nil
}

// Open makes a handle of a target; nothing is dialled yet.
func Open(t Target) (*sql.DB, error) {
	switch t.Kind {
	case Postgres:
		c, err := pgx.ParseConfig(t.DSN)
		if err != nil { // the error could repeat the password
			return nil, badDSN(t, "postgres://lifeboat:PASSWORD@127.0.0.1:5432/shop")
		}
		c.ConnectTimeout = dialFor
		c.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is prepared, so a pooler may stand between
		c.RuntimeParams["application_name"] = "lifeboat"
		return stdlib.OpenDB(*c), nil
	case MariaDB, MySQL:
		c, err := mysql.ParseDSN(t.DSN)
		if err != nil {
			return nil, badDSN(t, "lifeboat:PASSWORD@tcp(127.0.0.1:3306)/shop")
		}
		if c.DBName == "" {
			return nil, badDSN(t, "lifeboat:PASSWORD@tcp(127.0.0.1:3306)/shop, with the database's name at its end")
		}
		c.Timeout, c.ReadTimeout, c.WriteTimeout = dialFor, time.Minute, time.Minute
		c.AllowAllFiles, c.MultiStatements, c.ParseTime = false, false, false
		c.InterpolateParams, c.ClientFoundRows = true, true // as the driver of levers has it, which borrows the connection
		c.Logger = quiet{}
		conn, err := mysql.NewConnector(c)
		if err != nil {
			return nil, badDSN(t, "lifeboat:PASSWORD@tcp(127.0.0.1:3306)/shop")
		}
		return sql.OpenDB(conn), nil
	case SQLite:
		return sql.Open("sqlite", "file:"+(&url.URL{Path: t.File}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(2000)&_pragma=foreign_keys(1)")
	}
	return nil, fault.New(fault.Invalid, "a database of kind %q is not known", t.Kind).At(t.Name).WithHint("postgres, mariadb, mysql and sqlite are")
}

func badDSN(t Target, sample string) error {
	return fault.New(fault.Invalid, "the database's address can't be read").At(t.Name).WithHint("write it as %s", sample)
}

// quiet keeps the driver from writing to standard error.
type quiet struct{}

func (quiet) Print(...any) {}

// Plain says what a database answered without repeating how it was reached, nor
// what was asked.
func Plain(err error) string {
	var p *pgconn.PgError
	var m *mysql.MySQLError
	var l *sqlite.Error
	var dial *pgconn.ConnectError
	var network *net.OpError
	switch {
	case errors.As(err, &p):
		return fmt.Sprintf("%s (%s)", p.Message, p.Code)
	case errors.As(err, &m):
		return fmt.Sprintf("%s (%d)", m.Message, m.Number)
	case errors.As(err, &l):
		return l.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time"
	case errors.As(err, &network) && network.Op == "dial":
		return "nobody answers at its address"
	case errors.As(err, &dial):
		return "it does not answer, or not as a database does"
	case errors.Is(err, sql.ErrConnDone), errors.Is(err, mysql.ErrInvalidConn):
		return "the connection was lost"
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Text
	}
	return "it can't be asked"
}
