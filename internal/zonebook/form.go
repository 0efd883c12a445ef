package zonebook

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// Name makes what somebody typed as a name absolute, in lower case: @ or nothing is the
// zone itself, a name that ends with the zone's is taken as it stands, any other is below
// the zone. One that lies outside, or can't be one, is fault.Invalid.
func Name(apex, typed string) (string, error) {
	name := strings.ToLower(strings.TrimSpace(typed))
	wrong := func(why, hint string, args ...any) (string, error) {
		return "", fault.New(fault.Invalid, "the name %.80q %s", typed, why).At("name").WithHint(hint, args...)
	}
	for _, c := range name {
		switch {
		case c >= utf8.RuneSelf:
			return wrong("has a letter that is no plain one", "write it as it stands in DNS, beginning with xn--")
		case c <= ' ' || c == 0x7f || strings.ContainsRune(`"();`, c):
			return wrong("has a blank or a sign that no name has", "write letters, figures, hyphens and dots")
		}
	}
	bare := strings.TrimSuffix(apex, ".")
	switch {
	case name == "" || name == "@" || name == bare:
		name = apex
	case strings.HasSuffix(name, ".") && !strings.HasSuffix(name, `\.`):
	case strings.HasSuffix(name, "."+bare):
		name += "."
	case apex == ".":
		name += "."
	default:
		name += "." + apex
	}
	wire, err := zone.Pack(name)
	if err != nil {
		return wrong("can't be one", "between two dots 1 to 63 characters, 253 in all")
	}
	top, err := zone.Pack(apex)
	if err != nil {
		return "", err
	}
	if !zone.Under(wire, top) {
		return wrong("lies outside the zone "+bare, "write a name below %s; without a final dot it is", bare)
	}
	return zone.Unpack(wire), nil
}

// Target makes a name that a record leads to absolute: one with a dot is taken as it
// stands, one without is below the zone, and @ is the zone itself.
func Target(apex, typed string) string {
	name := strings.TrimSpace(typed)
	switch {
	case name == "@":
		return apex
	case name == "" || strings.HasSuffix(name, "."):
		return name
	case strings.Contains(name, "."):
		return name + "."
	case apex == ".":
		return name + "."
	}
	return name + "." + apex
}

// Form is what is asked of somebody who writes a record of a type.
type Form struct {
	Type   string
	Says   string // what it is for, in a line
	Fields []Field
}

// Field is one part of a record's data.
type Field struct {
	Name, Label, Help string
	Holder            string // an example
	Usual             string // what it is unless said
	Options           []string
	kind              kind
}

type kind int

const (
	kindWord   kind = iota // as it stands
	kindName               // a name: made absolute
	kindText               // put into quotes
	kindRest               // as it stands, with blanks; may be missing
	kindNumber             // 0 to 65535
	kindV4
	kindV6
)

// Forms are those that people write most, in the order in which they are offered. Any
// other type is written as in a master file (FormOf).
func Forms() []Form {
	target := func(label, help, holder string) Field {
		return Field{Name: "target", Label: label, Help: help + " With a dot in it, it is taken as it stands; without one, it is below this zone.", Holder: holder, kind: kindName}
	}
	return []Form{
		{"A", "Where the name is: an IPv4 address.", []Field{{Name: "address", Label: "IPv4 address", Help: "Four figures with dots.", Holder: "192.0.2.10", kind: kindV4}}},
		{"AAAA", "Where the name is: an IPv6 address.", []Field{{Name: "address", Label: "IPv6 address", Help: "Groups with colons.", Holder: "2001:db8::10", kind: kindV6}}},
		{"CNAME", "The name is only another name for something else. Nothing else may stand beside it, and the zone’s own name can’t be one.", []Field{target("Is another name for", "Where it leads.", "shop.example.net")}},
		{"MX", "Which server takes mail for the name.", []Field{
			{Name: "preference", Label: "Order", Help: "Servers with a lower figure are tried first.", Usual: "10", kind: kindNumber},
			target("Mail server", "A name with addresses, no CNAME.", "mail.example.com"),
		}},
		{"TXT", "Text that other machines look for: proofs of ownership, SPF, DKIM, DMARC.", []Field{{Name: "text", Label: "Text", Help: "As you were given it. Quotes are put around it here.", Holder: "v=spf1 mx -all", kind: kindText}}},
		{"SRV", "Where a service runs. The name begins with the service, as in _sip._tcp.", []Field{
			{Name: "priority", Label: "Order", Help: "Lower figures are tried first.", Usual: "0", kind: kindNumber},
			{Name: "weight", Label: "Weight", Help: "Among equals, a larger figure gets more.", Usual: "0", kind: kindNumber},
			{Name: "port", Label: "Port", Holder: "5061", kind: kindNumber},
			target("Server", "A name with addresses.", "sip.example.com"),
		}},
		{"CAA", "Who may make certificates for the name and all below it.", []Field{
			{Name: "flag", Label: "Flag", Help: "0, unless you were told another figure.", Usual: "0", kind: kindNumber},
			{Name: "tag", Label: "What is allowed", Help: "issue: certificates; issuewild: those for *; iodef: where trouble is told.", Usual: "issue", Options: []string{"issue", "issuewild", "iodef"}, kind: kindWord},
			{Name: "text", Label: "To whom", Help: "The authority’s name; a semicolon alone: to nobody.", Holder: "letsencrypt.org", kind: kindText},
		}},
		{"NS", "Which servers answer for everything below the name.", []Field{target("Name server", "A name with addresses.", "ns1.example.net")}},
		{"HTTPS", "How browsers reach the site: another name, or what it speaks.", []Field{
			{Name: "priority", Label: "Order", Help: "0: it is only another name for something else. Else lower figures are tried first.", Usual: "1", kind: kindNumber},
			{Name: "target", Label: "Served by", Help: "A dot alone: by the name itself.", Usual: ".", kind: kindName},
			{Name: "rest", Label: "What it speaks", Help: "May be empty.", Holder: "alpn=h2,h3", kind: kindRest},
		}},
	}
}

// FormOf is the form of a type; of one that has none of its own, its data as text.
func FormOf(typ string) Form {
	for _, f := range Forms() {
		if f.Type == typ {
			return f
		}
	}
	return Form{typ, "A record of another type, written as in a zone file.", []Field{
		{Name: "data", Label: "Data", Help: "What comes after the type in a zone file, in one line. Names in it need their final dot.", kind: kindRest},
	}}
}

func example(typ string) string {
	if f := FormOf(typ); f.Fields[0].Name != "data" {
		var words []string
		for _, x := range f.Fields {
			words = append(words, cmp.Or(x.Usual, x.Holder))
		}
		return fmt.Sprintf("for example: %s %s", typ, strings.Join(words, " "))
	}
	return ""
}

// Data puts the fields of a form together, as the data of a master file. What is wrong
// is fault.Invalid at the field's name.
func (f Form) Data(apex string, get func(field string) string) (string, error) {
	var parts []string
	for _, x := range f.Fields {
		typed := strings.TrimSpace(get(x.Name))
		if len(typed) > maxField {
			return "", x.wrong(f.Type, "has %d characters, %d are the most", len(typed), maxField)
		}
		if typed == "" {
			typed = x.Usual
		}
		if typed == "" && x.kind != kindRest {
			return "", x.wrong(f.Type, "is missing")
		}
		part, err := x.data(f.Type, apex, typed)
		if err != nil {
			return "", err
		}
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " "), nil
}

// maxField is how many octets one field has at most.
const maxField = 60000

func (x Field) wrong(typ, format string, args ...any) *fault.Error {
	hint := cmp.Or(x.Help, x.Label)
	if x.Holder != "" {
		hint = strings.TrimSpace(x.Help + " For example: " + x.Holder)
	}
	return fault.New(fault.Invalid, "%s: “%s” %s", typ, x.Label, fmt.Sprintf(format, args...)).At(x.Name).WithHint("%s", strings.TrimSuffix(hint, "."))
}

func (x Field) data(typ, apex, typed string) (string, error) {
	for _, c := range typed {
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", x.wrong(typ, "has a character in it that can't be written, such as a line end")
		}
	}
	switch x.kind {
	case kindNumber:
		if n, err := strconv.ParseUint(typed, 10, 16); err != nil || n > 65535 {
			return "", x.wrong(typ, "is no figure from 0 to 65535: %.40q", typed)
		}
	case kindV4, kindV6:
		a, err := netip.ParseAddr(typed)
		switch {
		case err != nil || a.Zone() != "":
			return "", x.wrong(typ, "is no address: %.60q", typed)
		case x.kind == kindV4 && !a.Is4():
			return "", x.wrong(typ, "is an IPv6 address, which belongs into a record of type AAAA: %.60q", typed)
		case x.kind == kindV6 && !a.Is6():
			return "", x.wrong(typ, "is an IPv4 address, which belongs into a record of type A: %.60q", typed)
		}
		return a.String(), nil
	case kindName:
		if typed == "." && typ == "HTTPS" {
			return typed, nil
		}
		if _, err := netip.ParseAddr(typed); err == nil {
			return "", x.wrong(typ, "is an address, and a name is needed: %.60q", typed)
		}
		name := Target(apex, typed)
		for _, c := range name {
			if c <= ' ' || c >= utf8.RuneSelf || strings.ContainsRune(`"();`, c) {
				return "", x.wrong(typ, "is no name: %.60q", typed)
			}
		}
		if _, err := zone.Pack(name); err != nil {
			return "", x.wrong(typ, "is no name: %.60q", typed)
		}
		return name, nil
	case kindText:
		return quoted(typed, typ), nil
	case kindWord:
		if strings.ContainsAny(typed, " \t\"();") || len(x.Options) > 0 && !slices.Contains(x.Options, strings.ToLower(typed)) {
			return "", x.wrong(typ, "is none of %s: %.40q", strings.Join(x.Options, ", "), typed)
		}
		return strings.ToLower(typed), nil
	}
	return typed, nil
}

// quoted puts text into quotes, in pieces of 255 octets where it is longer. What stands
// in quotes already is taken as it is.
func quoted(text, typ string) string {
	if strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) && len(text) > 1 && !cutShort(text) {
		return text
	}
	var pieces []string
	for {
		piece := text
		if len(piece) > 255 && typ == "TXT" {
			piece = piece[:255]
		}
		pieces = append(pieces, `"`+escaped(piece)+`"`)
		if text = text[len(piece):]; text == "" {
			return strings.Join(pieces, " ")
		}
	}
}

// escaped is text as it stands between quotes (RFC 1035 section 5.1).
func escaped(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Split gives the fields that data was put together from, so that it can be edited.
func (f Form) Split(data string) map[string]string {
	out := map[string]string{}
	rest := data
	for i, x := range f.Fields {
		if i == len(f.Fields)-1 || x.kind == kindText {
			out[x.Name] = rest
			if x.kind == kindText {
				out[x.Name] = unquoted(rest)
			}
			break
		}
		word, after, _ := strings.Cut(rest, " ")
		out[x.Name], rest = word, strings.TrimSpace(after)
	}
	return out
}

// unquoted joins the pieces of text where the result can be quoted again to the same; else
// it leaves them as they stand.
func unquoted(data string) string {
	var b strings.Builder
	in := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			in = !in
		case c == ' ' && !in:
		case c == '\\' && i+3 < len(data) && isDigits(data[i+1:i+4]):
			n, _ := strconv.Atoi(data[i+1 : i+4]) // three figures
			b.WriteByte(byte(n))
			i += 3
		case c == '\\' && i+1 < len(data):
			i++
			b.WriteByte(data[i])
		default:
			b.WriteByte(c)
		}
	}
	text := b.String()
	if !utf8.ValidString(text) || strings.TrimSpace(text) != text || text == "" || strings.HasPrefix(text, `"`) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) || quoted(text, "TXT") != data {
		return data
	}
	return text
}

func isDigits(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// ParseTTL reads a time as people type it: 300, 5m, 1h, 1d. Nothing is 0.
func ParseTTL(typed string) (uint32, error) {
	text := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(typed), " ", ""))
	wrong := func() (uint32, error) {
		return 0, fault.New(fault.Invalid, "%.40q is no time that answers can be kept", typed).At("ttl").WithHint("write seconds, or 5m, 1h, 1d")
	}
	if text == "" {
		return 0, nil
	}
	for _, long := range []struct{ said, short string }{{"seconds", "s"}, {"second", "s"}, {"sec", "s"}, {"minutes", "m"}, {"minute", "m"}, {"min", "m"}, {"hours", "h"}, {"hour", "h"}, {"days", "d"}, {"day", "d"}, {"weeks", "w"}, {"week", "w"}} {
		if figure, is := strings.CutSuffix(text, long.said); is {
			text = figure + long.short
			break
		}
	}
	unit := uint64(1)
	if i := strings.IndexByte("smhdw", text[len(text)-1]); i >= 0 {
		unit, text = []uint64{1, 60, 3600, 86400, 604800}[i], text[:len(text)-1]
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 || n*unit > 1<<31-1 {
		return wrong()
	}
	return uint32(n * unit), nil
}

// Paste reads a piece of a zone file as changes: each set that it names is added to, or
// replaced where that is asked for. Names without a final dot are below the zone, in data
// too, as in any zone file.
func Paste(f Facts, text string, replace bool) ([]Change, error) {
	if len(text) > MaxPaste {
		return nil, fault.New(fault.Invalid, "the text has %d octets, %d are the most", len(text), MaxPaste).At("records").WithHint("paste it in parts, or put it into the configuration's file")
	}
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	if strings.TrimSpace(text) == "" {
		return nil, fault.New(fault.Invalid, "nothing was pasted").At("records").WithHint("paste lines of a zone file, as in: www 300 IN A 192.0.2.1")
	}
	if strings.Contains(strings.ToUpper(text), "$GENERATE") {
		return nil, fault.New(fault.Invalid, "$GENERATE is not taken here").At("records").WithHint("write the lines that it stands for, or put it into the configuration's file")
	}
	ttl := f.Zone.TTL
	if ttl == 0 {
		ttl = usualTTL
	}
	recs, err := zone.ReadRecords(zone.Source{Apex: f.Zone.Apex, TTL: ttl, File: "the text", Line: 1, Text: text})
	if err != nil {
		return nil, fault.New(fault.Invalid, "the text can't be taken").At("records").Because(err)
	}
	var out []Change
	at := map[[2]string]int{}
	for _, rec := range recs {
		typ, data := rec.Value()
		if typ == "SOA" { // a whole zone's text has one, and ours is kept here
			continue
		}
		k := [2]string{rec.Owner, typ}
		i, there := at[k]
		if !there {
			op := Add
			if replace {
				op = Replace
			}
			i, at[k] = len(out), len(out)
			out = append(out, Change{Op: op, Name: zone.Unpack(rec.Owner), Type: typ, TTL: rec.TTL})
		}
		out[i].Data, out[i].TTL = append(out[i].Data, data), min(out[i].TTL, rec.TTL)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "there is no record in the text that could be taken").At("records").WithHint("a SOA record and signatures are kept here by themselves")
	}
	return out, nil
}

// Words puts the words of a command together, as the data of a master file: one for each
// field, what is left for the last.
func (f Form) Words(apex string, words []string) (string, error) {
	if len(words) == 1 && len(f.Fields) > 1 {
		words = strings.Fields(words[0])
	}
	got := map[string]string{}
	for i, x := range f.Fields {
		switch {
		case i >= len(words):
		case i == len(f.Fields)-1:
			got[x.Name] = strings.Join(words[i:], " ")
		default:
			got[x.Name] = words[i]
		}
		if got[x.Name] == "" && x.kind != kindRest { // nothing is guessed here
			return "", x.wrong(f.Type, "is missing")
		}
	}
	return f.Data(apex, func(name string) string { return got[name] })
}
