package prober

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"

	"lifeboat/internal/probe"
)

// errNoAnswer is the cause of a context that ended because the target had all the
// time that its check allows, as opposed to our being told to stop.
var errNoAnswer = errors.New("no answer in time")

// aLongTimeAgo as a deadline makes a connection give up at once.
var aLongTimeAgo = time.Unix(1, 0)

// Asker asks a check of a target once. The zero value is useful.
type Asker struct {
	Roots *x509.CertPool   // who is trusted to sign certificates; the machine's own list when nil
	Now   func() time.Time // time.Now when nil
}

// Ask asks with the zero Asker.
func Ask(ctx context.Context, t probe.Target, c probe.Check) probe.Result {
	return Asker{}.Ask(ctx, t, c)
}

// Ask asks the check of the target once, over a fresh connection to its address,
// and returns at the latest when c.Timeout is over or ctx has ended.
//
// Pass means that a complete answer was read (or its first MiB) and that it is
// what the check wants; for tcp, that the connection stood. Fail means that the
// target was asked and did not give that in time. Inconclusive means that it
// could not be asked from here: the target or the check is not valid, this
// machine has no file, port or route to ask with, or ctx ended.
func (a Asker) Ask(ctx context.Context, t probe.Target, c probe.Check) probe.Result {
	if a.Now == nil {
		a.Now = time.Now
	}
	c = c.WithDefaults()
	began := a.Now()
	r := a.ask(ctx, t, c)
	r.At = began
	r.Took = max(0, a.Now().Sub(began)) // a clock that is set back must not make a time below nothing
	r.Detail = line(r.Detail)
	return r
}

func (a Asker) ask(ctx context.Context, t probe.Target, c probe.Check) probe.Result {
	if err := t.Validate(); err != nil {
		return probe.Result{Verdict: probe.Inconclusive, Detail: "not asked: " + err.Error()}
	}
	if err := c.Validate(); err != nil {
		return probe.Result{Verdict: probe.Inconclusive, Detail: "not asked: " + err.Error()}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, errNoAnswer)
	defer cancel()
	x := &exchange{asker: a, target: t, check: c}
	return x.verdict(ctx, x.perform(ctx))
}

// exchange is one asking under way, and how far it got.
type exchange struct {
	asker  Asker
	target probe.Target
	check  probe.Check
	during string // what is being done, where that is worth telling; "" while waiting for the answer
	came   int64  // bytes of the answer so far
	status int    // of the answer, 0 before its header has come
}

// perform asks and compares. A nil error is a pass; package-private type failure
// is an answer that is not what the check wants; all else kept an answer from
// coming.
func (x *exchange) perform(ctx context.Context) error {
	conn, err := x.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if x.check.Kind == probe.KindTCP {
		return nil
	}
	// The end of ctx is the one deadline for everything that follows.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(aLongTimeAgo) })
	defer stop()
	if x.target.Scheme != "https" {
		return x.askHTTP(ctx, conn)
	}
	secured, err := x.secure(ctx, conn)
	if err != nil {
		return err
	}
	return x.askHTTP(ctx, secured)
}

// dial connects to the address and nothing else: no name is looked up, and no
// proxy of the environment is asked.
func (x *exchange) dial(ctx context.Context) (net.Conn, error) {
	x.during = "connecting"
	addr, err := x.target.AddrPort(x.check)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{KeepAlive: -1}
	return d.DialContext(ctx, "tcp", addr.String())
}

// secure does the TLS handshake with the site's name and a check of the whole
// certificate chain. HTTP/2 is not offered.
func (x *exchange) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	x.during = "TLS handshake"
	secured := tls.Client(conn, &tls.Config{
		ServerName: x.target.Host,
		RootCAs:    x.asker.Roots,
		Time:       x.asker.Now,
		NextProtos: []string{"http/1.1"},
		MinVersion: tls.VersionTLS12,
	})
	return secured, secured.HandshakeContext(ctx)
}
