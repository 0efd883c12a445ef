package feed_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// raw is a connection from which these bytes come, and then the end.
type raw struct {
	net.Conn
	r io.Reader
}

func (r raw) Read(p []byte) (int, error) { return r.r.Read(p) }

func from(b []byte) *feed.Conn {
	return &feed.Conn{Conn: raw{r: strings.NewReader(string(b))}}
}

func frame(n uint32, body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, n), body...)
}

func TestFrames(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	x, y := &feed.Conn{Conn: a}, &feed.Conn{Conn: b}
	go func() {
		_ = x.Send(feed.TypeSeen, 7)
		_ = x.Send(feed.TypeHello, feed.Hello{Epoch: 3, Version: "<&>"})
		_ = x.Send(feed.TypeAsk, nil)
		_ = x.Close()
	}()
	kind, body, err := y.Receive()
	if err != nil || kind != feed.TypeSeen || string(body) != "7" {
		t.Fatalf("%q %s %v", kind, body, err)
	}
	kind, body, err = y.Receive()
	var h feed.Hello
	if err != nil || kind != feed.TypeHello || json.Unmarshal(body, &h) != nil || h.Epoch != 3 || h.Version != "<&>" {
		t.Fatalf("%q %s %v", kind, body, err)
	}
	if kind, _, err = y.Receive(); err != nil || kind != feed.TypeAsk {
		t.Fatalf("%q %v", kind, err)
	}
	if _, _, err = y.Receive(); !errors.Is(err, io.EOF) {
		t.Fatalf("at the end: %v", err)
	}
}

func TestBadFrames(t *testing.T) {
	t.Parallel()
	good := `{"type":"ask","body":{}}`
	for name, c := range map[string]struct {
		bytes []byte
		kind  fault.Kind // "" for an error of the connection
	}{
		"nothing":              {nil, ""},
		"half a length":        {[]byte{0, 0}, ""},
		"a length alone":       {frame(10, ""), ""},
		"cut off":              {frame(uint32(len(good)), good[:9]), ""},
		"too large":            {frame(feed.MaxFrame+1, good), fault.Invalid},
		"much too large":       {frame(1<<32-1, ""), fault.Invalid},
		"empty":                {frame(0, ""), fault.Invalid},
		"garbage":              {frame(4, "\x00\xff{]"), fault.Invalid},
		"a list":               {frame(2, "[]"), fault.Invalid},
		"a type that is none":  {frame(10, `{"type":1}`), fault.Invalid},
		"more behind the JSON": {frame(uint32(len(good)+2), good+"{}"), fault.Invalid},
	} {
		_, _, err := from(c.bytes).Receive()
		var f *fault.Error
		switch {
		case err == nil:
			t.Errorf("%s is taken", name)
		case c.kind == "" && errors.As(err, &f):
			t.Errorf("%s: %v", name, err)
		case c.kind != "" && fault.KindOf(err) != c.kind:
			t.Errorf("%s: %v", name, err)
		}
	}
	if kind, _, err := from(frame(uint32(len(good)), good)).Receive(); err != nil || kind != feed.TypeAsk {
		t.Errorf("a good one: %v", err)
	}
	if err := from(nil).Send(feed.TypePublish, strings.Repeat("x", feed.MaxFrame)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("sending too much: %v", err)
	}
	if err := from(nil).Send(feed.TypePublish, func() {}); err == nil {
		t.Error("a func is sent")
	}
}

// A length that promises much and brings little costs little.
func TestPromisedLengthCostsNothing(t *testing.T) { // not parallel: it counts memory
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 50 {
		if _, _, err := from(frame(feed.MaxFrame, "x")).Receive(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("50 broken messages took %d bytes", got)
	}
}

// Messages from several goroutines don't mix.
func TestSendersTakeTurns(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	x, y := &feed.Conn{Conn: a}, &feed.Conn{Conn: b}
	var wg sync.WaitGroup
	const senders, each = 8, 50
	for i := range senders {
		wg.Go(func() {
			for range each {
				_ = x.Send(feed.TypeReports, strings.Repeat(string(rune('a'+i)), 1000))
			}
		})
	}
	go func() { wg.Wait(); _ = x.Close() }()
	n := 0
	for {
		_, body, err := y.Receive()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		var s string
		must(t, json.Unmarshal(body, &s))
		if s != strings.Repeat(s[:1], 1000) {
			t.Fatalf("mixed: %q", s)
		}
		n++
	}
	if n != senders*each {
		t.Errorf("%d messages of %d", n, senders*each)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add(frame(24, `{"type":"ask","body":{}}`))
	f.Add(frame(0, ""))
	f.Add([]byte{1, 2, 3})
	f.Add(frame(1<<32-1, "{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := from(b)
		for {
			kind, body, err := c.Receive()
			if err != nil {
				return
			}
			var h feed.Hello
			var p feed.Publish
			var r []feed.Report
			_, _, _, _ = kind, json.Unmarshal(body, &h), json.Unmarshal(body, &p), json.Unmarshal(body, &r)
		}
	})
}
