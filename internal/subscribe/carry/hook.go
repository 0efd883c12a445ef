package carry

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/subscribe/desk"
	"lifeboat/internal/webhook"
)

const (
	hookWidth    = 16
	hookDeadline = 10 * time.Second
)

// Hook brings messages by webhook.
type Hook struct{ client *webhook.Client }

// NewHook makes a Hook. Unless own says so it reaches no address that is not of the public
// internet, whatever a name resolves to.
func NewHook(own bool, now func() time.Time) *Hook {
	d := &net.Dialer{}
	if !own {
		d.Control = outside
	}
	return &Hook{webhook.NewClient(webhook.Options{Now: now, Dial: d.DialContext})}
}

// Width is how many may be on their way at one time.
func (h *Hook) Width() int { return hookWidth }

// Rest does nothing: no connection is kept.
func (h *Hook) Rest() {}

// Carry posts a message.
func (h *Hook) Carry(ctx context.Context, p desk.Parcel) error {
	ctx, cancel := context.WithTimeout(ctx, hookDeadline)
	defer cancel()
	answer, err := h.client.Post(ctx, webhook.Call{URL: p.To, Key: p.Key, ID: p.ID, Body: p.Body})
	if err != nil {
		return err
	}
	switch err := answer.Err(); {
	case err == nil:
		return nil
	case answer.Status == http.StatusGone: // Standard Webhooks, "Delivery success and failure": it wants no more
		return fault.New(fault.NotFound, "the receiver wants no more: it answered 410")
	case answer.RetryAfter > 0:
		return &desk.Later{Err: err, After: answer.RetryAfter}
	default:
		return err
	}
}

// inside is what netip does not call private but nobody outside has (RFC 6890): shared by
// carriers and their customers (RFC 6598), sites' own of old (RFC 3879), and ways of IPv6
// into IPv4 (RFC 4291 section 2.5.5.1, RFC 2765, RFC 4380, RFC 6052, RFC 3056).
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("::ffff:0:0:0/96"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("fec0::/10"),
}

// outside refuses a connection to an address of the own network or machine. It is asked for
// the address that is really dialled, after names were resolved.
func outside(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fault.New(fault.Invalid, "the address can't be read")
	}
	a := at.Addr().Unmap()
	bad := !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
	for _, p := range inside {
		bad = bad || p.Contains(a)
	}
	if bad {
		return fault.New(fault.Invalid, "the receiver is inside of a network that strangers are not led into").
			WithHint("write own_network: true under status: subscribers where it is meant to be")
	}
	return nil
}
