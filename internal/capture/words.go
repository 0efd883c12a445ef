package capture

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxLine is how long a text of an Item may be, in bytes.
const maxLine = 500

// line makes one line of at most maxLine bytes out of anything: what can't be
// printed becomes a blank. Texts may hold what a server sent.
func line(s string) string { return clip(s, maxLine) }

func clip(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) <= most {
		return s
	}
	cut := most - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// span is a time that something took, as people say it: 40 ms, 1.2 s.
func span(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return strings.Replace(fmt.Sprintf("%.1f s", d.Seconds()), ".0 s", " s", 1)
}

// size is a number of bytes, as people say it.
func size(n float64) string {
	const units = "KMGTPE"
	if n < 1000 {
		return counted(int(n), "byte")
	}
	i := -1
	for n >= 1000 && i < len(units)-1 {
		n /= 1000
		i++
	}
	return strings.Replace(fmt.Sprintf("%.1f %cB", n, units[i]), ".0 ", " ", 1)
}

// counted is a number of things: 1 byte, 2 bytes.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:] + "."
}

// The causes of a context that ended because one item, or the whole job, had all its
// time, as opposed to our being told to stop.
var (
	errTime = errors.New("the time for one item is over")
	errAll  = errors.New("the time for the whole capture is over")
)

// failure is something that came and can't be used, in words for people.
type failure string

func (f failure) Error() string { return string(f) }

func failf(format string, args ...any) error { return failure(fmt.Sprintf(format, args...)) }

// troubles are the errors of the network, in words for people. The ones of this
// machine say so: they say nothing of who was asked.
var troubles = []struct {
	err  error
	says string
}{
	{syscall.ECONNREFUSED, "the connection was refused: nobody listens there"},
	{syscall.EHOSTUNREACH, "the network says that the address can't be reached"},
	{syscall.ENETUNREACH, "there is no route to the address"},
	{syscall.ETIMEDOUT, "the network gave up waiting for an answer"},
	{syscall.ECONNRESET, "the connection was cut off"},
	{syscall.EPIPE, "the connection was cut off"},
	{io.EOF, "the connection was closed without an answer"},
	{io.ErrUnexpectedEOF, "the answer broke off"},
	{syscall.EMFILE, "this process has no file left to ask with"},
	{syscall.ENFILE, "this machine has no file left to ask with"},
	{syscall.ENOBUFS, "this machine has no network memory left to ask with"},
	{syscall.EADDRNOTAVAIL, "this machine has no free port or no address of that kind to ask from"},
	{syscall.EAFNOSUPPORT, "this machine does not speak that kind of address"},
	{syscall.ENETDOWN, "this machine's network is down"},
	{syscall.EACCES, "this machine does not let us ask that address"},
	{syscall.EPERM, "this machine does not let us ask that address"},
	{syscall.EINVAL, "this machine can't ask that address"},
}

// why says in a few words why err kept something from coming. limit is the time that
// ctx gave.
func why(ctx context.Context, err error, limit time.Duration) string {
	var (
		f      failure
		header tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &f):
		return f.Error()
	case outOfTime(err):
		<-ctx.Done() // a socket's deadline can fire a moment before the context that it was made from
		switch cause := context.Cause(ctx); {
		case errors.Is(cause, errTime):
			return "no complete answer within " + span(limit)
		case errors.Is(cause, errAll):
			return "no complete answer came before the time of the whole capture was up"
		}
		return "the asking was cut short here"
	case errors.As(err, &header):
		return "what came back is not TLS"
	case isAlert(err):
		return "TLS was refused: " + strings.TrimPrefix(err.Error(), "remote error: tls: ")
	}
	for _, t := range troubles {
		if errors.Is(err, t.err) {
			return t.says
		}
	}
	return err.Error()
}

// outOfTime says whether err is the end of a context, or of a deadline that was made
// from one.
func outOfTime(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// isAlert says whether the other side refused in TLS's own words (RFC 8446 section 6).
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
