package zone

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// The bounds of a named.conf.
const (
	maxNamedDepth = 5 // of includes, and of braces that are looked into
	maxNamedZones = 10_000
	maxNamedFiles = 100
)

// NamedZone is a zone that BIND's configuration says it is the primary of.
type NamedZone struct {
	Name string // absolute, lower case
	File string // of the zone, by the configuration's directory where it has one
	At   string // the statement's place, FILE:LINE
}

// NamedConf reads the zones that a named.conf has as primary, in its order, with those
// of the files that it includes. Zones of other types are named in skipped. It
// understands no more of the file than it needs to.
func NamedConf(file string, read func(file string) (string, error)) (zones []NamedZone, skipped []string, err error) {
	n := &named{read: read}
	if err := n.file(file, 0); err != nil {
		return nil, nil, err
	}
	for i := range n.zones {
		if f := n.zones[i].File; !path.IsAbs(f) {
			n.zones[i].File = path.Join(cmp.Or(n.directory, path.Dir(file)), f)
		}
	}
	return n.zones, n.skipped, nil
}

// IsNamedConf says whether a text looks like BIND's configuration, and not like a zone
// file.
func IsNamedConf(text string) bool {
	t := &namedText{rest: text, line: 1}
	for range 10_000 {
		word, _ := t.next()
		switch word {
		case "":
			return false
		case "zone", "options", "view", "include":
			if _, quoted := t.next(); quoted || word == "options" {
				return true
			}
		}
	}
	return false
}

type named struct {
	read      func(string) (string, error)
	directory string
	zones     []NamedZone
	skipped   []string
	files     int
}

func (n *named) file(file string, depth int) error {
	if n.files++; depth > maxNamedDepth || n.files > maxNamedFiles {
		return fault.New(fault.Invalid, "files are included on and on").At(file).WithHint("import the file that holds the zones itself")
	}
	text, err := n.read(file)
	if err != nil {
		return err
	}
	return n.statements(&namedText{rest: text, line: 1, file: file}, depth)
}

// statements reads up to the end of the text, or of the block that it is in.
func (n *named) statements(t *namedText, depth int) error {
	for {
		word, quoted := t.next()
		at := t.place()
		switch {
		case word == "" && !quoted, word == "}" && !quoted:
			return nil
		case word == ";" || quoted:
			continue
		case word == "include":
			name, _ := t.next()
			if !path.IsAbs(name) {
				name = path.Join(cmp.Or(n.directory, path.Dir(t.file)), name)
			}
			if err := n.file(name, depth+1); err != nil {
				return err
			}
		case word == "directory":
			n.directory, _ = t.next()
			if !path.IsAbs(n.directory) {
				n.directory = path.Join(path.Dir(t.file), n.directory)
			}
		case word == "zone":
			if err := n.zone(t, at); err != nil {
				return err
			}
			continue
		case word == "options" || word == "view":
			if t.open() {
				if depth >= maxNamedDepth {
					return fault.New(fault.Invalid, "blocks lie in blocks on and on").At(at)
				}
				if err := n.statements(t, depth+1); err != nil {
					return err
				}
			}
		}
		t.skip()
	}
}

// zone reads one zone statement.
func (n *named) zone(t *namedText, at string) error {
	name, _ := t.next()
	name = strings.ToLower(dns.Fqdn(name))
	var typ, file string
	if !t.open() {
		return nil
	}
	for word, quoted := t.next(); word != "" && (word != "}" || quoted); word, quoted = t.next() {
		switch {
		case quoted || word == ";":
			continue
		case word == "type":
			typ, _ = t.next()
		case word == "file":
			file, _ = t.next()
		}
		t.skip()
	}
	t.skip()
	switch {
	case typ != "master" && typ != "primary" || file == "" || name == ".":
		n.skipped = append(n.skipped, fmt.Sprintf("%s: zone %.260s is of type %.40s and was left out", at, name, cmp.Or(typ, "none")))
	case len(n.zones) == maxNamedZones:
		return fault.New(fault.Invalid, "there are more than %d zones", maxNamedZones).At(at)
	default:
		n.zones = append(n.zones, NamedZone{Name: name, File: file, At: at})
	}
	return nil
}

// namedText is a text of named.conf, word by word.
type namedText struct {
	rest, file string
	line       int
}

func (t *namedText) place() string { return fmt.Sprintf("%s:%d", t.file, t.line) }

// next gives a word, what stands in quotes, or one of { } ;. At the end it is "".
func (t *namedText) next() (word string, quoted bool) {
	for t.rest != "" {
		switch c := t.rest[0]; {
		case c == '\n':
			t.line++
			t.rest = t.rest[1:]
		case c == ' ' || c == '\t' || c == '\r':
			t.rest = t.rest[1:]
		case c == '#' || strings.HasPrefix(t.rest, "//"):
			t.cut(strings.IndexByte(t.rest, '\n'))
		case strings.HasPrefix(t.rest, "/*"):
			if end := strings.Index(t.rest[2:], "*/"); end >= 0 {
				t.cut(end + 4)
			} else {
				t.cut(-1)
			}
		case c == '"':
			end := strings.IndexByte(t.rest[1:], '"')
			if end < 0 {
				word = t.rest[1:]
				t.cut(-1)
				return word, true
			}
			word = t.rest[1 : 1+end]
			t.cut(end + 2)
			return word, true
		case strings.IndexByte("{};", c) >= 0:
			word, t.rest = t.rest[:1], t.rest[1:]
			return word, false
		default:
			end := strings.IndexAny(t.rest, " \t\r\n{};\"#")
			if end < 0 {
				end = len(t.rest)
			}
			word, t.rest = t.rest[:end], t.rest[end:]
			return word, false
		}
	}
	return "", false
}

// cut takes octets off the text, all of it for a negative count.
func (t *namedText) cut(octets int) {
	if octets < 0 {
		octets = len(t.rest)
	}
	t.line += strings.Count(t.rest[:octets], "\n")
	t.rest = t.rest[octets:]
}

// open goes on behind the next brace that opens; false where the statement ends first.
func (t *namedText) open() bool {
	for {
		switch word, quoted := t.next(); {
		case quoted:
		case word == "{":
			return true
		case word == ";" || word == "":
			return false
		}
	}
}

// skip goes on behind the end of a statement, or stays before the brace that closes the
// block around it.
func (t *namedText) skip() {
	depth := 0
	for {
		before, line := t.rest, t.line
		word, quoted := t.next()
		switch {
		case quoted:
		case word == "{":
			depth++
		case word == "}" && depth == 0:
			t.rest, t.line = before, line
			return
		case word == "}":
			depth--
		case word == ";" && depth == 0, word == "":
			return
		}
	}
}
