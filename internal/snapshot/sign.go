package snapshot

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/fault"
)

// Signed is a manifest as it travels and is kept: its exact bytes and an Ed25519
// signature over them (RFC 8032).
type Signed struct {
	Manifest  []byte `json:"manifest"`
	Signature []byte `json:"signature"`
}

// understood are the must-understand features that this version knows.
var understood = []string{MustSign}

// MustSign is in Must where a zone is signed: a reader that passed the signatures over
// would answer in a way that nobody who validates can take.
const MustSign = "dnssec"

// Sign encodes and signs a manifest.
func Sign(m Manifest, key ed25519.PrivateKey) (Signed, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return Signed{}, fmt.Errorf("encode manifest: %w", err)
	}
	return Signed{Manifest: b, Signature: ed25519.Sign(key, b)}, nil
}

// Open verifies the signature, then decodes; nothing of an unsigned manifest is
// looked at.
func Open(s Signed, pinned ed25519.PublicKey) (Manifest, error) {
	if len(pinned) != ed25519.PublicKeySize {
		return Manifest{}, fault.New(fault.Denied, "no key is trusted yet").WithHint("run: lifeboat answer trust KEY")
	}
	if !ed25519.Verify(pinned, s.Manifest, s.Signature) {
		return Manifest{}, fault.New(fault.Denied, "the manifest is not signed by the trusted key").WithHint("if control has a new key, run: lifeboat answer trust KEY")
	}
	return Decode(s.Manifest)
}

// Decode reads a manifest's bytes. Unknown fields are ignored; an unknown
// must-understand feature or a newer format is refused.
func Decode(b []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fault.New(fault.Invalid, "the manifest can't be read").Because(err)
	}
	if m.Format < 1 {
		return m, fault.New(fault.Invalid, "the manifest names no format")
	}
	if m.Format > Format {
		return m, fault.New(fault.NotSupported, "the manifest has format %d, and this version reads up to %d", m.Format, Format).WithHint("upgrade answer before control uses it")
	}
	for _, f := range m.Must {
		if !slices.Contains(understood, f) {
			return m, fault.New(fault.NotSupported, "the manifest needs %q, which this version does not know", f).WithHint("upgrade answer before control uses it")
		}
	}
	return m, nil
}

// Part encodes a part and names it.
func Part(v any) ([]byte, Ref, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, Ref{}, fmt.Errorf("encode part: %w", err)
	}
	return b, RefOf(b), nil
}

// RefOf names bytes.
func RefOf(b []byte) Ref {
	sum := sha256.Sum256(b)
	return Ref{SHA256: hex.EncodeToString(sum[:]), Size: len(b)}
}

const keyPrefix = "lifeboat-key-1:"

// FormatKey writes a public key as people copy it.
func FormatKey(k ed25519.PublicKey) string {
	return keyPrefix + base64.RawURLEncoding.EncodeToString(k)
}

// ParseKey reads what FormatKey wrote.
func ParseKey(s string) (ed25519.PublicKey, error) {
	raw, found := strings.CutPrefix(strings.TrimSpace(s), keyPrefix)
	b, err := base64.RawURLEncoding.DecodeString(raw)
	if !found || err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fault.New(fault.Invalid, "this is not a key of lifeboat").WithHint("copy the whole line that starts with %s", keyPrefix)
	}
	return b, nil
}
