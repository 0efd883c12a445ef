package config

import (
	"net"
	"net/mail"
	"strconv"
	"strings"

	"lifeboat/internal/subscribe"
)

// Subscribers says how people may be told what a status page tells.
type Subscribers struct {
	Mail       *MailServer // nil: not by mail
	Webhook    bool
	Slack      bool
	OwnNetwork bool // webhooks may go over http, and to addresses of the own network
}

// MailServer is who takes our mails.
type MailServer struct {
	Host         string
	Port         int
	TLS          string // starttls, tls or none
	From         mail.Address
	User         string
	PasswordFile string
}

var subscriberKeys = keySet{
	known: []string{"mail", "webhook", "slack", "own_network"},
	later: map[string]string{"email": "write mail", "smtp": "write mail: {server: …}", "webhooks": "write webhook: true", "sms": "mail, webhook and slack are there", "teams": "write channels for your own people"},
}

var mailKeys = keySet{
	known: []string{"server", "tls", "from", "user", "password_file"},
	later: map[string]string{"host": "write server: HOST:PORT", "port": "write server: HOST:PORT", "password": "write the password into a file, and its name as password_file", "username": "write user"},
}

// The ports of mail servers where none is written.
var mailPorts = map[string]int{"starttls": 587, "tls": 465, "none": 25}

// Ways are how people may be told, as pages know it; nil where there are none.
func (s *Subscribers) Ways() (out []string) {
	if s == nil {
		return nil
	}
	for _, w := range subscribe.Ways() {
		if w == subscribe.Mail && s.Mail != nil || w == subscribe.Webhook && s.Webhook || w == subscribe.Slack && s.Slack {
			out = append(out, string(w))
		}
	}
	return out
}

// subscribers reads how people may be told.
func (b *builder) subscribers(s section) *Subscribers {
	n := s.n.get("subscribers")
	if n == nil {
		return nil
	}
	p, ok := b.section(n, "subscribers of status", subscriberKeys)
	if !ok {
		return nil
	}
	out := &Subscribers{Webhook: p.truth("webhook", false), Slack: p.truth("slack", false), OwnNetwork: p.truth("own_network", false)}
	if m := p.n.get("mail"); m != nil {
		out.Mail = b.mailServer(m)
	}
	if out.Mail == nil && !out.Webhook && !out.Slack && p.n.get("mail") == nil && !p.refused(subscriberKeys) {
		p.invalid(n.at, "subscribers of status names no way: nobody could subscribe").
			WithHint("for example mail: {server: \"smtp.example.com:587\", from: status@example.com}, or webhook: true")
	}
	return out
}

func (b *builder) mailServer(n *node) *MailServer {
	s, ok := b.section(n, "mail of subscribers", mailKeys)
	if !ok {
		return nil
	}
	m := &MailServer{TLS: s.choice("tls", "starttls", "starttls", "tls", "none"), User: s.line("user", "", "status@example.com", 200), PasswordFile: b.besideFile(s, "password_file", "mail.password")}
	const server, from = `"smtp.example.com:587"`, `"Example Shop <status@example.com>"`
	if s.needs("server", ": nobody would take the mails", "server: "+server) {
		m.Host, m.Port = s.mailHost(s.line("server", "", server, 260), mailPorts[m.TLS], server)
	}
	if s.needs("from", ": nobody would know whom the mails are from", "from: "+from) {
		text := s.line("from", "", from, 300)
		a, err := mail.ParseAddress(text)
		if err == nil {
			a.Address, err = subscribe.Address(subscribe.Mail, a.Address, false)
		}
		if text != "" && err != nil {
			s.invalid(s.at("from"), "%s: %q is no mail address", s.of("from"), clip(text)).WithHint("for example from: %s", from)
		} else if text != "" {
			m.From = *a
		}
	}
	switch {
	case (m.User == "") != (m.PasswordFile == ""):
		s.invalid(n.at, "mail of subscribers has only one of user and password_file").WithHint("write both, or neither where the server knows us by our address")
	case m.User != "" && m.TLS == "none" && !loopback(m.Host):
		s.invalid(s.at("tls"), "%s: the password would be read on the way", s.of("tls")).WithHint("write tls: starttls")
	}
	return m
}

func (s section) mailHost(text string, port int, sample string) (string, int) {
	if text == "" {
		return "", 0
	}
	host := text
	if h, p, err := net.SplitHostPort(text); err == nil {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 65535 {
			s.invalid(s.at("server"), "%s: %q is no port", s.of("server"), clip(p)).WithHint("for example server: %s", sample)
			return "", 0
		}
		host, port = h, n
	}
	if net.ParseIP(host) == nil {
		if why := badLabels(strings.ToLower(strings.TrimSuffix(host, "."))); why != "" {
			s.invalid(s.at("server"), "%s: %q is no host, it %s", s.of("server"), clip(host), why).WithHint("for example server: %s", sample)
			return "", 0
		}
	}
	return host, port
}
