package account

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"lifeboat/internal/fault"
)

// Limits on passkeys.
const (
	maxPasskeys   = 10 // of an account
	maxLabel      = 40 // characters
	maxResponse   = 32 << 10
	challengeLife = 10 * time.Minute // a page may stand open for a while
	handleLen     = 32               // bytes
	maxSpent      = 10_000

	forPasskey = "a new passkey"
	forSignIn  = "a sign-in by passkey"
)

// Passkey is one that an account has.
type Passkey struct {
	ID    string    `json:"id"` // for people and forms; it opens nothing
	Label string    `json:"label"`
	Added time.Time `json:"added"`
	Used  time.Time `json:"used,omitzero"`
}

// passkeyKept is what the store keeps of a passkey: its public key, and how it was made.
type passkeyKept struct {
	Label      string              `json:"label"`
	Added      time.Time           `json:"added"`
	Used       time.Time           `json:"used,omitzero"`
	Credential webauthn.Credential `json:"credential"`
}

func (k passkeyKept) id() string {
	sum := sha256.Sum256(k.Credential.ID)
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func (r record) passkeys() []Passkey {
	out := []Passkey{}
	for _, k := range r.Passkeys {
		out = append(out, Passkey{k.id(), k.Label, k.Added, k.Used})
	}
	return out
}

// holder of passkeys, as the library knows one.
type holder struct{ r record }

// WebAuthnID implements webauthn.User.
func (h holder) WebAuthnID() []byte { return h.r.Handle }

// WebAuthnName implements webauthn.User.
func (h holder) WebAuthnName() string { return h.r.Name }

// WebAuthnDisplayName implements webauthn.User.
func (h holder) WebAuthnDisplayName() string { return h.r.Title }

// WebAuthnCredentials implements webauthn.User.
func (h holder) WebAuthnCredentials() []webauthn.Credential {
	var out []webauthn.Credential
	for _, k := range h.r.Passkeys {
		out = append(out, k.Credential)
	}
	return out
}

// relying makes what checks passkeys for the console at an address. Passkeys are bound to
// a host name: where the console has none there are no passkeys.
func relying(console string) (*webauthn.WebAuthn, error) {
	u, err := url.Parse(console)
	if err != nil || console == "" || u.Hostname() == "" {
		return nil, errors.New("the console has no name")
	}
	return webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: "lifeboat", RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationRequired,
		},
	})
}

// HasPasskeys says whether passkeys can be used at all: the configuration names the
// console's host.
func (b *Book) HasPasskeys() bool { return b.relying != nil }

// ceremony is what a page needs to ask a browser for a passkey: the options for the
// browser, and the state that comes back with what it answers.
type ceremony struct {
	Name string               `json:"n,omitempty"`
	Data webauthn.SessionData `json:"d"`
}

// noPasskeys says why there are none.
func noPasskeys() error {
	return fault.New(fault.NotSupported, "there are no passkeys here: the console has no name of its own").
		WithHint("write console with its url into the configuration, and open the page under that name")
}

// NewPasskey begins to make a passkey for an account. options are for the browser's
// navigator.credentials.create, as JSON.
func (b *Book) NewPasskey(name string) (options, state string, err error) {
	if b.relying == nil {
		return "", "", noPasskeys()
	}
	a, err := b.Get(name)
	if err != nil {
		return "", "", err
	}
	r, _ := b.record(a.Name)
	if len(r.Handle) == 0 { // it is kept with the first passkey
		r.Handle = make([]byte, handleLen)
		_, _ = rand.Read(r.Handle) // never fails
	}
	creation, data, err := b.relying.BeginRegistration(holder{r}, webauthn.WithExclusions(webauthn.Credentials(holder{r}.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return "", "", fault.New(fault.Internal, "a passkey can't be made").Because(err)
	}
	return b.begun(forPasskey, creation.Response, ceremony{a.Name, *data})
}

// begun signs what has to come back.
func (b *Book) begun(purpose string, options any, c ceremony) (string, string, error) {
	asked, err := json.Marshal(options)
	if err != nil {
		return "", "", fault.New(fault.Internal, "a passkey can't be asked for").Because(err)
	}
	state, err := json.Marshal(c)
	if err != nil {
		return "", "", fault.New(fault.Internal, "a passkey can't be asked for").Because(err)
	}
	return string(asked), b.o.Ring.Sign(purpose, state, b.o.Now().Add(challengeLife)), nil
}

// late is what comes back too late, or again.
func late() error {
	return fault.New(fault.Denied, "too much time has passed, or this was sent twice").WithHint("press once more")
}

// read reads what has come back.
func (b *Book) read(purpose, state string) (c ceremony, err error) {
	body, good := b.o.Ring.Read(purpose, state)
	if !good || json.Unmarshal(body, &c) != nil {
		return c, late()
	}
	return c, nil
}

// spend takes a challenge whose answer was right: it counts once. A wrong answer takes none,
// or strangers could use up the room for all.
func (b *Book) spend(c ceremony) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Now()
	for challenge, ends := range b.spent {
		if !now.Before(ends) {
			delete(b.spent, challenge)
		}
	}
	if _, again := b.spent[c.Data.Challenge]; again {
		return late()
	}
	if len(b.spent) >= maxSpent {
		return fault.New(fault.Unavailable, "too many passkeys were used").WithHint("wait some minutes, or sign in with your password")
	}
	b.spent[c.Data.Challenge] = now.Add(challengeLife)
	return nil
}

// AddPasskey keeps the passkey that a browser has made.
func (b *Book) AddPasskey(ctx context.Context, name, label, state, response string) (Passkey, error) {
	if b.relying == nil {
		return Passkey{}, noPasskeys()
	}
	label, err := labelOK(label)
	if err != nil {
		return Passkey{}, err
	}
	c, err := b.read(forPasskey, state)
	if err != nil {
		return Passkey{}, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(response[:min(len(response), maxResponse)]))
	if err != nil || c.Name != fold(name) {
		return Passkey{}, spoilt(err)
	}
	r, _ := b.record(c.Name)
	handle := c.Data.UserID
	if len(r.Handle) == 0 {
		r.Handle = handle
	}
	made, err := b.relying.CreateCredential(holder{r}, c.Data, parsed)
	if err != nil {
		return Passkey{}, spoilt(err)
	}
	if err := b.spend(c); err != nil {
		return Passkey{}, err
	}
	k := passkeyKept{Label: label, Added: b.o.Now().UTC(), Credential: *made}
	k.Credential.Attestation = webauthn.CredentialAttestation{} // it was looked at, and is nobody's business
	return Passkey{k.id(), k.Label, k.Added, k.Used}, b.change(ctx, c.Name, false, func(r *record) error {
		switch {
		case len(r.Passkeys) >= maxPasskeys:
			return fault.New(fault.Conflict, "there are %d passkeys, and that is the most", maxPasskeys).WithHint("remove one that is not used any more")
		case slices.ContainsFunc(r.Passkeys, func(o passkeyKept) bool { return bytes.Equal(o.Credential.ID, k.Credential.ID) }):
			return fault.New(fault.Conflict, "this passkey is here already")
		case slices.ContainsFunc(r.Passkeys, func(o passkeyKept) bool { return o.Label == label }):
			return fault.New(fault.Conflict, "another passkey is called %q", label).At("label").WithHint("give this one another name")
		case len(r.Handle) > 0 && !bytes.Equal(r.Handle, handle): // two first ones at once
			return fault.New(fault.Conflict, "another passkey was made meanwhile").WithHint("press once more")
		}
		r.Handle = handle
		r.Passkeys = append(slices.Clone(r.Passkeys), k)
		return nil
	})
}

// spoilt is an answer of a browser that does not fit.
func spoilt(err error) error {
	var p *protocol.Error
	if errors.As(err, &p) {
		err = errors.New(strings.ToLower(cmp.Or(p.DevInfo, p.Details)))
	}
	return fault.New(fault.Denied, "the passkey was not taken").Because(err).WithHint("press once more, or sign in with your password")
}

// labelOK reads the name of a passkey.
func labelOK(label string) (string, error) {
	label = strings.TrimSpace(label)
	switch {
	case looks(label) == "":
		return "", fault.New(fault.Invalid, "the passkey has no name").At("label").WithHint("say where it is kept, for example: blue key, or phone")
	case utf8.RuneCountInString(label) > maxLabel:
		return "", fault.New(fault.Invalid, "the name has more than %d characters", maxLabel).At("label").WithHint("choose a shorter one")
	case !utf8.ValidString(label) || strings.IndexFunc(label, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		return "", fault.New(fault.Invalid, "the name holds characters that can't be printed").At("label").WithHint("use one line of plain text")
	}
	return label, nil
}

// RemovePasskey takes one away. What an account is left with lets it sign in.
func (b *Book) RemovePasskey(ctx context.Context, name, id string) error {
	return b.change(ctx, name, false, func(r *record) error {
		at := slices.IndexFunc(r.Passkeys, func(k passkeyKept) bool { return k.id() == id })
		if at < 0 {
			return fault.New(fault.NotFound, "there is no such passkey").WithHint("it may have been removed already")
		}
		if len(r.Passkeys) == 1 && r.Password == "" && r.Outside == nil {
			return fault.New(fault.Conflict, "this is the only way in that is left").WithHint("set a password first")
		}
		r.Passkeys = slices.Delete(slices.Clone(r.Passkeys), at, at+1)
		return nil
	})
}

// AskPasskey begins a sign-in by passkey. options are for the browser's
// navigator.credentials.get, as JSON.
func (b *Book) AskPasskey() (options, state string, err error) {
	if b.relying == nil {
		return "", "", noPasskeys()
	}
	assertion, data, err := b.relying.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return "", "", fault.New(fault.Internal, "a passkey can't be asked for").Because(err)
	}
	return b.begun(forSignIn, assertion.Response, ceremony{Data: *data})
}

// Passkey gives the account whose passkey has answered. A passkey is two factors in one:
// what somebody has, and what opens it.
func (b *Book) Passkey(ctx context.Context, state, response, from string) (Account, error) {
	if b.relying == nil {
		return Account{}, noPasskeys()
	}
	if err := b.doors.tryRecovery(from); err != nil {
		return Account{}, err
	}
	c, err := b.read(forSignIn, state)
	if err != nil {
		return Account{}, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(response[:min(len(response), maxResponse)]))
	if err != nil {
		return Account{}, spoilt(err)
	}
	var r record
	_, used, err := b.relying.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		known := false
		if r, known = b.byHandle(handle); !known {
			return nil, errors.New("it is nobody's here")
		}
		return holder{r}, nil
	}, c.Data, parsed)
	switch {
	case err != nil:
		b.o.Logger.Warn("a passkey was refused", "account", r.Name, "from", from, "cause", err)
		return Account{}, spoilt(err)
	case used.Authenticator.CloneWarning:
		b.o.Logger.Warn("a passkey was refused: its count went back, so there may be a copy of it", "account", r.Name, "from", from)
		return Account{}, spoilt(errors.New("there may be a copy of it"))
	case !r.Enabled():
		return Account{}, fault.New(fault.Denied, "this account is disabled").WithHint("ask an admin")
	}
	if err := b.spend(c); err != nil {
		return Account{}, err
	}
	b.doors.forgiveRecovery(from)
	b.doors.remember(r.Name, from)
	b.usedPasskey(r.Name, *used)
	b.o.Logger.Info("somebody signed in", "account", r.Name, "from", from, "with", "passkey")
	return r.Account, b.keepLater(ctx, r.Name)
}

func (b *Book) byHandle(handle []byte) (record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.accounts {
		if len(r.Handle) == handleLen && bytes.Equal(r.Handle, handle) {
			return r, true
		}
	}
	return record{}, false
}

// usedPasskey notes that one was used, and how far its count has come.
func (b *Book) usedPasskey(name string, c webauthn.Credential) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.accounts[name]
	r.Passkeys = slices.Clone(r.Passkeys)
	for i, k := range r.Passkeys {
		if bytes.Equal(k.Credential.ID, c.ID) {
			r.Passkeys[i].Credential, r.Passkeys[i].Used = c, b.o.Now().UTC()
		}
	}
	b.accounts[name] = r
}

func queryEscape(s string) string { return url.QueryEscape(s) }
