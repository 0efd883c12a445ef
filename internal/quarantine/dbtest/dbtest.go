// Package dbtest starts real database servers for tests: PostgreSQL and MariaDB, each
// on a socket of its own in a folder of its own, as an unprivileged user.
//
// It is no part of the program; only tests import it. Nothing listens on a network,
// no service of the machine is touched, and what was started is stopped by its
// process id.
//
// Concurrency: a Server's Kill and Start must not overlap; everything else may.
package dbtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Server is a database server of the tests.
type Server struct {
	Folder string
	Driver string // pgx or mysql, as database/sql knows it
	Socket string // the folder of it (PostgreSQL), or the file (MariaDB)
	bin    func(string) (string, error)
	args   []string
	main   string
	cred   *syscall.Credential
	ready  func() error

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

// ErrMissing means that the server is not installed; scripts/deps does it.
var ErrMissing = errors.New("not installed")

// find looks for a program where Debian puts it.
func find(folders ...string) func(string) (string, error) {
	return func(name string) (string, error) {
		for _, pattern := range folders {
			matches, _ := filepath.Glob(filepath.Join(pattern, name))
			if len(matches) > 0 {
				return matches[len(matches)-1], nil
			}
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		return "", fmt.Errorf("%s: %w", name, ErrMissing)
	}
}

// credential is the user that servers run as: root may not.
func credential(names ...string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range append(names, "nobody") {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("no unprivileged user to run a server as")
}

func newServer(prefix, main string, bin func(string) (string, error), users ...string) (*Server, error) {
	if _, err := bin(main); err != nil {
		return nil, err
	}
	cred, err := credential(users...)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	s := &Server{Folder: folder, bin: bin, main: main, cred: cred}
	if cred != nil {
		if err := os.Chown(folder, int(cred.Uid), int(cred.Gid)); err != nil {
			return nil, err
		}
	}
	return s, os.Chmod(folder, 0o755)
}

func (s *Server) command(name string, args ...string) (*exec.Cmd, error) {
	path, err := s.bin(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = s.Folder
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", "HOME=" + s.Folder}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

func (s *Server) run(name string, args ...string) error {
	cmd, err := s.command(name, args...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %.2000s", name, err, out)
	}
	return nil
}

// Postgres makes and starts a PostgreSQL server. More settings are as on its command
// line: "max_connections=10".
func Postgres(settings ...string) (*Server, error) {
	s, err := newServer("lb-pg-", "postgres", find("/usr/lib/postgresql/*/bin"), "postgres")
	if err != nil {
		return nil, err
	}
	s.Socket, s.Driver = s.Folder, "pgx"
	data := filepath.Join(s.Folder, "data")
	s.args = []string{"-D", data, "-k", s.Folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=64MB", "-c", "max_connections=60",
		"-c", "wal_level=logical", "-c", "restart_after_crash=off", "-c", "log_min_messages=fatal"}
	for _, set := range settings {
		s.args = append(s.args, "-c", set)
	}
	s.ready = func() error {
		return s.run("psql", "-X", "-q", "-h", s.Folder, "-U", "postgres", "-c", "SELECT 1", "postgres")
	}
	if err := s.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Folder))
	}
	return s, s.Start()
}

// MariaDB makes and starts a MariaDB server. More settings are as on its command
// line: "max_connections=10".
func MariaDB(settings ...string) (*Server, error) {
	s, err := newServer("lb-my-", "mariadbd", find("/usr/sbin", "/usr/bin"), "mysql")
	if err != nil {
		return nil, err
	}
	s.Socket, s.Driver = filepath.Join(s.Folder, "s"), "mysql"
	data := filepath.Join(s.Folder, "data")
	s.args = []string{"--no-defaults", "--datadir=" + data, "--socket=" + s.Socket, "--skip-networking", "--pid-file=" + filepath.Join(s.Folder, "pid"),
		"--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=2", "--innodb-log-file-size=16M", "--character-set-server=utf8mb4", "--max-connections=60", "--lc-messages=en_US",
		"--tmpdir=" + s.Folder, "--performance-schema=off"}
	for _, set := range settings {
		s.args = append(s.args, "--"+set)
	}
	s.ready = func() error {
		return s.run("mariadb", "--no-defaults", "-S", s.Socket, "-u", "root", "-e", "SELECT 1")
	}
	if err := s.run("mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--tmpdir="+s.Folder); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Folder))
	}
	return s, s.Start()
}

// Start starts the server and waits until it answers.
func (s *Server) Start() error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		cmd, err := s.command(s.main, s.args...)
		if err != nil {
			return err
		}
		log, err := os.OpenFile(filepath.Join(s.Folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Start()
		_ = log.Close()
		if err != nil {
			return err
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		s.mu.Lock()
		s.cmd, s.ended = cmd, ended
		s.mu.Unlock()
		if err = s.wait(ended, deadline); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			s.Kill()
			return fmt.Errorf("start %s: %w: %s", s.main, err, s.tail())
		}
	}
}

// wait waits until the server answers or has ended (a killed one's children may hold
// its memory for a moment: the caller starts it again).
func (s *Server) wait(ended chan struct{}, deadline time.Time) error {
	for {
		err := s.ready()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			<-time.After(50 * time.Millisecond)
			return errors.New("it ended")
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func (s *Server) tail() string {
	f, err := os.Open(filepath.Join(s.Folder, "log"))
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 1<<20))
	lines := strings.Split(string(b), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// Kill ends the server at once, as a power cut would end its processes.
func (s *Server) Kill() {
	s.mu.Lock()
	cmd, ended := s.cmd, s.ended
	s.mu.Unlock()
	if cmd == nil || cmd.Process == nil {
		return
	}
	_ = cmd.Process.Kill()
	<-ended
}

// Close ends the server and removes its folder.
func (s *Server) Close() {
	s.Kill()
	for range 40 { // children of a killed server may still write
		if os.RemoveAll(s.Folder) == nil {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// Output runs a client program of the server and gives what it prints.
func (s *Server) Output(name string, args ...string) ([]byte, error) {
	cmd, err := s.command(name, args...)
	if err != nil {
		return nil, err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %.2000s", name, err, stderr.String())
	}
	return out, nil
}
