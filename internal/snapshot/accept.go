package snapshot

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
)

// Local is what answer keeps beside the manifest: its own orders, which outrank
// it until control has taken them over, and the serials that it has served.
type Local struct {
	Orders  []Order           `json:"orders,omitempty"`
	Serials map[string]uint32 `json:"serials,omitempty"` // newest served, by apex
	Adopted uint64            `json:"adopted,omitempty"` // epoch that a person adopted
	// LastAuto is when a rule of answer last moved a site (U4), by site.
	LastAuto map[string]time.Time `json:"last_auto,omitempty"`
	// Last is a second copy of the newest manifest taken: where the one in its own
	// file is damaged, or an older file was put in its place, no move is lost.
	Last *Signed `json:"last,omitempty"`
}

// Accept says whether a manifest may follow the one in force. now is what is in
// force, contents are now's parts. The rules: (epoch, revision) only grows; a new
// epoch may not move a site away from safety until a person has adopted it.
func Accept(now, next Manifest, contents Contents, local Local) error {
	switch {
	case next.Epoch < now.Epoch:
		return fault.New(fault.Conflict, "the manifest is of an older epoch, %d; %d is in force", next.Epoch, now.Epoch)
	case next.Epoch == now.Epoch && next.Revision <= now.Revision:
		return fault.New(fault.Conflict, "the manifest has revision %d; %d is in force", next.Revision, now.Revision)
	case next.Epoch == now.Epoch || now.Epoch == 0 || local.Adopted == next.Epoch:
		return nil
	}
	for _, site := range contents.Sites {
		if site.Shadow != "" {
			continue
		}
		in := InForce(now, local, site)
		// With the local orders that it leaves, since one that it takes over may have stood
		// over an older one; and without any, since it may take over the others later.
		for _, left := range []Local{local.Settle(next.Taken), {}} {
			to := InForce(next, left, site) // silence and unknown positions come to home
			if !to.safe(in, site) {
				return fault.New(fault.Refused, "epoch %d would move %s from %s to %s, away from safety", next.Epoch, site.ID, in, to).
					WithHint("if that is right, run: lifeboat answer adopt %d", next.Epoch)
			}
		}
	}
	return nil
}

// Effective is the position in force: a local order over the manifest, home where
// nothing is said. What names a position that the site does not have says nothing.
func Effective(m Manifest, local Local, site Site) string {
	for _, o := range slices.Backward(local.Orders) {
		if _, has := site.Positions[o.Position]; has && o.Site == site.ID {
			return o.Position
		}
	}
	if o, said := m.Sites[site.ID]; said {
		if _, has := site.Positions[o.Position]; has {
			return o.Position
		}
	}
	return site.Home
}

// Standing is where a site's visitors are told to go, be it by two positions.
type Standing struct {
	Position string // the safer of the two
	Other    string // where the share goes; "" without one
	Percent  int    // of resolvers' networks, about, that are told Other
}

// InForce is Effective with the share of those who are sent elsewhere. A local order is
// for everybody. What is told to somebody who is not known, such as a secondary, is the
// safer position.
func InForce(m Manifest, local Local, site Site) Standing {
	at := Standing{Position: Effective(m, local, site)}
	o, said := m.Sites[site.ID]
	if !said || o.Share == nil || o.Position != at.Position || local.moved(site) {
		return at
	}
	share := *o.Share
	if _, has := site.Positions[share.Position]; !has || share.Position == at.Position || share.Percent < 1 || share.Percent > 99 {
		return at
	}
	at.Other, at.Percent = share.Position, share.Percent
	if site.Rank(at.Other) > site.Rank(at.Position) {
		at = Standing{Position: at.Other, Other: at.Position, Percent: 100 - at.Percent}
	}
	return at
}

// moved says whether a local order is in force for a site.
func (l Local) moved(site Site) bool {
	return slices.ContainsFunc(l.Orders, func(o Order) bool {
		_, has := site.Positions[o.Position]
		return has && o.Site == site.ID
	})
}

// below is how many in a hundred are told a position of at most so much safety.
func (s Standing) below(rank int, site Site) (percent int) {
	if site.Rank(s.Position) <= rank {
		percent += 100 - s.Percent
	}
	if s.Other != "" && site.Rank(s.Other) <= rank {
		percent += s.Percent
	}
	return percent
}

// safe says whether nobody is led away from safety who was there before: at no rank do
// more visitors stand at it or below.
func (s Standing) safe(before Standing, site Site) bool {
	for rank := range site.Rank(Standby) {
		if s.below(rank, site) > before.below(rank, site) {
			return false
		}
	}
	return true
}

// String is where visitors are, as a sentence says it.
func (s Standing) String() string {
	if s.Other == "" {
		return s.Position
	}
	return fmt.Sprintf("%s (about %d %% at %s)", s.Position, s.Percent, s.Other)
}

// EffectiveFlags are the flag orders in force: local ones over the manifest's.
func EffectiveFlags(m Manifest, local Local) map[string]feature.Order {
	out := map[string]feature.Order{}
	for k, v := range m.Features {
		out[k] = v
	}
	for _, o := range local.Orders {
		if o.Feature != "" {
			out[o.Feature] = feature.Order{Value: o.Value, Lever: o.Lever, By: o.By, Since: o.At.UTC().Format(time.RFC3339)}
		}
	}
	return out
}

// Settle drops the local orders that the manifest has taken over.
func (l Local) Settle(taken []string) Local {
	l.Orders = slices.DeleteFunc(slices.Clone(l.Orders), func(o Order) bool { return slices.Contains(taken, o.ID) })
	return l
}

// Toward checks that a local order leads towards safety (rule U1): only control
// may move a site away from it.
func Toward(o Order, m Manifest, local Local, c Contents) error {
	if o.Feature != "" {
		flag, known := c.Flag(o.Feature)
		if !known {
			return fault.New(fault.NotFound, "no feature %q", o.Feature)
		}
		if in, ordered := EffectiveFlags(m, local)[o.Feature]; ordered && in.Share == 0 && bytes.Equal(in.Value, o.Value) {
			return fault.New(fault.Conflict, "%q is %s already", flag.Key, o.Value)
		}
		return nil
	}
	site, known := c.Site(o.Site)
	if !known {
		return fault.New(fault.NotFound, "no site %q", o.Site)
	}
	if _, has := site.Positions[o.Position]; !has {
		return fault.New(fault.NotFound, "site %s has no position %q", o.Site, o.Position)
	}
	in, to := InForce(m, local, site), Standing{Position: o.Position}
	switch {
	case in == to:
		return fault.New(fault.Conflict, "%s is at %s already", o.Site, in)
	case !to.safe(in, site):
		return fault.New(fault.Refused, "rule U1: %s is less safe than %s, and only control moves a site away from safety", o.Position, in).
			WithHint("start control and go back there: lifeboat go-back start")
	}
	return nil
}
