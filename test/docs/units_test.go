package docs

import (
	"bytes"
	"context"
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

	"lifeboat/internal/handover"
)

const unitFolder = "packaging/systemd"

// unit is a unit file: its settings by name, each in order.
type unit struct {
	name string
	set  map[string][]string
}

func (u unit) one(t *testing.T, key string) string {
	t.Helper()
	if len(u.set[key]) != 1 {
		t.Fatalf("%s: %s= is there %d times", u.name, key, len(u.set[key]))
	}
	return u.set[key][0]
}

// units reads all unit files of a kind.
func units(t *testing.T, kind string) []unit {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, unitFolder, "*."+kind))
	if err != nil || len(files) == 0 {
		t.Fatalf("no units of kind %s: %v", kind, err)
	}
	var out []unit
	for _, file := range files {
		u := unit{name: filepath.Base(file), set: map[string][]string{}}
		text := strings.ReplaceAll(read(t, filepath.Join(unitFolder, u.name)), "\\\n", " ")
		for line := range strings.Lines(text) {
			key, value, is := strings.Cut(strings.TrimSpace(line), "=")
			if is && !strings.HasPrefix(key, "#") {
				u.set[key] = append(u.set[key], value)
			}
		}
		out = append(out, u)
	}
	return out
}

// needed are the sockets of each service, as package handover names them.
var needed = map[string][]string{
	"lifeboat-answer.service":  {handover.DNSUDP, handover.DNSTCP, handover.StandbyHTTP, handover.StandbyHTTPS, handover.OFREP, handover.AnswerSock},
	"lifeboat-control.service": {handover.HTTP, handover.ControlSock, handover.FeedSock},
}

// TestUnitsFit: each socket has the name by which the program looks for it, and each
// service gets all of its own.
func TestUnitsFit(t *testing.T) {
	all, err := commands()
	if err != nil {
		t.Fatal(err)
	}
	byPath := map[string]command{}
	for _, c := range all {
		byPath[c.path] = c
	}
	given, files := map[string][]string{}, map[string][]string{}
	for _, s := range units(t, "socket") {
		service := s.one(t, "Service")
		given[service] = append(given[service], s.one(t, "FileDescriptorName"))
		files[service] = append(files[service], s.name)
	}
	for _, s := range units(t, "service") {
		call := strings.Fields(s.one(t, "ExecStart"))
		tryCall(t, s.name, " "+strings.Join(call[1:], " "), byPath)
		want := slices.Sorted(slices.Values(needed[s.name]))
		if got := slices.Sorted(slices.Values(given[s.name])); !slices.Equal(got, want) {
			t.Errorf("%s gets the sockets %q, and needs %q", s.name, got, want)
		}
		if len(want) == 0 {
			continue
		}
		for _, key := range []string{"Sockets", "Requires", "After"} {
			if got := slices.Sorted(slices.Values(strings.Fields(s.one(t, key)))); !slices.Equal(got, files[s.name]) {
				t.Errorf("%s: %s= names %q, and there are %q", s.name, key, got, files[s.name])
			}
		}
	}
}

// TestUnitsWork starts control and answer as systemd would, with the sockets that the
// units give them, and asks the name server.
func TestUnitsWork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const sample = `sites: {shop: {names: [shop.example.com], scheme: http, origins: {main: {address: 127.0.0.2}}, standby: {address: 127.0.0.4}}}
zones: {shop.example.com: {ns: [ns1.example.net.], follow: {"@": shop}}}
`
	file := filepath.Join(dir, "lifeboat.yaml")
	if err := os.WriteFile(file, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	dns := ""
	for _, s := range units(t, "service") {
		if len(needed[s.name]) == 0 {
			continue
		}
		names, sockets, at := open(t, s.name, dir)
		dns += at
		args := strings.Fields(s.one(t, "ExecStart"))[1:]
		for i := range args {
			args[i] = strings.NewReplacer("/var/lib/lifeboat", dir, "/etc/lifeboat/lifeboat.yaml", file).Replace(args[i])
		}
		activate(t, names, sockets, args)
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
		cmd.Env = append(os.Environ(), actAs+"="+strconv.Itoa(os.Getpid()))
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	within(t, startTime, "control can be asked", func() bool { _, err := run("status", "--data", dir); return err == nil })
	key, err := run("control", "key", "--data", dir)
	if err != nil {
		t.Fatalf("control key: %v\n%s", err, key)
	}
	if out, err := run("answer", "trust", key, "--data", dir); err != nil {
		t.Fatalf("answer trust: %v\n%s", err, out)
	}
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, dns)
	}}
	within(t, startTime, "the name server gives the site's address", func() bool {
		ips, err := resolver.LookupHost(t.Context(), "shop.example.com.")
		return err == nil && slices.Equal(ips, []string{"127.0.0.2"})
	})
}

// open opens a service's sockets at free ports, or in a folder, and says where the
// name server is.
func open(t *testing.T, service, dir string) (names []string, sockets []*os.File, dns string) {
	t.Helper()
	type filer interface {
		File() (*os.File, error)
		Close() error
	}
	keep := func(name string, s any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.(filer).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if u, is := s.(*net.UnixListener); is {
			u.SetUnlinkOnClose(false)
		}
		_ = s.(filer).Close() // the file is its own
		names, sockets = append(names, name), append(sockets, f)
	}
	for _, s := range units(t, "socket") {
		if s.one(t, "Service") != service {
			continue
		}
		name := s.one(t, "FileDescriptorName")
		if len(s.set["ListenDatagram"]) > 0 {
			c, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err == nil {
				dns = c.LocalAddr().String()
			}
			keep(name, c, err)
			continue
		}
		path, local := strings.CutPrefix(s.one(t, "ListenStream"), "/var/lib/lifeboat/")
		if local {
			l, err := net.Listen("unix", filepath.Join(dir, path))
			keep(name, l, err)
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		keep(name, l, err)
	}
	return names, sockets, dns
}

// activate starts the program with sockets from descriptor 3 on, as systemd does
// (sd_listen_fds(3)); the shell knows the process id that has to be told.
func activate(t *testing.T, names []string, sockets []*os.File, args []string) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh", os.Args[0]}, args...)...)
	cmd.Env = append(os.Environ(), actAs+"="+strconv.Itoa(os.Getpid()), "LISTEN_FDS="+strconv.Itoa(len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	cmd.ExtraFiles = sockets
	var log bytes.Buffer // read after the end only
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &log, &log, 5*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		if t.Failed() {
			t.Logf("lifeboat %s: %v\n%s", strings.Join(args, " "), err, &log)
		}
	})
}
