package answer

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/feed/publish"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/subscribe"
)

// TestSubscribe goes from a visitor's form through answer and the feed to control and
// back; when control is gone the visitor is told so, with what was typed.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	sock := filepath.Join(t.TempDir(), "feed.sock")
	ln, err := net.Listen("unix", sock)
	must(t, err)
	var mu sync.Mutex
	var asked []subscribe.Ask
	s := publish.New(publish.Options{Logger: slog.New(slog.DiscardHandler), Now: time.Now, Handler: &asking{}, Subscribe: func(_ context.Context, a subscribe.Ask) subscribe.Told {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, a)
		if a.Do == subscribe.Begin {
			return subscribe.Told{Outcome: subscribe.Asked}
		}
		return subscribe.Told{Outcome: subscribe.Open, Way: subscribe.Mail, To: "a…@example.com", Language: "de", Pending: true}
	}})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	stop := sync.OnceFunc(func() { cancel(); must(t, <-served) })
	t.Cleanup(stop)
	r := start(t, folder(t), func(o *Options) {
		o.Dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", sock)
		}
	})
	r.takes(order(t, 1, 1, "main", func(_ *snapshot.Manifest, c *snapshot.Contents) {
		c.Sites[0].StatusName = "status.example.com"
		c.Status = c.Boards()
		c.Status.Pages[0].Subscribe, c.Status.Pages[0].Languages = []string{"mail"}, []string{"en", "de"}
	}))
	link := subscribe.Ask{Do: subscribe.Look, Page: "shop", Token: strings.Repeat("a", 40)}
	r.eventually("control can be asked", func() bool { return r.subscribe(t.Context(), link).Outcome == subscribe.Open })
	r.eventually("the page is there", func() bool { code, _ := r.visit("GET", "/subscribe", nil); return code == 200 })
	if code, body := r.visit("POST", "/de/subscribe", url.Values{"to": {"ada@example.com"}}); code != 200 || !strings.Contains(body, "Wir haben eine Nachricht an ada@example.com gesendet.") {
		t.Errorf("%d %s", code, body)
	}
	if code, body := r.visit("GET", subscribe.Path+link.Token, nil); code != 200 || !strings.Contains(body, "gehen Nachrichten an: a…@example.com") {
		t.Errorf("%d %s", code, body)
	}
	mu.Lock()
	if last := asked[len(asked)-2]; last.Do != subscribe.Begin || last.Page != "shop" || last.Way != subscribe.Mail || last.To != "ada@example.com" || last.Language != "de" {
		t.Errorf("control was asked %+v", last)
	}
	mu.Unlock()
	stop()
	r.eventually("control is gone", func() bool { return r.subscribe(t.Context(), link).Outcome == subscribe.Away })
	if code, body := r.visit("POST", "/subscribe", url.Values{"to": {"ada@example.com"}}); code != 503 || !strings.Contains(body, `value="ada@example.com"`) {
		t.Errorf("without control: %d %s", code, body)
	}
	if code, _ := r.visit("GET", "/", nil); code != 200 {
		t.Errorf("without control the page itself is answered %d", code)
	}
}

// visit asks at the status page's own name.
func (r *rig) visit(method, path string, form url.Values) (int, string) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.page+path, strings.NewReader(form.Encode()))
	must(r.t, err)
	q.Host = "status.example.com"
	q.Header.Set("Accept", "text/html")
	if form != nil {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Do(q)
	must(r.t, err)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	must(r.t, err)
	return resp.StatusCode, string(b)
}
