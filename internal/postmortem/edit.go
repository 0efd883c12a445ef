package postmortem

import (
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/incident"
)

// section builds a section. Where a person has written it, their words stand in its
// place, marked as theirs, with how many events that belong to it came since.
func (b *builder) section(r room) Section {
	s := Section{Key: r.key, Title: r.title, Blocks: r.build(b)}
	facts := factsOf(s.Blocks)
	s.Empty = len(facts) > 0 && !slices.ContainsFunc(facts, func(f Fact) bool { return !f.Absent })
	e, edited := b.edit(r.key)
	if !edited || annex(r.key) {
		return s
	}
	quote := b.wrote(e)
	s.Generated, s.Edited, s.Empty = s.Blocks, true, false
	s.Blocks = []Block{{Quote: &quote}}
	var since []uint64
	for _, f := range facts {
		if f.Absent {
			continue
		}
		for _, n := range f.Events {
			if n > e.Seq {
				since = append(since, n)
			}
		}
	}
	if since = tidy(since); len(since) > 0 {
		s.Blocks = append(s.Blocks, Block{Paragraph: Paragraph{fact(since, "New facts since: %d.", len(since))}})
	}
	return s
}

// annex says whether a section is the proof of the others, which nobody rewrites.
func annex(key string) bool { return key == KeyEvidence || key == KeyRecord }

// edit is the newest text that a person wrote for a section; an empty one gives the
// section back to what is generated.
func (b *builder) edit(key string) (incident.Event, bool) {
	if b.o.Public {
		key = PublicPrefix + key
	}
	var out incident.Event
	for _, e := range b.of(incident.WriteUpEdited) {
		if d := data[textData](e); d.Key == key {
			out = incident.Event{}
			if len(lines(d.Text)) > 0 {
				out = e
			}
		}
	}
	return out, out.Seq > 0
}

// withOwn adds the sections that people wrote and that have no place of their own,
// before the annexes.
func (b *builder) withOwn(sections []Section) []Section {
	at := slices.IndexFunc(sections, func(s Section) bool { return annex(s.Key) })
	if at < 0 {
		at = len(sections)
	}
	for _, key := range slices.Sorted(maps.Keys(b.in.WriteUp.Sections)) {
		known := slices.ContainsFunc(rooms, func(r room) bool { return r.key == key && r.key != KeyApology && !annex(key) })
		e, edited := b.edit(key)
		title := begin(strings.ReplaceAll(cut(clean(key), 40), "_", " "))
		if known || !edited || title == "" || strings.HasPrefix(key, PublicPrefix) {
			continue
		}
		quote := b.wrote(e)
		own := clean(key)
		if annex(key) {
			own = "own_" + own
		}
		sections = slices.Insert(sections, at, Section{Key: own, Title: title, Edited: true, Blocks: []Block{{Quote: &quote}}})
		at++
	}
	return sections
}
