package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// Bounds of what is asked of an authority.
const (
	orderTime   = 4 * time.Minute // for a certificate, from the order to the chain
	pollTime    = 90 * time.Second
	windowTime  = 30 * time.Second // for the time to renew at
	requestTime = 30 * time.Second
	maxWait     = 24 * time.Hour // that an authority can make us wait
)

// issuer asks an authority. One order goes on at a time.
type issuer struct {
	a       Authority
	folder  folder
	solvers map[string]acmez.Solver
	log     *slog.Logger
	now     func() time.Time
	http    *http.Client
	waits   *patience

	windowTime time.Duration

	mu      sync.Mutex // guards account and caa
	account acme.Account
	caa     []string
}

func newIssuer(a Authority, f folder, solvers []Solver, log *slog.Logger, now func() time.Time) *issuer {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: a.Roots, MinVersion: tls.VersionTLS12}
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout, t.MaxResponseHeaderBytes = requestTime, requestTime, 64<<10
	s := &issuer{a: a, folder: f, solvers: map[string]acmez.Solver{}, log: log, now: now, waits: &patience{base: t, now: now}, caa: a.CAA, windowTime: windowTime}
	s.http = &http.Client{Transport: s.waits, Timeout: requestTime}
	for _, x := range solvers {
		s.solvers[x.Kind()] = x
	}
	if kept, err := s.readAccount(); err == nil {
		s.account = kept
	}
	return s
}

// patience notes for how long a server asks to be left alone (RFC 9110 section 10.2.3).
type patience struct {
	base http.RoundTripper
	now  func() time.Time

	mu    sync.Mutex // guards until
	until time.Time
}

func (p *patience) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := p.base.RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusServiceUnavailable {
		return res, err
	}
	if wait := retryAfter(res.Header.Get("Retry-After"), time.Now()); wait > 0 {
		p.mu.Lock()
		p.until = p.now().Add(min(wait, maxWait))
		p.mu.Unlock()
	}
	return res, err
}

// retryAfter reads a Retry-After header; 0 where it says nothing.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 {
		return time.Duration(min(n, int(maxWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// asked is until when the authority wants to be left alone; zero: it did not say.
func (p *patience) asked() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until
}

// client speaks to the authority.
func (s *issuer) client() *acmez.Client {
	return &acmez.Client{
		Client:           &acme.Client{Directory: s.a.Directory, UserAgent: "lifeboat", HTTPClient: s.http, PollTimeout: pollTime},
		ChallengeSolvers: s.solvers,
	}
}

// obtain has a certificate made for names, with a key of its own. The one that it takes
// the place of is named, if there is one, so that the authority's limits do not count it
// (RFC 9773 section 5).
func (s *issuer) obtain(ctx context.Context, names []string, kind string, replaces *x509.Certificate) (snapshot.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	key, err := newKey(kind)
	if err != nil {
		return snapshot.Certificate{}, err
	}
	csr, err := acmez.NewCSR(key, names)
	if err != nil {
		return snapshot.Certificate{}, fault.New(fault.Internal, "write the request for a certificate").Because(err)
	}
	client := s.client()
	for again := false; ; again = true {
		account, err := s.signedUp(ctx, client, again)
		if err != nil {
			return snapshot.Certificate{}, err
		}
		params, err := acmez.OrderParametersFromCSR(account, csr)
		if err != nil {
			return snapshot.Certificate{}, fault.New(fault.Internal, "write the order of a certificate").Because(err)
		}
		params.Replaces, params.Profile = replaces, s.a.Profile
		chains, err := client.ObtainCertificate(ctx, params)
		var p acme.Problem
		if !again && errors.As(err, &p) && p.Type == acme.ProblemTypeAccountDoesNotExist {
			continue // the authority was set up anew
		}
		if err != nil {
			return snapshot.Certificate{}, err
		}
		return pair(chains, key)
	}
}

// pair puts what came of an order and its key together.
func pair(chains []acme.Certificate, key crypto.Signer) (snapshot.Certificate, error) {
	if len(chains) == 0 {
		return snapshot.Certificate{}, fault.New(fault.Unavailable, "the authority gave no certificate")
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return snapshot.Certificate{}, fault.New(fault.Internal, "write a new key")
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	c, _, err := Read(chains[0].ChainPEM, text, "what the authority gave", "the new key")
	return c, err
}

func newKey(kind string) (crypto.Signer, error) {
	if kind == RSA {
		return rsa.GenerateKey(rand.Reader, minRSA)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// window asks when a certificate should be renewed (RFC 9773).
func (s *issuer) window(ctx context.Context, leaf *x509.Certificate) (acme.RenewalInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, s.windowTime)
	defer cancel()
	return s.client().GetRenewalInfo(ctx, leaf)
}

// identities are what the authority is called in CAA records: as configured, else as its
// directory says.
func (s *issuer) identities(ctx context.Context) []string {
	s.mu.Lock()
	known := s.caa
	s.mu.Unlock()
	if len(known) > 0 {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	dir, err := s.client().GetDirectory(ctx)
	if err != nil || dir.Meta == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caa = dir.Meta.CAAIdentities
	return s.caa
}

// accountURL is the account's name; "" before there is one.
func (s *issuer) accountURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account.Location
}

// kept is the account on disk.
type kept struct {
	Directory string   `json:"directory"`
	Location  string   `json:"location,omitempty"`
	Contact   []string `json:"contact,omitempty"`
	Key       []byte   `json:"key"` // PKCS #8, DER
}

// accountFile is where the account at this authority is kept.
func (s *issuer) accountFile() string {
	sum := sha256.Sum256([]byte(s.a.Directory))
	return s.folder.path("account-" + hex.EncodeToString(sum[:6]) + ".json")
}

func (s *issuer) readAccount() (acme.Account, error) {
	b, err := readFile(s.accountFile())
	if err != nil {
		return acme.Account{}, err
	}
	var k kept
	if err := json.Unmarshal(b, &k); err != nil || k.Directory != s.a.Directory {
		return acme.Account{}, fault.New(fault.Invalid, "the account can't be read").At(s.accountFile())
	}
	key, err := x509.ParsePKCS8PrivateKey(k.Key)
	signer, is := key.(crypto.Signer)
	if err != nil || !is { // its text may hold a part of the key
		return acme.Account{}, fault.New(fault.Invalid, "the key of the account can't be read").At(s.accountFile())
	}
	a := acme.Account{Location: k.Location, Contact: k.Contact, PrivateKey: signer}
	if a.Location != "" {
		a.Status = acme.StatusValid
	}
	return a, nil
}

func (s *issuer) writeAccount(a acme.Account) error {
	der, err := x509.MarshalPKCS8PrivateKey(a.PrivateKey)
	if err != nil {
		return fault.New(fault.Internal, "write the key of the account")
	}
	b, err := json.Marshal(kept{Directory: s.a.Directory, Location: a.Location, Contact: a.Contact, Key: der})
	if err != nil {
		return err
	}
	return snapshot.WriteFile(s.accountFile(), b)
}

// signedUp gives the account, and makes one where there is none, or where the authority
// has forgotten it. The key is on disk before the authority hears of it, so that an
// account is never lost half made.
func (s *issuer) signedUp(ctx context.Context, client *acmez.Client, forgotten bool) (acme.Account, error) {
	s.mu.Lock()
	a := s.account
	s.mu.Unlock()
	if a.Location != "" && !forgotten {
		return a, nil
	}
	if a.PrivateKey == nil {
		key, err := newKey(ECDSA)
		if err != nil {
			return a, err
		}
		a = acme.Account{PrivateKey: key}
		if err := s.writeAccount(a); err != nil {
			return a, fault.New(fault.Unavailable, "keep the key of the account").Because(err)
		}
	}
	a = acme.Account{PrivateKey: a.PrivateKey, TermsOfServiceAgreed: true} // the configuration says so, or there is no authority
	if s.a.Email != "" {
		a.Contact = []string{"mailto:" + s.a.Email}
	}
	if s.a.KeyID != "" {
		if err := a.SetExternalAccountBinding(ctx, client.Client, acme.EAB{KeyID: s.a.KeyID, MACKey: s.a.MACKey}); err != nil {
			return a, fmt.Errorf("bind the account to the one at the authority: %w", err)
		}
	}
	made, err := client.NewAccount(ctx, a)
	if err != nil {
		return a, fmt.Errorf("sign up at the authority: %w", err)
	}
	s.mu.Lock()
	s.account = made
	s.mu.Unlock()
	if err := s.writeAccount(made); err != nil { // found again by its key
		s.log.Warn("the account at the authority is not kept on disk", "cause", err)
	}
	s.log.Info("an account was made at the authority of certificates", "account", made.Location)
	return made, nil
}

// trouble says in words why an order came to nothing, and which names the authority
// would not take.
func trouble(err error) (text string, limited bool, names []string) {
	var p acme.Problem
	if !errors.As(err, &p) {
		var x *fault.Error
		if errors.As(err, &x) {
			return x.Error(), false, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return "the folder of certificates can't be written", false, nil
		}
		return "the authority could not be asked: " + cut(err.Error()), false, nil
	}
	if authz, is := p.Resource.(acme.Authorization); is {
		names = append(names, authz.IdentifierValue())
	}
	for _, sub := range p.Subproblems {
		if sub.Identifier.Value != "" {
			names = append(names, sub.Identifier.Value)
		}
	}
	detail := cut(p.Detail)
	switch p.Type {
	case acme.ProblemTypeRateLimited:
		return "the authority says that enough was asked of it for now: " + detail, true, nil
	case acme.ProblemTypeCAA:
		return "a CAA record forbids it: " + detail, false, names
	case acme.ProblemTypeUnauthorized, acme.ProblemTypeIncorrectResponse:
		return "the authority did not find the proof that it asked for: " + detail, false, names
	case acme.ProblemTypeDNS:
		return "the authority could not ask our name servers: " + detail, false, names
	case acme.ProblemTypeRejectedIdentifier:
		return "the authority makes no certificate for a name: " + detail, false, names
	case acme.ProblemTypeExternalAccountRequired:
		return "the authority wants an account of theirs: write eab: under certificates", false, nil
	}
	if p.Status == http.StatusTooManyRequests {
		return "the authority says that enough was asked of it for now: " + detail, true, nil
	}
	return "the authority said: " + detail, false, names
}

// cut bounds what others say.
func cut(text string) string {
	const most = 400
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
