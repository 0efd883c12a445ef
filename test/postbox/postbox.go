// Package postbox starts a real mail server, aiosmtpd of Debian's packages, on a free port
// of loopback, and gives what it took.
//
// Only tests import it. When the server is missing, the test says so in a line that begins
// with SKIP-LOUD.
package postbox

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

//go:embed postbox.py
var script []byte

// python is Debian's own: its packages are not seen by others.
const python = "/usr/bin/python3"

// Options of a server.
type Options struct {
	Port     int    `json:"port"` // 0: any that is free
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
	Cert     string `json:"cert,omitempty"` // a file; with it STARTTLS is asked for
	Key      string `json:"key,omitempty"`
	Implicit bool   `json:"implicit,omitempty"` // TLS from the first byte instead
}

// Taken is a mail that the server took.
type Taken struct {
	From string   `json:"from"`
	To   []string `json:"to"`
	TLS  bool     `json:"tls"`
	User bool     `json:"user"` // somebody had signed in
	Peer int      `json:"peer"` // the port that it came from: the same for mails of one connection
	Data []byte   `json:"data"`
}

// Message is the mail itself.
func (m Taken) Message(t testing.TB) *mail.Message {
	t.Helper()
	msg, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatalf("the mail can't be read: %v\n%s", err, m.Data)
	}
	return msg
}

// Server is a mail server that runs until the test ends, or Stop.
type Server struct {
	Port int    `json:"port"`
	Stop func() `json:"-"`

	mu    sync.Mutex // guards taken
	taken []Taken
}

// Open starts a server.
func Open(t testing.TB, o Options) *Server {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import aiosmtpd").CombinedOutput(); err != nil {
		t.Skipf("SKIP-LOUD: there is no aiosmtpd here (%v %s); install it with: make deps", err, out)
	}
	arg, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "postbox.py")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, path, string(arg))
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &Server{}
	lines := bufio.NewReader(out)
	first, err := lines.ReadBytes('\n')
	if err != nil || json.Unmarshal(first, s) != nil || s.Port == 0 {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the mail server does not start: %v\n%s", err, trouble.Bytes())
	}
	read := make(chan struct{})
	go func() { defer close(read); s.read(lines) }() // ends with the process
	s.Stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) read(lines *bufio.Reader) {
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var m Taken
		if json.Unmarshal(line, &m) == nil {
			s.mu.Lock()
			s.taken = append(s.taken, m)
			s.mu.Unlock()
		}
	}
}

// Taken are the mails that the server took so far, in their order.
func (s *Server) Taken() []Taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Taken(nil), s.taken...)
}

// To are those to an address.
func (s *Server) To(address string) (out []Taken) {
	for _, m := range s.Taken() {
		if m.To[0] == address {
			out = append(out, m)
		}
	}
	return out
}
