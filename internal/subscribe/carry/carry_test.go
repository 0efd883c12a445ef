package carry

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/subscribe/desk"
	"lifeboat/internal/webhook"
	"lifeboat/test/door"
	"lifeboat/test/postbox"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var from = mail.Address{Name: "Läden & Co status", Address: "status@example.com"}

func parcel(to string) desk.Parcel {
	return desk.Parcel{
		ID: "e1-s1", To: to, Subject: "[Läden] Orders fail: We know what it is", Text: "Orders fail\nWe know what it is\n\nÄrger mit der Datenbank.\n.\n\n-- \nhttps://status.example.com/subscription/abc\n",
		Link: "https://status.example.com/subscription/abc", Page: board.Page{ID: "main"}, At: time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC),
	}
}

// pair is a certificate of a server at 127.0.0.1 and who trusts it.
func pair(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &private.PublicKey, private)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	must(t, os.WriteFile(cert, block, 0o600))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(block)
	return cert, key, roots
}

// Mails go to a real server, encrypted and signed in, and are what programs that read mails
// expect of a list.
func TestMail(t *testing.T) {
	t.Parallel()
	cert, key, roots := pair(t)
	for name, implicit := range map[string]bool{"starttls": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := postbox.Open(t, postbox.Options{Cert: cert, Key: key, User: "ship", Password: "a word", Implicit: implicit})
			m := NewMail(MailOptions{Host: "127.0.0.1", Port: s.Port, TLS: TLS(name), From: from, User: "ship", Password: "a word", Roots: roots})
			for i := range 3 {
				p := parcel(fmt.Sprintf("ada%d@example.com", i))
				p.ID = fmt.Sprint("e1-s", i)
				must(t, m.Carry(t.Context(), p))
			}
			m.Rest()
			must(t, m.Carry(t.Context(), parcel("bob@example.com")))
			got := s.Taken()
			if len(got) != 4 || got[0].Peer != got[2].Peer || got[3].Peer == got[0].Peer {
				t.Fatalf("%d mails, by connections %v", len(got), got)
			}
			if !got[0].TLS && !implicit || !got[0].User || got[0].From != "status@example.com" {
				t.Errorf("TLS %v, signed in %v, from %s", got[0].TLS, got[0].User, got[0].From)
			}
			msg := got[0].Message(t)
			for header, want := range map[string]string{
				"To": "<ada0@example.com>", "Message-Id": "<e1-s0@example.com>",
				"List-Unsubscribe": "<https://status.example.com/subscription/abc>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "List-Id": "<main.status.example.com>",
				"Auto-Submitted": "auto-generated", "Date": "Mon, 23 Nov 2026 03:04:05 +0000",
			} {
				if got := msg.Header.Get(header); got != want {
					t.Errorf("%s: %q, want %q", header, got, want)
				}
			}
			if a, err := msg.Header.AddressList("From"); err != nil || *a[0] != from {
				t.Errorf("from %v, %v", a, err)
			}
			if body, _ := io.ReadAll(msg.Body); !strings.Contains(string(body), "=C3=84rger mit der Datenbank.") {
				t.Errorf("the body: %s", body)
			}
		})
	}
}

// What fails says whether it is about one receiver or about all, and keeps addresses and
// passwords to itself.
func TestMailTroubles(t *testing.T) {
	t.Parallel()
	cert, key, roots := pair(t)
	s := postbox.Open(t, postbox.Options{Cert: cert, Key: key, User: "ship", Password: "a word"})
	bare := postbox.Open(t, postbox.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	closed := l.Addr().(*net.TCPAddr).Port
	door.LetGo(t, l)
	good := MailOptions{Host: "127.0.0.1", Port: s.Port, TLS: StartTLS, From: from, User: "ship", Password: "a word", Roots: roots}
	with := func(change func(*MailOptions)) *Mail {
		o := good
		change(&o)
		return NewMail(o)
	}
	same := NewMail(good)
	for _, tt := range []struct {
		name string
		m    *Mail
		to   string
		down bool
		kind fault.Kind
	}{
		{"nobody of this name", same, "refused@example.com", false, fault.Invalid},
		{"put off", same, "later@example.com", false, fault.Unavailable},
		{"put off no more", same, "later@example.com", false, ""},
		{"an old connection is cut", same, "hangup1@example.com", false, ""},
		{"a new connection is cut", with(func(*MailOptions) {}), "hangup2@example.com", true, fault.Unavailable},
		{"an address of two lines", same, "a@example.com\r\nBcc: eve@example.com", false, fault.Invalid},
		{"nobody listens", with(func(o *MailOptions) { o.Port = closed }), "ada@example.com", true, fault.Unavailable},
		{"the wrong password", with(func(o *MailOptions) { o.Password = "another word" }), "ada@example.com", true, fault.Unavailable},
		{"an authority that nobody trusts", with(func(o *MailOptions) { o.Roots = x509.NewCertPool() }), "ada@example.com", true, fault.Unavailable},
		{"no TLS where it is asked for", with(func(o *MailOptions) { o.Port, o.User = bare.Port, "" }), "ada@example.com", true, fault.Unavailable},
	} {
		err := tt.m.Carry(t.Context(), parcel(tt.to))
		var down *desk.Down
		if tt.kind == "" && err != nil || tt.kind != "" && (fault.KindOf(err) != tt.kind || errors.As(err, &down) != tt.down) {
			t.Errorf("%s: %v (down: %v)", tt.name, err, errors.As(err, &down))
		}
		if err != nil && (strings.Contains(err.Error(), "@example.com") || strings.Contains(err.Error(), " word")) {
			t.Errorf("%s: the error holds what it must not: %v", tt.name, err)
		}
	}
	if n := len(bare.Taken()); n > 0 {
		t.Errorf("%d mails went in the clear", n)
	}
}

// speaks is a mail server at one end of a connection, as far as it takes for a mail.
// taken is called with each, before its answer.
func speaks(conn net.Conn, taken func(), after string) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(90 * time.Minute)) // of a bubble
	say := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	say("220 mail.test")
	lines := bufio.NewScanner(conn)
	for data := false; lines.Scan(); {
		switch text := lines.Text(); {
		case data && text != ".":
		case data:
			data = false
			taken()
			say("250 taken")
			if after == "hang up" {
				return
			}
		case text == "DATA":
			data = true
			say("354 go on")
		case after == "busy" && text == "RSET":
			say("421 no more of you")
			return
		default:
			say("250 fine")
		}
	}
}

// A mail that the server has taken is sent once, also where the server ends the connection
// behind it: some take one mail a connection.
func TestTakenOnce(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"hang up", "busy"} {
		synctest.Test(t, func(t *testing.T) {
			var got atomic.Int32
			m := NewMail(MailOptions{Host: "127.0.0.1", Port: 25, TLS: Plain, From: from, dial: func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go speaks(there, func() { got.Add(1) }, after) // ends with the connection
				return here, nil
			}})
			for i := range 3 {
				if err := m.Carry(t.Context(), parcel("ada@example.com")); err != nil || int(got.Load()) != i+1 {
					t.Errorf("%s: after %d mails %d were taken, %v", after, i+1, got.Load(), err)
				}
			}
			m.Rest()
		})
	}
}

// A server that looks at a mail for long has it once; one that says nothing does not keep
// us from stopping.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		looks time.Duration
		stop  time.Duration
		good  bool
	}{
		"a minute":             {time.Minute, time.Hour, true},
		"it is stopped":        {time.Minute, time.Second, false},
		"it is nearly taken":   {10 * time.Second, 8 * time.Second, true},
		"it is never answered": {time.Hour, 2 * time.Hour, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var got atomic.Int32
			m := NewMail(MailOptions{Host: "127.0.0.1", Port: 25, TLS: Plain, From: from, dial: func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go speaks(there, func() { got.Add(1); time.Sleep(tt.looks) }, "") // ends with the connection
				return here, nil
			}})
			ctx, cancel := context.WithTimeout(t.Context(), tt.stop)
			defer cancel()
			began := time.Now()
			err := m.Carry(ctx, parcel("ada@example.com"))
			if took := time.Since(began); (err == nil) != tt.good || got.Load() != 1 || took > tt.stop+lastWord || took > sendTimeout {
				t.Errorf("%s: %v after %s, %d taken", name, err, took, got.Load())
			}
			m.Rest()
			time.Sleep(2 * time.Hour) // of the bubble: all have gone
		})
	}
}

// Webhooks are signed, and a stranger's leads to no address of the own network.
func TestHook(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []*http.Request
	status := http.StatusOK
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r)
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(status)
	}))
	t.Cleanup(receiver.Close)
	at := time.Now().Truncate(time.Second)
	now := func() time.Time { return at }
	p := desk.Parcel{ID: "e1-s1", To: receiver.URL + "/hook", Body: []byte(`{"a":1}`), Key: []byte("key")}
	must(t, NewHook(true, now).Carry(t.Context(), p))
	if want := webhook.Sign(p.Key, p.ID, at, p.Body); len(got) != 1 || got[0].Header.Get(webhook.HeaderSignature) != want || got[0].Header.Get(webhook.HeaderID) != p.ID {
		t.Errorf("%d posts, signed %v", len(got), got)
	}
	for code, want := range map[int]fault.Kind{http.StatusGone: fault.NotFound, http.StatusInternalServerError: fault.Unavailable, http.StatusNotFound: fault.Unavailable} {
		mu.Lock()
		status = code
		mu.Unlock()
		err := NewHook(true, now).Carry(t.Context(), p)
		var later *desk.Later
		if fault.KindOf(err) != want || want == fault.Unavailable && (!errors.As(err, &later) || later.After != 90*time.Second) {
			t.Errorf("%d: %v", code, err)
		}
	}
	before := len(got)
	for _, to := range []string{receiver.URL, strings.Replace(receiver.URL, "127.0.0.1", "localhost", 1), strings.Replace(receiver.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1), strings.Replace(receiver.URL, "127.0.0.1", "0.0.0.0", 1)} {
		p.To = to
		if err := NewHook(false, now).Carry(t.Context(), p); err == nil || len(got) != before {
			t.Errorf("a stranger's webhook reached %s: %v", to, err)
		}
	}
}

func TestInside(t *testing.T) {
	t.Parallel()
	for _, a := range []string{"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "::10.0.0.1", "::ffff:0:10.0.0.1", "2001:0:a00:1::f5ff:fffe", "fec0::1", "2002:a00:1::", "255.255.255.255", "224.0.0.1", "198.18.0.1"} {
		if outside("tcp", net.JoinHostPort(a, "443"), nil) == nil {
			t.Errorf("%s counts as outside", a)
		}
	}
	for _, a := range []string{"192.0.2.1", "8.8.8.8", "2001:db8::1", "2606:4700::1111"} {
		if err := outside("tcp", net.JoinHostPort(a, "443"), nil); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}
