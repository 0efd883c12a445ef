package account

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"lifeboat/internal/fault"
)

// The second factor: codes that change with the time (TOTP, RFC 6238), and recovery codes
// to print for the day on which the phone is gone.
const (
	step       = 30 * time.Second // RFC 6238, section 5.2
	skew       = 1                // steps before and after: section 5.2
	digits     = otp.DigitsSix
	secretLen  = 20 // bytes, of an HMAC-SHA-1: RFC 4226, section 4
	codesMade  = 10
	codeLen    = 16 // characters of 5 bits: 80 bits, so their digests need no slow hash
	halfLife   = 5 * time.Minute
	halfReason = "half a sign-in"
)

// alphabet of recovery codes: no letter looks like another one.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// secondKept is what the store keeps of an account's second factor.
type secondKept struct {
	Secret []byte    `json:"secret,omitempty"` // of TOTP, sealed
	Since  time.Time `json:"since,omitzero"`
	Last   int64     `json:"last,omitempty"` // the step of the code that was used last: it counts once

	Codes []string  `json:"codes,omitempty"` // digests of the recovery codes that are left, hex
	Made  time.Time `json:"made,omitzero"`   // the codes
}

// Factors is what an account can be signed in with.
type Factors struct {
	Password bool      `json:"password"`
	TOTP     time.Time `json:"totp,omitzero"` // since when codes of an app are asked for; zero: not
	Codes    int       `json:"codes"`         // recovery codes that are left
	Made     time.Time `json:"codes_made,omitzero"`
	Passkeys []Passkey `json:"passkeys"`
	Company  string    `json:"company,omitempty"` // the issuer that it is connected with
	Invited  time.Time `json:"invited,omitzero"`  // until when the invitation counts
}

// Factors gives what an account can be signed in with.
func (b *Book) Factors(name string) (Factors, error) {
	a, err := b.Get(name)
	if err != nil {
		return Factors{}, err
	}
	r, _ := b.record(a.Name)
	f := Factors{Password: r.Password != "", TOTP: r.Second.Since, Codes: len(r.Second.Codes), Made: r.Second.Made, Passkeys: r.passkeys()}
	if r.Outside != nil {
		f.Company = r.Outside.Issuer
	}
	if r.Invite != nil && b.o.Now().Before(r.Invite.Ends) {
		f.Invited = r.Invite.Ends
	}
	return f, nil
}

// Wants says whether an account's password alone is not enough.
func (b *Book) Wants(name string) bool {
	r, _ := b.record(fold(name))
	return r.second()
}

// second says whether a second factor is asked for after the password.
func (r record) second() bool { return len(r.Second.Secret) > 0 || len(r.Passkeys) > 0 }

// half is a sign-in whose password was right.
type half struct {
	Name string `json:"n"`
	Hash []byte `json:"h"` // of the password's hash: it ends with the password
}

func (r record) mark() []byte {
	sum := sha256.Sum256([]byte(r.Password))
	return sum[:8]
}

// Half makes the text that says that an account's password was right. It opens nothing
// without a second factor, and is good for five minutes.
func (b *Book) Half(name string) string {
	r, _ := b.record(fold(name))
	body, err := json.Marshal(half{r.Name, r.mark()})
	if err != nil { // our own type
		return ""
	}
	return b.o.Ring.Sign(halfReason, body, b.o.Now().Add(halfLife))
}

// HalfOf gives whose password was right, while Half's text is good.
func (b *Book) HalfOf(text string) (name string, good bool) {
	var h half
	body, good := b.o.Ring.Read(halfReason, text)
	if !good || json.Unmarshal(body, &h) != nil {
		return "", false
	}
	r, known := b.record(h.Name)
	return h.Name, known && r.Enabled() && subtle.ConstantTimeCompare(h.Hash, r.mark()) == 1
}

// Second finishes a sign-in with a code of the app, or with a recovery code. how is one
// word on which it was. The limit on codes of the app is an account's, whoever tries; a
// recovery code has too many bits to be guessed and is never held up by it.
func (b *Book) Second(ctx context.Context, halfway, code, from string) (a Account, how string, err error) {
	name, good := b.HalfOf(halfway)
	if !good {
		return Account{}, "", fault.New(fault.Denied, "too much time has passed since your password, or it was changed meanwhile").WithHint("sign in from the beginning")
	}
	if how, err = b.Code(ctx, name, code, from); err != nil {
		return Account{}, "", err
	}
	r, _ := b.record(name)
	b.doors.remember(name, from)
	b.o.Logger.Info("somebody signed in", "account", name, "from", from, "with", how)
	return r.Account, how, nil
}

// Code takes a code of the app, or a recovery code, of an account that is known to be
// whoever types it but for this. Each counts once.
func (b *Book) Code(ctx context.Context, name, code, from string) (how string, err error) {
	name, code = fold(name), plainCode(code)
	wrong := fault.New(fault.Denied, "this code is not right, or was used before").WithHint("wait for the app's next one, or type one of your recovery codes")
	if len(code) == digits.Length() {
		if err := b.doors.tryCode(name, from); err != nil {
			return "", err
		}
		if !b.spendTOTP(name, code) {
			b.o.Logger.Warn("a code was refused", "account", name, "from", from)
			return "", wrong
		}
		b.doors.forgiveCode(name, from)
		return "app", b.keepLater(ctx, name)
	}
	if err := b.doors.tryRecovery(from); err != nil {
		return "", err
	}
	if !b.spendCode(name, code) {
		b.o.Logger.Warn("a recovery code was refused", "account", name, "from", from)
		return "", wrong
	}
	b.doors.forgiveRecovery(from)
	b.o.Logger.Warn("a recovery code was used", "account", name, "from", from)
	return "recovery", b.keepLater(ctx, name)
}

// plainCode takes out what people add when they copy a code, and reads letters as the
// digits that they look like.
func plainCode(s string) string {
	s = strings.ToLower(s[:min(len(s), 200)])
	return strings.NewReplacer(" ", "", "-", "", " ", "", "\t", "", "o", "0", "i", "1", "l", "1").Replace(strings.TrimSpace(s))
}

// spendTOTP says whether a code is that of this step, or of the one before or after, and
// newer than the last one that counted.
func (b *Book) spendTOTP(name, code string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, known := b.accounts[name]
	secret, err := b.unseal(name, r.Second.Secret)
	if !known || err != nil {
		secret = make([]byte, secretLen) // the same work
	}
	at, right := matches(secret, code, b.o.Now())
	if !known || err != nil || !right || at <= r.Second.Last {
		return false
	}
	r.Second.Last = at
	b.accounts[name] = r
	return true
}

// matches gives the step of a code. It looks at all that count.
func matches(secret []byte, code string, now time.Time) (at int64, right bool) {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	middle := now.Unix() / int64(step.Seconds())
	for n := middle - skew; n <= middle+skew; n++ {
		want, err := hotp.GenerateCodeCustom(text, uint64(n), hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			at, right = n, true
		}
	}
	return at, right
}

func (b *Book) spendCode(name, code string) bool {
	digest := digestOf(name, code)
	b.mu.Lock()
	defer b.mu.Unlock()
	r, known := b.accounts[name]
	at := -1
	for i, d := range r.Second.Codes {
		if subtle.ConstantTimeCompare([]byte(d), []byte(digest)) == 1 {
			at = i
		}
	}
	if !known || at < 0 {
		return false
	}
	r.Second.Codes = slices.Delete(slices.Clone(r.Second.Codes), at, at+1)
	b.accounts[name] = r
	return true
}

// keepLater tells the store of what counts in memory already. Where it does not listen
// the sweep tries again: nobody is kept out by that.
func (b *Book) keepLater(ctx context.Context, name string) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.unkept[name] = true
	b.keepAll(ctx)
	return nil
}

func (b *Book) keepAll(ctx context.Context) { // with writing held
	for name := range b.unkept {
		ctx, cancel := context.WithTimeout(ctx, storeTime)
		r, known := b.record(name)
		err := error(nil)
		if known {
			err = b.keep(ctx, r, r, false, nil)
		}
		cancel()
		if err != nil {
			b.o.Logger.Warn("the store does not take what was used to sign in", "account", name, "cause", err)
			continue
		}
		delete(b.unkept, name)
	}
}

func digestOf(name, code string) string {
	sum := sha256.Sum256([]byte("recovery code\x00" + name + "\x00" + code))
	return hex.EncodeToString(sum[:])
}

// NewSecret makes the secret of an app that shows codes, as people type it.
func NewSecret() string {
	var b [secretLen]byte
	_, _ = rand.Read(b[:]) // never fails
	return base32.StdEncoding.EncodeToString(b[:])
}

func readSecret(text string) ([]byte, error) {
	b, err := base32.StdEncoding.DecodeString(strings.ToUpper(strings.ReplaceAll(text, " ", "")))
	if err != nil || len(b) != secretLen {
		return nil, fault.New(fault.Invalid, "this is no secret that was made here").At("secret").WithHint("begin again")
	}
	return b, nil
}

// SecretPicture draws the secret for an app's camera, as PNG: nothing leaves the machine.
func SecretPicture(issuer, name, secret string) ([]byte, error) {
	if _, err := readSecret(secret); err != nil {
		return nil, err
	}
	k, err := otp.NewKeyFromURL(secretURL(issuer, name, secret))
	if err != nil {
		return nil, fmt.Errorf("describe secret: %w", err)
	}
	img, err := k.Image(240, 240)
	if err != nil {
		return nil, fmt.Errorf("draw secret: %w", err)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil, fmt.Errorf("draw secret: %w", err)
	}
	return out.Bytes(), nil
}

// SetTOTP asks for codes of an app from now on. code shows that the app has the secret.
func (b *Book) SetTOTP(ctx context.Context, name, secret, code string) error {
	raw, err := readSecret(secret)
	if err != nil {
		return err
	}
	at, right := matches(raw, plainCode(code), b.o.Now())
	if !right {
		return fault.New(fault.Invalid, "this is not the code that the app shows now").At("code").
			WithHint("type the newest one; if it is refused again, let the phone set its clock by the network")
	}
	return b.change(ctx, name, false, func(r *record) error {
		r.Second.Secret, r.Second.Since, r.Second.Last = b.seal(r.Name, raw), b.o.Now().UTC(), at
		return nil
	})
}

// RemoveTOTP asks for no codes of the app any more.
func (b *Book) RemoveTOTP(ctx context.Context, name string) error {
	return b.change(ctx, name, false, func(r *record) error {
		r.Second.Secret, r.Second.Since, r.Second.Last = nil, time.Time{}, 0
		return nil
	})
}

// NewCodes makes ten recovery codes; those from before count no more. They are given here
// once and never again.
func (b *Book) NewCodes(ctx context.Context, name string) ([]string, error) {
	codes := make([]string, codesMade)
	for i := range codes {
		codes[i] = newCode()
	}
	err := b.change(ctx, name, false, func(r *record) error {
		r.Second.Codes, r.Second.Made = nil, b.o.Now().UTC()
		for _, c := range codes {
			r.Second.Codes = append(r.Second.Codes, digestOf(r.Name, plainCode(c)))
		}
		return nil
	})
	return codes, err
}

// newCode makes one code, in groups of four.
func newCode() string {
	var b [codeLen]byte
	_, _ = rand.Read(b[:]) // never fails
	var out strings.Builder
	for i, x := range b {
		if i > 0 && i%4 == 0 {
			out.WriteByte('-')
		}
		out.WriteByte(alphabet[x%32]) // 32 divides 256: none is likelier
	}
	return out.String()
}

// seal hides a secret from whoever reads the store without the key in control's folder.
func (b *Book) seal(name string, secret []byte) []byte {
	gcm := b.sealer()
	nonce := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return gcm.Seal(nonce, nonce, secret, []byte(name))
}

func (b *Book) unseal(name string, sealed []byte) ([]byte, error) {
	gcm := b.sealer()
	if len(sealed) < gcm.NonceSize() {
		return nil, errors.New("there is no secret")
	}
	return gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], []byte(name))
}

func (b *Book) sealer() cipher.AEAD {
	block, err := aes.NewCipher(b.o.SecondKey)
	if err != nil {
		panic(err) // New has seen to its length
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // of the standard sizes
	}
	return gcm
}

// secretURL is the address that apps read from the picture.
func secretURL(issuer, name, secret string) string {
	clean := strings.NewReplacer(":", " ", "/", " ", "?", " ", "#", " ", "%", " ")
	escape := func(s string) string { return strings.ReplaceAll(queryEscape(clean.Replace(s)), "+", "%20") }
	return "otpauth://totp/" + escape(issuer) + ":" + escape(name) + "?secret=" + secret + "&issuer=" + escape(issuer) +
		"&algorithm=SHA1&digits=" + strconv.Itoa(digits.Length()) + "&period=" + strconv.Itoa(int(step.Seconds()))
}
