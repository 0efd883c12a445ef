// Package carry brings messages to subscribers: by mail over SMTP (go-mail), and by webhook
// as Standard Webhooks 1.0.0 and Slack's incoming webhooks ask.
//
// It keeps no queue and decides nothing about who is told; package subscribe/desk does. Only
// control may import it.
//
// Invariants: no error holds an address, a URL or a password; a webhook that anybody could
// ask for reaches no address of the own network unless the configuration says so.
//
// Concurrency: a carrier may be used from any goroutine.
package carry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/mail"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"

	"lifeboat/internal/fault"
	"lifeboat/internal/subscribe/desk"
)

// TLS is how a connection to a mail server is kept from others.
type TLS string

// The ways. STARTTLS is a must where it is said: without it nothing is sent.
const (
	StartTLS TLS = "starttls"
	Implicit TLS = "tls"
	Plain    TLS = "none"
)

// mailWidth is how many connections a mail server gets at one time.
const mailWidth = 3

// Limits on time. A server may look at a mail for long before it says that it has taken it,
// and who does not wait for that sends the mail again and again (RFC 5321 section 4.5.3.2.6).
const (
	dialTimeout = 20 * time.Second // until it would take a mail
	sendTimeout = 2 * time.Minute
	lastWord    = 5 * time.Second // what a server gets when we stop
)

// MailOptions say which server takes the mails.
type MailOptions struct {
	Host     string
	Port     int
	TLS      TLS
	From     mail.Address
	User     string // "": without signing in
	Password string
	Roots    *x509.CertPool // nil: the system's

	dial gomail.DialContextFunc // of tests; nil: a net.Dialer's
}

// Mail brings mails. Connections are kept while there is something to bring.
type Mail struct {
	o MailOptions

	mu   sync.Mutex // guards idle
	idle []*gomail.Client
}

// NewMail makes a Mail; no connection is made before there is something to bring.
func NewMail(o MailOptions) *Mail { return &Mail{o: o} }

// Width is how many mails may be on their way at one time.
func (m *Mail) Width() int { return mailWidth }

// Rest closes the connections that nobody uses.
func (m *Mail) Rest() {
	m.mu.Lock()
	idle := m.idle
	m.idle = nil
	m.mu.Unlock()
	for _, c := range idle {
		_ = c.Close() // it is not needed any more
	}
}

// Carry sends a mail.
func (m *Mail) Carry(ctx context.Context, p desk.Parcel) error {
	msg, err := m.message(p)
	if err != nil {
		return err
	}
	c := m.take()
	reused := c != nil
	if c == nil {
		if c, err = m.dial(ctx); err != nil {
			return err
		}
	}
	err = send(ctx, c, msg)
	if reused && lost(err) { // the server has closed it meanwhile
		_ = c.Close()
		if c, err = m.dial(ctx); err != nil {
			return err
		}
		err = send(ctx, c, msg)
	}
	switch {
	case errors.Is(err, errLeft):
	case errors.Is(err, errTaken), lost(err), code(err) == 421:
		_ = c.Close()
	default:
		m.give(c)
	}
	return judged(err)
}

// What becomes of a connection beside what the server says.
var (
	errTaken = errors.New("it ended behind a mail that was taken")
	errLeft  = errors.New("it is left alone: we stop while it is silent")
)

// send sends a mail. What the server has taken it has taken, whatever becomes of the
// connection behind it. A server that is silent holds nobody up who stops.
func send(ctx context.Context, c *gomail.Client, msg *gomail.Msg) error {
	came := make(chan error, 1)
	go func() { // ends with sendTimeout
		err := c.Send(msg)
		if err != nil && msg.IsDelivered() {
			err = errTaken
		}
		came <- err
	}()
	select {
	case err := <-came:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(lastWord)
	defer late.Stop()
	select {
	case err := <-came:
		return err
	case <-late.C:
		return errLeft
	}
}

func (m *Mail) take() *gomail.Client {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.idle) == 0 {
		return nil
	}
	c := m.idle[len(m.idle)-1]
	m.idle = m.idle[:len(m.idle)-1]
	return c
}

func (m *Mail) give(c *gomail.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idle = append(m.idle, c)
}

func (m *Mail) dial(ctx context.Context) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(m.o.Port), gomail.WithTimeout(dialTimeout),
		gomail.WithTLSConfig(&tls.Config{ServerName: m.o.Host, RootCAs: m.o.Roots, MinVersion: tls.VersionTLS12}),
	}
	switch m.o.TLS {
	case Implicit:
		options = append(options, gomail.WithSSL())
	case Plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if m.o.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(m.o.User), gomail.WithPassword(m.o.Password))
	}
	if m.o.dial != nil {
		options = append(options, gomail.WithDialContextFunc(m.o.dial))
	}
	c, err := gomail.NewClient(m.o.Host, options...)
	if err != nil {
		return nil, &desk.Down{Err: fault.New(fault.Invalid, "the mail server can't be used as it is written down").Because(err)}
	}
	if err := c.DialWithContext(ctx); err != nil {
		return nil, &desk.Down{Err: fault.New(fault.Unavailable, "the mail server does not take us").Because(err).WithHint("look at status: subscribers: mail in the configuration")}
	}
	return c, gomail.WithTimeout(sendTimeout)(c)
}

// message writes a mail. It can be told from others by programs: made by one (RFC 3834), of
// a list (RFC 2919), and ended by one click (RFC 2369, RFC 8058).
func (m *Mail) message(p desk.Parcel) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if msg.FromFormat(m.o.From.Name, m.o.From.Address) != nil || msg.To(p.To) != nil { // their errors hold the address
		return nil, fault.New(fault.Invalid, "no mail can be written to this address")
	}
	domain := m.o.From.Address[strings.LastIndexByte(m.o.From.Address, '@')+1:]
	msg.Subject(p.Subject)
	msg.SetMessageIDWithValue(p.ID + "@" + domain)
	msg.SetDateWithValue(p.At)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("List-Id", "<"+p.Page.ID+".status."+domain+">")
	msg.SetGenHeader("List-Unsubscribe", "<"+p.Link+">")
	if strings.HasPrefix(p.Link, "https:") {
		msg.SetGenHeader("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	}
	msg.SetBodyString(gomail.TypeTextPlain, p.Text)
	return msg, nil
}

// lost says whether a connection failed before the mail was taken, and not the server said no.
func lost(err error) bool { return err != nil && !errors.Is(err, errTaken) && code(err) == 0 }

// code is what the server answered, 0 where it did not.
func code(err error) int {
	var s *gomail.SendError
	if errors.As(err, &s) {
		return s.ErrorCode()
	}
	return 0
}

// judged says what a failure means: for this mail, or for all of them.
func judged(err error) error {
	if err == nil || errors.Is(err, errTaken) {
		return nil
	}
	var s *gomail.SendError
	said := code(err)
	switch {
	case !errors.As(err, &s) || said == 0:
		return &desk.Down{Err: fault.New(fault.Unavailable, "the connection to the mail server broke off")}
	case said == 421 || s.Reason == gomail.ErrSMTPMailFrom:
		return &desk.Down{Err: fault.New(fault.Unavailable, "the mail server answered %d to our address as the sender's, or takes nothing now", said).WithHint("look at from in status: subscribers: mail, and at the server's log")}
	case said >= 500:
		return fault.New(fault.Invalid, "the mail server refused the address or the mail: it answered %d", said)
	}
	return fault.New(fault.Unavailable, "the mail server put it off: it answered %d", said)
}
