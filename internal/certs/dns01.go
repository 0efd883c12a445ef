package certs

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"lifeboat/internal/fault"
)

// Zones are our zones, where proofs are put.
type Zones interface {
	// ChallengeAt finds where the proof of a name is looked for, by way of CNAME records
	// in our zones; fault.NotFound where that is in none of them.
	ChallengeAt(name string) (owner string, err error)
	// PutChallenge has a proof given out for as long as said; it is there when it returns.
	PutChallenge(ctx context.Context, owner, value string, ttl time.Duration) error
	// DropChallenge takes it back.
	DropChallenge(ctx context.Context, owner, value string) error
}

// DNS01 proves names by TXT records in our zones (RFC 8555 section 8.4). Names in zones
// of others are proved where a CNAME record at _acme-challenge.NAME there leads into a
// zone of ours.
type DNS01 struct {
	Zones   Zones
	Servers func(owner string) []netip.AddrPort // that have to give a proof out before the authority is told
	Ask     Ask                                 // who knows where names of others lead; nil: only ours are proved
}

// Waits of a proof.
const (
	proofTime = 10 * time.Minute       // that it stays when nobody takes it back
	seenTime  = 30 * time.Second       // for our name servers to give it out
	seenEvery = 200 * time.Millisecond // they are asked
)

// Kind is the challenge's type.
func (*DNS01) Kind() string { return acme.ChallengeTypeDNS01 }

// Check says what keeps a name from being proved.
func (d *DNS01) Check(ctx context.Context, name string) error {
	_, err := d.owner(ctx, name)
	return err
}

// owner finds where a proof is put.
func (d *DNS01) owner(ctx context.Context, name string) (string, error) {
	owner, err := d.Zones.ChallengeAt(name)
	if fault.KindOf(err) != fault.NotFound || d.Ask == nil {
		return owner, err
	}
	at := "_acme-challenge." + strings.TrimPrefix(strings.TrimSuffix(strings.ToLower(name), "."), "*.") + "."
	for hop, n := at, 0; n < maxHops; n++ {
		r, failed := d.Ask(ctx, hop, typeCNAME)
		if failed != nil {
			return "", failed
		}
		if hop = r.alias(hop); hop == "" {
			break
		}
		if owner, err := d.Zones.ChallengeAt(hop); err == nil {
			return owner, nil
		}
	}
	return "", fault.New(fault.NotFound, "%s is in no zone of ours, and %s leads into none", name, at).
		WithHint("write there: %s CNAME to a name with a TXT record in a zone of yours; see the how-to on proving a name", at)
}

// maxHops are the CNAME records that are followed.
const maxHops = 8

// Present puts a proof into our zone.
func (d *DNS01) Present(ctx context.Context, c acme.Challenge) error {
	owner, err := d.owner(ctx, c.Identifier.Value)
	if err != nil {
		return err
	}
	return d.Zones.PutChallenge(ctx, owner, c.DNS01KeyAuthorization(), proofTime)
}

// Wait returns when each of our name servers gives the proof out.
func (d *DNS01) Wait(ctx context.Context, c acme.Challenge) error {
	owner, err := d.owner(ctx, c.Identifier.Value)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, seenTime)
	defer cancel()
	tick := time.NewTicker(seenEvery)
	defer tick.Stop()
	left := slices.Clone(d.Servers(owner))
	for {
		left = slices.DeleteFunc(left, func(s netip.AddrPort) bool { return gives(ctx, s, owner, c.DNS01KeyAuthorization()) })
		if len(left) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "the name server at %s does not give the proof at %s out", left[0], owner).
				WithHint("ask it: dig @%s -p %d %s TXT", left[0].Addr(), left[0].Port(), owner)
		}
	}
}

// gives says whether a server answers with a proof.
func gives(ctx context.Context, server netip.AddrPort, owner, value string) bool {
	r, err := query(ctx, server, owner, typeTXT, false)
	return err == nil && slices.Contains(r.texts(owner), value)
}

// CleanUp takes the proof back. Where that fails it is gone by itself soon.
func (d *DNS01) CleanUp(ctx context.Context, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	defer cancel()
	owner, err := d.owner(ctx, c.Identifier.Value)
	if err != nil {
		return err
	}
	return d.Zones.DropChallenge(ctx, owner, c.DNS01KeyAuthorization())
}
