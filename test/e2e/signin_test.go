package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"lifeboat/internal/incident"
)

// tunnel is a browser at the end of ssh -L 8080:DATA/answer.sock.
func (b *Boat) tunnel() *http.Client {
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(b.data, "answer.sock"))
	}}
	return &http.Client{Timeout: within, Transport: t}
}

// answered reads what was answered.
func (b *Boat) answered(res *http.Response, err error) string {
	b.t.Helper()
	b.Must(err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	b.Must(err)
	return string(raw)
}

var emergencyToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// TestEmergencyPage: control is stopped; a browser at the end of a tunnel shows where
// things stand, a press moves visitors, and control writes it down when it is back.
func TestEmergencyPage(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.NoControl()
	page := b.answered(b.tunnel().Get("http://localhost:8080/"))
	token := emergencyToken.FindStringSubmatch(page)
	if token == nil || strings.Contains(page, "<script") || !strings.Contains(page, `value="to-standby"`) {
		t.Fatalf("the page:\n%s", page)
	}
	page = b.answered(b.tunnel().PostForm("http://localhost:8080/pull", url.Values{"token": {token[1]}, "lever": {"to-standby"}, "who": {"Night Porter"}}))
	if !strings.Contains(page, "to-standby is in force here.") {
		t.Errorf("after the press:\n%s", page)
	}
	b.Expect(standby)
	b.ControlAgain()
	b.AwaitPhase(incident.FailOver, incident.Diagnose)
	b.Eventually("it is written down", func() bool { return strings.Contains(b.Story(), "Night Porter") })
	b.Expect(standby)
}

// TestConsoleSpeaksTLS: on its one port, by address, with the certificate whose fingerprint
// the command tells, also while control is stopped.
func TestConsoleSpeaksTLS(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "off", Undrilled: true})
	b.People("Ada:operator")
	said, err := b.Run("console", "fingerprint", "--data", b.data)
	b.Must(err)
	var shown string
	jar, err := cookiejar.New(nil)
	b.Must(err)
	c := &http.Client{Timeout: within, Jar: jar, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // as a person who compares fingerprints
		VerifyConnection: func(s tls.ConnectionState) error {
			shown = fmt.Sprintf("%X", sha256.Sum256(s.PeerCertificates[0].Raw))
			return nil
		},
	}}}
	base := "https://" + b.Console()
	if page := b.answered(c.Get(base + "/sign-in")); !strings.Contains(page, "Sign in.") {
		t.Errorf("the page:\n%s", page)
	}
	if want := strings.TrimSpace(strings.ReplaceAll(said, ":", "")); shown != want || len(shown) != 64 {
		t.Errorf("the page shows %s, the command tells %s", shown, want)
	}
	res, err := c.PostForm(base+"/sign-in/name", url.Values{"name": {"ada"}, "password": {password}})
	if page := b.answered(res, err); res.Request.URL.Path != "/" {
		t.Errorf("signing in leads to %s:\n%.500s", res.Request.URL, page)
	}
	u, err := url.Parse(base)
	b.Must(err)
	for _, k := range jar.Cookies(u) {
		if !strings.HasPrefix(k.Name, "__Host-") {
			t.Errorf("over TLS the cookie is %s", k.Name)
		}
	}
	if page := b.answered(http.Get("http://" + b.Console() + "/sign-in")); !strings.Contains(page, "Sign in.") {
		t.Errorf("without TLS:\n%s", page)
	}
	b.NoControl()
	if again, err := b.Run("console", "fingerprint", "--data", b.data); err != nil || again != said {
		t.Errorf("with control stopped: %s, %v", again, err)
	}
}

// TestStoreStopped: the store takes nothing; people still sign in, see the last state, and
// pull the armed lever by the page. It is written down when the store is back.
func TestStoreStopped(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "off"})
	b.People("Ada:reporter")
	db, err := sql.Open("sqlite", filepath.Join(b.data, "control", "lifeboat.db"))
	b.Must(err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	_, err = db.Exec("PRAGMA busy_timeout = 20000")
	b.Must(err)
	_, err = db.Exec("BEGIN IMMEDIATE") // nobody else writes from here on
	b.Must(err)
	ada := b.Reader("Ada")
	ada.SignIn("ada", password)
	ada.Open("/")
	ada.Press("Something is wrong", nil)
	ada.Open("/sites/shop/pull?lever=to-standby")
	ada.Press("Show visitors the status page", nil)
	b.Expect(standby)
	ada.Open("/")
	if !ada.Says("Mind:") {
		t.Errorf("the page does not say that the record waits:\n%s", ada)
	}
	_, err = db.Exec("ROLLBACK")
	b.Must(err)
	b.Eventually("the store has it", func() bool {
		o, err := b.Status()
		return err == nil && !o.Record.Degraded
	})
	b.KillControl()
	if !strings.Contains(b.Story(), "Ada") && !strings.Contains(b.Story(), "ada") {
		t.Errorf("it was not written down:\n%s", b.Story())
	}
	b.Expect(standby)
}
