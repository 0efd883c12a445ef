// Package dbserver starts real database servers for tests: PostgreSQL and MariaDB
// from Debian's packages, each in a folder of its own, reached by a socket in that
// folder only, and stopped by its process when the tests are over.
//
// Only tests and benchmarks import it. A server that is not installed is said so
// loudly and the test is skipped.
//
// Concurrency: a Server may be used from any goroutine.
package dbserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the drivers that Root names
	_ "github.com/jackc/pgx/v5/stdlib"
)

// ErrMissing means that a server is not installed.
var ErrMissing = errors.New("not installed")

// Server is a database server under test.
type Server struct {
	Dir    string
	Driver string // pgx or mysql
	Cmd    *exec.Cmd
	done   chan struct{}
}

// startFor is how long a server may take to answer.
const startFor = 60 * time.Second

// Postgres makes a cluster and starts it; settings are as on its command line, for
// example "max_connections=10".
func Postgres(settings ...string) (*Server, error) {
	initdb, err := find("initdb", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	postgres, err := find("postgres", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	s, err := folder("pgx", "postgres")
	if err != nil {
		return nil, err
	}
	init := exec.Command(initdb, "-D", s.Dir+"/data", "-U", "root", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	if out, err := as(init, "postgres").CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w: %s", err, out), os.RemoveAll(s.Dir))
	}
	args := []string{"-D", s.Dir + "/data", "-c", "listen_addresses=", "-c", "unix_socket_directories=" + s.Dir, "-c", "fsync=off"}
	for _, set := range settings {
		args = append(args, "-c", set)
	}
	return s, s.start(as(exec.Command(postgres, args...), "postgres"), "postgres")
}

// MariaDB makes a data folder and starts a server; settings are as on its command
// line, for example "max_connections=10".
func MariaDB(settings ...string) (*Server, error) {
	install, err := find("mariadb-install-db", "/usr/bin")
	if err != nil {
		return nil, err
	}
	mariadbd, err := find("mariadbd", "/usr/sbin")
	if err != nil {
		return nil, err
	}
	s, err := folder("mysql", "mysql")
	if err != nil {
		return nil, err
	}
	init := exec.Command(install, "--no-defaults", "--datadir="+s.Dir+"/data", "--auth-root-authentication-method=normal", "--skip-test-db", "--tmpdir="+s.Dir, "--innodb-flush-log-at-trx-commit=0")
	if out, err := as(init, "mysql").CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("mariadb-install-db: %w: %s", err, out), os.RemoveAll(s.Dir))
	}
	args := []string{
		"--no-defaults", "--datadir=" + s.Dir + "/data", "--socket=" + s.Dir + "/s", "--skip-networking", "--pid-file=" + s.Dir + "/pid", "--tmpdir=" + s.Dir,
		"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M",
	}
	for _, set := range settings {
		args = append(args, "--"+set)
	}
	return s, s.start(as(exec.Command(mariadbd, args...), "mysql"), "")
}

// find looks for a program on the path and in Debian's folders for it.
func find(name string, folders ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, pattern := range folders {
		found, _ := filepath.Glob(filepath.Join(pattern, name))
		slices.Sort(found)
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, ErrMissing)
}

// folder makes a short-named folder: the path of a socket has 107 bytes at most.
func folder(driver, owner string) (*Server, error) {
	dir, err := os.MkdirTemp("", "lbdb")
	if err != nil {
		return nil, err
	}
	if u, err := user.Lookup(owner); err == nil && os.Getuid() == 0 {
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	return &Server{Dir: dir, Driver: driver, done: make(chan struct{})}, nil
}

// as runs a command as the packages' user where the tests run as root: neither
// server starts as root.
func as(c *exec.Cmd, owner string) *exec.Cmd {
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if u, err := user.Lookup(owner); err == nil && os.Getuid() == 0 {
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return c
}

func (s *Server) start(c *exec.Cmd, database string) error {
	log, err := os.Create(filepath.Join(s.Dir, "log"))
	if err != nil {
		return err
	}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		return errors.Join(err, log.Close(), os.RemoveAll(s.Dir))
	}
	s.Cmd = c
	go func() { // ends with the server
		_ = c.Wait()
		_ = log.Close()
		close(s.done)
	}()
	db, err := sql.Open(s.Driver, s.DSN("root", database))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), startFor)
	defer cancel()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-s.done:
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
			continue
		}
		text, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
		s.Stop()
		return fmt.Errorf("%s does not start: %w: %s", c.Path, err, text)
	}
}

// DSN is how a user without a password reaches a database of the server.
func (s *Server) DSN(user, database string) string {
	if s.Driver == "pgx" {
		return fmt.Sprintf("host=%s user=%s dbname=%s", s.Dir, user, database)
	}
	return fmt.Sprintf("%s@unix(%s/s)/%s", user, s.Dir, database)
}

// Root opens a database as the server's own user; "" is the one that is always there.
func (s *Server) Root(database string) (*sql.DB, error) {
	if database == "" && s.Driver == "pgx" {
		database = "postgres"
	}
	return sql.Open(s.Driver, s.DSN("root", database))
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() {
	if s.Cmd != nil {
		_ = s.Cmd.Process.Signal(syscall.SIGQUIT)
		select {
		case <-s.done:
		case <-time.After(5 * time.Second):
			_ = s.Cmd.Process.Kill()
			<-s.done
		}
	}
	_ = os.RemoveAll(s.Dir)
}

// Skip ends a test whose server is not installed, loudly, and fails one whose
// server does not start.
func Skip(t testing.TB, what string, err error) {
	t.Helper()
	if errors.Is(err, ErrMissing) {
		t.Skipf("SKIP-LOUD: there is no %s here (%v); install it with: make deps", what, err)
	}
	if err != nil {
		t.Fatal(err)
	}
}
