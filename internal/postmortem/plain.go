package postmortem

import (
	"slices"
	"strings"
)

// Plain is the document as text for a status page: an empty line parts paragraphs, and a
// line that begins with "# " is a heading. Places that are left for a person to write in
// are left out, and so are references: their events are not the public's.
func Plain(d Document) string {
	var out []string
	for _, s := range d.Sections {
		var parts []string
		for _, b := range s.Blocks {
			if b.Heading != "" {
				parts = append(parts, "# "+b.Heading)
			}
			if text := plainBlock(b); text != "" {
				parts = append(parts, text)
			}
		}
		if len(parts) > 0 {
			out = append(append(out, "# "+s.Title), parts...)
		}
	}
	return strings.Join(out, "\n\n")
}

// plainBlock is one block; "" where it says nothing.
func plainBlock(b Block) string {
	var lines []string
	switch {
	case len(b.Paragraph) > 0:
		return sentences(b.Paragraph)
	case len(b.List) > 0:
		for _, p := range b.List {
			lines = append(lines, sentences(p))
		}
	case len(b.Terms) > 0:
		for _, t := range b.Terms {
			lines = append(lines, t.Name+": "+t.Text)
		}
	case b.Table != nil:
		for _, r := range b.Table.Rows {
			cells := slices.DeleteFunc(slices.Clone(r.Cells), func(c string) bool { return c == "" })
			lines = append(lines, strings.Join(cells, " · "))
		}
	case b.Quote != nil:
		return strings.ReplaceAll(strings.Join(b.Quote.Lines, "\n"), "\n\n\n", "\n\n")
	}
	return strings.Join(lines, "\n\n")
}

func sentences(p Paragraph) string {
	var out []string
	for _, f := range p {
		out = append(out, f.Text)
	}
	return strings.Join(out, " ")
}
