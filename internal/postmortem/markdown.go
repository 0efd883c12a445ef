package postmortem

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Markdown is the document in CommonMark 0.31. A sentence ends with the numbers of the
// events that it rests on, which lead to the annex. Tables are lists, since CommonMark
// has none; a row is read as its cells, one after the other.
func Markdown(d Document) []byte {
	m := &markdown{links: hasRecord(d)}
	m.line("# " + escape(d.Title))
	for _, s := range d.Sections {
		m.gap()
		m.line("## " + escape(s.Title))
		m.headed = false
		for _, b := range s.Blocks {
			m.block(b)
		}
	}
	return []byte(m.out.String())
}

// hasRecord says whether there is something that a reference can lead to.
func hasRecord(d Document) bool {
	return slices.ContainsFunc(d.Sections, func(s Section) bool { return s.Key == KeyRecord })
}

type markdown struct {
	out    strings.Builder
	links  bool
	headed bool // a log of this section has told what its columns are
}

func (m *markdown) line(s string) { m.out.WriteString(s + "\n") }
func (m *markdown) gap()          { m.out.WriteString("\n") }

func (m *markdown) block(b Block) {
	if b.Heading != "" {
		m.gap()
		m.line("### " + escape(b.Heading))
	}
	m.gap()
	switch {
	case len(b.Paragraph) > 0:
		m.line(m.paragraph(b.Paragraph))
	case len(b.List) > 0:
		for _, p := range b.List {
			m.line("- " + m.paragraph(p))
		}
	case len(b.Terms) > 0:
		for _, t := range b.Terms {
			m.line("- **" + escape(t.Name) + ":** " + escape(t.Text) + m.reference(t.Fact))
		}
	case b.Table != nil:
		m.table(*b.Table)
	case b.Quote != nil:
		m.quote(*b.Quote)
	default:
		m.line("_" + escape(b.Blank) + "_")
	}
}

// paragraph is the sentences on one line. Where two that follow each other rest on the
// same events, the second names them.
func (m *markdown) paragraph(p Paragraph) string {
	var parts []string
	for i, f := range p {
		s := escape(f.Text)
		if !shareEvents(p, i) {
			s += m.reference(f)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " ")
}

// shareEvents says whether the next sentence rests on the same events.
func shareEvents(p Paragraph, i int) bool {
	return i+1 < len(p) && !p[i+1].Absent && slices.Equal(p[i].Events, p[i+1].Events)
}

func (m *markdown) reference(f Fact) string {
	if !m.links || f.Absent || len(f.Events) == 0 {
		return ""
	}
	return fmt.Sprintf(" [[%s]](#%s%d)", label(f.Events), anchor, f.Events[0])
}

// anchor comes before the number of an event where a reference leads to it. The ids of
// evidence, e1 and so on, look otherwise.
const anchor = "event-"

// maxLabel is how many events a reference names; the first is the one it leads to.
const maxLabel = 4

// label is the numbers of a reference, cut where they are many.
func label(events []uint64) string {
	all := strings.Split(ranges(events), ", ")
	if len(all) > maxLabel {
		return strings.Join(all[:maxLabel-1], ", ") + " …"
	}
	return strings.Join(all, ", ")
}

func (m *markdown) table(t Table) {
	if !t.Log || len(t.Columns) > 2 && !t.Anchors && !m.headed {
		m.headed = m.headed || t.Log
		head := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			head[i] = escape(c)
		}
		m.line("_" + strings.Join(head, " · ") + "_")
		m.gap()
	}
	for _, r := range t.Rows {
		cells := make([]string, len(r.Cells))
		for i, c := range r.Cells {
			cells[i] = orElse(escape(c), "–")
		}
		switch {
		case t.Anchors:
			m.line("- " + anchors(r.Events) + strings.Join(cells, " · "))
			continue
		case t.Log:
			cells[0] = strings.TrimPrefix(cells[0], "\\")
		case len(cells) > 0:
			cells[0] = "**" + cells[0] + "**"
		}
		m.line("- " + strings.Join(cells, " · ") + m.reference(r.Fact))
	}
}

// anchors are the places that references lead to.
func anchors(events []uint64) string {
	var out strings.Builder
	for _, n := range events {
		fmt.Fprintf(&out, `<a id="%s%d"></a>`, anchor, n)
	}
	return out.String()
}

func (m *markdown) quote(q Quote) {
	for i, line := range q.Lines {
		if line == "" {
			m.line(">")
			continue
		}
		end := ""
		if i+1 < len(q.Lines) && q.Lines[i+1] != "" {
			end = "\\" // a hard break
		}
		m.line("> " + escape(line) + end)
	}
	m.line(">")
	m.line("> — " + escape(q.By) + ", " + date(q.At))
}

// escape makes a text that stands for itself in CommonMark, wherever in a line it
// stands: any punctuation that could mean something gets a backslash (section 2.4).
// The text has to be clean, that is on one line.
func escape(s string) string {
	var out strings.Builder
	runes := []rune(clean(s))
	for i, r := range runes {
		switch r {
		case '\\', '`', '*', '[', ']', '<', '>', '#', '|', '~', '&', '$':
			out.WriteByte('\\')
		case '_':
			if !within(runes, i) {
				out.WriteByte('\\')
			}
		case '-', '+', '=':
			if i == 0 {
				out.WriteByte('\\')
			}
		case '.', ')':
			if i > 0 && i < 10 && digits(runes[:i]) && (i+1 == len(runes) || runes[i+1] == ' ') {
				out.WriteByte('\\')
			}
		}
		out.WriteRune(r)
	}
	return out.String()
}

// within says whether a character stands between letters or digits, where an
// underscore means nothing (section 6.2).
func within(runes []rune, i int) bool {
	plain := func(r rune) bool { return r != '_' && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
	return i > 0 && i+1 < len(runes) && plain(runes[i-1]) && plain(runes[i+1])
}

func digits(runes []rune) bool {
	return !slices.ContainsFunc(runes, func(r rune) bool { return r < '0' || r > '9' })
}
