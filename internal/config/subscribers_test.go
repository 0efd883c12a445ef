package config

import (
	"net/mail"
	"slices"
	"strings"
	"testing"
)

func withSubscribers(text string) []byte {
	return []byte(withStandby("", "") + "status: {host: status.example.org, subscribers: " + text + "}\n")
}

func TestSubscribers(t *testing.T) {
	t.Parallel()
	c, err := Parse("/etc/x.yaml", withSubscribers(`{mail: {server: "mail.example.net", tls: tls, from: "Shop <status@example.org>", user: ship, password_file: mail.password}, slack: true, own_network: true}`))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Status.Subscribers
	if m := s.Mail; m.Host != "mail.example.net" || m.Port != 465 || m.From != (mail.Address{Name: "Shop", Address: "status@example.org"}) || m.User != "ship" || m.PasswordFile != "/etc/mail.password" || !s.OwnNetwork {
		t.Errorf("%+v, %+v", s, s.Mail)
	}
	if pages, _, _ := c.Board(); !slices.Equal(pages[0].Subscribe, []string{"mail", "slack"}) {
		t.Errorf("the page offers %v", pages[0].Subscribe)
	}
	if c, err := Parse("x.yaml", withSubscribers(`{mail: {server: "192.0.2.1:2525", tls: none, from: status@example.org}}`)); err != nil || c.Status.Subscribers.Mail.Port != 2525 {
		t.Errorf("%v", err)
	}
	if c, err := Parse("x.yaml", []byte(withStandby("", "")+"status: {host: status.example.org}\n")); err != nil || c.Status.Subscribers.Ways() != nil {
		t.Errorf("said nothing: %v", err)
	}
}

func TestBadSubscribers(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"{}":                                 "names no way",
		"{slack: 5}":                         "expected true or false",
		"{email: {}}":                        "write mail",
		"{slacks: true}":                     "slacks",
		"{mail: {from: a@example.org}}":      "has no server",
		"{mail: {server: mail.example.net}}": "has no from",
		`{mail: {server: "mail.example.net:0", from: a@example.org}}`:                                   "is no port",
		`{mail: {server: "mail..example", from: a@example.org}}`:                                        "is no host",
		"{mail: {server: mail.example.net, from: nobody}}":                                              "is no mail address",
		`{mail: {server: mail.example.net, from: "a@example.org, b@example.org"}}`:                      "is no mail address",
		"{mail: {server: mail.example.net, from: a@example.org, user: a}}":                              "only one of user and password_file",
		"{mail: {server: mail.example.net, from: a@example.org, tls: no}}":                              "expected starttls, tls or none",
		"{mail: {server: mail.example.net, from: a@example.org, user: a, password_file: b, tls: none}}": "read on the way",
		"{mail: {server: mail.example.net, from: a@example.org, password: secret}}":                     "write the password into a file",
	} {
		if _, err := Parse("x.yaml", withSubscribers(text)); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "x.yaml:") {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}
