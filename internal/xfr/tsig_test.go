package xfr

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/snapshot"
)

// What we sign, the wire library believes, and what it signs, we do.
func TestSignaturesAgreeWithTheWireLibrary(t *testing.T) {
	t.Parallel()
	for _, alg := range Algorithms() {
		k := snapshot.TSIGKey{Name: "a.key.example.", Algorithm: alg, Secret: []byte("some secret")}
		secret := base64.StdEncoding.EncodeToString(k.Secret)
		ours, mac := signed(asking(apex, dns.TypeAXFR, 0), k, time.Now())
		if err := dns.TsigVerify(append([]byte(nil), ours...), secret, "", false); err != nil {
			t.Errorf("%s: ours: %v", alg, err)
		}
		m := new(dns.Msg).SetAxfr(apex)
		m.SetTsig(k.Name, alg+".", 300, time.Now().Unix())
		theirs, _, err := dns.TsigGenerate(m, secret, "", false)
		must(t, err)
		s, err := cutSignature(theirs)
		must(t, err)
		if code := s.check(k, true, nil, false, time.Now()); code != 0 {
			t.Errorf("%s: theirs: %d", alg, code)
		}
		// Three messages of an answer, of which the second is not signed.
		v := &verifier{key: k, before: mac, now: time.Now}
		out := &signer{key: k, before: mac, now: time.Now}
		first := out.sign(ask(apex, dns.TypeAXFR))
		middle := ask(apex, dns.TypeAXFR)
		last := ask(apex, dns.TypeAXFR)
		at := uint64(time.Now().Unix())
		last = appendTSIG(last, k, at, macOf(k, out.before, middle, last, tsigVariables(k, at, fudge, 0, nil, true)), 0, nil)
		for i, msg := range [][]byte{first, middle, last} {
			if _, done, err := v.take(msg); err != nil || done != (i != 1) {
				t.Errorf("%s: message %d: %v, %v", alg, i, done, err)
			}
		}
	}
}

// Whatever bit of a signed request is turned, nothing is given away.
func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	w := launch(t, Options{})
	msg, _ := signed(asking(apex, dns.TypeAXFR, 0), us, w.now())
	given := func(msg []byte) bool {
		out := w.dns.Handle(nil, msg, false)
		return len(out) > headerSize && out[3]&15 == 0 && out[7] > 0
	}
	st := w.xfr.state.Load()
	for i := range len(msg) * 8 {
		bad := append([]byte(nil), msg...)
		bad[i/8] ^= 1 << (i % 8)
		s, err := cutSignature(bad)
		if err == nil {
			k, known := st.keys[s.name]
			if s.check(k, known, nil, false, w.now()) == 0 && i/8 >= 2 && !foldedOnly(msg, bad) { // the id is not signed: it is in the record
				t.Errorf("bit %d of octet %d does not count", i%8, i/8)
			}
		}
		if given(bad) {
			t.Errorf("with bit %d of octet %d turned, the zone is given away", i%8, i/8)
		}
	}
}

// foldedOnly says whether two messages differ in the case of letters, which a name in
// the TSIG record may.
func foldedOnly(a, b []byte) bool { return strings.EqualFold(string(a), string(b)) }

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	secret := base64.StdEncoding.EncodeToString([]byte("abc"))
	for text, want := range map[string]string{
		"hmac-sha512:NS2.Example:" + secret: "ns2.example. hmac-sha512",
		"ns2:" + secret + "\n":              "ns2. hmac-sha256",
		"key \"ns2.example\" {\n\talgorithm hmac-sha384;\n\tsecret \"" + secret + "\";\n};\n": "ns2.example. hmac-sha384",
		"":                       "",
		"ns2":                    "",
		"a:b:c:d":                "",
		"ns2:not base64!":        "",
		"ns2:":                   "",
		":" + secret:             "",
		"hmac-md5:ns2:" + secret: "not one of",
		"key ns2 { secret " + secret + "; port 5; };": "",
		"ns2:" + strings.Repeat("A", 400):             "",
	} {
		k, err := ParseKeyFile(text, "ns2.key")
		got := k.Name + " " + k.Algorithm
		switch {
		case want == "" || want == "not one of":
			if err == nil || !strings.Contains(err.Error(), "ns2.key") || want != "" && !contains(err, want) || strings.Contains(err.Error(), secret) {
				t.Errorf("%q: %v", text, err)
			}
		case err != nil || got != want || string(k.Secret) != "abc":
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if said := fmt.Sprintf("%v %+v %#v %s", k, k, k, k.Secret); len(k.Secret) > 0 && (strings.Contains(said, "abc") || strings.Contains(said, secret) || strings.Contains(said, "97 98 99")) {
			t.Errorf("the secret is written: %s", said)
		}
	}
}

// FuzzSignature: a message that nobody has signed is believed never, and breaks nothing.
func FuzzSignature(f *testing.F) {
	good, _ := signed(asking(apex, dns.TypeAXFR, 0), us, time.Now())
	unknown, _ := signed(asking(apex, dns.TypeIXFR, 3), them, time.Now())
	f.Add(good[:len(good)-20])
	f.Add(unknown)
	f.Add(asking(apex, dns.TypeAXFR, 0))
	f.Fuzz(func(t *testing.T, msg []byte) {
		s, err := cutSignature(msg)
		if err != nil {
			return
		}
		k := snapshot.TSIGKey{Name: s.name, Algorithm: "hmac-sha256", Secret: []byte("nobody knows this one")}
		if s.check(k, true, nil, false, time.Now()) == 0 {
			t.Fatal("believed")
		}
		refuseSignature(header(msg, questionOf(msg), 0), s, k, badSig, time.Now())
	})
}
