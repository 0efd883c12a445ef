package prober

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/probe"
)

// maxDetail is how long a Detail may be, in bytes.
const maxDetail = 300

// failure is an answer that came and is not what the check wants.
type failure string

func (f failure) Error() string { return string(f) }

func failf(format string, args ...any) error { return failure(fmt.Sprintf(format, args...)) }

// verdict says in one line what the asking came to: a pass, the target's fault
// (Fail) or ours (Inconclusive).
func (x *exchange) verdict(ctx context.Context, err error) probe.Result {
	if err == nil {
		return probe.Result{Verdict: probe.Pass, Detail: x.passed(), Status: x.status}
	}
	if outOfTime(err) && !ranOut(ctx) {
		return probe.Result{Verdict: probe.Inconclusive, Detail: "the asking was cut short here"}
	}
	if detail, ours := x.ourTrouble(err); ours {
		return probe.Result{Verdict: probe.Inconclusive, Detail: detail}
	}
	return probe.Result{Verdict: probe.Fail, Detail: x.detail(err), Status: x.status}
}

func (x *exchange) passed() string {
	if x.check.Kind == probe.KindTCP {
		return "connected"
	}
	return fmt.Sprintf("answered %d", x.status)
}

// detail says what the target did wrong.
func (x *exchange) detail(err error) string {
	var f failure
	switch {
	case errors.As(err, &f):
		return f.Error()
	case outOfTime(err):
		return x.late()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "the network says that the address can't be reached"
	case errors.Is(err, syscall.ETIMEDOUT):
		return "the network gave up waiting for an answer"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was cut off" + x.where()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed without an answer" + x.where()
	}
	if detail := x.tlsDetail(err); detail != "" {
		return detail
	}
	if x.came > 0 {
		return "what came back is not an HTTP answer"
	}
	return fmt.Sprintf("could not be asked%s: %v", x.where(), err)
}

func (x *exchange) late() string {
	if x.came > 0 {
		return fmt.Sprintf("no complete answer within %s, only %d bytes came", plain(x.check.Timeout), x.came)
	}
	return fmt.Sprintf("no answer within %s%s", plain(x.check.Timeout), x.where())
}

// outOfTime says whether err is the end of the asking's context or of a deadline
// that was made from it.
func outOfTime(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled)
}

// ranOut tells the target's being slow from our being told to stop. A socket's
// deadline can fire a moment before the context that it was made from; only the
// context knows the cause, so its end is awaited.
func ranOut(ctx context.Context) bool {
	<-ctx.Done()
	return errors.Is(context.Cause(ctx), errNoAnswer)
}

func (x *exchange) where() string {
	if x.during == "" {
		return ""
	}
	return " (" + x.during + ")"
}

// ourTroubles are the errors that say something of this machine and nothing of the
// target.
var ourTroubles = []struct {
	err    error
	detail string
}{
	{syscall.EMFILE, "this process has no file left to ask with"},
	{syscall.ENFILE, "this machine has no file left to ask with"},
	{syscall.ENOBUFS, "this machine has no network memory left to ask with"},
	{syscall.ENOMEM, "this machine has no memory left to ask with"},
	{syscall.EADDRNOTAVAIL, "this machine has no free port or no address of that kind to ask from"},
	{syscall.EAFNOSUPPORT, "this machine does not speak that kind of address"},
	{syscall.ENETDOWN, "this machine's network is down"},
	{syscall.EACCES, "this machine does not let us ask that address"},
	{syscall.EPERM, "this machine does not let us ask that address"},
	{syscall.EINVAL, "this machine can't ask that address"},
}

// ourTrouble says whether it was us who could not ask.
func (x *exchange) ourTrouble(err error) (detail string, ours bool) {
	for _, o := range ourTroubles {
		if errors.Is(err, o.err) {
			return o.detail, true
		}
	}
	// Only without a route of our own is it ours; with one, it is a router or a
	// neighbour telling that the target is gone.
	unreachable := errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH)
	if unreachable && !x.routed() {
		return "this machine has no route to the address", true
	}
	if x.asker.Roots == nil && withoutAuthorities(err) {
		return "this machine has no list of certificate authorities; install its ca-certificates", true
	}
	return "", false
}

func (x *exchange) routed() bool {
	addr, err := x.target.AddrPort(x.check)
	return err == nil && routed(addr)
}

// routed says whether this machine would know where to send to the address.
// Connecting a UDP socket asks the routing table and sends nothing.
func routed(addr netip.AddrPort) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// tlsDetail says what is wrong with the target's TLS; "" when err isn't about it.
func (x *exchange) tlsDetail(err error) string {
	var (
		name      x509.HostnameError
		authority x509.UnknownAuthorityError
		cert      x509.CertificateInvalidError
		header    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &name):
		return "the certificate is not for " + x.target.Host
	case errors.As(err, &authority):
		return "the certificate is from an authority that is not known here"
	case errors.As(err, &cert):
		return invalidCertificate(cert, x.asker.Now())
	case errors.As(err, &verify):
		return fmt.Sprintf("the certificate is not valid: %v", verify.Err)
	case errors.As(err, &header):
		return "what came back is not TLS"
	case isAlert(err):
		return fmt.Sprintf("TLS was refused: %v", err)
	}
	return ""
}

func invalidCertificate(err x509.CertificateInvalidError, now time.Time) string {
	if err.Reason != x509.Expired || err.Cert == nil {
		return fmt.Sprintf("the certificate can't be used for this site: %v", err)
	}
	if now.Before(err.Cert.NotBefore) {
		return "the certificate is not valid before " + err.Cert.NotBefore.UTC().Format(time.DateTime) + " UTC"
	}
	return "the certificate expired on " + err.Cert.NotAfter.UTC().Format(time.DateTime) + " UTC"
}

// isAlert says whether the other side refused in TLS's own words (RFC 8446
// section 6).
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// withoutAuthorities says whether err comes from this machine's knowing no
// authority at all, as in a container that holds nothing but our binary: then no
// certificate can be judged.
func withoutAuthorities(err error) bool {
	var unreadable x509.SystemRootsError
	if errors.As(err, &unreadable) {
		return true
	}
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		return false
	}
	pool, err := x509.SystemCertPool()
	return err != nil || pool.Equal(x509.NewCertPool())
}

// plain is a duration as people write it: 250 ms, 2 s.
func plain(d time.Duration) string {
	switch {
	case d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	case d%time.Millisecond == 0:
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	}
	return d.String()
}

// line makes one line of at most maxDetail bytes out of anything: what can't be
// printed becomes a blank. Texts of errors may hold what the target sent.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) <= maxDetail {
		return s
	}
	cut := maxDetail - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
