package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const request = "GET / HTTP/1.1\r\nHost: " + siteName + "\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\r\n"

// config is how a client speaks TLS.
func (b *bench) config(sessions tls.ClientSessionCache) *tls.Config {
	return &tls.Config{RootCAs: b.page.roots, ServerName: siteName, MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}, NextProtos: []string{"http/1.1"}, ClientSessionCache: sessions}
}

// client is a connection that asks for the page.
type client struct {
	net.Conn
	r *bufio.Reader
}

const patience = 20 * time.Second

// dial connects; without a configuration without TLS.
func (b *bench) dial(s *server, config *tls.Config) (*client, error) {
	addr := s.secure
	if config == nil {
		addr = s.plain
	}
	raw, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	_ = raw.(*net.TCPConn).SetLinger(0) // so that no port waits for its end
	_ = raw.SetDeadline(time.Now().Add(patience))
	if config == nil {
		return &client{raw, bufio.NewReader(raw)}, nil
	}
	secured := tls.Client(raw, config)
	if err := secured.Handshake(); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return &client{secured, bufio.NewReader(secured)}, nil
}

func (c *client) close() { _ = c.Conn.Close() }

// ask asks once and reads the whole answer.
func (c *client) ask() error {
	if _, err := io.WriteString(c.Conn, request); err != nil {
		return err
	}
	return c.answer()
}

func (c *client) answer() error {
	status, err := c.r.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 503 ") {
		return fmt.Errorf("not the page: %q", status)
	}
	length, brotli := 0, false
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		switch {
		case name == "":
			if length < 500 || !brotli {
				return fmt.Errorf("not the page: %d bytes, brotli %t", length, brotli)
			}
			_, err := c.r.Discard(length)
			return err
		case strings.EqualFold(name, "Content-Length"):
			_, _ = fmt.Sscan(value, &length)
		case strings.EqualFold(name, "Content-Encoding"):
			brotli = strings.TrimSpace(value) == "br"
		}
	}
}

// busy runs f on so many workers until the time is over, and counts what they did.
func busy(workers int, each time.Duration, f func() error) (int, error) {
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	end := time.Now().Add(each)
	for range workers {
		wg.Go(func() {
			for time.Now().Before(end) && failed.Load() == nil {
				if err := f(); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return int(done.Load()), nil
}

// connect makes new connections, with a page each.
func (b *bench) connect(s *server, workers int, resumed bool) (int, error) {
	var sessions tls.ClientSessionCache
	if resumed {
		sessions = tls.NewLRUClientSessionCache(64)
		for range 2 {
			c, err := b.dial(s, b.config(sessions))
			if err != nil {
				return 0, err
			}
			if err := c.ask(); err != nil {
				return 0, err
			}
			c.close()
		}
	}
	config := b.config(sessions)
	return busy(workers, b.each, func() error {
		c, err := b.dial(s, config)
		if err != nil {
			return err
		}
		defer c.close()
		if tlsConn := c.Conn.(*tls.Conn); tlsConn.ConnectionState().DidResume != resumed {
			return errors.New("a session was resumed where none should be, or was not")
		}
		return c.ask()
	})
}

// burst is a thousand visitors who come in the same moment.
func (b *bench) burst(s *server) (n int, err error) {
	const visitors = 1000
	config := b.config(nil)
	for end := time.Now().Add(b.each); n == 0 || time.Now().Before(end); {
		var wg sync.WaitGroup
		var failed atomic.Pointer[error]
		var good atomic.Int64
		for range visitors {
			wg.Go(func() {
				c, err := b.dial(s, config)
				if err == nil {
					err = c.ask()
					c.close()
				}
				if err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				good.Add(1)
			})
		}
		wg.Wait()
		if err := failed.Load(); err != nil && good.Load() < visitors/2 { // some are lost on a machine that others use
			return n, *err
		}
		n += int(good.Load())
	}
	return n, nil
}

// keepAlive asks again and again on 32 connections.
func (b *bench) keepAlive(s *server, secure bool) (int, error) {
	const visitors = 32
	free := make(chan *client, visitors)
	for range visitors {
		var config *tls.Config
		if secure {
			config = b.config(nil)
		}
		c, err := b.dial(s, config)
		if err != nil {
			return 0, err
		}
		defer c.close()
		free <- c
	}
	return busy(visitors, b.each, func() error {
		c := <-free
		defer func() { free <- c }()
		return c.ask()
	})
}

// over2 asks over HTTP/2, 8 connections with 8 requests at a time each.
func (b *bench) over2(s *server) (int, error) {
	only := new(http.Protocols)
	only.SetHTTP2(true)
	var clients []*http.Client
	for range 8 {
		config := b.config(nil)
		config.NextProtos = nil
		t := &http.Transport{Protocols: only, TLSClientConfig: config, DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", s.secure)
		}}
		defer t.CloseIdleConnections()
		clients = append(clients, &http.Client{Transport: t, Timeout: patience})
	}
	var next atomic.Int64
	return busy(64, b.each, func() error {
		r, err := http.NewRequest("GET", "https://"+siteName+"/", nil)
		if err != nil {
			return err
		}
		r.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
		r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
		res, err := clients[next.Add(1)%8].Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		if res.ProtoMajor != 2 || res.StatusCode != 503 {
			return fmt.Errorf("%s %s", res.Proto, res.Status)
		}
		_, err = io.Copy(io.Discard, res.Body)
		return err
	})
}

func handshake(c net.Conn, config *tls.Config) error { return tls.Client(c, config).Handshake() }
