package answer

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/emergency"
	"lifeboat/internal/fault"
	"lifeboat/internal/listen"
	"lifeboat/internal/snapshot"
)

// The emergency page comes over the same socket as orders: what begins like a request of
// HTTP is one. It is for a browser at the end of a tunnel.

// Limits of the emergency page.
const (
	pageRequest = 5 * time.Second
	pageIdle    = 30 * time.Second
	pageGrace   = time.Second
	maxPages    = 16 // connections that wait to be taken
)

// isPage says whether a connection begins like HTTP: an order is an object of JSON.
func isPage(first byte) bool { return first >= 'A' && first <= 'Z' }

// pages hands connections on to an HTTP server.
//
// Concurrency: as a net.Listener; give may be called from any goroutine.
type pages struct {
	conns chan net.Conn
	done  chan struct{} // closed by Close
	once  sync.Once
	at    net.Addr
}

func newPages(at net.Addr) *pages {
	return &pages{conns: make(chan net.Conn, maxPages), done: make(chan struct{}), at: at}
}

// give hands a connection on; false: nobody takes it.
func (p *pages) give(c net.Conn) bool {
	select {
	case <-p.done:
		return false
	case p.conns <- c:
		return true
	default:
		return false
	}
}

// Accept implements net.Listener.
func (p *pages) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pages) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr implements net.Listener.
func (p *pages) Addr() net.Addr { return p.at }

// begun is a connection of which the beginning was read.
type begun struct {
	net.Conn
	r *bufio.Reader
}

// Read implements net.Conn.
func (b *begun) Read(p []byte) (int, error) { return b.r.Read(p) }

type connKey struct{}

// servePages serves the emergency page until ctx ends.
func (a *Answer) servePages(ctx context.Context, p *pages) {
	caller := func(r *http.Request) string {
		if c, has := r.Context().Value(connKey{}).(*begun); has {
			return a.caller(c.Conn)
		}
		return "somebody"
	}
	srv := &http.Server{
		Handler:           emergency.Handler(onCall{a}, caller, a.o.Logger.With("page", "emergency")),
		ReadHeaderTimeout: pageRequest, ReadTimeout: pageRequest, WriteTimeout: pageRequest, IdleTimeout: pageIdle, MaxHeaderBytes: 16 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ErrorLog:    slog.NewLogLogger(a.o.Logger.Handler(), slog.LevelDebug),
	}
	_ = listen.HTTP(ctx, p, srv, pageGrace) // it ends with ctx, and nothing else ends it
	for {
		select {
		case c := <-p.conns: // nobody has taken it
			_ = c.Close()
		default:
			return
		}
	}
}

// onCall is answer as the emergency page needs it.
type onCall struct{ a *Answer }

// View implements emergency.Answer.
func (o onCall) View() emergency.View {
	a := o.a
	st := a.standing()
	v := emergency.View{
		Now: a.o.Now(), Ready: a.Ready(), Silent: time.Duration(st.SilentS * float64(time.Second)), Epoch: st.Epoch, Revision: st.Revision, Problem: st.Problem,
	}
	for _, l := range st.Orders {
		v.Orders = append(v.Orders, emergency.Order{Lever: l.Lever, By: l.By, At: l.At})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.contents.Sites {
		if s.Shadow == "" {
			v.Sites = append(v.Sites, a.onCallSite(s, st.Positions[s.ID]))
		}
	}
	return v
}

// onCallSite is one site as the emergency page shows it.
func (a *Answer) onCallSite(s snapshot.Site, position string) emergency.Site { // with mu held
	out := emergency.Site{ID: s.ID, Title: s.Title, Contact: s.Contact, Names: s.Names, Position: position}
	places := a.places(s)
	for _, place := range slices.Sorted(maps.Keys(places)) {
		out.Seen = append(out.Seen, emergency.Seen{Place: place, Word: string(places[place])})
	}
	for _, l := range s.Levers {
		lever := emergency.Lever{Name: l.Name, Title: l.Title}
		if err := snapshot.Toward(leverOrder(l), a.manifest, a.local, a.contents); err != nil {
			lever.Off = offWords(err)
		}
		out.Levers = append(out.Levers, lever)
	}
	return out
}

// offWords say why a lever can't be pulled here.
func offWords(err error) string {
	switch fault.KindOf(err) {
	case fault.Conflict:
		return "it is in force already."
	case fault.Refused:
		return "it would lead away from safety, which only control does."
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Text + "."
	}
	return "not now."
}

// leverOrder is what a lever stands for.
func leverOrder(l snapshot.Lever) snapshot.Order {
	return snapshot.Order{Lever: l.Name, Site: l.Site, Position: l.Position, Feature: l.Feature, Value: l.Value}
}

// Pull implements emergency.Answer.
func (o onCall) Pull(lever, by, who string) error {
	reason := "Pulled on the emergency page."
	if who != "" {
		reason = "Pulled on the emergency page, by somebody who called themselves “" + who + "”."
	}
	return o.a.pullAs(lever, by, reason)
}
