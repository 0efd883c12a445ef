package board

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Limits of passes.
const (
	PassLife  = 12 * time.Hour // how long one lets in
	EnterLife = time.Minute    // how long it can be brought after it was made
	maxPass   = 1 << 10        // bytes, as sent
	passKind  = "lifeboat status page pass 1\x00"
)

// PassKey checks passes. It can make none: what is published with a page holds no more.
type PassKey struct {
	ID  string            `json:"id"`
	Key ed25519.PublicKey `json:"key"`
}

// Pass lets one browser read one page. It says nothing of whose it is.
type Pass struct {
	Page  string    // whom it is for: the page's id
	Bound string    // Bound of a secret that only that browser knows
	ID    string    // it is brought once
	Enter time.Time // until when it can be brought
	Until time.Time // until when it lets in
}

// passText is a Pass as it is signed. Times are seconds since 1970.
type passText struct {
	Key   string `json:"k"`
	Page  string `json:"p"`
	Bound string `json:"b"`
	ID    string `json:"i"`
	Enter int64  `json:"e"`
	Until int64  `json:"u"`
}

// Bound is what a pass holds of a browser's secret: its SHA-256, so that neither an
// address nor the pass gives the secret away.
func Bound(secret string) string {
	sum := sha256.Sum256([]byte("lifeboat status page browser\x00" + secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// IsBound says whether a text can be what Bound gave.
func IsBound(text string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(b) == sha256.Size
}

// Sign makes the text of a pass with the key of an id (Ed25519, RFC 8032).
func (p Pass) Sign(id string, key ed25519.PrivateKey) string {
	body, err := json.Marshal(passText{id, p.Page, p.Bound, p.ID, p.Enter.Unix(), p.Until.Unix()})
	if err != nil { // texts and numbers: never
		return ""
	}
	sum := ed25519.Sign(key, append([]byte(passKind), body...))
	return base64.RawURLEncoding.EncodeToString(body) + "." + base64.RawURLEncoding.EncodeToString(sum)
}

// ReadPass gives the pass of a text that one of the keys has signed for a page. Whether it
// still holds, and whether who brings it is whom it was made for, is Holds' to say.
func ReadPass(keys []PassKey, page, text string) (Pass, bool) {
	head, tail, both := strings.Cut(text, ".")
	if len(text) > maxPass || !both {
		return Pass{}, false
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(head)
	if err != nil {
		return Pass{}, false
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(tail)
	if err != nil || len(sum) != ed25519.SignatureSize {
		return Pass{}, false
	}
	var t passText
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if d.Decode(&t) != nil || t.Page != page || !IsBound(t.Bound) {
		return Pass{}, false
	}
	i := slices.IndexFunc(keys, func(k PassKey) bool { return k.ID == t.Key })
	if i < 0 || len(keys[i].Key) != ed25519.PublicKeySize || !ed25519.Verify(keys[i].Key, append([]byte(passKind), body...), sum) {
		return Pass{}, false
	}
	return Pass{t.Page, t.Bound, t.ID, time.Unix(t.Enter, 0), time.Unix(t.Until, 0)}, true
}

// Holds says whether a pass lets in who knows a secret.
func (p Pass) Holds(secret string, now time.Time) bool {
	return subtle.ConstantTimeCompare([]byte(Bound(secret)), []byte(p.Bound)) == 1 && now.Before(p.Until)
}

// Enters says whether it can still be brought.
func (p Pass) Enters(secret string, now time.Time) bool {
	return p.Holds(secret, now) && now.Before(p.Enter)
}
