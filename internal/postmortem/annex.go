package postmortem

import (
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/incident"
)

// evidence is the list of what was collected, each piece with the hash of its body.
func (b *builder) evidence() []Block {
	t := Table{Columns: []string{"Piece", "Taken", "What", "From", "SHA-256"}}
	for _, x := range b.in.Evidence {
		hash := clean(x.SHA256)
		switch {
		case x.Redacted != "":
			hash = "body taken away" + saying(b.quote(x.Redacted))
		case hash == "" && x.Problem != "":
			hash = "not had" + saying(b.quote(x.Problem))
		case hash == "":
			hash = "no body"
		case x.Problem != "":
			hash += " (not all could be had" + saying(b.quote(x.Problem)) + ")"
		case x.Truncated:
			hash += " (cut)"
		}
		what := strings.TrimRight(b.text(x.Title, cellText), ".")
		if s := b.text(x.Summary, cellText); s != "" {
			what += ": " + s
		}
		at := "not known"
		if !x.At.IsZero() {
			at = b.second(x.At.UTC(), b.in.DeclaredAt.UTC())
		}
		t.row(refs(b.about("evidence", x.ID)...), "Evidence "+clean(x.ID), at, what, orElse(b.text(x.Source, 100), b.text(x.By.Name, 64)), hash)
	}
	return table("", t)
}

// record is every event, so that a number behind a sentence leads to what it rests on.
// Readings that follow each other share a row.
func (b *builder) record() []Block {
	t := Table{Columns: []string{"No.", "UTC", "Event"}, Log: true, Anchors: true}
	for i := 0; i < len(b.events); i++ {
		e, j := b.events[i], i+1
		for routine(e.Type) && j < len(b.events) && b.events[j].Type == e.Type {
			j++
		}
		run := b.events[i:j]
		text := b.said(e)
		if len(run) > 3 {
			last := b.text(run[len(run)-1].Text, longText)
			if last != text {
				text = fmt.Sprintf("%s readings, from %s to %s", begin(number(len(run))), cited(text), cited(last))
			} else {
				text = fmt.Sprintf("%s readings, all alike: %s", begin(number(len(run))), cited(text))
			}
			i = j - 1
		} else {
			run = run[:1]
		}
		if e.Actor.Automatic() || strings.Contains(text, clean(e.Actor.Name)) {
			t.row(refs(run...), ranges(refs(run...)), b.second(e.At.UTC(), b.in.DeclaredAt.UTC()), orElse(text, clean(string(e.Type))))
			continue
		}
		t.row(refs(run...), ranges(refs(run...)), b.second(e.At.UTC(), b.in.DeclaredAt.UTC()), orElse(text, clean(string(e.Type)))+" ("+b.who(e.Actor)+")")
	}
	out := []Block{}
	if len(t.Rows) > 0 {
		out = append(out, Block{Table: &t})
	}
	if h := clean(b.last.Hash); h != "" && b.last.Seq > 0 {
		out = append(out, Block{Paragraph: Paragraph{fact(refs(b.last), "The hash of event %d, which covers all before it, is %s.", b.last.Seq, h)}})
	}
	return out
}

// said is the sentence that the record holds of an event. Where lifeboat itself calls
// evidence by its id alone, it says what that is.
func (b *builder) said(e incident.Event) string {
	text := b.text(e.Text, longText)
	id := ""
	switch e.Type {
	case incident.CauseWeighed:
		id = clean(data[weighData](e).Weight.Evidence)
	case incident.EvidenceRedacted:
		id = clean(e.Subject.ID)
	}
	if id == "" || !slices.ContainsFunc(b.in.Evidence, func(x incident.Evidence) bool { return clean(x.ID) == id }) {
		return text
	}
	for _, near := range []string{" " + id + " speaks ", " of " + id + " away"} {
		text = strings.Replace(text, near, strings.Replace(near, id, "evidence "+id, 1), 1)
	}
	return text
}

// routine says whether an event is a reading, of which there are many.
func routine(t incident.Type) bool {
	return t == incident.CheckVerdict || t == incident.FixRead
}

// ranges are numbers as people write them: 3, 7–9.
func ranges(numbers []uint64) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		switch j - i {
		case 0:
			parts = append(parts, fmt.Sprint(numbers[i]))
		case 1:
			parts = append(parts, fmt.Sprint(numbers[i]), fmt.Sprint(numbers[j]))
		default:
			parts = append(parts, fmt.Sprintf("%d–%d", numbers[i], numbers[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
