package config

import (
	"fmt"

	"lifeboat/internal/lever"
)

// The kinds of levers that change a file of flags.
const (
	kindFlagd = "flagd"
	kindGOFF  = "goff"
)

// FlagFileLever is the driver section of a flagd or goff lever.
type FlagFileLever struct {
	File    string `json:"file"` // absolute
	Flag    string `json:"flag"`
	Variant string `json:"variant"` // GO Feature Flag calls it a variation
	Drill   string `json:"drill,omitempty"`
	OFREP   Remote `json:"ofrep,omitzero"`
}

var flagdLeverKeys = keySet{
	known: []string{"file", "flag", "variant", "drill", "ofrep"},
	later: map[string]string{"state": useVariant, "value": useVariant, "key": "write flag", "url": "write the file that flagd reads, and ofrep: {url: …} to ask it", "percent": holdsForAll},
}

var goffLeverKeys = keySet{
	known: []string{"file", "flag", "variation", "drill", "ofrep"},
	later: map[string]string{"disable": useVariant, "value": useVariant, "key": "write flag", "percent": holdsForAll, "variant": "write variation"},
}

var ofrepRemoteKeys = keySet{known: []string{"url", "token_file", "token_env"}}

const useVariant = "name the value that everybody gets: a flag that is disabled has none"

func (b *builder) flagFileLever(card *lever.Card, s section, n *node) bool {
	keys, word, sample := flagdLeverKeys, "variant", "flagd: {file: /etc/flagd/flags.json, flag: checkout, variant: \"off\"}"
	if card.Kind == kindGOFF {
		keys, word, sample = goffLeverKeys, "variation", "goff: {file: /etc/goff/flags.yaml, flag: checkout, variation: \"off\"}"
	}
	p, ok := b.section(n, card.Kind+" of "+s.where, keys)
	if !ok {
		return false
	}
	card.Site = b.ownSite(s)
	var l FlagFileLever
	l.File, ok = p.filePath("file", sample)
	l.Flag, l.Drill = p.must("flag", sample, &ok), p.drillFlag("flag", "a flag of the same file")
	l.Variant = p.must(word, sample, &ok)
	if o := p.n.get("ofrep"); o != nil {
		if q, is := b.section(o, "ofrep of "+p.where, ofrepRemoteKeys); is {
			l.OFREP = b.remote(q, "http://127.0.0.1:8016", true)
		}
	}
	card.To, card.Config = fmt.Sprintf("%s of %s", l.Variant, l.Flag), b.raw(l)
	return ok
}

// must reads a name that has to be there; ok becomes false where it is not.
func (s section) must(key, sample string, ok *bool) string {
	if !s.needs(key, "", sample) {
		*ok = false
		return ""
	}
	text := s.line(key, "", sample, 200)
	*ok = *ok && text != ""
	return text
}

// filePath reads the absolute path of a file that has to be there.
func (s section) filePath(key, sample string) (string, bool) {
	path, ok := s.known(key, sample)
	return path, ok && s.absolutePath(s.at(key), s.of(key), path, sample)
}

// drillFlag reads what drills move in place of the real thing.
func (s section) drillFlag(key, what string) string {
	drill := s.line("drill", "", "rehearsal", 200)
	if n := s.n.get(key); drill != "" && n != nil && n.text == drill {
		s.invalid(s.at("drill"), "%s is the same as %s: a drill would move what visitors meet", s.of("drill"), key).WithHint("name %s that nobody asks for, or leave drill out", what)
	}
	return drill
}
