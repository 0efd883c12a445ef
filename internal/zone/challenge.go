package zone

import (
	"cmp"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// challengeLabel stands before a name at which a certificate authority looks for
// the proof that the name is ours (RFC 8555 section 8.4).
const challengeLabel = "_acme-challenge"

// challengeTTL is how long such an answer may be kept, in seconds: nobody asks but
// certificate authorities, who must see a new proof at once.
const challengeTTL = 10

// challengeText stands where proofs come and go. An authority looks for one text
// that fits and passes over the others.
const challengeText = "lifeboat puts the proofs of certificates here"

// MaxProofs is how many proofs a name holds at once, and MaxProof how many octets
// one of them has at most (RFC 1035 section 3.3: a character-string).
const (
	MaxProofs = 16
	MaxProof  = 255
)

// ChallengeOwner is where the proof of a name is looked for, absolute and in lower
// case. A wildcard's stands where that of the name below it does; a name that
// begins so already is its own.
func ChallengeOwner(name string) string {
	name = strings.TrimPrefix(strings.ToLower(dns.Fqdn(name)), "*.")
	if strings.HasPrefix(name, challengeLabel+".") {
		return name
	}
	return challengeLabel + "." + name
}

// IsProof says whether a text may stand as a proof: printable ASCII without spaces.
func IsProof(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return text != "" && len(text) <= MaxProof
}

// addChallenges makes a TXT record for good where the proofs of the source's names
// are looked for, so that whether the node exists never changes. A CNAME written
// there is left alone, and where it leads, within the zone, gets the record.
func (c *checker) addChallenges() {
	added := map[int32]bool{}
	for _, name := range c.source.Challenges {
		if served, err := Pack(name); err == nil && c.exists(served) {
			c.addChallenge(ChallengeOwner(name), added)
		}
	}
	if len(added) > 0 {
		c.group()
	}
}

// exists says whether the zone has something at a name. Where it has nothing, or
// only what a wildcard gives, a node below the name would change its answers.
func (c *checker) exists(owner string) bool {
	number, ok := c.names.Find([]byte(owner))
	if !ok || int(number)+1 >= len(c.first) {
		return false
	}
	_, follows := c.follow[number]
	return follows || len(c.of(number)) > 0
}

func (c *checker) addChallenge(name string, added map[int32]bool) {
	owner, err := Pack(name)
	for range maxChain {
		if err != nil || !Under(owner, c.apex) || c.hiddenBy([]byte(owner)) != nil {
			return
		}
		number, ok := c.names.Find([]byte(owner))
		if !ok {
			break
		}
		cname := c.has(number, dns.TypeCNAME)
		if cname == nil {
			break
		}
		owner = lower(string(c.dataOf(cname)))
	}
	number := c.names.add([]byte(owner))
	_, follows := c.follow[number]
	if added[number] || follows || c.has(number, dns.TypeTXT) != nil || c.has(number, dns.TypeCNAME) != nil {
		return
	}
	added[number] = true
	c.take(number, dns.TypeTXT, challengeTTL, append([]byte{byte(len(challengeText))}, challengeText...), 0)
}

// ChallengeAt finds the name whose TXT records hold the proof of a name, by way of
// CNAME records where the zones have them; in gives the zone that a name lies in,
// nil where none of ours does. The name is absolute, its zone the apex. What can
// hold no proof is a fault.NotFound with the remedy.
func ChallengeAt(name string, in func(owner string) (*Zone, error)) (owner, apex string, err error) {
	owner = ChallengeOwner(name)
	for range maxChain {
		wire, err := Pack(owner)
		if err != nil {
			return "", "", fault.New(fault.Invalid, "%.80q is no name: %v", name, err).WithHint("for example shop.example.com")
		}
		z, err := in(owner)
		if err != nil {
			return "", "", err
		}
		if z == nil {
			return "", "", fault.New(fault.NotFound, "%s is in no zone of ours", owner).WithHint("write the record where that zone is served")
		}
		txt, target := z.textAt(wire)
		switch {
		case txt:
			return owner, z.Apex(), nil
		case target == "":
			return "", "", fault.New(fault.NotFound, "zone %s has no place for a proof at %s", z.Apex(), owner).
				WithHint(`add the line %s %d IN TXT "%s"`, owner, challengeTTL, challengeText)
		}
		owner = strings.ToLower(target)
	}
	return "", "", fault.New(fault.NotFound, "the CNAME records that begin at %s lead on and on", ChallengeOwner(name)).WithHint("let the first one lead to a name with a TXT record")
}

// textAt says whether a name has TXT records that are answered, or where its CNAME
// leads.
func (z *Zone) textAt(owner string) (txt bool, target string) {
	for _, rec := range z.recordsAt(owner) {
		switch {
		case rec.glue:
		case rec.typ == dns.TypeTXT:
			txt = true
		case rec.typ == dns.TypeCNAME:
			target = Unpack(string(z.data[rec.data : rec.data+uint32(rec.size)]))
		}
	}
	return txt, target
}

// recordsAt are the records of an owner.
func (z *Zone) recordsAt(owner string) []record {
	number, ok := z.names.Find([]byte(owner))
	if !ok {
		return nil
	}
	first, _ := slices.BinarySearchFunc(z.recs, number, func(rec record, number int32) int { return cmp.Compare(rec.name, number) })
	end := first
	for end < len(z.recs) && z.recs[end].name == number {
		end++
	}
	return z.recs[first:end]
}
