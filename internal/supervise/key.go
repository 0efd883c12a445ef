package supervise

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

const (
	signingKey   = "signing.key"   // in control's folder, PEM of PKCS #8 (RFC 5958)
	trustedKey   = "trusted.key"   // in answer's folder, as snapshot.FormatKey
	keptManifest = "manifest.slot" // in answer's folder: it has taken manifests before
	pemType      = "PRIVATE KEY"
)

// LoadOrMakeKey reads the key that control signs manifests with, from control's
// own folder, and makes it when there is none; created says so. A key that can't
// be read is an error and never replaced: answers trust it.
func LoadOrMakeKey(dir string) (key ed25519.PrivateKey, created bool, err error) {
	path := filepath.Join(dir, signingKey)
	b, err := os.ReadFile(path)
	if err == nil {
		key, err = parseKey(b)
		if err != nil {
			return nil, false, fault.New(fault.Invalid, "the signing key can't be read").At(path).Because(err).
				WithHint("restore it from a backup; or move it away for a new one, which each answer must then be told to trust")
		}
		return key, false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("read signing key: %w", err)
	}
	_, key, err = ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, false, fmt.Errorf("make signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, false, fmt.Errorf("encode signing key: %w", err)
	}
	if err := snapshot.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})); err != nil {
		return nil, false, fmt.Errorf("keep signing key: %w", err)
	}
	return key, true, nil
}

func parseKey(b []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemType {
		return nil, errors.New("it is no PEM block of a private key")
	}
	found, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, is := found.(ed25519.PrivateKey)
	if !is {
		return nil, fmt.Errorf("it is a %T, not an Ed25519 key", found)
	}
	return key, nil
}

// makeKey makes the signing key and pins its public half beside an answer that
// has never had either a key or a manifest. Any other answer is told to trust it
// by a person, or not at all.
func (p *parent) makeKey() error {
	own := filepath.Join(p.Data, controlFolder)
	key, created, err := LoadOrMakeKey(own)
	if err != nil {
		return err
	}
	if created {
		if err := give(filepath.Join(own, signingKey), 0o600, p.accounts.control); err != nil {
			return err
		}
	}
	public := key.Public().(ed25519.PublicKey)
	state, err := pin(filepath.Join(p.Data, answerFolder), public)
	if err != nil {
		return err
	}
	switch state {
	case pinned:
		return give(filepath.Join(p.Data, answerFolder, trustedKey), 0o600, p.accounts.answer)
	case stranger:
		p.log.Error("answer does not trust control's key and will take nothing from it until you say so",
			"run", "lifeboat answer trust "+snapshot.FormatKey(public)+" --data "+p.Data)
	}
	return nil
}

// trust is what answer makes of a key.
type trust int

const (
	trusted  trust = iota // it trusts this key already
	pinned                // it was new, and trusts it now
	stranger              // it has something to lose, and does not trust this key
)

// pin trusts a key beside a new answer.
func pin(dir string, key ed25519.PublicKey) (trust, error) {
	b, err := os.ReadFile(filepath.Join(dir, trustedKey))
	if err == nil {
		if known, err := snapshot.ParseKey(string(b)); err == nil && known.Equal(key) {
			return trusted, nil
		}
		return stranger, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return stranger, fmt.Errorf("read trusted key: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, keptManifest)); !errors.Is(err, fs.ErrNotExist) {
		return stranger, err
	}
	if err := snapshot.WriteFile(filepath.Join(dir, trustedKey), []byte(snapshot.FormatKey(key)+"\n")); err != nil {
		return stranger, fmt.Errorf("pin key: %w", err)
	}
	return pinned, nil
}
