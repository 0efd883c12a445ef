package zone

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// maxTTL is the largest TTL there is (RFC 2181 section 8), in seconds.
const maxTTL = 1<<31 - 1

// unstated marks a record whose entry states no TTL; it is too large to be one.
const unstated = 0xDEFA_0177

// reader turns zone text into records and keeps what an entry inherits from
// those before it. It notes every problem and goes on.
type reader struct {
	source   Source
	apex     string // wire form
	origin   string // text, absolute
	owner    string // text, of the entry before
	ttl      uint32 // by $TTL or the configuration
	hasTTL   bool
	last     uint32 // the last stated TTL
	hasLast  bool
	names    *Names // of records; the apex is number 0
	recs     []record
	data     []byte // of all records, one after the other
	quick    quick
	problems []error
	warnings []string
	more     int // warnings that are only counted

	base     int       // lines before the text that is read now, counted over all texts
	lines    int       // lines of all texts begun so far
	passages []passage // the included ones
	within   []string  // the files that are being read, the zone's own not counted
}

// record is one resource record as a large zone holds it: 24 octets, without
// pointers.
type record struct {
	name int32  // of the owner, in names
	data uint32 // where its data begins in data
	ttl  uint32
	line int32
	size uint16 // of the data
	typ  uint16
	glue bool
}

// YieldEach is after how many names, records or lines of a large zone whoever works
// through it lets others have their turn: a fraction of a millisecond, where the
// runtime would let them wait for ten.
const YieldEach = 1 << 10

// maxWarnings are as many as are told; the others are counted.
const maxWarnings = 1000

func newReader(s Source, apex string) *reader {
	lines := strings.Count(s.Text, "\n") + 3 // and the SOA and NS records that may be made
	r := &reader{source: s, apex: apex, origin: s.Apex, ttl: s.TTL, hasTTL: s.TTL > 0}
	r.names = newNames(lines, min(len(s.Text), lines*(len(apex)+16)))
	r.recs = make([]record, 0, lines)
	r.names.add([]byte(apex))
	r.quick.owner = -1
	return r
}

// take adds a record to the zone.
func (r *reader) take(owner int32, typ uint16, ttl uint32, data []byte, line int) {
	r.recs = append(r.recs, record{name: owner, data: uint32(len(r.data)), ttl: ttl, line: int32(line), size: uint16(len(data)), typ: typ})
	r.data = append(r.data, data...)
}

// full says whether there is no room for another record.
func (r *reader) full() bool {
	return uint64(len(r.data)) > maxArena || uint64(len(r.names.arena)) > maxArena
}

// dataOf is the data of a record.
func (r *reader) dataOf(rec *record) []byte {
	end := rec.data + uint32(rec.size)
	return r.data[rec.data:end:end]
}

// nameOf is the owner of a record as text.
func (r *reader) nameOf(rec *record) string { return Unpack(string(r.names.Name(rec.name))) }

func (r *reader) read() {
	r.readText(r.source.Text, "")
}

// readText reads the zone's own text, or that of an included file.
func (r *reader) readText(text, file string) {
	r.base = r.lines
	r.lines += strings.Count(text, "\n") + 1
	if file != "" {
		r.passages = append(r.passages, passage{first: r.base, file: file})
	}
	for line, turn := r.base+1, 0; text != ""; turn++ {
		if turn%YieldEach == 0 {
			runtime.Gosched()
		}
		if length, ok := r.quickLine(text, line); ok {
			text = text[length:]
			line++
			continue
		}
		e, rest := cutEntry(text)
		e.line = line
		line += strings.Count(text[:len(text)-len(rest)], "\n")
		text = rest
		if len(e.fields) == 0 && e.fault == "" {
			continue
		}
		if err := r.entry(e); err != nil {
			r.problems = append(r.problems, err)
		}
	}
}

// place is where a line of the text, or of an included one, is found, as file:line.
func (r *reader) place(line int) string {
	for _, p := range slices.Backward(r.passages) {
		if line > p.first {
			return fmt.Sprintf("%s:%d", path.Join(path.Dir(r.source.File), p.file), line-p.first)
		}
	}
	if r.source.Line > 0 {
		line += r.source.Line - 1
	}
	file := r.source.File
	if file == "" {
		file = "zone " + r.source.Apex
	}
	return fmt.Sprintf("%s:%d", file, line)
}

func (r *reader) invalid(line int, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...).At(r.place(line))
}

func (r *reader) warn(line int, format string, args ...any) {
	if len(r.warnings) == maxWarnings {
		r.more++
		return
	}
	r.warnings = append(r.warnings, r.place(line)+": "+fmt.Sprintf(format, args...))
}

func (r *reader) entry(e entry) error {
	if e.fault != "" {
		return r.invalid(e.line, "%s", e.fault).WithHint("quotes close on their line, parentheses around data that spans lines")
	}
	if !e.blank && strings.HasPrefix(e.fields[0], "$") {
		return r.directive(e)
	}
	text := e.text
	if e.blank {
		if r.lastOwner() == "" {
			return r.invalid(e.line, "the entry begins with white space, but no owner name comes before it").
				WithHint("begin the line with the owner's name, or @ for %s", r.source.Apex)
		}
		text = r.lastOwner() + text
	} else {
		r.setOwner(r.absolute(e.fields[0]))
	}
	if t, ok := e.typeWithoutData(); ok {
		return r.invalid(e.line, "the %s record has no data", t).WithHint("OWNER [TTL] [IN] TYPE DATA, as in www 300 IN A 192.0.2.1")
	}
	return r.parse(e, text, len(text)-len(e.text))
}

// lastOwner is the owner of the entry before, as text.
func (r *reader) lastOwner() string {
	if r.quick.owner >= 0 {
		here := r.origin
		r.origin = r.quick.from
		r.owner = r.absolute(r.quick.token)
		r.origin = here
	}
	return r.owner
}

func (r *reader) setOwner(owner string) { r.owner, r.quick.owner = owner, -1 }

// typeWithoutData says whether the record's type is the last thing that an entry
// states. The wire library takes that for an update message's "delete all".
func (e entry) typeWithoutData() (name string, ok bool) {
	fields := e.fields
	if !e.blank {
		fields = fields[1:]
	}
	if len(fields) == 0 || len(fields) > 3 {
		return "", false
	}
	name = strings.ToUpper(fields[len(fields)-1])
	_, known := dns.StringToType[name]
	for _, f := range fields[:len(fields)-1] {
		_, class := dns.StringToClass[strings.ToUpper(f)]
		if _, err := parseTTL(f); err != nil && !class {
			return "", false
		}
	}
	return name, name != "APL" && (known || strings.HasPrefix(name, "TYPE"))
}

func (r *reader) directive(e entry) error {
	switch name := strings.ToUpper(e.fields[0]); {
	case name == "$INCLUDE":
		return r.include(e)
	case name == "$GENERATE":
		return r.generate(e)
	case name == "$TTL" && len(e.fields) == 2:
		ttl, err := parseTTL(e.fields[1])
		if err != nil {
			return r.invalid(e.line, "$TTL: %v", err).WithHint("seconds, or a figure with a unit as in 1h30m")
		}
		r.ttl, r.hasTTL = ttl, true
		return nil
	case name == "$ORIGIN" && len(e.fields) == 2:
		origin := r.absolute(e.fields[1])
		if _, err := Pack(origin); err != nil {
			return r.invalid(e.line, "$ORIGIN: %v", err).WithHint("write an absolute name, as in %s", r.source.Apex)
		}
		r.origin = origin
		return nil
	}
	return r.invalid(e.line, "the directive %s can't be read", e.text).WithHint("$ORIGIN NAME, $TTL SECONDS, $INCLUDE FILE and $GENERATE are known")
}

// generate states the TTL in a $GENERATE entry that has none, for the wire
// library would put its own.
func (r *reader) generate(e entry) error {
	if len(e.fields) < 5 {
		return r.invalid(e.line, "$GENERATE needs a range, an owner, a type and data").WithHint("as in $GENERATE 1-9 host$ A 192.0.2.$")
	}
	e.text = unquoted(e.text)
	stated := e.fields[3]
	if _, class := dns.StringToClass[strings.ToUpper(stated)]; class {
		stated = e.fields[4]
	}
	if _, err := parseTTL(stated); err == nil {
		return r.parse(e, e.text, 0)
	}
	ttl, ok := r.inherited()
	if !ok {
		return r.noTTL(e)
	}
	at := strings.Index(e.text, e.fields[1]) + len(e.fields[1])
	at += strings.Index(e.text[at:], e.fields[2]) + len(e.fields[2])
	return r.parse(e, e.text[:at]+" "+strconv.FormatUint(uint64(ttl), 10)+e.text[at:], 0)
}

// quotedData is a $GENERATE entry whose data stands in quotes as a whole.
var quotedData = regexp.MustCompile(`^(.*\s(\S+)\s+)"([^"\\]*)"\s*(;.*)?$`)

// unquoted takes the quotes off, as BIND does, which wants the data as one word.
// Those of text belong to the data.
func unquoted(text string) string {
	m := quotedData.FindStringSubmatch(text)
	if m == nil || strings.EqualFold(m[2], "TXT") || strings.EqualFold(m[2], "SPF") {
		return text
	}
	return m[1] + m[3]
}

// absolute makes a name of the text absolute, against the origin.
func (r *reader) absolute(name string) string {
	switch {
	case name == "@":
		return r.origin
	case dns.IsFqdn(name):
		return name
	case r.origin == ".":
		return name + "."
	}
	return name + "." + r.origin
}

func (r *reader) inherited() (uint32, bool) {
	if r.hasTTL {
		return r.ttl, true
	}
	return r.last, r.hasLast
}

func (r *reader) noTTL(e entry) error {
	return r.invalid(e.line, "the record has no TTL and none comes before it").WithHint("put a line like $TTL 300 at the top")
}

// parse reads the records of one entry, one but for $GENERATE. The text is the
// entry's with shift octets put before it.
func (r *reader) parse(e entry, text string, shift int) error {
	zp := dns.NewZoneParser(strings.NewReader(text+"\n"), r.origin, "")
	zp.SetDefaultTTL(unstated)
	n := 0
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		n++
		if err := r.add(e, rr); err != nil {
			return err
		}
	}
	if err := zp.Err(); err != nil {
		return r.syntax(e, err, shift)
	}
	if n == 0 {
		return r.invalid(e.line, "the line holds no whole record").WithHint("OWNER [TTL] [IN] TYPE DATA")
	}
	return nil
}

// where is how the wire library ends the text of its errors.
var where = regexp.MustCompile(` at line: (\d+):(\d+)$`)

// syntax puts the wire library's error into our words and our place.
func (r *reader) syntax(e entry, err error, shift int) error {
	text := strings.TrimPrefix(err.Error(), "dns: ")
	line, col := 1, 0
	if m := where.FindStringSubmatch(text); m != nil {
		text = strings.TrimSuffix(text, m[0])
		line, _ = strconv.Atoi(m[1])
		col, _ = strconv.Atoi(m[2])
	}
	if line <= 1 {
		line, col = 1, col-shift
	}
	f := r.invalid(e.line+line-1, "%s", text).WithHint("OWNER [TTL] [IN] TYPE DATA, as in www 300 IN A 192.0.2.1")
	if col > 0 {
		f.Place += ":" + strconv.Itoa(col)
	}
	return f
}

// add checks a record by itself and takes it in wire form.
func (r *reader) add(e entry, rr dns.RR) error {
	h := rr.Header()
	switch {
	case h.Class != dns.ClassINET:
		return r.invalid(e.line, "the class %s is not served", dns.Class(h.Class)).WithHint("write IN or nothing")
	case h.Rrtype == 0 || h.Rrtype == dns.TypeNULL || h.Rrtype == dns.TypeOPT || (h.Rrtype >= 128 && h.Rrtype <= 255):
		return r.invalid(e.line, "%s is no type of a record that a zone can hold", typeName(h.Rrtype)).WithHint("take the line out")
	}
	ttl, err := r.recordTTL(e, h.Ttl)
	if err != nil {
		return err
	}
	data, err := wireData(rr)
	if err != nil {
		return r.invalid(e.line, "the data of the %s record is not valid: %v", typeName(h.Rrtype), err).WithHint("see the type's RFC for its form")
	}
	if n, ok := e.statedLength(); ok && n != len(data) {
		return r.invalid(e.line, "%d octets of %s data are announced, %d make sense", n, typeName(h.Rrtype), len(data)).WithHint("see RFC 3597 section 5")
	}
	owner, err := Pack(h.Name)
	if err != nil {
		return r.invalid(e.line, "%v", err).WithHint("mend the owner's name")
	}
	if !Under(owner, r.apex) {
		return r.invalid(e.line, "%s lies outside the zone %s", h.Name, r.source.Apex).
			WithHint("take the line out, or check for a missing or a needless final dot")
	}
	switch h.Rrtype {
	case dns.TypeRRSIG, dns.TypeSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM:
		r.warn(e.line, "the %s record is left out: signatures are made here, where a zone is to be signed (dnssec: true)", typeName(h.Rrtype))
		return nil
	}
	if r.full() {
		return r.invalid(e.line, "the zone is larger than 4 GiB").WithHint("split it")
	}
	r.take(r.names.add([]byte(owner)), h.Rrtype, ttl, data, e.line)
	return nil
}

// statedLength is the length that an entry in the form of RFC 3597 states.
func (e entry) statedLength() (n int, ok bool) {
	i := slices.Index(e.fields, `\#`)
	if i < 0 || i+1 >= len(e.fields) {
		return 0, false
	}
	n, err := strconv.Atoi(e.fields[i+1])
	return n, err == nil
}

func (r *reader) recordTTL(e entry, stated uint32) (uint32, error) {
	if stated == unstated {
		ttl, ok := r.inherited()
		if !ok {
			return 0, r.noTTL(e)
		}
		return ttl, nil
	}
	if stated > maxTTL {
		return 0, r.invalid(e.line, "the TTL %d is larger than there can be", stated).WithHint("at most %d seconds; an hour is 3600", maxTTL)
	}
	r.last, r.hasLast = stated, true
	return stated, nil
}

// wireData packs a record's data, and reads it back to be sure that it is whole.
func wireData(rr dns.RR) ([]byte, error) {
	wire := make([]byte, dns.Len(rr)+64)
	n, err := dns.PackRR(rr, wire, 0, nil, false)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "dns: "))
	}
	owner, err := Pack(rr.Header().Name)
	if err != nil {
		return nil, err
	}
	data := bytes.Clone(wire[len(owner)+10 : n])
	if !whole(rr.Header().Rrtype, data) {
		return nil, errors.New("it is not whole")
	}
	back, _, err := dns.UnpackRR(wire[:n], 0)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "dns: "))
	}
	if !equalOnWire(back, wire[:n]) {
		return nil, errors.New("it is not whole")
	}
	return data, nil
}

// whole says whether data has the form that answering relies on. The wire library
// lets data through that is cut short.
func whole(t uint16, data []byte) bool {
	switch t {
	case dns.TypeA:
		return len(data) == 4
	case dns.TypeAAAA:
		return len(data) == 16
	case dns.TypeNS, dns.TypeCNAME, dns.TypePTR, dns.TypeDNAME:
		return nameLen(data) == len(data)
	case dns.TypeMX:
		return len(data) > 2 && nameLen(data[2:]) == len(data)-2
	case dns.TypeSOA:
		n := nameLen(data)
		return n > 0 && nameLen(data[n:]) > 0 && n+nameLen(data[n:])+20 == len(data)
	case dns.TypeSRV:
		return len(data) > 6 && nameLen(data[6:]) == len(data)-6
	case dns.TypeSVCB, dns.TypeHTTPS:
		return len(data) > 2 && nameLen(data[2:]) > 0
	case dns.TypeAPL:
		return true
	}
	_, known := dns.TypeToRR[t]
	return len(data) > 0 || !known
}

// nameLen is the length of the wire-form name that data begins with, 0 when it
// begins with none.
func nameLen(data []byte) int {
	for i := 0; i < len(data) && i < 255; i += 1 + int(data[i]) {
		if data[i] == 0 {
			return i + 1
		}
		if data[i] > 63 {
			return 0
		}
	}
	return 0
}

func equalOnWire(rr dns.RR, wire []byte) bool {
	again := make([]byte, len(wire)+64)
	n, err := dns.PackRR(rr, again, 0, nil, false)
	return err == nil && bytes.Equal(again[:n], wire)
}

// parseTTL reads seconds, or figures with the units s, m, h, d and w.
func parseTTL(s string) (uint32, error) {
	var total, figure uint64
	digits := false
	for i := range len(s) {
		c := s[i] | 0x20
		switch {
		case '0' <= s[i] && s[i] <= '9':
			figure, digits = figure*10+uint64(s[i]-'0'), true
			if figure > maxTTL {
				return 0, fmt.Errorf("%s is larger than a TTL can be", s)
			}
			continue
		case !digits || unit(c) == 0:
			return 0, fmt.Errorf("%q is not a time", s)
		}
		total, figure, digits = total+figure*unit(c), 0, false
	}
	if total += figure; s == "" || total > maxTTL {
		return 0, fmt.Errorf("%q is not a time that a TTL can be", s)
	}
	return uint32(total), nil
}

func unit(c byte) uint64 {
	switch c {
	case 's':
		return 1
	case 'm':
		return 60
	case 'h':
		return 3600
	case 'd':
		return 86400
	case 'w':
		return 604800
	}
	return 0
}
