package handover

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
	"lifeboat/test/door"
)

// TestMain lets this program be the child of its own tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "inherit" {
		beChild()
		return
	}
	os.Exit(m.Run())
}

// beChild answers one UDP query on each inherited socket, then prints what is left
// of the environment.
func beChild() {
	s, err := Inherited()
	if err != nil {
		os.Stdout.WriteString("error: " + err.Error())
		return
	}
	conns, err := s.UDP(DNSUDP)
	if err != nil {
		os.Stdout.WriteString("error: " + err.Error())
		return
	}
	for _, c := range conns {
		b := make([]byte, 512)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		n, from, err := c.ReadFrom(b)
		if err == nil {
			c.WriteTo(bytes.ToUpper(b[:n]), from)
		}
	}
	again, err := Inherited()
	if err != nil || len(again) != 0 || os.Getenv(envNames) != "" {
		os.Stdout.WriteString("error: the environment still names sockets")
		return
	}
	os.Stdout.WriteString("done " + strings.Join(s.names(), ","))
}

func listenUDP(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func listenTCP(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := ListenTCP("--http", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A query that arrives while nobody serves is answered by the child that starts
// later, and the child finds names, sockets and a clean environment.
func TestChildServesWhatWasHandedDown(t *testing.T) {
	t.Parallel()
	udp, tcp := listenUDP(t), listenTCP(t)
	s := Sockets{}
	must(t, s.Add(DNSUDP, udp))
	must(t, s.Add(DNSTCP, tcp))
	defer s.Close()
	addr := udp.LocalAddr()
	udp.Close()

	for _, query := range []string{"first", "second"} { // the same sockets are handed down twice
		client, err := net.Dial("udp", addr.String())
		must(t, err)
		defer client.Close()
		_, err = client.Write([]byte(query))
		must(t, err)

		cmd := exec.Command(os.Args[0], "inherit")
		cmd.Env = append(Environ(os.Environ()), s.Env())
		cmd.ExtraFiles = s.ExtraFiles()
		out, err := cmd.Output()
		must(t, err)
		if got, want := string(out), "done dns-tcp,dns-udp"; got != want {
			t.Fatalf("child said %q, want %q", got, want)
		}
		must(t, client.SetDeadline(time.Now().Add(10*time.Second)))
		b := make([]byte, 64)
		n, err := client.Read(b)
		must(t, err)
		if got, want := string(b[:n]), strings.ToUpper(query); got != want {
			t.Fatalf("answer %q, want %q", got, want)
		}
	}
}

func TestChildRefusesDescriptorsThatAreNoSockets(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "inherit")
	cmd.Env = append(os.Environ(), envNames+"=dns-udp:dns-tcp")
	out, err := cmd.Output()
	must(t, err)
	if !strings.Contains(string(out), "is no socket") {
		t.Fatalf("child said %q", out)
	}
}

// Holding and passing on must neither make a socket blocking (that would hang the
// process that serves on it) nor have our poller watch it.
func TestHeldSocketsAreLeftAlone(t *testing.T) {
	t.Parallel()
	tcp := listenTCP(t)
	s := Sockets{}
	must(t, s.Add(HTTP, tcp))
	defer s.Close()
	fd := int(s.ExtraFiles()[0].Fd())
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	must(t, err)
	if flags&unix.O_NONBLOCK == 0 {
		t.Error("the held socket has become blocking")
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	must(t, err)
	if own&unix.FD_CLOEXEC == 0 {
		t.Error("the held socket is not close-on-exec")
	}
	// The poller knows descriptors by number: adding ours to every epoll set must work.
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		link, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if link != "anon_inode:[eventpoll]" {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + e.Name())
		must(t, err)
		for line := range strings.Lines(string(info)) {
			fields := strings.Fields(line)
			if len(fields) > 1 && fields[0] == "tfd:" && fields[1] == strconv.Itoa(fd) {
				t.Error("the poller watches the held socket")
			}
		}
	}
}

func TestTypedHelpers(t *testing.T) {
	t.Parallel()
	s := Sockets{}
	defer s.Close()
	must(t, s.Add(DNSUDP, listenUDP(t)))
	must(t, s.Add(DNSUDP, listenUDP(t)))
	must(t, s.Add(HTTP, listenTCP(t)))

	conns, err := s.UDP(DNSUDP)
	must(t, err)
	if len(conns) != 2 {
		t.Errorf("%d UDP sockets, want 2", len(conns))
	}
	for _, c := range conns {
		c.Close()
	}
	l, err := s.Listener(HTTP)
	must(t, err)
	addr, err := s.Addr(HTTP)
	must(t, err)
	if l.Addr().String() != addr.String() {
		t.Errorf("listener at %s, Addr says %s", l.Addr(), addr)
	}
	must(t, l.Close())
	if _, err := net.Dial("tcp", addr.String()); err != nil {
		t.Errorf("closing the listener closed the held socket: %v", err)
	}
	for name, got := range map[string]error{
		"missing":    second(s.Listener(OFREP)),
		"two":        second(s.Listener(DNSUDP)),
		"wrong kind": second(s.TCP(DNSUDP)),
		"udp of tcp": second(s.UDP(HTTP)),
	} {
		if got == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Sockets(nil).UDP(DNSUDP); fault.KindOf(err) != fault.NotFound {
		t.Errorf("nil Sockets: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// pair gives two ends of a local stream connection.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	l, err := ListenUnix(filepath.Join(t.TempDir(), "s"), -1)
	must(t, err)
	defer l.Close()
	a, err = net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	must(t, err)
	b, err = l.AcceptUnix()
	must(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	for _, c := range []*net.UnixConn{a, b} {
		must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	}
	return a, b
}

// The receiver's sockets live on when the sender's are gone.
func TestSendReceive(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	udp, tcp := listenUDP(t), listenTCP(t)
	sent := Sockets{}
	must(t, sent.Add(DNSUDP, udp))
	must(t, sent.Add(DNSTCP, tcp))
	must(t, Send(a, sent))
	sent.Close()
	udp.Close()
	tcp.Close()
	a.Close()

	got, err := Receive(b)
	must(t, err)
	defer got.Close()
	if want := []string{DNSTCP, DNSUDP}; !slices.Equal(got.names(), want) {
		t.Fatalf("received %v, want %v", got.names(), want)
	}
	addr, err := got.Addr(DNSTCP)
	must(t, err)
	l, err := got.Listener(DNSTCP)
	must(t, err)
	defer l.Close()
	client, err := net.Dial("tcp", addr.String())
	must(t, err)
	defer client.Close()
	conn, err := l.Accept()
	must(t, err)
	conn.Close()
}

func TestReceiveRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		line string
		want string
	}{
		"an error in place":  {`{"error":"not yet"}` + "\n", "not yet"},
		"names without":      {`{"sockets":["dns-udp"]}` + "\n", "0 sockets came with 1 names"},
		"no JSON":            {"hello\n", "can't be read"},
		"a name with colons": {`{"sockets":["a:b"]}` + "\n", "no name"},
		"an early end":       {`{"sock`, "EOF"},
		"a flood":            {strings.Repeat("x", maxLine+8<<10), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t)
			go func() { // ends when all is written, or the other end closes
				io.WriteString(a, tt.line)
				a.CloseWrite()
			}()
			_, err := Receive(b)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// What can't be used is closed, not leaked.
func TestReceiveClosesWhatItRefuses(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	_, _, err = a.WriteMsgUnix([]byte(`{"sockets":["x","y"]}`+"\n"), unix.UnixRights(int(w.Fd())), nil)
	must(t, err)
	w.Close()
	if _, err := Receive(b); err == nil {
		t.Fatal("one socket with two names was taken")
	}
	must(t, r.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the received descriptor is still open: %v", err)
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	for _, c := range []net.Conn{a, b} {
		must(t, Admit(c, -1))
		uid, err := PeerUID(c)
		must(t, err)
		if uid != os.Getuid() {
			t.Errorf("peer is %d, want %d", uid, os.Getuid())
		}
	}
	x, y := net.Pipe()
	defer x.Close()
	defer y.Close()
	if err := Admit(x, os.Getuid()); fault.KindOf(err) != fault.Denied {
		t.Errorf("a connection without a known peer: %v", err)
	}
	l := listenTCP(t)
	tcp, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer tcp.Close()
	if err := Admit(tcp, 0); fault.KindOf(err) != fault.Denied {
		t.Errorf("a TCP connection: %v", err)
	}
}

func TestAdmitRefusesOtherAccounts(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIP-LOUD: needs root, to dial as another account")
	}
	dir, err := os.MkdirTemp("", "lb")
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chmod(dir, 0o711))
	path := filepath.Join(dir, "s")
	l, err := ListenUnix(path, 65534)
	must(t, err)
	defer l.Close()
	cmd := exec.Command("/bin/sh", "-c", `exec perl -MSocket -e 'socket(S,PF_UNIX,SOCK_STREAM,0);connect(S,sockaddr_un($ARGV[0])) or die $!; sysread(S,$b,1)' "$0"`, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if err := cmd.Start(); err != nil {
		t.Skip("SKIP-LOUD: can't start a process as another account:", err)
	}
	defer cmd.Wait()
	must(t, l.SetDeadline(time.Now().Add(10*time.Second)))
	conn, err := l.Accept()
	must(t, err)
	defer conn.Close()
	if err := Admit(conn, -1); fault.KindOf(err) != fault.Denied {
		t.Errorf("another account was let in: %v", err)
	}
	must(t, Admit(conn, -1, 65534))
}

func TestListenUnix(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := ListenUnix(path, -1)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if _, err := ListenUnix(path, -1); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second listener: %v", err)
	}
	door.LetGo(t, l)
	again, err := ListenUnix(path, -1) // the file is stale now
	must(t, err)
	again.Close()

	file := filepath.Join(t.TempDir(), "notes.txt")
	must(t, os.WriteFile(file, []byte("mine"), 0o600))
	if _, err := ListenUnix(file, -1); fault.KindOf(err) != fault.Conflict {
		t.Errorf("over a file: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file was touched: %q, %v", b, err)
	}
	if _, err := ListenUnix("/tmp/"+strings.Repeat("x", 120), -1); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a long path: %v", err)
	}
}

func TestListenTCPNamesFlagAndAddress(t *testing.T) {
	t.Parallel()
	l := listenTCP(t)
	addr := l.Addr().String()
	_, err := ListenTCP("--ofrep", addr)
	if err == nil || !strings.Contains(err.Error(), "--ofrep "+addr) || !strings.Contains(err.Error(), "taken by another program") {
		t.Errorf("taken port: %v", err)
	}
	_, err = ListenTCP("--ofrep", "192.0.2.1:0")
	if err == nil || !strings.Contains(err.Error(), "does not have the address") {
		t.Errorf("foreign address: %v", err)
	}
	for _, bad := range []string{"", "8080", "127.0.0.1", "example.com:80", "127.0.0.1:99999", "[::1:80"} {
		if _, err := ListenTCP("--ofrep", bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestInheritedNames(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		env  map[string]string
		want []string
		bad  bool
	}{
		"nothing":            {map[string]string{}, nil, false},
		"ours":               {map[string]string{envNames: "a:b:b"}, []string{"a", "b", "b"}, false},
		"systemd's":          {map[string]string{envSystemdPID: "7", envSystemdCount: "2", envSystemdNames: "a:b"}, []string{"a", "b"}, false},
		"systemd's, unnamed": {map[string]string{envSystemdPID: "7", envSystemdCount: "2"}, []string{unnamed, unnamed}, false},
		"another process's":  {map[string]string{envSystemdPID: "8", envSystemdCount: "2", envSystemdNames: "a:b"}, nil, false},
		"too few names":      {map[string]string{envSystemdPID: "7", envSystemdCount: "2", envSystemdNames: "a"}, nil, true},
		"no number":          {map[string]string{envSystemdPID: "7", envSystemdCount: "x"}, nil, true},
		"far too many":       {map[string]string{envSystemdPID: "7", envSystemdCount: "99999999"}, nil, true},
		"an empty name":      {map[string]string{envNames: "a::b"}, nil, true},
	} {
		got, err := inheritedNames(func(k string) string { return tt.env[k] }, 7)
		if (err != nil) != tt.bad || (!tt.bad && !slices.Equal(got, tt.want)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("dns-udp:dns-tcp")
	f.Add("::")
	f.Fuzz(func(t *testing.T, s string) {
		names, err := splitNames(s)
		if err == nil && strings.Join(names, ":") != s {
			t.Fatalf("%q was read as %q", s, names)
		}
	})
}

func FuzzParcel(f *testing.F) {
	f.Add([]byte(`{"sockets":["dns-udp"]}`))
	f.Add([]byte(`{"error":"no"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if names, err := parseParcel(b); err == nil && checkNames(names) != nil {
			t.Fatalf("bad names passed: %q", names)
		}
	})
}
