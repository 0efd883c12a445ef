package account

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/store"
)

// inviteLife is how long an invitation counts: over a weekend.
const inviteLife = 72 * time.Hour

// inviteKept is what the store keeps of an invitation.
type inviteKept struct {
	Digest string    `json:"digest"` // SHA-256 of its code, hex
	Ends   time.Time `json:"ends"`
}

// Outside is who somebody is at the company's own sign-in.
type Outside struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"` // the issuer's own name for them; it never changes
	Made    bool   `json:"made"`    // the account was made by that sign-in, which says its role
}

// Invite makes an account that has no password yet, and gives the code by which its owner
// chooses one, once, within three days.
func (b *Book) Invite(ctx context.Context, a Account) (Account, string, error) {
	a = Account{Name: fold(a.Name), Title: strings.TrimSpace(a.Title), Role: a.Role, Created: b.o.Now().UTC()}
	a.Title = cmp.Or(a.Title, a.Name)
	if err := a.check(); err != nil {
		return Account{}, "", err
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	if err := b.free(a); err != nil {
		return Account{}, "", err
	}
	code := newCode()
	r := record{Account: a, Invite: b.invitation(code)}
	if err := b.keep(ctx, record{}, r, false, []store.Cond{{Key: keyPrefix + a.Name}}); err != nil {
		return Account{}, "", err
	}
	return a, code, nil
}

// Reset takes from an account all that it is signed in with, ends its sessions, and gives
// the code by which its owner chooses a new password. The last admin who can sign in is
// not reset but on the machine itself: sure says that this is done there.
func (b *Book) Reset(ctx context.Context, name string, sure bool) (string, error) {
	code := newCode()
	return code, b.change(ctx, name, true, func(r *record) error {
		if !sure && b.lastAdmin(*r) {
			return onlyAdmin(r.Account)
		}
		r.Password, r.Second, r.Passkeys, r.Invite = "", secondKept{}, nil, b.invitation(code)
		return nil
	})
}

func (b *Book) invitation(code string) *inviteKept {
	return &inviteKept{Digest: digestOfInvite(code), Ends: b.o.Now().UTC().Add(inviteLife)}
}

func digestOfInvite(code string) string {
	sum := sha256.Sum256([]byte("invitation\x00" + plainCode(code)))
	return hex.EncodeToString(sum[:])
}

// Accept gives the owner of an invitation the password that they have chosen. The code
// counts once.
func (b *Book) Accept(ctx context.Context, code, password, from string) (Account, error) {
	if err := b.doors.tryRecovery(from); err != nil {
		return Account{}, err
	}
	digest, found := digestOfInvite(code), record{}
	for _, a := range b.List() {
		r, _ := b.record(a.Name)
		if r.Invite != nil && subtle.ConstantTimeCompare([]byte(r.Invite.Digest), []byte(digest)) == 1 {
			found = r
		}
	}
	good := func(r record) bool {
		return r.Name != "" && r.Enabled() && r.Invite != nil && r.Invite.Digest == digest && b.o.Now().Before(r.Invite.Ends)
	}
	used := fault.New(fault.Denied, "this invitation does not count, or counts no more").At("code").WithHint("ask an admin for a new one")
	if !good(found) {
		return Account{}, used
	}
	b.doors.forgiveRecovery(from) // it was not in vain, whatever the password is
	hash, err := b.newPassword(ctx, found.Name, found.Title, password)
	if err != nil {
		return Account{}, err
	}
	return found.Account, b.change(ctx, found.Name, true, func(r *record) error {
		if !good(*r) { // taken meanwhile
			return used
		}
		r.Password, r.Invite = hash, nil
		return nil
	})
}

// FromOutside gives the account of somebody whom the company's sign-in knows. Where there
// is none it is made, with the role that their groups give; an account that this sign-in
// has made takes that role each time. The role of one that was made here stays.
func (b *Book) FromOutside(ctx context.Context, o Outside, name, title string, may role.Role) (Account, error) {
	if r, known := b.byOutside(o); known {
		if r.Outside.Made && r.Role != may {
			r = b.takeRole(r.Name, may)
			_ = b.keepLater(ctx, r.Name) // it counts already
		}
		if !r.Enabled() {
			return Account{}, fault.New(fault.Denied, "the account %s is disabled", r.Name).WithHint("ask an admin")
		}
		return r.Account, nil
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	a := Account{Name: b.freeName(name), Title: strings.TrimSpace(title), Role: may, Created: b.o.Now().UTC()}
	if err := b.titleFree(Account{Name: a.Name, Title: a.Title}); err != nil || looks(a.Title) == "" {
		a.Title = cut(a.Title, maxTitle-len(a.Name)-3) + " (" + a.Name + ")" // nobody is taken for another one
	}
	if err := a.check(); err != nil {
		a.Title = a.Name
	}
	if err := b.free(a); err != nil {
		return Account{}, err
	}
	o.Made = true
	return a, b.keep(ctx, record{}, record{Account: a, Outside: &o}, false, []store.Cond{{Key: keyPrefix + a.Name}})
}

// takeRole gives an account another role at once, whether or not the store listens, and
// nothing else: it may be changed otherwise at the same moment.
func (b *Book) takeRole(name string, may role.Role) record {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.accounts[name]
	r.Role = may
	b.accounts[name] = r
	return r
}

func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return strings.TrimSpace(string(r[:most]))
	}
	return s
}

// freeName makes a name that nobody has of one that somebody else chose.
func (b *Book) freeName(want string) string { // with writing held
	want, _, _ = strings.Cut(fold(want), "@")
	name := strings.Trim(strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-_", r) {
			return r
		}
		return '-'
	}, want[:min(len(want), 4*maxName)]), ".-_")
	name = name[:min(len(name), maxName-5)]
	if len(name) < minName {
		name = "person"
	}
	for n := 2; ; n++ {
		try := name
		if n > 2 {
			try += "-" + strconv.Itoa(n-1)
		}
		if _, taken := b.record(try); !taken && nameOK(try) {
			return try
		}
	}
}

// Connect lets an account sign in by the company's own sign-in, too.
func (b *Book) Connect(ctx context.Context, name string, o Outside) error {
	if r, known := b.byOutside(o); known && r.Name != fold(name) {
		return fault.New(fault.Conflict, "this company account is connected with the account %s already", r.Name).WithHint("sign in there, and disconnect it first")
	}
	o.Made = false
	return b.change(ctx, name, false, func(r *record) error {
		if r.Outside != nil && r.Outside.Made {
			return fault.New(fault.Conflict, "this account was made by the company's sign-in, and stays connected with it")
		}
		r.Outside = &o
		return nil
	})
}

// Disconnect takes that back.
func (b *Book) Disconnect(ctx context.Context, name string) error {
	return b.change(ctx, name, false, func(r *record) error {
		if r.Outside != nil && r.Password == "" && len(r.Passkeys) == 0 {
			return fault.New(fault.Conflict, "this is the only way in that is left").WithHint("set a password first")
		}
		r.Outside = nil
		return nil
	})
}

func (b *Book) byOutside(o Outside) (record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.accounts {
		if r.Outside != nil && r.Outside.Issuer == o.Issuer && r.Outside.Subject == o.Subject {
			return r, true
		}
	}
	return record{}, false
}
