package account_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// app gives an account an app for codes, and gives its secret.
func (w *world) app(b *account.Book, name string) string {
	w.t.Helper()
	secret := account.NewSecret()
	must(w.t, b.SetTOTP(w.t.Context(), name, secret, w.code(secret, -30*time.Second)))
	return secret
}

// code is what an app shows some time from now.
func (w *world) code(secret string, later time.Duration) string {
	w.t.Helper()
	c, err := totp.GenerateCode(secret, w.now.Add(later))
	must(w.t, err)
	return c
}

func TestCodesOfAnApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	if b.Wants("ada") {
		t.Error("a second factor is asked for that there isn't")
	}
	secret := account.NewSecret()
	wantKind(t, b.SetTOTP(t.Context(), "ada", secret, "000000"), fault.Invalid)
	wantKind(t, b.SetTOTP(t.Context(), "ada", "MZXW6", "000000"), fault.Invalid)
	must(t, b.SetTOTP(t.Context(), "ada", secret, " "+w.code(secret, 0)[:3]+" "+w.code(secret, 0)[3:]))
	if f, err := b.Factors("ada"); err != nil || f.TOTP.IsZero() || !b.Wants("ADA ") {
		t.Errorf("%+v, %v", f, err)
	}
	try := func(book *account.Book, later time.Duration, want bool) {
		t.Helper()
		how, err := book.Code(t.Context(), "ada", w.code(secret, later), home)
		if (err == nil) != want || want && how != "app" {
			t.Errorf("the code of %s: %q, %v; want it taken: %v", later, how, err, want)
		}
	}
	try(b, 0, false) // the one that set it up
	try(b, -time.Minute, false)
	try(b, time.Minute, false) // two steps ahead
	try(b, 30*time.Second, true)
	try(b, 30*time.Second, false) // again
	try(w.open(), 30*time.Second, false)
	w.now = w.now.Add(10 * time.Minute)
	try(b, -30*time.Second, true)
	try(b, 0, true)
	try(b, -30*time.Second, false) // older than the last one
	must(t, b.RemoveTOTP(t.Context(), "ada"))
	w.now = w.now.Add(10 * time.Minute)
	try(b, 0, false)
}

// TestHalfASignIn: the password alone opens nothing, and what it gives ends with it.
func TestHalfASignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Admin)
	secret := w.app(b, "ada")
	half := b.Half("ada")
	if _, known := b.Session(half); known {
		t.Fatal("half a sign-in is one")
	}
	raw, _ := opened(t, b, account.OfAccount("ada"))
	for _, wrong := range []string{"", "x", raw, half + "A"} {
		_, _, err := b.Second(t.Context(), wrong, w.code(secret, 0), home)
		wantKind(t, err, fault.Denied)
	}
	a, how, err := b.Second(t.Context(), half, w.code(secret, 0), home)
	if err != nil || a.Name != "ada" || how != "app" {
		t.Fatalf("%+v, %s, %v", a, how, err)
	}
	late := b.Half("ada")
	w.now = w.now.Add(5 * time.Minute)
	if _, good := b.HalfOf(late); good {
		t.Error("it is good for ever")
	}
	old := b.Half("ada")
	must(t, b.SetPassword(t.Context(), "ada", "four other words entirely"))
	if _, good := b.HalfOf(old); good {
		t.Error("it outlives the password")
	}
	now := b.Half("ada")
	must(t, b.Disable(t.Context(), "ada"))
	_, _, err = b.Second(t.Context(), now, w.code(secret, 0), home)
	wantKind(t, err, fault.Denied)
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	create(t, b, "ben", role.Viewer)
	codes, err := b.NewCodes(t.Context(), "ada")
	if err != nil || len(codes) != 10 {
		t.Fatalf("%v, %v", codes, err)
	}
	left := func(want int) {
		t.Helper()
		for _, book := range []*account.Book{b, w.open()} {
			if f, err := book.Factors("ada"); err != nil || f.Codes != want {
				t.Errorf("%+v, %v; want %d codes", f, err, want)
			}
		}
	}
	left(10)
	if how, err := b.Code(t.Context(), "ada", " "+strings.ToUpper(strings.ReplaceAll(codes[3], "-", " "))+"\n", home); err != nil || how != "recovery" {
		t.Fatalf("%s, %v", how, err)
	}
	left(9)
	for _, c := range []struct{ name, code string }{{"ada", codes[3]}, {"ben", codes[4]}, {"nobody", codes[4]}, {"ada", ""}, {"ada", strings.Repeat("0", 5000)}} {
		_, err := b.Code(t.Context(), c.name, c.code, home)
		wantKind(t, err, fault.Denied)
	}
	again, err := b.NewCodes(t.Context(), "ada")
	must(t, err)
	_, err = b.Code(t.Context(), "ada", codes[5], home)
	wantKind(t, err, fault.Denied)
	kvs, _, err := w.store.List(t.Context(), "account/")
	must(t, err)
	seen := w.log.String()
	for _, kv := range kvs {
		seen += string(kv.Value)
	}
	for _, c := range append(codes, again...) {
		if strings.Contains(seen, c) || strings.Contains(seen, strings.ReplaceAll(c, "-", "")) {
			t.Error("a recovery code is in the store or in the log")
		}
	}
}

// TestSecretsAreSealed: who reads the store has no app's secret, and it is no other
// account's.
func TestSecretsAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	secret := w.app(b, "ada")
	kv, err := w.store.Get(t.Context(), "account/ada")
	must(t, err)
	if strings.Contains(string(kv.Value)+w.log.String(), secret) {
		t.Error("the secret is in the store as it is")
	}
	if _, err := w.open().Code(t.Context(), "ada", w.code(secret, 0), home); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	other := w.real() // with another key
	w.now = w.now.Add(time.Hour)
	_, err = other.Code(t.Context(), "ada", w.code(secret, 0), home)
	wantKind(t, err, fault.Denied)
}

// TestCodesAreSlowedDown: codes of an app can't be tried from many addresses at once, and
// a recovery code is never held up by that.
func TestCodesAreSlowedDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	secret := w.app(b, "ada")
	codes, err := b.NewCodes(t.Context(), "ada")
	must(t, err)
	tried := 0
	for i := range 100 {
		_, err := b.Code(t.Context(), "ada", "000000", fmt.Sprintf("192.0.2.%d:1", i))
		if !strings.Contains(err.Error(), "too many") {
			tried++
		}
	}
	if tried != 5 {
		t.Errorf("%d codes were looked at", tried)
	}
	if _, err := b.Code(t.Context(), "ada", w.code(secret, 0), home); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("the right one: %v", err)
	}
	if _, err := b.Code(t.Context(), "ada", codes[0], home); err != nil {
		t.Errorf("a recovery code: %v", err)
	}
	w.now = w.now.Add(30 * time.Second)
	if _, err := b.Code(t.Context(), "ada", w.code(secret, 0), home); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

// TestUsedWithoutStore: what was used counts as used, whether or not the store listens,
// and the store learns of it later.
func TestUsedWithoutStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	secret := w.app(b, "ada")
	codes, err := b.NewCodes(t.Context(), "ada")
	must(t, err)
	w.store.dead = true
	for _, c := range []string{w.code(secret, 0), codes[0]} {
		if _, err := b.Code(t.Context(), "ada", c, home); err != nil {
			t.Errorf("nobody gets in without the store: %v", err)
		}
		_, err := b.Code(t.Context(), "ada", c, home)
		wantKind(t, err, fault.Denied)
	}
	w.store.dead = false
	swept(t, b)
	_, err = w.open().Code(t.Context(), "ada", codes[0], home)
	wantKind(t, err, fault.Denied)
}

func TestInvite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "root", role.Admin)
	a, code, err := b.Invite(t.Context(), account.Account{Name: "Ada", Title: "Ada L.", Role: role.Operator})
	if err != nil || a.Name != "ada" {
		t.Fatalf("%+v, %v", a, err)
	}
	if n := b.Others("root", role.Operator); n != 0 {
		t.Errorf("%d others who can read a fix: one was only invited", n)
	}
	_, err = b.SignIn(t.Context(), "ada", "", home)
	wantKind(t, err, fault.Denied)
	_, err = b.Accept(t.Context(), code[1:], good, home)
	wantKind(t, err, fault.Denied)
	_, err = b.Accept(t.Context(), code, "short", home)
	wantKind(t, err, fault.Invalid)
	if a, err := w.open().Accept(t.Context(), strings.ToUpper(code), good, home); err != nil || a.Name != "ada" {
		t.Fatalf("%+v, %v", a, err)
	}
	b = w.open()
	_, err = b.Accept(t.Context(), code, "four other words entirely", home)
	wantKind(t, err, fault.Denied)
	if _, err := b.SignIn(t.Context(), "ada", good, home); err != nil {
		t.Error(err)
	}
	_, late, err := b.Invite(t.Context(), account.Account{Name: "ben", Role: role.Viewer})
	must(t, err)
	w.now = w.now.Add(72 * time.Hour)
	_, err = b.Accept(t.Context(), late, good, home)
	wantKind(t, err, fault.Denied)
}

func TestReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	w.app(b, "ada")
	codes, err := b.NewCodes(t.Context(), "ada")
	must(t, err)
	raw, _ := opened(t, b, account.OfAccount("ada"))
	_, err = b.Reset(t.Context(), "ada", false)
	wantKind(t, err, fault.Conflict) // nobody else could let her in again
	code, err := b.Reset(t.Context(), "ada", true)
	must(t, err)
	if _, known := b.Session(raw); known || b.Wants("ada") {
		t.Error("it left something")
	}
	_, err = b.SignIn(t.Context(), "ada", good, home)
	wantKind(t, err, fault.Denied)
	_, err = b.Code(t.Context(), "ada", codes[0], home)
	wantKind(t, err, fault.Denied)
	if _, err := b.Accept(t.Context(), code, "four other words entirely", home); err != nil {
		t.Error(err)
	}
}

// TestCompanyAccounts: made by the company's sign-in, or connected with it.
func TestCompanyAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Commander)
	create(t, b, "root", role.Admin)
	o := account.Outside{Issuer: "https://id.example.com", Subject: "1"}
	a, err := b.FromOutside(t.Context(), o, "Ada@example.com", "Title of ada", role.Admin)
	if err != nil || a.Name == "ada" || a.Title == "Title of ada" || a.Role != role.Admin {
		t.Fatalf("%+v, %v: it could be taken for somebody else", a, err)
	}
	if again, err := w.open().FromOutside(t.Context(), o, "other", "Other", role.Viewer); err != nil || again.Name != a.Name || again.Role != role.Viewer {
		t.Errorf("%+v, %v", again, err)
	}
	if n := b.Count(role.Admin); n != 1 {
		t.Errorf("%d admins who can sign in without the company", n)
	}
	wantKind(t, b.Disable(t.Context(), "root"), fault.Conflict)
	wantKind(t, b.Connect(t.Context(), "ada", o), fault.Conflict)
	two := account.Outside{Issuer: o.Issuer, Subject: "2"}
	must(t, b.Connect(t.Context(), "ada", two))
	if got, err := b.FromOutside(t.Context(), two, "x", "X", role.Viewer); err != nil || got.Name != "ada" || got.Role != role.Commander {
		t.Errorf("%+v, %v: groups have changed the role of an account of ours", got, err)
	}
	must(t, b.Disconnect(t.Context(), "ada"))
	must(t, b.Disable(t.Context(), a.Name))
	_, err = b.FromOutside(t.Context(), o, "x", "X", role.Admin)
	wantKind(t, err, fault.Denied)
	for i, name := range []string{"", "\x00\xff", "…", strings.Repeat("x", 500), "lifeboat", "../../etc", "<script>"} {
		got, err := b.FromOutside(t.Context(), account.Outside{Issuer: o.Issuer, Subject: fmt.Sprint("odd", i)}, name, name, role.Viewer)
		if err != nil || got.Title == "lifeboat" {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
}

// TestSessionsNeedNoStore: a session that neither memory nor the store knows counts, and
// one that was ended does not.
func TestSessionsNeedNoStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	w.store.dead = true
	raw, s := opened(t, b, account.OfAccount("ada"))
	w.store.dead = false
	w.now = w.now.Add(time.Minute)
	restarted := w.open()
	if got, known := restarted.Session(raw); !known || got.ID != s.ID || !got.Opened.Equal(s.Opened) {
		t.Fatalf("%+v, %v", got, known)
	}
	if l := restarted.Sessions(s.Who); len(l) != 1 {
		t.Errorf("%+v", l)
	}
	if got, _ := restarted.Session(raw); !got.Proved.IsZero() {
		t.Errorf("it counts as proved: %+v", got)
	}
	must(t, restarted.Close(t.Context(), raw))
	if _, known := w.open().Session(raw); known {
		t.Error("it came back")
	}
	idle, _ := opened(t, restarted, account.OfAccount("ada"))
	w.now = w.now.Add(31 * time.Minute)
	swept(t, restarted)
	if _, known := w.open().Session(idle); known {
		t.Error("a session that was left alone came back with a restart")
	}
}

func TestProve(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.open()
	create(t, b, "ada", role.Admin)
	raw, s := opened(t, b, account.OfAccount("ada"))
	w.now = w.now.Add(20 * time.Minute)
	if got, _ := b.Session(raw); !got.Proved.Equal(s.Opened) {
		t.Errorf("%+v", got)
	}
	b.Prove(raw)
	b.Prove("nothing")
	if got, _ := b.Session(raw); !got.Proved.Equal(w.now) {
		t.Errorf("%+v", got)
	}
}

// TestSpentMeanwhile: what is used while the store takes something about the same account
// counts once all the same, in memory and in the store.
func TestSpentMeanwhile(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(t *testing.T, b *account.Book, code string){
		"another code": func(t *testing.T, b *account.Book, code string) {
			_, err := b.Code(t.Context(), "ada", code, home)
			must(t, err)
		},
		"a role":     func(t *testing.T, b *account.Book, _ string) { must(t, b.SetRole(t.Context(), "ada", role.Operator)) },
		"a password": func(t *testing.T, b *account.Book, _ string) { must(t, b.SetPassword(t.Context(), "ada", other)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.open()
			create(t, b, "ada", role.Viewer)
			secret := w.app(b, "ada")
			codes, err := b.NewCodes(t.Context(), "ada")
			must(t, err)
			var wait sync.WaitGroup
			w.store.during = sync.OnceFunc(func() {
				wait.Go(func() { _, _ = b.Code(t.Context(), "ada", codes[1], home) })
				wait.Go(func() { _, _ = b.Code(t.Context(), "ada", w.code(secret, 0), home) })
				for {
					f, _ := b.Factors("ada")
					if now, _ := b.Spent("ada"); now == w.now.Unix()/30 && f.Codes <= len(codes)-1 && (name != "another code" || f.Codes == len(codes)-2) {
						return
					}
					runtime.Gosched()
				}
			})
			first(t, b, codes[0])
			wait.Wait()
			for where, book := range map[string]*account.Book{"memory": b, "the store": w.open()} {
				if _, err := book.Code(t.Context(), "ada", codes[1], home); err == nil {
					t.Errorf("%s: a recovery code counts twice", where)
				}
				if _, err := book.Code(t.Context(), "ada", w.code(secret, 0), home); err == nil {
					t.Errorf("%s: a code of the app counts twice", where)
				}
			}
		})
	}
}

// TestWrongPasskeysTakeNoRoom: answers that are wrong, from however many addresses, keep
// nobody from signing in by passkey.
func TestWrongPasskeysTakeNoRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.console = "https://lifeboat.example"
	b := w.open()
	for n := range 10_001 {
		_, state, err := b.AskPasskey()
		must(t, err)
		_, err = b.Passkey(t.Context(), state, `{}`, fmt.Sprintf("[2001:db8:%x:%x::1]:443", n>>8, n&0xff))
		if !strings.Contains(fmt.Sprint(err), "the passkey was not taken") {
			t.Fatalf("answer %d: %v", n, err)
		}
	}
}
