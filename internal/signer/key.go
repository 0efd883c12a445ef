// Package signer holds the keys of signed zones and makes their signatures, ahead of
// every answer that a zone can come to: package dnssec says which these are.
//
// It lives in control and on the command line, never in answer, which is given only
// what is public. It decides no roll-over step (dnssec.Roll does), asks no parent and
// publishes nothing.
//
// Invariants: a private key leaves this package only into its file, mode 0600, in a
// folder that only its owner can read; a file is whole or not there; signing the same
// with the same key at the same time gives the same signature (RFC 6979).
//
// Concurrency: a *Key may be used by any goroutine; a Folder by one at a time.
package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
)

// Key is a zone's key of ECDSA P-256 with SHA-256. It is one for all: it signs the
// zone, and the parent points at it.
type Key struct {
	private *ecdsa.PrivateKey
	data    []byte // of its DNSKEY
	made    time.Time
}

// NewKey makes a key.
func NewKey(now time.Time) (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return newKey(private, now)
}

// readKey reads what secret gave.
func readKey(secret []byte, made time.Time) (*Key, error) {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
	if err != nil {
		return nil, fault.New(fault.Invalid, "a private key can't be read") // not the cause: it may quote the key
	}
	return newKey(private, made)
}

func newKey(private *ecdsa.PrivateKey, made time.Time) (*Key, error) {
	point, err := private.PublicKey.Bytes() // 4, then the two coordinates
	if err != nil || len(point) != 65 {
		return nil, fault.New(fault.Invalid, "a key has no public side").Because(err)
	}
	return &Key{private: private, data: dnssec.KeyData([64]byte(point[1:])), made: made.UTC().Truncate(time.Second)}, nil
}

// secret is the private figure.
func (k *Key) secret() ([]byte, error) { return k.private.Bytes() }

// Data is the data of the key's DNSKEY record.
func (k *Key) Data() []byte { return k.data }

// Tag is its key tag.
func (k *Key) Tag() uint16 { return dnssec.Tag(k.data) }

// Made is when it was made.
func (k *Key) Made() time.Time { return k.made }

// String is the key's tag: nothing of it is printed by accident.
func (k *Key) String() string { return fmt.Sprintf("key %d", k.Tag()) }

// Sign signs a set of the zone with an apex in wire form.
func (k *Key) Sign(set dnssec.Set, apex string, now time.Time) (dnssec.Signature, error) {
	s := dnssec.At(now, k.Tag())
	sum := sha256.Sum256(s.Message(set, apex))
	der, err := k.private.Sign(nil, sum[:], crypto.SHA256) // without randomness: RFC 6979
	if err != nil {
		return s, fmt.Errorf("sign: %w", err)
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		return s, fmt.Errorf("read a signature: %w", err)
	}
	pair.R.FillBytes(s.Sign[:32])
	pair.S.FillBytes(s.Sign[32:])
	return s, nil
}
