// Package account holds the people who sign in with a name and a password, and the
// sign-ins (sessions) of people, whether they used a password or a token.
//
// It knows no HTTP: no cookie, no form. It decides no right: an account has a role
// (package role), and the edges hold each command against that. web signs people in
// and asks Session for each request; api and control make and change accounts;
// control makes the Book, after the book of tokens, and runs Run.
//
// Invariants: neither a password nor a session's text is ever in the store, a log or
// an error. An account is never deleted, only disabled: its name in a timeline stays
// one person's. Among the accounts that may sign in one is an admin's, once there was
// one; admin tokens don't count, for a machine that holds one is no person who can be
// asked. A session's role is its account's or token's role of now.
//
// All is read from memory, so that people can sign in while the store is gone, and a
// sign-in that the store did not take counts until the next restart.
//
// Concurrency: the methods of a Book may be called from any goroutine. Run is called
// once.
package account

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/webauthn"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/session"
	"lifeboat/internal/store"
)

// Limits on accounts.
const (
	minName     = 2
	maxName     = 32
	maxTitle    = 64 // characters
	maxAccounts = 10_000
	keyPrefix   = "account/"
)

// Account is a person who may sign in.
type Account struct {
	Name     string    `json:"name"`  // for signing in: 2 to 32 of a-z 0-9 . - _
	Title    string    `json:"title"` // as people see it in the timeline
	Role     role.Role `json:"role" enum:"viewer,reporter,operator,commander,admin"`
	Created  time.Time `json:"created"`
	Disabled time.Time `json:"disabled,omitzero"` // since when it may not sign in; zero: it may
}

// Enabled says whether the account may sign in.
func (a Account) Enabled() bool { return a.Disabled.IsZero() }

// record is what the store keeps of an account.
type record struct {
	Account
	Password string `json:"password"` // its hash, see phc; none: it has no password

	Second   secondKept    `json:"second,omitzero"`
	Handle   []byte        `json:"handle,omitempty"` // by which passkeys know the account
	Passkeys []passkeyKept `json:"passkeys,omitempty"`
	Invite   *inviteKept   `json:"invite,omitempty"`
	Outside  *Outside      `json:"outside,omitempty"`
}

// local says whether an account can be signed in with what is kept here alone.
func (r record) local() bool { return r.Enabled() && (r.Password != "" || len(r.Passkeys) > 0) }

// Options of a Book. Store, Now and Logger MUST be set.
type Options struct {
	Store  store.Store
	Now    func() time.Time
	Logger *slog.Logger

	// Ring signs the sessions; one that lives as long as the process where it is nil.
	Ring *session.Ring
	// SecondKey hides the secrets of second factors from whoever reads the store: 32
	// bytes. Where it is nil one lives as long as the process.
	SecondKey []byte

	// Console is the address at which people open the pages, for passkeys, which are bound
	// to its name; empty: there are no passkeys.
	Console string

	// Token looks up who a token of an id belongs to, while it is good. It MUST NOT
	// wait for the store. Where it is nil no token opens a session.
	Token func(id string) (name string, may role.Role, known bool)
	// Degraded says that the store has no room for what can wait. It may be nil.
	Degraded func() bool
}

// Book knows all accounts and sessions.
type Book struct {
	o      Options
	hasher *hasher
	doors  *doors

	relying *webauthn.WebAuthn // nil: no passkeys

	writing sync.Mutex           // held over a change in the store; taken before mu
	stored  map[string]time.Time // the keys about sessions that the store has, and what is told by their values; guarded by writing
	started time.Time
	unkept  map[string]bool // accounts that count in memory and not yet in the store; guarded by writing

	mu       sync.Mutex // guards all below
	accounts map[string]record
	sessions map[string]kept      // by id
	closed   map[string]time.Time // sessions that were ended one by one, and when they would have ended
	spent    map[string]time.Time // challenges that were answered
	voids    map[string]time.Time // by Who: sessions opened until then have ended
}

// New reads all accounts and sessions from the store.
func New(ctx context.Context, o Options) (*Book, error) {
	if o.Token == nil {
		o.Token = func(string) (string, role.Role, bool) { return "", "", false }
	}
	if o.Degraded == nil {
		o.Degraded = func() bool { return false }
	}
	if o.Ring == nil {
		o.Ring = session.New(o.Now)
	}
	if o.SecondKey == nil {
		o.SecondKey = make([]byte, 32)
		_, _ = rand.Read(o.SecondKey) // never fails
	}
	if len(o.SecondKey) != 32 {
		return nil, fault.New(fault.Internal, "the key of the second factors has %d bytes, not 32", len(o.SecondKey))
	}
	b := &Book{
		o: o, hasher: newHasher(), doors: newDoors(o.Now),
		stored: map[string]time.Time{}, started: o.Now().UTC(), accounts: map[string]record{},
		sessions: map[string]kept{}, closed: map[string]time.Time{}, voids: map[string]time.Time{},
		spent: map[string]time.Time{}, unkept: map[string]bool{},
	}
	var err error
	if b.relying, err = relying(o.Console); err != nil && o.Console != "" {
		o.Logger.Warn("there are no passkeys", "cause", err)
	}
	kvs, _, err := o.Store.List(ctx, keyPrefix)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	for _, kv := range kvs {
		var r record
		if err := json.Unmarshal(kv.Value, &r); err != nil || keyPrefix+r.Name != kv.Key {
			o.Logger.Error("an account in the store can't be read", "key", kv.Key, "cause", err)
			continue // it opens nothing, and must not lock everybody out
		}
		b.accounts[r.Name] = r
	}
	return b, b.loadSessions(ctx)
}

// Create makes an account. Of a, Name, Title and Role count; a title that is empty is
// the name.
func (b *Book) Create(ctx context.Context, a Account, password string) (Account, error) {
	a = Account{Name: fold(a.Name), Title: strings.TrimSpace(a.Title), Role: a.Role, Created: b.o.Now().UTC()}
	a.Title = cmp.Or(a.Title, a.Name)
	if err := a.check(); err != nil {
		return Account{}, err
	}
	hash, err := b.newPassword(ctx, a.Name, a.Title, password)
	if err != nil {
		return Account{}, err
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	if err := b.free(a); err != nil {
		return Account{}, err
	}
	if err := b.keep(ctx, record{}, record{Account: a, Password: hash}, false, []store.Cond{{Key: keyPrefix + a.Name}}); err != nil {
		return Account{}, err
	}
	return a, nil
}

// SetPassword gives an account another password and ends all its sessions. Whoever
// changes their own is given a new session with Open.
func (b *Book) SetPassword(ctx context.Context, name, password string) error {
	a, err := b.Get(name)
	if err != nil {
		return err
	}
	hash, err := b.newPassword(ctx, a.Name, a.Title, password)
	if err != nil {
		return err
	}
	return b.change(ctx, a.Name, true, func(r *record) error {
		r.Password = hash
		return nil
	})
}

// SetRole gives an account another role, its sessions too. The last admin stays one:
// that is a Conflict.
func (b *Book) SetRole(ctx context.Context, name string, may role.Role) error {
	if _, err := role.ParseRole(string(may)); err != nil {
		return err
	}
	return b.change(ctx, name, false, func(r *record) error {
		if !may.AtLeast(role.Admin) && b.lastAdmin(*r) {
			return onlyAdmin(r.Account)
		}
		r.Role = may
		return nil
	})
}

// SetTitle changes how people see an account's name from now on; what is in a
// timeline stays.
func (b *Book) SetTitle(ctx context.Context, name, title string) error {
	return b.change(ctx, name, false, func(r *record) error {
		r.Title = strings.TrimSpace(title)
		if err := r.check(); err != nil {
			return err
		}
		return b.titleFree(r.Account)
	})
}

// Disable takes an account's rights away and ends its sessions. The last admin stays:
// that is a Conflict.
func (b *Book) Disable(ctx context.Context, name string) error {
	return b.change(ctx, name, true, func(r *record) error {
		if b.lastAdmin(*r) {
			return onlyAdmin(r.Account)
		}
		if r.Enabled() {
			r.Disabled = b.o.Now().UTC()
		}
		return nil
	})
}

// Enable lets an account sign in again, with the password that it had.
func (b *Book) Enable(ctx context.Context, name string) error {
	return b.change(ctx, name, false, func(r *record) error {
		r.Disabled = time.Time{}
		return nil
	})
}

// Get gives an account, or a *fault.Error of kind NotFound.
func (b *Book) Get(name string) (Account, error) {
	r, known := b.record(fold(name))
	if !known {
		return Account{}, fault.New(fault.NotFound, "there is no account %.40q", name).WithHint("see them with: lifeboat account list")
	}
	return r.Account, nil
}

// List gives all accounts in the order of their names.
func (b *Book) List() []Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Account, 0, len(b.accounts))
	for _, r := range b.accounts {
		out = append(out, r.Account)
	}
	slices.SortFunc(out, func(x, y Account) int { return cmp.Compare(x.Name, y.Name) })
	return out
}

// Count says how many accounts can sign in with what is kept here, and have at least a
// role. Those that only the company's own sign-in lets in don't count: it may be down.
func (b *Book) Count(least role.Role) int { return b.others("", least, record.local) }

// Others says how many accounts but one can sign in and have at least a role.
func (b *Book) Others(than string, least role.Role) int {
	return b.others(than, least, func(r record) bool { return r.local() || r.Enabled() && r.Outside != nil })
}

func (b *Book) others(than string, least role.Role, counts func(record) bool) int {
	than = fold(than)
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.accounts {
		if r.Name != than && counts(r) && r.Role.AtLeast(least) {
			n++
		}
	}
	return n
}

func (b *Book) record(name string) (record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, known := b.accounts[name]
	return r, known
}

// change keeps what edit makes of an account. With over its sessions end, too.
func (b *Book) change(ctx context.Context, name string, over bool, edit func(*record) error) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	a, err := b.Get(name)
	if err != nil {
		return err
	}
	base, _ := b.record(a.Name) // accounts are never deleted
	r := base
	if err := edit(&r); err != nil {
		return err
	}
	return b.keep(ctx, base, r, over, nil)
}

// keep puts an account into the store and, once it is there, into memory. With over
// its sessions leave both: none may come back when the account is enabled again. base is
// what r was made of: what was used since then stays used, and is told to the store by
// whoever used it.
func (b *Book) keep(ctx context.Context, base, r record, over bool, conds []store.Cond) error { // with writing held
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode account: %w", err)
	}
	writes := []store.Write{{Key: keyPrefix + r.Name, Value: value}}
	if over {
		for _, s := range b.Sessions(OfAccount(r.Name)) {
			writes = append(writes, store.Write{Key: sessionPrefix + s.ID, Delete: true})
		}
		void, err := json.Marshal(b.o.Now().UTC())
		if err != nil {
			return fmt.Errorf("encode session: %w", err)
		}
		writes = append(writes, store.Write{Key: voidPrefix + OfAccount(r.Name).String(), Value: void})
	}
	if _, err := b.o.Store.Txn(ctx, conds, writes); err != nil {
		return fmt.Errorf("keep account: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if now, known := b.accounts[r.Name]; known {
		r.used(base, now)
	}
	b.accounts[r.Name] = r
	if over {
		b.drop(OfAccount(r.Name))
	}
	return nil
}

// used takes over what was used, and what the company's sign-in said, between base and now:
// neither waits for the store, and a code that has counted must not come back with it.
func (r *record) used(base, now record) {
	if now.Role != base.Role && r.Role == base.Role {
		r.Role = now.Role
	}
	if bytes.Equal(r.Second.Secret, base.Second.Secret) {
		r.Second.Last = max(r.Second.Last, now.Second.Last)
	}
	r.Second.Codes = slices.DeleteFunc(slices.Clone(r.Second.Codes), func(digest string) bool {
		return slices.Contains(base.Second.Codes, digest) && !slices.Contains(now.Second.Codes, digest)
	})
	r.Passkeys = slices.Clone(r.Passkeys)
	for i, k := range r.Passkeys {
		for _, other := range now.Passkeys {
			if bytes.Equal(k.Credential.ID, other.Credential.ID) && other.Used.After(k.Used) {
				r.Passkeys[i].Credential, r.Passkeys[i].Used = other.Credential, other.Used
			}
		}
	}
}

// lastAdmin says whether nobody else could manage accounts.
func (b *Book) lastAdmin(r record) bool {
	return r.local() && r.Role.AtLeast(role.Admin) && b.others(r.Name, role.Admin, record.local) == 0
}

func onlyAdmin(a Account) error {
	return fault.New(fault.Conflict, "%s is the last account that may manage accounts", a.Name).At("name").
		WithHint("make somebody else an admin first")
}

// free says whether a new account's name and title are nobody's.
func (b *Book) free(a Account) error {
	if _, known := b.record(a.Name); known {
		return fault.New(fault.Conflict, "there is an account named %q already", a.Name).At("name").WithHint("choose another name")
	}
	if len(b.List()) >= maxAccounts {
		return fault.New(fault.Conflict, "there are %d accounts, and that is the most", maxAccounts).WithHint("give a disabled one to somebody else")
	}
	return b.titleFree(a)
}

// ourselves is the name under which lifeboat acts by itself.
const ourselves = "lifeboat"

// titleFree says whether people could take an account for another one.
func (b *Book) titleFree(a Account) error {
	if looks(a.Title) == looks(ourselves) {
		return fault.New(fault.Conflict, "%q is how the timeline shows lifeboat itself", a.Title).At("title").WithHint("choose a title that tells the two apart")
	}
	for _, other := range b.List() {
		if other.Name != a.Name && (looks(other.Title) == looks(a.Title) || looks(other.Name) == looks(a.Title)) {
			return fault.New(fault.Conflict, "the account %q is shown under this name already", other.Name).At("title").
				WithHint("choose a title that tells the two apart")
		}
	}
	return nil
}

// fold gives a name as it is kept, whatever case it was typed in.
func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func (a Account) check() error {
	if !nameOK(a.Name) {
		return fault.New(fault.Invalid, "a name has %d to %d letters a to z, digits, dots, hyphens and underscores, and begins with a letter or digit", minName, maxName).
			At("name").WithHint("choose one like: ada.l")
	}
	switch {
	case looks(a.Title) == "":
		return fault.New(fault.Invalid, "the title is empty").At("title").WithHint("say how the timeline shall show this person")
	case utf8.RuneCountInString(a.Title) > maxTitle:
		return fault.New(fault.Invalid, "the title has more than %d characters", maxTitle).At("title").WithHint("choose a shorter one")
	case !utf8.ValidString(a.Title) || strings.IndexFunc(a.Title, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		return fault.New(fault.Invalid, "the title holds characters that can't be printed").At("title").WithHint("use one line of plain text")
	}
	_, err := role.ParseRole(string(a.Role))
	return err
}

func nameOK(name string) bool {
	if len(name) < minName || len(name) > maxName || strings.ContainsRune(".-_", rune(name[0])) {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}
