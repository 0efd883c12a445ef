package prober

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"lifeboat/internal/probe"
)

// connectError is what a dialer gives for an error of the system.
func connectError(errno syscall.Errno) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
}

func TestVerdictOfSystemErrors(t *testing.T) {
	t.Parallel()
	here, nowhere := "127.0.0.1", "fe80::1" // no link is named, so nothing can be sent there
	for _, tc := range []struct {
		errno   syscall.Errno
		address string
		verdict probe.Verdict
		detail  string
	}{
		{syscall.EMFILE, here, probe.Inconclusive, "this process has no file left"},
		{syscall.ENFILE, here, probe.Inconclusive, "this machine has no file left"},
		{syscall.ENOBUFS, here, probe.Inconclusive, "no network memory"},
		{syscall.ENOMEM, here, probe.Inconclusive, "no memory"},
		{syscall.EADDRNOTAVAIL, here, probe.Inconclusive, "no free port"},
		{syscall.EAFNOSUPPORT, here, probe.Inconclusive, "that kind of address"},
		{syscall.ENETDOWN, here, probe.Inconclusive, "network is down"},
		{syscall.EACCES, here, probe.Inconclusive, "does not let us"},
		{syscall.EPERM, here, probe.Inconclusive, "does not let us"},
		{syscall.ENETUNREACH, nowhere, probe.Inconclusive, "no route"},
		{syscall.EHOSTUNREACH, nowhere, probe.Inconclusive, "no route"},
		{syscall.ENETUNREACH, here, probe.Fail, "the network says"},
		{syscall.EHOSTUNREACH, here, probe.Fail, "the network says"},
		{syscall.ECONNREFUSED, here, probe.Fail, "connection refused"},
		{syscall.ECONNRESET, here, probe.Fail, "cut off (connecting)"},
		{syscall.ETIMEDOUT, here, probe.Fail, "gave up waiting"},
		{syscall.EIO, here, probe.Fail, "could not be asked (connecting)"},
	} {
		x := exchange{target: probe.Target{Address: tc.address, Port: 80}, during: "connecting"}
		r := x.verdict(t.Context(), connectError(tc.errno))
		if r.Verdict != tc.verdict || !strings.Contains(r.Detail, tc.detail) {
			t.Errorf("%v at %s: got %s %q, want %s %q", tc.errno, tc.address, r.Verdict, r.Detail, tc.verdict, tc.detail)
		}
	}
}

func TestRouted(t *testing.T) {
	t.Parallel()
	if !routed(netip.MustParseAddrPort("127.0.0.1:9")) {
		t.Error("there is no route to this very machine")
	}
	if routed(netip.MustParseAddrPort("[fe80::1]:9")) {
		t.Error("there is a route to a link-local address without a link")
	}
}

func TestTLSDetail(t *testing.T) {
	t.Parallel()
	x := exchange{asker: Asker{Now: time.Now}, target: probe.Target{Host: "shop.example.com"}}
	for want, err := range map[string]error{
		"the certificate can't be used for this site: x509: certificate specifies an incompatible key usage": x509.CertificateInvalidError{Reason: x509.IncompatibleUsage},
		"": errors.New("something else"),
	} {
		if got := x.tlsDetail(fmt.Errorf("handshake: %w", err)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		250 * time.Millisecond:  "250 ms",
		2 * time.Second:         "2 s",
		time.Minute:             "60 s",
		1500 * time.Millisecond: "1500 ms",
		1500 * time.Microsecond: "1.5ms",
	} {
		if got := plain(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	if got := line("a\r\nb\x1b[31m\u202ec\xffd"); got != "a  b [31m c d" {
		t.Errorf("got %q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.StringN(150, 600, -1)).Draw(t, "text")
		got := line(in)
		if len(got) > maxDetail || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00\x1b") {
			t.Fatalf("%q is not one line of at most %d bytes", got, maxDetail)
		}
		if line(got) != got {
			t.Fatalf("%q is changed again to %q", got, line(got))
		}
	})
}

// scripted is a connection that says a text and takes whatever it is told.
type scripted struct {
	net.Conn
	io.Reader
}

func (s scripted) Read(p []byte) (int, error) { return s.Reader.Read(p) }
func (scripted) Write(p []byte) (int, error)  { return len(p), nil }

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"", "HTTP/1.1 200 OK\r\n\r\nAdd to cart", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nAdd to cart",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nAdd to cart\r\n0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 503 \x1b[31m\r\n\r\n", "SSH-2.0\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		x := exchange{
			asker:  Asker{Now: time.Now},
			target: probe.Target{Address: "127.0.0.1", Port: 80, Scheme: "http", Host: "shop.example.com"},
			check:  probe.Check{Name: "home", Contains: "Add to cart", Timeout: time.Second}.WithDefaults(),
		}
		r := x.verdict(t.Context(), x.askHTTP(t.Context(), scripted{Reader: strings.NewReader(answer)}))
		if r.Verdict == probe.Pass && !strings.Contains(answer, " 200") {
			t.Errorf("passed without a 200: %q", answer)
		}
		if r.Verdict == probe.Inconclusive {
			t.Errorf("the target's answer was taken for a trouble of ours: %q", r.Detail)
		}
	})
}
