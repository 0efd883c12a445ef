package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"lifeboat/internal/handover"
)

// How the fakes are told to misbehave.
const (
	envStubborn = "FAKE_STUBBORN" // ignores SIGTERM
	envUnready  = "FAKE_UNREADY"  // the file whose presence makes answer ready
	envOptions  = "FAKE_OPTIONS"  // the parent's options
)

// TestMain lets this program be serve, control and answer of its own tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "serve":
			fakeServe()
			return
		case "control":
			fakeControl()
			return
		case "answer":
			fakeAnswer()
			return
		}
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// fakeServe is a real Run in a process of its own, to be killed.
func fakeServe() {
	var o Options
	check(json.Unmarshal([]byte(os.Getenv(envOptions)), &o))
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := Run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fake:", err)
		os.Exit(1)
	}
}

// waitToEnd says in the shared log when the child was asked to end.
func waitToEnd(name string) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	for range asked {
		if !strings.Contains(os.Getenv(envStubborn), name) {
			fmt.Fprintf(os.Stderr, "%s was asked to end\n", name)
			return
		}
	}
}

func fakeControl() {
	sockets, err := handover.Inherited()
	check(err)
	local, err := sockets.Listener(handover.ControlSock)
	check(err)
	feed, err := sockets.Listener(handover.FeedSock)
	check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"ok": true, "pid": os.Getpid(), "args": os.Args[1:], "starter": handover.StarterUID(), "uid": os.Getuid(), "feed": feed.Addr().String()})
	})
	mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	go http.Serve(local, mux)
	if sockets.Has(handover.HTTP) {
		l, err := sockets.Listener(handover.HTTP)
		check(err)
		go http.Serve(l, mux)
	}
	waitToEnd("control")
}

func fakeAnswer() {
	sockets, err := handover.Inherited()
	check(err)
	udp, err := sockets.UDP(handover.DNSUDP)
	check(err)
	for _, conn := range udp {
		go echo(conn)
	}
	for _, name := range []string{handover.StandbyHTTP, handover.OFREP} {
		l, err := sockets.Listener(name)
		check(err)
		go http.Serve(l, http.NotFoundHandler())
	}
	local, err := sockets.Listener(handover.AnswerSock)
	check(err)
	go func() {
		for {
			conn, err := local.Accept()
			check(err)
			go obey(conn.(*net.UnixConn), sockets)
		}
	}()
	waitToEnd("answer")
}

// echo answers each packet with the pid and the packet.
func echo(conn *net.UDPConn) {
	b := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(b)
		check(err)
		_, err = conn.WriteTo(fmt.Appendf(nil, "%d %s", os.Getpid(), b[:n]), from)
		check(err)
	}
}

// obey serves one connection of local orders.
func obey(conn *net.UnixConn, sockets handover.Sockets) {
	defer conn.Close()
	if handover.Admit(conn, handover.StarterUID()) != nil {
		return
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var order struct{ Do string }
		check(json.Unmarshal(lines.Bytes(), &order))
		switch order.Do {
		case "status":
			ready := true
			if file := os.Getenv(envUnready); file != "" {
				_, err := os.Stat(file)
				ready = err == nil
			}
			json.NewEncoder(conn).Encode(map[string]any{"pid": os.Getpid(), "ready": ready})
		case "sockets":
			handover.Send(conn, sockets)
		default:
			io.WriteString(conn, `{"error":"what?"}`+"\n")
		}
	}
}

// told reads what the children wrote, in order.
func told(path string) []string {
	b, _ := os.ReadFile(path)
	var out []string
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "was asked to end") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// logOf is the file that the children of a test write to.
func logOf(data string) string { return filepath.Join(filepath.Dir(data), "children.log") }

func without(env []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(names, name)
	})
}
