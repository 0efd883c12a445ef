package account

import (
	"context"

	"lifeboat/internal/fault"
)

// maxTyped is how many bytes of a password are looked at: all that one may have.
const maxTyped = maxPassword * 4

// SignIn gives the account that a name and a password belong to; where Wants says so, that
// is half of a sign-in, and Second or Passkey finishes it. from is the address
// of the person's machine, with or without a port; behind something that ends TLS
// that is the address which it tells of, or all visitors would share one.
//
// The error of a wrong name, a wrong password and a disabled account is the same, of
// kind Denied, and costs the same work. Too many tries are told by a *TooSoon in the
// error, also of kind Denied.
func (b *Book) SignIn(ctx context.Context, name, password, from string) (Account, error) {
	name = fold(name)
	if !nameOK(name) {
		name = "" // nobody's, and of a length that can be kept
	}
	if err := b.doors.try(name, from); err != nil {
		return Account{}, err
	}
	r, known := b.record(name)
	same, weak, err := b.hasher.verify(ctx, b.doors.known(name, from), r.Password, password[:min(len(password), maxTyped+1)])
	if err != nil { // nobody has looked: it was no try
		b.doors.forgive(name, from)
		return Account{}, err
	}
	now, _ := b.record(name) // it may have changed while we were busy
	if !same || !known || now.Password != r.Password || !now.Enabled() {
		if known {
			b.o.Logger.Warn("a sign-in was refused", "account", name, "from", from)
		}
		return Account{}, fault.New(fault.Denied, "this name and this password do not belong together, or the account is disabled").
			WithHint("look for a letter too few or too many; an admin can set another password with: lifeboat account password NAME")
	}
	b.doors.forgive(name, from)
	b.doors.remember(name, from)
	if weak {
		b.renew(ctx, now, password)
	}
	if now.second() {
		b.o.Logger.Info("a password was right; a second factor is asked for", "account", name, "from", from)
	} else {
		b.o.Logger.Info("somebody signed in", "account", name, "from", from, "with", "password")
	}
	return now.Account, nil
}

// renew hashes a password anew, as we would today. That it can wait is why no failure
// of it counts.
func (b *Book) renew(ctx context.Context, old record, password string) {
	hash, err := b.hasher.make(ctx, password)
	if err == nil {
		err = b.change(ctx, old.Name, false, func(r *record) error {
			if r.Password == old.Password {
				r.Password = hash
			}
			return nil
		})
	}
	if err != nil {
		b.o.Logger.Warn("a password's hash can't be made stronger", "account", old.Name, "cause", err)
	}
}
