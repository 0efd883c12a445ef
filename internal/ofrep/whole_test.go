package ofrep

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/feature"
)

// recorded is a connection that keeps what is sent.
type recorded struct {
	net.Conn
	sent bytes.Buffer
}

func (c *recorded) Write(b []byte) (int, error) { return c.sent.Write(b) }

func TestGather(t *testing.T) {
	t.Parallel()
	under := &recorded{}
	c := &placed{Conn: under}
	for i, step := range []struct {
		least int // 0: none is said
		write string
		sent  int // in all
	}{
		{0, "now", 3}, {10, "01234", 3}, {0, "56789", 3}, {0, "!", 14}, {0, "now", 17}, {4, "at once", 24}, {4, "", 24}, {0, "12345", 29},
	} {
		if step.least > 0 {
			c.gather(step.least)
		}
		if n, err := c.Write([]byte(step.write)); n != len(step.write) || err != nil || under.sent.Len() != step.sent {
			t.Errorf("step %d: %d %v, %d sent, want %d", i, n, err, under.sent.Len(), step.sent)
		}
	}
}

// Answers of every length around what the server gathers by itself come whole, one after
// the other over the same connection.
func TestAllOfEveryLength(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	defer func() { cancel(); <-done }()
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	for _, rule := range []string{"", `{"if":[{"var":"a"},"on"]}`} {
		for size := 3000; size < 13000; size += 37 {
			value := strings.Repeat("x", size)
			s.Set(Compile([]feature.Flag{{Key: "a", Value: raw(`"` + value + `"`), Off: raw(`""`), Public: true, Targeting: raw(rule)}}, nil))
			res, err := client.Post("http://"+ln.Addr().String()+all, "application/json", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || !strings.Contains(string(body), value) || !strings.HasSuffix(string(body), "}]}") || res.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
				t.Fatalf("of %d bytes %d came: %v", size, len(body), err)
			}
		}
	}
}

// What is kept for a caller is never another's, nor of before a flip.
func TestWholeAnswersAreKeptApart(t *testing.T) {
	t.Parallel()
	s := server(Compile(flags(), nil))
	s.Allow(feature.Access{Keys: []feature.Key{{Name: "a", SHA256: hash("a"), For: feature.ForPages}, {Name: "b", SHA256: hash("b"), For: feature.ForServers}}})
	said := map[string]bool{}
	for range 2 {
		for _, key := range []string{"a", "b"} {
			for _, v := range []*View{Compile(flags(), nil), Compile(flags(), orders())} {
				s.Set(v)
				w := asked(t, s, "POST", all, "{}", "X-API-Key: "+key)
				body := w.Body.String()
				if strings.Contains(body, "key="+key) != true || strings.Contains(body, "search") != (key == "b") || strings.Contains(body, `"value":false`) != (v.sets[pages].digest == Compile(flags(), orders()).sets[pages].digest) {
					t.Errorf("for %s: %s", key, body)
				}
				said[w.Header().Get("ETag")] = true
			}
		}
	}
	if len(said) != 4 {
		t.Errorf("%d ETags of two keys before and after a flip", len(said))
	}
}
