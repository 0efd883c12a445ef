package feature

import "strconv"

// Whole is the share at which everybody has the flag's own again, although the lever
// is not put back yet: the last stage, in which it is seen how that goes.
const Whole = 100

// stage lets a share of those who ask have the flag's own again.
func (p *Prepared) stage(f Flag, share int) error {
	if share <= 0 || share > Whole {
		return nil
	}
	own, err := Prepare(f, nil)
	if err != nil {
		return err
	}
	p.own, p.share = own, share
	p.static.Metadata["share"] = strconv.Itoa(share)
	p.static.Reason = Split
	return nil
}

// staged is the flag's own answer for who is in the share, and the ordered one for the
// rest. Who has no targetingKey can't be told from another, and has the ordered one
// until it is everybody's turn.
func (p *Prepared) staged(c *Context) Answer {
	if !in(p.share, p.key, c.key()) {
		return p.static
	}
	return p.mark(p.own.Evaluate(c))
}

// mark tells of an answer of the flag's own that the lever is still going back.
func (p *Prepared) mark(a Answer) Answer {
	a.Reason, a.Metadata = Split, p.static.Metadata
	return a
}

// stages are all answers of a flag that goes back in stages, each variant once.
func (p *Prepared) stages() []Answer {
	out := []Answer{p.static}
	seen := map[string]bool{p.static.Variant: true}
	for _, a := range append([]Answer{p.own.static}, p.own.Matches()...) {
		if !seen[a.Variant] {
			seen[a.Variant] = true
			out = append(out, p.mark(a))
		}
	}
	return out
}

// in says whether who asks is among the first so many percent of the flag's, the same
// for the same key for ever, and still in when the share has grown. It is flagd's
// {"fractional": [{"cat": [FLAG, " back ", KEY]}, ["own", share], ["ordered", 100 - share]]}.
// What is between the two keys keeps it apart from a rule that splits by the same:
// otherwise the first who come back would all be of one kind.
func in(share int, flag, key string) bool {
	switch {
	case share >= Whole:
		return true
	case share <= 0 || key == "":
		return false
	}
	return uint64(murmur3(flag+" back "+key))*Whole>>32 < uint64(share)
}
