package engine_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/snapshot"
)

// Certificates go to answer as they change, and a new control publishes none of its own
// accord: who holds them hands them on again.
func TestCertificatesArePublished(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.ready()
	before := b.eng.Published()[0].Serial
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"shop.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	revision := func() uint64 {
		o, err := b.eng.Overview(t.Context())
		must(t, err)
		return o.Answer.Revision
	}
	was := revision()
	must(t, b.eng.SetCertificates([]snapshot.Certificate{{Names: []string{"shop.example.com"}, Chain: [][]byte{der}, Key: raw}}))
	b.eventually("answer has taken another snapshot", func() bool { return revision() > was })
	if now := b.eng.Published()[0].Serial; now != before {
		t.Errorf("the zone's serial went from %d to %d: certificates are no records", before, now)
	}
	if owner, err := b.eng.ChallengeAt("shop.example.com"); err != nil || owner != "_acme-challenge.shop.example.com." {
		t.Errorf("%q %v", owner, err)
	}
}

// News beside all incidents goes to the channels for colleagues alone.
func TestNotify(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.stopC()
	news := &told{}
	b.with.Outbox, b.with.Channels = news, []engine.Channel{{Name: "ops", Tells: []string{"staff"}}, {Name: "page", Tells: []string{"public"}}}
	b.control()
	b.eng.Notify("certificate", "The certificate of shop.example.com", "It ends tomorrow.")
	b.eventually("it is written down", func() bool {
		kvs, _, err := b.store.List(t.Context(), "outbox/")
		return err == nil && len(kvs) == 1
	})
	if n := news.n.Load(); n != 1 {
		t.Errorf("%d messages", n)
	}
}
