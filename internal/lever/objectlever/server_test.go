package objectlever_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/levertest"
	"lifeboat/internal/lever/objectlever"
)

// program is the S3 server that scripts/s3 installs.
var program = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("../../../scripts/s3", "--check").Output()
	return strings.TrimSpace(string(out)), err
})

// server is a real S3 server of the test's own, on a socket in a folder. Its buckets
// are folders.
type server struct {
	folder  string
	visitor *http.Client // reaches it directly
	next    atomic.Int64 // numbers buckets
}

// serve starts a server, and stops it when the test ends.
func serve(t *testing.T) *server {
	t.Helper()
	name, err := program()
	if err != nil {
		t.Skipf("SKIP-LOUD: there is no S3 server here (%v); install it with: make deps", err)
	}
	dir, err := os.MkdirTemp("", "s3") // a socket's path must be short
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &server{folder: filepath.Join(dir, "buckets")}
	meta, socket := filepath.Join(dir, "meta"), filepath.Join(dir, "s3.sock")
	for _, d := range []string{s.folder, meta} {
		must(t, os.Mkdir(d, 0o700))
	}
	s.visitor = &http.Client{Transport: reach(socket)}
	var log bytes.Buffer
	cmd := exec.Command(name, "--port", socket, "--health", "/health", "--quiet", "posix", "--sidecar", meta, s.folder)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+keyID, "ROOT_SECRET_KEY="+secret)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when the test is killed
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the signal comes when the thread that started it ends
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	must(t, <-started)
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	tick, limit := time.NewTicker(5*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for {
		if resp, err := s.visitor.Get("http://s3/health"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s
			}
		}
		select {
		case <-ended:
			t.Fatalf("the S3 server ended: %s", log.Bytes())
		case <-limit:
			t.Fatal("the S3 server does not answer")
		case <-tick.C:
		}
	}
}

// reach leads to a server, whatever its name is said to be.
func reach(socket string) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableCompression: true, DisableKeepAlives: true, // a line that the server closes meanwhile would look like a fault
	}
}

// real is a bucket of a real server, with a door that can be hurt between it and
// the driver. Visitors go past that door and show no key.
type real struct {
	t      *testing.T
	server *server
	bucket string
	door   *httptest.Server
	fail   atomic.Pointer[error]
	writes atomic.Int64

	mu   sync.Mutex                                                    // guards all below
	hook func(on http.Handler, w http.ResponseWriter, r *http.Request) // what happens at the door
}

func (s *server) world(t *testing.T) *real {
	t.Helper()
	w := &real{t: t, server: s, bucket: fmt.Sprintf("shop-%d", s.next.Add(1))}
	proxy := &httputil.ReverseProxy{
		// The name that was signed stays as it is.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "s3", r.In.Host
		},
		Transport: s.visitor.Transport,
		ErrorHandler: func(rw http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				t.Errorf("the S3 server does not take %s %s: %v", r.Method, r.URL, err)
			}
			rw.WriteHeader(http.StatusBadGateway)
		},
	}
	w.door = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		hook := w.hook
		w.mu.Unlock()
		if hook == nil {
			hook = http.Handler.ServeHTTP
		}
		hook(proxy, rw, r)
	}))
	t.Cleanup(w.door.Close)
	w.do(http.MethodPut, "", nil, "")
	w.do(http.MethodPut, "?policy", nil, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::`+w.bucket+`/*"}]}`)
	w.put("img/banner 1+ä%.jpg", "bad\x00pixels", "Content-Type", "image/jpeg", "Cache-Control", "max-age=300", "X-Amz-Meta-Author", "Ada")
	w.put("img/empty", "", "Content-Type", "text/plain")
	w.put("img/old page", "", "X-Amz-Website-Redirect-Location", "/new-page")
	w.put("img/logo.svg", "\x1f\x8b not what is packed, and nobody opens it", "Content-Type", "image/svg+xml", "Content-Encoding", "gzip", "Content-Disposition", "inline", "Content-Language", "de")
	w.put("img/", "") // what consoles make for a folder
	w.put("index.html", "hello", "Content-Type", "text/html")
	return w
}

// do sends a request to the server itself, signed.
func (w *real) do(method, key string, header []string, body string) {
	w.t.Helper()
	req, err := http.NewRequest(method, w.address(key), strings.NewReader(body))
	must(w.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	must(w.t, signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, req, hash, "s3", "us-east-1", time.Now()))
	resp, err := w.server.visitor.Do(req)
	must(w.t, err)
	defer func() { _ = resp.Body.Close() }()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		w.t.Errorf("%s %s: %s %s", method, key, resp.Status, text)
	}
}

// address of a key, or of the bucket with a query.
func (w *real) address(key string) string {
	if key == "" || strings.HasPrefix(key, "?") {
		return "http://s3/" + w.bucket + key
	}
	parts := strings.Split(key, "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(p), "+", "%20")
	}
	return "http://s3/" + w.bucket + "/" + strings.Join(parts, "/")
}

func (w *real) put(key, body string, header ...string) {
	w.t.Helper()
	w.do(http.MethodPut, key, header, body)
}

// at has a question at the door handled so, until again is called.
func (w *real) at(hook func(on http.Handler, w http.ResponseWriter, r *http.Request)) (again func()) {
	set := func(h func(http.Handler, http.ResponseWriter, *http.Request)) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.hook = h
	}
	set(hook)
	return func() { set(nil) }
}

// keys are the objects that lie in the bucket's folder, without those that stand for
// folders.
func (w *real) keys() []string {
	w.t.Helper()
	var keys []string
	root := filepath.Join(w.server.folder, w.bucket)
	must(w.t, filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(root, file)
		keys = append(keys, filepath.ToSlash(key))
		return err
	}))
	slices.Sort(keys)
	return slices.DeleteFunc(keys, func(k string) bool { return strings.HasPrefix(k, ".sgwtmp") })
}

// state is what visitors get: every object with its headers.
func (w *real) state() string {
	w.t.Helper()
	var out strings.Builder
	for _, key := range append(w.keys(), "img/") {
		if strings.HasPrefix(key, "lifeboat-aside/") {
			continue
		}
		resp, err := w.server.visitor.Get(w.address(key))
		must(w.t, err)
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		must(w.t, err)
		for _, h := range []string{"Date", "Last-Modified", "X-Amz-Request-Id", "X-Amz-Id-2"} {
			resp.Header.Del(h)
		}
		fmt.Fprintf(&out, "%s %s %v %q\n", key, resp.Status, resp.Header, body)
	}
	return out.String()
}

func (w *real) driver() lever.Driver {
	return objectlever.New(objectlever.Options{
		Now: time.Now,
		Secret: func(string) (objectlever.Credentials, error) {
			return objectlever.Credentials{ID: keyID, Secret: secret}, nil
		},
		Lead: func(context.Context) error {
			if err := w.fail.Load(); err != nil && *err != nil {
				return *err
			}
			w.writes.Add(1)
			return nil
		},
	})
}

func (w *real) card(section string) lever.Card {
	section = strings.Replace(section, "{", `{"endpoint":"`+w.door.URL+`","bucket":"`+w.bucket+`",`, 1)
	return lever.Card{Name: "no-banner", Kind: objectlever.Kind, Title: "Take the banner away", Site: "shop", Config: json.RawMessage(section)}
}

// A real server speaks the protocol as the driver does.
func TestServer(t *testing.T) {
	t.Parallel()
	s := serve(t)
	t.Run("contract", func(t *testing.T) {
		t.Parallel()
		levertest.Run(t, func(t *testing.T) *levertest.Stage {
			w := s.world(t)
			return &levertest.Stage{
				Driver: w.driver(), Restart: w.driver, Card: w.card(`{"prefix":"img/"}`),
				Bad:   map[string]lever.Card{"no keys": w.card(`{"region":"x"}`), "an odd key": w.card(`{"keys":["img//no"]}`)},
				State: w.state,
				Drift: func() { w.put("img/empty", "another one") },
				Blind: func() func() {
					return w.at(func(_ http.Handler, rw http.ResponseWriter, _ *http.Request) {
						rw.WriteHeader(http.StatusServiceUnavailable)
					})
				},
				Hang: func() func() {
					return w.at(func(_ http.Handler, _ http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						<-r.Context().Done()
					})
				},
				Fail: func(err error) { w.fail.Store(&err) }, Writes: func() int { return int(w.writes.Load()) },
			}
		})
	})
	for name, test := range map[string]func(*testing.T, *real){
		"large objects": serverLarge, "long lists": serverLists, "refusals": serverRefuses,
		"single keys":                            serverKeys,
		"somebody writes while it is taken away": serverRace, "somebody writes while it is put back": serverRaceBack, "somebody wrote before it is put back": serverTaken,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s.world(t))
		})
	}
	for _, heard := range []bool{false, true} {
		t.Run(fmt.Sprintf("interrupted anywhere/heard %t", heard), func(t *testing.T) {
			t.Parallel()
			serverInterrupted(t, s, heard)
		})
	}
}

// serverInterrupted cuts the line at each of a move's requests in turn, either before
// the server hears it or before it is heard what the server did.
func serverInterrupted(t *testing.T, s *server, heard bool) {
	section := `{"keys":["img/banner 1+ä%.jpg","img/old page"]}`
	if os.Getenv("LIFEBOAT_SOAK") != "" {
		section = `{"prefix":"img/"}`
	}
	for n := 0; ; n++ {
		w := s.world(t)
		was, objects := w.state(), w.keys()
		d := w.driver()
		p := plan(t, d, w.card(section))
		interrupt := func(act func() error) (whole bool) {
			var left atomic.Int64
			left.Store(int64(n))
			defer w.at(func(on http.Handler, rw http.ResponseWriter, r *http.Request) {
				if left.Add(-1) >= 0 {
					on.ServeHTTP(rw, r)
					return
				}
				if heard {
					on.ServeHTTP(httptest.NewRecorder(), r)
				}
				panic(http.ErrAbortHandler)
			})()
			return act() == nil
		}
		token := lever.Token{Revision: 1}
		there := interrupt(func() error { return d.Apply(t.Context(), p, 0, token) })
		must(t, w.driver().Apply(t.Context(), p, 0, token))
		sees(t, d, p, lever.After)
		back := interrupt(func() error { _, err := d.Revert(t.Context(), p, 0, token); return err })
		_, err := w.driver().Revert(t.Context(), p, 0, token)
		must(t, err)
		sees(t, d, p, lever.Before)
		if got := w.state(); got != was {
			t.Fatalf("after %d requests: %s\nwas\n%s", n, got, was)
		}
		must(t, d.Dispose(t.Context(), p))
		if left := w.keys(); !slices.Equal(left, objects) {
			t.Fatalf("after %d requests there are %q, there were %q", n, left, objects)
		}
		if there && back {
			if n < 10 {
				t.Fatalf("nothing was interrupted at %d", n)
			}
			return
		}
	}
}

// serverKeys moves objects by their keys, with every header that visitors get.
func serverKeys(t *testing.T, w *real) {
	was, d := w.state(), w.driver()
	p := plan(t, d, w.card(`{"keys":["img/banner 1+ä%.jpg","img/logo.svg","img/old page"]}`))
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	if now := w.state(); strings.Contains(now, "banner") || strings.Contains(now, "logo") || !strings.Contains(now, "img/empty 200 OK") {
		t.Errorf("visitors get %s", now)
	}
	_, err := d.Revert(t.Context(), p, 0, lever.Token{Revision: 1})
	must(t, err)
	if now := w.state(); now != was {
		t.Errorf("visitors get %s\nbefore they got %s", now, was)
	}
}

func serverLarge(t *testing.T, w *real) {
	w.put("big/film", strings.Repeat("0123456789abcdef", 512<<10), "Content-Type", "video/mp4", "Cache-Control", "no-store")
	was, d := w.state(), w.driver()
	p := plan(t, d, w.card(`{"prefix":"big/"}`))
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	sees(t, d, p, lever.After)
	_, err := d.Revert(t.Context(), p, 0, lever.Token{Revision: 1})
	must(t, err)
	if w.state() != was {
		t.Error("the object of 8 MiB is not what it was")
	}
	// Too large to be copied in one request; a file with a hole takes no room.
	file := filepath.Join(w.server.folder, w.bucket, "big", "film")
	must(t, os.Truncate(file, 5<<30+1))
	defer func() { must(t, os.Truncate(file, 0)) }()
	_, err = d.Plan(t.Context(), lever.Request{Card: w.card(`{"prefix":"big/"}`), Now: time.Now()})
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "big/film is too large to be copied at once") {
		t.Errorf("5 GiB and a byte: %v", err)
	}
}

func serverLists(t *testing.T, w *real) {
	folder := filepath.Join(w.server.folder, w.bucket, "many")
	must(t, os.Mkdir(folder, 0o700))
	for i := range objectlever.MaxObjects + 1 {
		must(t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%04d ä+&<%%", i)), nil, 0o600))
	}
	pages := atomic.Int64{}
	defer w.at(func(on http.Handler, rw http.ResponseWriter, r *http.Request) { pages.Add(1); on.ServeHTTP(rw, r) })()
	_, err := w.driver().Plan(t.Context(), lever.Request{Card: w.card(`{"prefix":"many/"}`), Now: time.Now()})
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "more than 1000 objects") || pages.Load() != 2 {
		t.Errorf("after %d pages: %v", pages.Load(), err)
	}
	p := plan(t, w.driver(), w.card(`{"prefix":"many/000"}`))
	if !strings.Contains(p.Steps[0].Says, "10 objects") {
		t.Errorf("it says %q", p.Steps[0].Says)
	}
}

func serverRefuses(t *testing.T, w *real) {
	stranger := func(id, secret string) lever.Driver {
		return objectlever.New(objectlever.Options{Now: time.Now, Secret: func(string) (objectlever.Credentials, error) {
			return objectlever.Credentials{ID: id, Secret: secret}, nil
		}})
	}
	other := w.card(`{"prefix":"img/"}`)
	other.Config = json.RawMessage(strings.Replace(string(other.Config), w.bucket, "another-shop", 1))
	for name, tt := range map[string]struct {
		d    lever.Driver
		c    lever.Card
		text string
	}{
		"wrong secret": {stranger(keyID, "no-secret"), w.card(`{"keys":["index.html"]}`), "refuses lifeboat (403"},
		"wrong id":     {stranger("nobody", "no-secret"), w.card(`{"prefix":"img/"}`), "the bucket answers 404 XAdminUserNotFound"},
		"wrong region": {w.driver(), w.card(`{"prefix":"img/","region":"eu-central-1"}`), "another region"},
		"no bucket":    {w.driver(), other, "404 NoSuchBucket"},
	} {
		_, err := tt.d.Plan(t.Context(), lever.Request{Card: tt.c, Now: time.Now()})
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "no-secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// serverRace: who writes just before the copy or the delete keeps what was written.
func serverRace(t *testing.T, w *real) {
	for _, method := range []string{http.MethodPut, http.MethodDelete} {
		key := "img/" + method
		w.put(key, "what does harm")
		d := w.driver()
		p := plan(t, d, w.card(`{"keys":["`+key+`"]}`))
		again := w.at(func(on http.Handler, rw http.ResponseWriter, r *http.Request) {
			if r.Method == method && !strings.HasSuffix(r.URL.Path, "manifest.json") {
				w.put(key, "just written")
			}
			on.ServeHTTP(rw, r)
		})
		if err := d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("at %s: %v", method, err)
		}
		again()
		if !strings.Contains(w.state(), "just written") {
			t.Errorf("at %s: the newer object is lost", method)
		}
		copied := slices.ContainsFunc(w.keys(), func(k string) bool { return strings.HasSuffix(k, "/0") })
		if copied != (method == http.MethodDelete) { // the server itself refuses the copy
			t.Errorf("at %s: there are %q", method, w.keys())
		}
	}
}

// serverRaceBack: who writes between the last look at a key and the copy to it. A
// server that does not know If-None-Match for copies, as this one, overtakes them;
// one that knows it must not.
func serverRaceBack(t *testing.T, w *real) {
	d := w.driver()
	p := plan(t, d, w.card(`{"keys":["img/empty"]}`))
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	defer w.at(func(on http.Handler, rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/img/empty") {
			w.put("img/empty", "just written")
		}
		on.ServeHTTP(rw, r)
	})()
	_, err := d.Revert(t.Context(), p, 0, lever.Token{Revision: 1})
	if fault.KindOf(err) == fault.Conflict && strings.Contains(w.state(), "just written") {
		return
	}
	must(t, err)
	sees(t, d, p, lever.Before)
	t.Log("what was written in that moment was overtaken")
}

// serverTaken: where something new is, nothing is put back.
func serverTaken(t *testing.T, w *real) {
	d := w.driver()
	p := plan(t, d, w.card(`{"keys":["img/logo.svg"]}`))
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	w.put("img/logo.svg", "a new one")
	was := w.keys()
	obs, err := d.Revert(t.Context(), p, 0, lever.Token{Revision: 1})
	if err != nil || obs.World != lever.Foreign || !strings.Contains(obs.Detail, "something new") {
		t.Errorf("%+v %v", obs, err)
	}
	if err := d.Dispose(t.Context(), p); fault.KindOf(err) != fault.Conflict {
		t.Errorf("what is kept was given up: %v", err)
	}
	if got := w.keys(); !slices.Equal(got, was) || !strings.Contains(w.state(), "a new one") {
		t.Errorf("there are %q, there were %q: %s", got, was, w.state())
	}
}
