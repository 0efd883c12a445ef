package issuer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"lifeboat/internal/fault"
	"lifeboat/internal/issuer"
	"lifeboat/internal/role"
)

// The peer is a real provider, of the zitadel project: it knows nothing of us.
const (
	clientID = "lifeboat"
	secret   = "a secret of the client"
	callback = "http://localhost:9/sign-in/company/back"
)

// provider starts one, and gives its address.
func provider(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + ln.Addr().String() + "/"
	clients := map[string]*storage.Client{clientID: storage.WebClient(clientID, secret, callback)}
	h := exampleop.SetupServer(base, storage.NewStorageWithClients(storage.NewUserStore(base), clients), nil, false)
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	return base
}

// options of a client; the subject stands for the groups, which this provider has none of.
func options(base string) issuer.Options {
	return issuer.Options{Issuer: base, ClientID: clientID, Secret: secret, Callback: callback, Claim: "sub", Groups: map[string]role.Role{"id1": role.Operator}, Now: time.Now}
}

var hidden = regexp.MustCompile(`name="id" value="([^"]+)"`)

// visit signs in at the provider as its test user, and gives what it leads back with.
func visit(t *testing.T, base, address, user string) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var back url.Values
	c := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			back = r.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	res, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || back != nil {
		return back
	}
	id := hidden.FindStringSubmatch(string(page))
	if id == nil {
		t.Fatalf("%s is no page to sign in at: %.500s", res.Request.URL, page)
	}
	res, err = c.PostForm(base+"login/username", url.Values{"username": {user}, "password": {"verysecure"}, "id": {id[1]}})
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return back
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	if fault.KindOf(err) != want {
		t.Errorf("%v, want kind %s", err, want)
	}
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("the error tells the secret: %v", err)
	}
}

// TestAgainstARealProvider: in, with the role of a group; and what does not count.
func TestAgainstARealProvider(t *testing.T) {
	base := provider(t)
	c := issuer.New(options(base))
	address, s, err := c.Begin(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if q := u.Query(); q.Get("state") == "" || q.Get("nonce") == "" || q.Get("code_challenge_method") != "S256" || strings.Contains(address, s.Verifier) || strings.Contains(address, url.QueryEscape(secret)) {
		t.Errorf("asked with %s", address)
	}
	q := visit(t, base, address, "test-user@127.0.0.1")
	other := s
	other.State = "x"
	_, err = c.Finish(t.Context(), other, q)
	wantKind(t, err, fault.Denied)
	_, err = c.Finish(t.Context(), issuer.State{}, url.Values{"code": q["code"]})
	wantKind(t, err, fault.Denied)
	p, err := c.Finish(t.Context(), s, q)
	if err != nil || p.Subject != "id1" || p.Role != role.Operator || p.Issuer != base || p.Name == "" {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := c.Finish(t.Context(), s, q); err == nil {
		t.Error("a code counts twice")
	}
	for name, spoil := range map[string]func(*issuer.State){
		"another proof key": func(s *issuer.State) { s.Verifier += "x" },
		"another nonce":     func(s *issuer.State) { s.Nonce = "x" },
	} {
		address, s, err := c.Begin(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		q := visit(t, base, address, "test-user@127.0.0.1")
		spoil(&s)
		if _, err := c.Finish(t.Context(), s, q); err == nil {
			t.Errorf("%s: it counts", name)
		}
	}
	address, s, err = c.Begin(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Finish(t.Context(), s, visit(t, base, address, "test-user2")) // in no group of ours
	wantKind(t, err, fault.Denied)
	address, s, err = c.Begin(t.Context(), true)
	if err != nil || !strings.Contains(address, "prompt=login") {
		t.Fatalf("%s, %v", address, err)
	}
	if _, err := c.Finish(t.Context(), s, visit(t, base, address, "test-user@127.0.0.1")); err != nil {
		t.Errorf("signed in anew: %v", err)
	}
	_, err = c.Finish(t.Context(), s, url.Values{"state": {s.State}, "error": {"access_denied\n<b>"}})
	wantKind(t, err, fault.Denied)
	o := options(base)
	o.Secret = "wrong"
	wrong := issuer.New(o)
	address, s, err = wrong.Begin(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Finish(t.Context(), s, visit(t, base, address, "test-user@127.0.0.1"))
	wantKind(t, err, fault.Unavailable)
}

// TestIssuerIsDown: each way of being down is an error in words; nobody waits for ever.
func TestIssuerIsDown(t *testing.T) {
	t.Parallel()
	hangs := make(chan struct{})
	for name, h := range map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hangs:
			case <-r.Context().Done():
			}
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
		"nonsense": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"somebody else": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"issuer":"https://evil.example"}`)
		},
		"without an end": func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(h)
			t.Cleanup(s.Close)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			o := options(s.URL)
			if name == "hangs" {
				short, stop := context.WithCancel(ctx)
				time.AfterFunc(100*time.Millisecond, stop) // whoever asked has gone away
				ctx = short
			}
			_, _, err := issuer.New(o).Begin(ctx, false)
			wantKind(t, err, fault.Unavailable)
			var f *fault.Error
			if !errors.As(err, &f) || !strings.Contains(f.Hint, "password") {
				t.Errorf("it does not name the other ways: %v", err)
			}
		})
	}
	t.Cleanup(func() { close(hangs) })
}
