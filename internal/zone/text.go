package zone

import (
	"iter"
	"strings"
)

// entry is one entry of a master file (RFC 1035 section 5.1): a line, or several
// held together by parentheses.
type entry struct {
	line   int    // of its beginning, 1 is the text's first
	text   string // as written, comments included, without the final newline
	blank  bool   // begins with white space: the owner is the one before
	fields []string
	fault  string // why it can't be read: a quote or parenthesis is left open
}

// maxFields are as many as are looked at here; the record's data is not.
const maxFields = 8

// entries yields the entries of a text that hold anything but white space and
// comments.
func entries(text string) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		line := 1
		for text != "" {
			e, rest := cutEntry(text)
			e.line = line
			line += strings.Count(text[:len(text)-len(rest)], "\n")
			text = rest
			if (len(e.fields) > 0 || e.fault != "") && !yield(e) {
				return
			}
		}
	}
}

// cutEntry takes the first entry off the text.
func cutEntry(text string) (e entry, rest string) {
	e.blank = text[0] == ' ' || text[0] == '\t'
	depth := 0
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case '\n':
			if depth == 0 {
				e.text = text[:i]
				return e, text[i+1:]
			}
			i++
		case ' ', '\t', '\r':
			i++
		case '(':
			depth++
			i++
		case ')':
			if depth--; depth < 0 {
				return e.broken(text, "a closing parenthesis without an opening one")
			}
			i++
		case ';':
			i = lineEnd(text, i)
		default:
			n, closed := fieldLen(text[i:])
			if !closed {
				return e.broken(text, "a quoted string is not closed on its line")
			}
			if len(e.fields) < maxFields {
				e.fields = append(e.fields, text[i:i+n])
			}
			i += n
		}
	}
	if depth > 0 {
		return e.broken(text, "a parenthesis is not closed")
	}
	e.text = text
	return e, ""
}

// broken ends an entry that can't be read at its first line's end, so that what
// follows is still looked at.
func (e entry) broken(text, why string) (entry, string) {
	end := lineEnd(text, 0)
	e.text, e.fault = text[:end], why
	return e, strings.TrimPrefix(text[end:], "\n")
}

// fieldLen gives the length of the field that s begins with.
func fieldLen(s string) (n int, closed bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i+1 < len(s) && s[i+1] != '\n' {
				i++
			}
		case '"':
			quoted = !quoted
		case '\n':
			return i, !quoted
		case ' ', '\t', '\r', '(', ')', ';':
			if !quoted {
				return i, true
			}
		}
	}
	return len(s), !quoted
}

// lineEnd is the index of the newline at or after i, or the text's length.
func lineEnd(text string, i int) int {
	if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(text)
}
