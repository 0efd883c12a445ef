package authdns

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"

	"lifeboat/internal/fault"
)

// Share sends some of a site's resolvers elsewhere: about Percent of the networks that
// ask are told the addresses of Position, the others those of the site's order. A
// network is told the same at every server and after a restart, and one that was told
// Position at 10 per cent is at 20. How many visitors stand behind a resolver is not
// known here: the share of visitors is an approximation.
type Share struct {
	Position string
	Percent  int // 1 to 99
}

// sharing is the share of a class.
type sharing struct {
	percent  uint64 // 0: none
	seed     uint64
	position string // where it goes
}

// addShares appends, for each class, what the share's position answers; without any
// share a View stays as it is.
func (v *View) addShares(o Orders) error {
	t := v.table
	for i, k := range t.follows {
		s := t.sites[k.site]
		share, shared := o.Share[s.id]
		if !shared {
			continue
		}
		p, has := s.positions[share.Position]
		if !has || share.Percent < 1 || share.Percent > 99 {
			return fault.New(fault.Invalid, "%d %% of site %s can't be sent to %q", share.Percent, s.id, share.Position).
				WithHint("1 to 99 %%, to one of: %s", places(s))
		}
		if share.Position == v.at[k.site] {
			continue
		}
		if v.shares == nil {
			v.shares = make([]sharing, len(t.follows))
			v.follows = append(v.follows, v.follows...)
		}
		seed := fnv.New64a()
		_, _ = seed.Write([]byte(s.id)) // never fails
		v.shares[i] = sharing{percent: uint64(share.Percent), seed: seed.Sum64(), position: share.Position}
		v.follows[len(t.follows)+i] = makeFollow(p, o.ttl(s.id, k.ttl))
	}
	return nil
}

// Shared is the share of a site that is in force; false when there is none.
func (v *View) Shared(site string) (percent int, ok bool) {
	for i, k := range v.table.follows {
		if v.shares != nil && v.table.sites[k.site].id == site && v.shares[i].percent > 0 {
			return int(v.shares[i].percent), true
		}
	}
	return 0, false
}

// place is the index into View.follows of what this client is told of a class. A
// client that is not known is told what most others, or the safer part of them, are.
func (a *answer) place(class int32) int32 {
	if a.v.shares == nil {
		return class
	}
	s := &a.v.shares[class]
	if s.percent == 0 || !a.client.IsValid() || lot(a.client, s.seed) >= s.percent {
		return class
	}
	return class + int32(len(a.v.shares))
}

// lot is what a client's network draws, 0 to 99: by /24 of IPv4 and /56 of IPv6, so
// that resolvers which ask from many addresses are told one thing.
func lot(client netip.Addr, seed uint64) uint64 {
	var x uint64
	if client.Is4() || client.Is4In6() {
		b := client.As4()
		x = 4<<56 | uint64(binary.BigEndian.Uint32(b[:])>>8)
	} else {
		b := client.As16()
		x = 6<<56 | binary.BigEndian.Uint64(b[:])>>8
	}
	x ^= seed // then the end of splitmix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return x >> 32 * 100 >> 32
}
