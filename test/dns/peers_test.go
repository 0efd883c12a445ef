package dns

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"lifeboat/test/door"
)

// startLimit is how long a server may take until it answers for the last zone.
const startLimit = 30 * time.Second

// peer is a way to run somebody else's name server.
type peer struct {
	name, command string
	// configure writes the server's files into dir, where the zones lie in files
	// named after them, and gives its arguments.
	configure func(dir string, port int, zones []string) (files map[string]string, args []string)
}

var peers = []peer{
	{"bind", "named", configureBIND},
	{"knot", "knotd", configureKnot},
	{"nsd", "nsd", configureNSD},
	{"powerdns", "pdns_server", configurePowerDNS},
}

func configureBIND(dir string, port int, zones []string) (map[string]string, []string) {
	var b strings.Builder
	fmt.Fprintf(&b, `options {
  directory %q; pid-file none; lock-file none; session-keyfile none; managed-keys-directory %q;
  listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; notify no; dnssec-validation no; empty-zones-enable no; check-integrity no;
};
controls { };
`, dir, dir, port)
	for _, z := range zones {
		fmt.Fprintf(&b, "zone %q { type primary; file %q; check-names ignore; };\n", z, filepath.Join(dir, z+"zone"))
	}
	return map[string]string{"named.conf": b.String()}, []string{"-g", "-4", "-n", "1", "-c", filepath.Join(dir, "named.conf")}
}

func configureKnot(dir string, port int, zones []string) (map[string]string, []string) {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
  rundir: %q
  listen: 127.0.0.1@%d
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: warning
database:
  storage: %q
template:
  - id: default
    storage: %q
    file: "%%s.zone"
    semantic-checks: off
    journal-content: none
zone:
`, dir, port, dir, dir)
	for _, z := range zones {
		fmt.Fprintf(&b, "  - domain: %q\n", z)
	}
	return map[string]string{"knot.conf": b.String()}, []string{"-c", filepath.Join(dir, "knot.conf")}
}

func configureNSD(dir string, port int, zones []string) (map[string]string, []string) {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
  ip-address: 127.0.0.1@%d
  username: ""
  chroot: ""
  database: ""
  pidfile: ""
  zonesdir: %q
  zonelistfile: "%[2]s/zone.list"
  xfrdfile: "%[2]s/xfrd.state"
  xfrdir: %[2]q
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
`, port, dir)
	for _, z := range zones {
		fmt.Fprintf(&b, "zone:\n  name: %q\n  zonefile: \"%szone\"\n", z, z)
	}
	return map[string]string{"nsd.conf": b.String()}, []string{"-d", "-c", filepath.Join(dir, "nsd.conf")}
}

func configurePowerDNS(dir string, port int, zones []string) (map[string]string, []string) {
	conf := fmt.Sprintf(`launch=bind
bind-config=%[1]s/zones.conf
local-address=127.0.0.1
local-port=%[2]d
socket-dir=%[1]s
daemon=no
guardian=no
write-pid=no
disable-syslog=yes
dname-processing=yes
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
receiver-threads=1
distributor-threads=1
consistent-backends=yes
security-poll-suffix=
`, dir, port)
	var b strings.Builder
	for _, z := range zones {
		fmt.Fprintf(&b, "zone %q { type master; file %q; };\n", strings.TrimSuffix(z, "."), filepath.Join(dir, z+"zone"))
	}
	return map[string]string{"pdns.conf": conf, "zones.conf": b.String()}, []string{"--config-dir=" + dir}
}

// tool finds a command; daemons lie in sbin, which is not always in a user's PATH.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skipf("SKIP-LOUD: there is no %s here; install it with: make deps", name)
	return ""
}

// freePort finds a port of loopback that neither UDP nor TCP has taken.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		door.LetGo(t, l)
		if err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// client asks one server over TCP, where nothing is truncated, one question at a
// time over a connection that stays open.
type client struct {
	name, addr string
	conn       *wire.Conn // nil until it is needed
}

func dial(t *testing.T, name, addr string) *client {
	t.Helper()
	c := &client{name: name, addr: addr}
	t.Cleanup(c.hangUp)
	return c
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// ask asks a question, and once more over a new connection.
func (c *client) ask(name string, typ uint16, limit time.Duration) (m *wire.Msg, err error) {
	q := new(wire.Msg)
	q.SetQuestion(name, typ)
	q.RecursionDesired = false
	tcp := wire.Client{Net: "tcp", Timeout: limit}
	for range 2 {
		if c.conn == nil {
			if c.conn, err = tcp.Dial(c.addr); err != nil {
				c.conn = nil
				continue
			}
		}
		if m, _, err = tcp.ExchangeWithConn(q, c.conn); err == nil {
			return m, nil
		}
		c.hangUp()
	}
	return nil, fmt.Errorf("%s: %s %s: %w", c.name, name, wire.Type(typ), err)
}

// start runs a peer with zones, by apex, until the test ends.
func start(t *testing.T, p peer, zones []string, texts map[string]string) *client {
	t.Helper()
	dir := t.TempDir()
	command := copied(t, tool(t, p.command), dir)
	port := freePort(t)
	files, args := p.configure(dir, port, zones)
	for apex, text := range texts {
		files[apex+"zone"] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(command, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // NSD has children
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the process, which the cleanup below stops
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		stop(cmd.Process.Pid, ended)
	})
	c := dial(t, p.name, fmt.Sprintf("127.0.0.1:%d", port))
	for deadline := time.Now().Add(startLimit); !c.serves(zones); {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", p.name, said.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			stop(cmd.Process.Pid, ended)
			t.Fatalf("%s does not answer for all zones within %s:\n%s", p.name, startLimit, said.String())
		}
	}
	return c
}

// copied copies a command into a folder: AppArmor knows a server by its path, and
// would keep it out of ours. cp does it, for a file that this process has written
// can't be run while another one is being started.
func copied(t *testing.T, command, dir string) string {
	t.Helper()
	path := filepath.Join(dir, filepath.Base(command))
	if said, err := exec.Command("cp", command, path).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, said)
	}
	return path
}

// stop ends a server and its children.
func stop(pid int, ended <-chan struct{}) {
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL) // whatever is left of it
	<-ended
}

// serves says whether every zone is answered for.
func (c *client) serves(zones []string) bool {
	for _, z := range zones {
		m, err := c.ask(z, wire.TypeSOA, 500*time.Millisecond)
		if err != nil || m.Rcode != wire.RcodeSuccess || len(m.Answer) != 1 {
			return false
		}
	}
	return true
}
