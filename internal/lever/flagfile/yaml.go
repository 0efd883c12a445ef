package flagfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// yamlSyntax reads YAML in which a flag is a block: its keys on lines of their own.
// What it can't take apart by lines it refuses; what comes of an edit is read back
// with a parser before it is written (see change).
type yamlSyntax struct{}

// The bounds of a YAML file.
const (
	maxDepth  = 100  // brackets and dashes within each other
	maxIndent = 1000 // spaces
)

func (yamlSyntax) decode(file []byte) (out map[string]any, err error) {
	defer func() { // the text comes from outside, and the library may give up
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	if err := tame(file); err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(file, &out); err != nil || out == nil {
		return nil, errors.New("it is not one mapping of YAML")
	}
	return out, nil
}

// tame refuses what would take a parser long: deep nesting, and aliases.
func tame(file []byte) error {
	depth := 0
	for line := range bytes.Lines(file) {
		text := bytes.TrimLeft(line, " ")
		if len(line)-len(text) > maxIndent || bytes.Count(text, []byte("- ")) > maxDepth {
			return errors.New("it is nested too deep")
		}
		depth += bytes.Count(text, []byte("[")) + bytes.Count(text, []byte("{")) - bytes.Count(text, []byte("]")) - bytes.Count(text, []byte("}"))
		if depth = max(depth, 0); depth > maxDepth {
			return errors.New("it is nested too deep")
		}
	}
	for _, t := range lexer.Tokenize(string(file)) {
		if t.Type == token.AliasType || t.Type == token.MergeKeyType {
			return errors.New("it has aliases (*name): write them out")
		}
	}
	return nil
}

// row is one line of the file with its end.
type row struct {
	start, end int
	indent     int
	key        string // "" where the line begins no key
	rest       string // behind the key
	empty      bool   // blank, or a comment
}

// rows takes a block apart by lines.
func rows(b []byte) []row {
	var out []row
	at := 0
	for line := range bytes.Lines(b) {
		r := row{start: at, end: at + len(line)}
		at = r.end
		text := strings.TrimRight(string(line), "\r\n")
		body := strings.TrimLeft(text, " ")
		r.indent = len(text) - len(body)
		r.empty = body == "" || body[0] == '#'
		r.key, r.rest = keyOf(body)
		out = append(out, r)
	}
	return out
}

// keyOf reads the key that a line begins with.
func keyOf(body string) (key, rest string) {
	if body == "" || strings.ContainsAny(body[:1], "#-?[]{}&*!|>%@`,") {
		return "", ""
	}
	if q := body[0]; q == '"' || q == '\'' {
		end := strings.IndexByte(body[1:], q)
		if end < 0 || !strings.HasPrefix(strings.TrimLeft(body[end+2:], " "), ":") || strings.ContainsRune(body[1:end+1], '\\') {
			return "", ""
		}
		return body[1 : end+1], strings.TrimSpace(strings.TrimLeft(body[end+2:], " ")[1:])
	}
	for i := range body {
		if body[i] == ':' && (i+1 == len(body) || body[i+1] == ' ' || body[i+1] == '\t') {
			return strings.TrimRight(body[:i], " "), strings.TrimSpace(body[i+1:])
		}
		if body[i] == '#' && i > 0 && body[i-1] == ' ' {
			return "", ""
		}
	}
	return "", ""
}

var errNotBlock = errors.New("the flag is not written as a block: put each of its keys on a line of its own")

// locate finds the lines of a flag: from its key to the next one that is not deeper.
func (yamlSyntax) locate(file []byte, path []string) (start, end int, err error) {
	all := rows(file)
	from, to, indent := 0, len(all), 0
	for _, key := range path {
		first, last := -1, to
		for i := from; i < to; i++ {
			switch r := all[i]; {
			case r.empty:
			case first >= 0 && r.indent <= indent && last == to:
				last = i
				if r.key == key && r.indent == indent {
					return 0, 0, errTwice
				}
			case first >= 0 && r.key == key && r.indent == indent:
				return 0, 0, errTwice
			case first < 0 && r.key == key && r.indent == indent:
				first = i
			}
		}
		if first < 0 {
			return 0, 0, errNoFlag
		}
		for last > first+1 && all[last-1].empty { // what stands before the next flag belongs to it
			last--
		}
		if rest := all[first].rest; rest != "" && !strings.HasPrefix(rest, "#") {
			return 0, 0, errNotBlock
		}
		start, end = all[first].start, all[last-1].end
		from, to = first+1, last
		for i := from; i < to; i++ {
			if !all[i].empty {
				indent = all[i].indent
				break
			}
		}
	}
	if from == to {
		return 0, 0, errNotBlock
	}
	return start, end, nil
}

// edit sets and drops whole keys, each with the lines below it.
func (yamlSyntax) edit(piece []byte, set []pair, drop []string) ([]byte, error) {
	all := rows(piece)
	if len(all) < 2 {
		return nil, errNotBlock
	}
	ending := "\n"
	if bytes.HasSuffix(piece[all[0].start:all[0].end], []byte("\r\n")) {
		ending = "\r\n"
	}
	indent := -1
	for _, r := range all[1:] {
		if !r.empty {
			indent = r.indent
			break
		}
	}
	if indent <= all[0].indent {
		return nil, errNotBlock
	}
	write := func(p pair) string { return strings.Repeat(" ", indent) + p.key + ": " + p.value + ending }
	out := slices.Clone(piece[:all[0].end])
	done := map[string]bool{}
	keep := true
	for _, r := range all[1:] {
		if !r.empty && r.indent == indent && r.key != "" {
			keep = !slices.Contains(drop, r.key)
			for _, p := range set {
				if p.key == r.key {
					keep, done[p.key] = false, true
					out = append(out, write(p)...)
				}
			}
		}
		if keep {
			out = append(out, piece[r.start:r.end]...)
		}
	}
	for _, p := range set {
		if !done[p.key] {
			if !bytes.HasSuffix(out, []byte("\n")) {
				out = append(out, ending...)
			}
			out = append(out, write(p)...)
		}
	}
	if !bytes.HasSuffix(piece, []byte("\n")) { // the last line of the file has no end
		out = bytes.TrimRight(out, "\r\n")
	}
	return out, nil
}
