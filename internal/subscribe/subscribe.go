// Package subscribe is who wants to be told what a status page tells, and how: by mail, by
// webhook, in a chat.
//
// It is pure: no clock, no I/O. A visitor asks at the status page (in answer), control
// decides, keeps and delivers (package subscribe/desk); Ask and Told are what the two say
// to each other. Any package may import it; it imports only pure ones.
//
// Words: a subscription is pending until whoever reads at its address has confirmed it
// (double opt-in), and then active. Its link is the address at the status page by which it
// is confirmed, changed and ended; who has the link may do all three.
//
// Invariants: the same address asked for twice at a page is one subscription; what a
// visitor is told never says whether an address was known already.
//
// Concurrency: all types are values.
package subscribe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
)

// Way is how a subscriber is told.
type Way string

// The ways. Slack is an incoming webhook that understands Slack's {"text": …}, as those of
// Mattermost, Rocket.Chat and Zulip do.
const (
	Mail    Way = "mail"
	Webhook Way = "webhook"
	Slack   Way = "slack"
)

// Ways are all of them, in the order in which people are offered them.
func Ways() []Way { return []Way{Mail, Webhook, Slack} }

// Limits of a subscription.
const (
	MaxMail       = 254 // bytes of an address (RFC 5321 section 4.5.3.1.3, errata 1690)
	maxLocal      = 64  // bytes before its @ (section 4.5.3.1.1)
	MaxURL        = 2000
	MaxComponents = 200
	PendingLife   = 48 * time.Hour // how long a subscription waits to be confirmed
)

// Subscription is one address that is told what a page tells.
type Subscription struct {
	ID         string      `json:"id"`
	Page       string      `json:"page"` // its id
	Way        Way         `json:"way"`
	To         string      `json:"to"`                   // a mail address, or a URL; a URL may be a secret itself
	Components []string    `json:"components,omitempty"` // ids; none: all
	Language   string      `json:"language"`             // what messages are written in
	By         string      `json:"by,omitempty"`         // who of the crew added it; "": whoever reads there
	AskedAt    time.Time   `json:"asked_at"`
	Confirmed  time.Time   `json:"confirmed_at,omitzero"` // zero: pending
	Asks       []time.Time `json:"asks,omitempty"`        // when messages with its link were asked for, the last day's
	Owed       time.Time   `json:"owed,omitzero"`         // since when such a message is owed; zero: none is
	Refused    int         `json:"refused,omitempty"`     // news in a row that its receiver refused for good, or never took
	Since      time.Time   `json:"refused_since,omitzero"`
}

// Active says whether it is told of news.
func (s Subscription) Active() bool { return !s.Confirmed.IsZero() }

// Over says whether it has waited too long to be confirmed, since its link was asked for last.
func (s Subscription) Over(now time.Time) bool {
	asked := s.AskedAt
	if n := len(s.Asks); n > 0 && s.Asks[n-1].After(asked) {
		asked = s.Asks[n-1]
	}
	return !s.Active() && now.Sub(asked) >= PendingLife
}

// Wants says whether it is to be told of news that touch components; none: news of all.
func (s Subscription) Wants(components []string) bool {
	return s.Active() && (len(s.Components) == 0 || len(components) == 0 ||
		slices.ContainsFunc(components, func(c string) bool { return slices.Contains(s.Components, c) }))
}

// Masked is the address as it may be shown to others and logged: j…@example.com, or the
// host of a URL.
func (s Subscription) Masked() string { return Masked(s.Way, s.To) }

// Masked hides what of an address is nobody's business.
func Masked(way Way, to string) string {
	if way == Mail {
		at := strings.LastIndexByte(to, '@')
		if at < 1 {
			return "…"
		}
		first := []rune(to[:at])[:1]
		return string(first) + "…" + to[at:]
	}
	if u, err := url.Parse(to); err == nil && u.Host != "" {
		return u.Scheme + "://" + u.Host + "/…"
	}
	return "…"
}

// Address checks where somebody wants to be told and gives it in the form that is kept. A
// plain URL (http) is taken only where plain says so. The fault's Place is "to".
func Address(way Way, to string, plain bool) (string, error) {
	to = strings.TrimSpace(to)
	if way == Mail {
		return mailAddress(to)
	}
	return hookAddress(to, plain)
}

func mailAddress(to string) (string, error) {
	wrong := fault.New(fault.Invalid, "that is no mail address").At("to").WithHint("write one such as ada@example.com")
	a, err := mail.ParseAddress(to)
	if err != nil || a.Name != "" || a.Address != to || len(to) > MaxMail || strings.ContainsAny(to, "\r\n\t \"") {
		return "", wrong
	}
	at := strings.LastIndexByte(to, '@')
	local, domain := to[:at], strings.TrimSuffix(to[at+1:], ".")
	if len(local) > maxLocal || !ascii(local) {
		return "", wrong
	}
	domain, err = idna.Lookup.ToASCII(domain)
	if err != nil || !strings.Contains(domain, ".") || len(domain) > 253 {
		return "", wrong
	}
	return local + "@" + strings.ToLower(domain), nil
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > '~' || r < '!' }) < 0
}

func hookAddress(to string, plain bool) (string, error) {
	const hint = "for example https://hooks.example.com/status"
	u, err := url.Parse(to)
	switch {
	case err != nil || u.Hostname() == "" || !ascii(to):
		return "", fault.New(fault.Invalid, "that is no URL").At("to").WithHint(hint)
	case len(to) > MaxURL:
		return "", fault.New(fault.Invalid, "the URL is too long: %d bytes, %d fit", len(to), MaxURL).At("to").WithHint(hint)
	case u.Scheme != "https" && !(plain && u.Scheme == "http"):
		return "", fault.New(fault.Invalid, "the URL is not one of https").At("to").WithHint(hint)
	case u.User != nil:
		return "", fault.New(fault.Invalid, "the URL has a user or a password in it").At("to").WithHint(hint)
	}
	u.Fragment = ""
	return u.String(), nil
}

// coding writes ids and links: lower case, so that they survive whoever folds case.
var coding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Lengths of ids and links, in bytes before they are written.
const (
	idLen  = 10
	macLen = 15
)

// Key makes ids and links; only control has one. It MUST hold 32 secret bytes.
type Key []byte

func (k Key) sum(n int, parts ...string) string {
	m := hmac.New(sha256.New, k)
	m.Write([]byte(strings.Join(parts, "\x00"))) // writing to a hash never fails
	return coding.EncodeToString(m.Sum(nil)[:n])
}

// ID is the id of an address at a page: always the same, so that nobody is there twice. It
// gives the address away to nobody without the key. Mail addresses that differ in case are
// the same.
func (k Key) ID(page string, way Way, to string) string {
	if way == Mail {
		to = strings.ToLower(to)
	}
	return k.sum(idLen, "subscription", page, string(way), to)
}

// Token is what the link of a subscription ends with. One that was ended and asked for
// again has another.
func (k Key) Token(s Subscription) string {
	return s.ID + k.sum(macLen, "link", s.ID, strconv.FormatInt(s.AskedAt.UnixNano(), 10))
}

// TokenID is the id of the subscription that a token is of, if it can be one's.
func TokenID(token string) (string, bool) {
	id, mac := coding.EncodedLen(idLen), coding.EncodedLen(macLen)
	if len(token) != id+mac || strings.Trim(token, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return "", false
	}
	return token[:id], true
}

// Opens says whether a token is the subscription's.
func (k Key) Opens(s Subscription, token string) bool {
	return hmac.Equal([]byte(k.Token(s)), []byte(token))
}

// Secret is what webhooks of a subscription are signed with, as Standard Webhooks writes
// it without its prefix: whoever has the link may see it.
func (k Key) Secret(s Subscription) []byte {
	m := hmac.New(sha256.New, k)
	m.Write([]byte("secret\x00" + s.ID + "\x00" + strconv.FormatInt(s.AskedAt.UnixNano(), 10))) // likewise
	return m.Sum(nil)
}

// Path is where the links of a page's subscriptions are; a token follows.
const Path = "/subscription/"

// Link is a subscription's link at its page.
func (k Key) Link(page board.Page, s Subscription) string { return page.URL + Path + k.Token(s) }

// Do is what a visitor wants.
type Do string

// What can be wanted.
const (
	Begin   Do = "begin"   // a subscription: Way, To, Components
	Look    Do = "look"    // at the subscription of Token
	Confirm Do = "confirm" // it
	Change  Do = "change"  // its Components and Language
	End     Do = "end"     // it
)

// Ask is what a visitor wants of control, by the status page.
type Ask struct {
	Do         Do       `json:"do"`
	Page       string   `json:"page"` // its id
	Way        Way      `json:"way,omitempty"`
	To         string   `json:"to,omitempty"`
	Components []string `json:"components,omitempty"` // none: all
	Language   string   `json:"language,omitempty"`
	Token      string   `json:"token,omitempty"`
}

// Outcome is what came of an Ask.
type Outcome string

// The outcomes.
const (
	Asked     Outcome = "asked"     // of Begin: a message with the link is on its way, whatever was known before
	Open      Outcome = "open"      // of Look
	Confirmed Outcome = "confirmed" // of Confirm, also when it was before
	Changed   Outcome = "changed"   // of Change
	Ended     Outcome = "ended"     // of End, also when there was none any more
	Unknown   Outcome = "unknown"   // the link is of no subscription: it has ended, or waited too long
	Wrong     Outcome = "wrong"     // Field is not as it must be
	Busy      Outcome = "busy"      // too many ask; later
	Away      Outcome = "away"      // control can't be asked just now, or can't write it down
	Off       Outcome = "off"       // the page does not offer this way
)

// Told is control's answer to an Ask.
type Told struct {
	Outcome    Outcome  `json:"outcome"`
	Field      string   `json:"field,omitempty"` // of Wrong: to, components, way
	Way        Way      `json:"way,omitempty"`   // these of Open, Confirmed and Changed
	To         string   `json:"to,omitempty"`    // masked
	Components []string `json:"components,omitempty"`
	Language   string   `json:"language,omitempty"`
	Pending    bool     `json:"pending,omitempty"`
	Secret     string   `json:"secret,omitempty"` // of an active webhook: whsec_…, for who receives it
}

// Check refuses an Ask that nobody who uses the page makes, so that it does not travel. It
// does not say whether control will take it.
func (a Ask) Check() error {
	switch {
	case !slices.Contains([]Do{Begin, Look, Confirm, Change, End}, a.Do):
		return fault.New(fault.Invalid, "%q can't be asked for", a.Do).At("do")
	case len(a.Components) > MaxComponents:
		return fault.New(fault.Invalid, "%d components are too many", len(a.Components)).At("components")
	case len(a.Page) > 100 || len(a.Language) > 35 || len(a.To) > MaxURL || slices.ContainsFunc(a.Components, func(c string) bool { return len(c) > 100 }):
		return fault.New(fault.Invalid, "a field is too long").At("to")
	case a.Do != Begin:
		if _, ok := TokenID(a.Token); !ok {
			return fault.New(fault.Invalid, "that is no link of ours").At("token")
		}
	}
	return nil
}

// Whole is a webhook's secret as Standard Webhooks writes it ("Signature scheme").
func Whole(secret []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(secret) }
