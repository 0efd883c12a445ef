// Package webhook makes one signed POST to a receiver outside, within limits, as
// Standard Webhooks 1.0.0 asks (standardwebhooks.com).
//
// It is one try: it keeps no queue, tries nothing again and decides nothing;
// package outbox does that for messages and package action for prepared acts. It
// does not take webhooks in. Only the control plane may import it.
//
// Invariants: an error or an answer's text never holds the URL or the secret,
// because a URL may be a secret itself. Redirects are not followed, proxies of the
// environment are not used, and no more than MaxAnswer of an answer is read. Who
// calls bounds the time.
//
// Concurrency: a Client may be used from any goroutine.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// The headers of Standard Webhooks ("Webhook headers").
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// What a secret may be. Standard Webhooks ("Signature scheme") asks for at least
// 24 random bytes; a raw secret is the receiver's own choice.
const (
	secretPrefix = "whsec_"
	minKey       = 24   // bytes of a secret with the prefix
	maxSecret    = 1024 // bytes as written
)

// Key makes the key that signatures are made with out of a secret as people write
// it: "whsec_" and base64, or any bytes, which then are the key. Line ends after it
// do not belong to it, so that it may be what a file holds. No secret gives no key:
// nothing is signed. A secret that can't be used is fault Invalid, and the error
// does not repeat it.
func Key(secret []byte) ([]byte, error) {
	text := strings.TrimRight(string(secret), "\r\n")
	if len(text) > maxSecret {
		return nil, fault.New(fault.Invalid, "the secret is %d bytes long", len(text)).WithHint("use at most %d", maxSecret)
	}
	coded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		if text == "" {
			return nil, nil
		}
		return []byte(text), nil
	}
	// Padding is left out by some that make secrets.
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(coded), "="))
	if err != nil {
		return nil, fault.New(fault.Invalid, "what follows %s in the secret is not base64", secretPrefix).
			WithHint("copy it whole from the receiver, or make one with: echo whsec_$(openssl rand -base64 32)")
	}
	if len(key) < minKey {
		return nil, fault.New(fault.Invalid, "the secret holds %d bytes, which can be guessed", len(key)).
			WithHint("use at least %d, as in: echo whsec_$(openssl rand -base64 32)", minKey)
	}
	return key, nil
}

// CheckURL says what keeps a URL from being posted to, as fault Invalid that does
// not repeat it.
func CheckURL(text string) error {
	const hint = "for example https://ops.example.com/hook"
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fault.New(fault.Invalid, "the URL can't be read").WithHint(hint)
	case u.Scheme != "http" && u.Scheme != "https":
		return fault.New(fault.Invalid, "the URL is not one of http or https").WithHint(hint)
	case u.Hostname() == "":
		return fault.New(fault.Invalid, "the URL has no host").WithHint(hint)
	}
	return nil
}

// Sign is the value of webhook-signature: version, comma, and the HMAC-SHA256 of
// id, time and body with dots between them (Standard Webhooks, "Signature
// scheme"). id MUST NOT hold a dot; ID makes sure of it.
func Sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp(at) + ".")) // writing to a hash never fails
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// timestamp is a time as webhook-timestamp tells it: whole seconds since 1970.
func timestamp(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// maxID is how long an id may be that is sent as it is, in bytes.
const maxID = 100

// ID is text itself where it can be an id (letters, digits, - and _), and its
// SHA-256 where it can't: other characters could move the borders of what is
// signed, and the same text must always be the same id.
func ID(text string) string {
	if text != "" && len(text) <= maxID && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// payload is the body as Standard Webhooks recommends it ("Payload structure").
type payload struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"` // of what happened, not of the try
	Data      json.RawMessage `json:"data"`
}

// Body makes the body of a webhook: what happened, when, and its data, which MUST
// be JSON. The same values always give the same bytes.
func Body(kind string, at time.Time, data json.RawMessage) ([]byte, error) {
	body, err := json.Marshal(payload{kind, at.UTC(), data})
	if err != nil {
		return nil, fault.New(fault.Invalid, "the contents are not JSON").Because(err)
	}
	return body, nil
}
