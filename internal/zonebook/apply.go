package zonebook

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonediff"
)

// value is one record of a set.
type value struct {
	rec  zone.Record
	data string
}

// set is the records of one name and type.
type set struct {
	typ     string
	ttl     uint32
	values  []value
	touched bool // by a change
}

func (s *set) find(data string) int {
	key := zonediff.Compared(s.typ, data)
	return slices.IndexFunc(s.values, func(v value) bool { return zonediff.Compared(s.typ, v.data) == key })
}

// sets are a zone's record sets while they are changed.
type sets map[[2]string]*set // by owner in wire form, and type

// readSets reads the records that the text has, and no others: not those that are made.
func readSets(s zone.Source) (sets, error) {
	recs, err := zone.ReadRecords(s)
	if err != nil {
		return nil, err
	}
	out := sets{}
	for _, rec := range recs {
		typ, data := rec.Value()
		k := [2]string{rec.Owner, typ}
		if out[k] == nil {
			out[k] = &set{typ: typ, ttl: rec.TTL}
		}
		out[k].ttl = min(out[k].ttl, rec.TTL) // RFC 2181 section 5.2
		if out[k].find(data) < 0 {
			out[k].values = append(out[k].values, value{rec, data})
		}
	}
	return out, nil
}

// text is the sets as master file text: one record a line, everything absolute, the
// records of a name together.
func (all sets) text() string {
	keys := make([][2]string, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b [2]string) int {
		return cmp.Or(zonediff.ByTree(zone.Unpack(a[0]), zone.Unpack(b[0])), cmp.Compare(rank(a[1]), rank(b[1])), cmp.Compare(a[1], b[1]))
	})
	var b strings.Builder
	for _, k := range keys {
		for _, v := range all[k].values {
			v.rec.TTL = all[k].ttl
			b.WriteString(v.rec.String())
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// rank puts types into the order in which people look for them.
func rank(typ string) int {
	if i := slices.Index([]string{"SOA", "NS", siteType, "A", "AAAA", "CNAME", "HTTPS", "MX", "TXT", "SRV", "CAA"}, typ); i >= 0 {
		return i
	}
	return 99
}

// clean makes a change whole: its name absolute, its data in the one form.
func (f Facts) clean(c Change) (Change, error) {
	name, err := Name(f.Zone.Apex, c.Name)
	if err != nil {
		return c, err
	}
	c.Name, c.Type = name, strings.ToUpper(strings.TrimSpace(c.Type))
	where := trimmed(name) + " " + c.Type
	switch {
	case c.Op != Add && c.Op != Replace && c.Op != Remove:
		return c, fault.New(fault.Invalid, "%.40q is no change", c.Op).At("op").WithHint("say add, replace or remove")
	case c.Op != Remove && len(c.Data) == 0:
		return c, fault.New(fault.Invalid, "%s: what it is to hold is missing", where).At("data").WithHint("write it, or remove the record")
	case c.Op == Remove && len(c.Data) > 0:
		return c, fault.New(fault.Invalid, "%s: a record that is removed comes under old, not data", where).At("data").WithHint("name it under old, or leave both out to remove the whole set")
	case c.Op == Add && len(c.Old) > 0:
		return c, fault.New(fault.Invalid, "%s: adding takes nothing away", where).At("old").WithHint("say replace")
	case c.TTL > 1<<31-1:
		return c, fault.New(fault.Invalid, "%s: the TTL %d is larger than there can be", where, c.TTL).At("ttl").WithHint("an hour is 3600 seconds")
	}
	if err := f.editable(name, c.Type); err != nil {
		return c, err
	}
	data, typ, err := canonical(f.Zone.Apex, name, c.Type, c.Data)
	if err != nil {
		return c, err
	}
	old, was, err := canonical(f.Zone.Apex, name, c.Type, c.Old)
	if err != nil {
		return c, err
	}
	c.Data, c.Old = data, old
	if c.Type = typ; len(data) == 0 {
		c.Type = was
	}
	return c, f.editable(name, c.Type) // TYPE6 is SOA
}

// canonical gives data in the one form in which it is compared, and the type as it is
// written then.
func canonical(apex, name, typ string, data []string) (out []string, as string, err error) {
	as = typ
	for _, text := range data {
		rec, err := parse(apex, name, typ, text)
		if err != nil {
			return nil, typ, err
		}
		var one string
		as, one = rec.Value()
		if !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	if len(data) == 0 && strings.HasPrefix(as, "TYPE") { // TYPE1 is A
		if n, err := strconv.ParseUint(as[4:], 10, 16); err == nil {
			as = zone.TypeName(uint16(n))
		}
	}
	return out, as, nil
}

// parse reads one record.
func parse(apex, name, typ, data string) (zone.Record, error) {
	where := trimmed(name) + " " + typ
	wrong := func(why, hint string) (zone.Record, error) {
		return zone.Record{}, fault.New(fault.Invalid, "%s: %s", where, why).At("data").WithHint("%s", hint)
	}
	if len(data) > 65535 {
		return wrong("the data is longer than a record can hold", "65535 octets are the most")
	}
	if i := strings.IndexFunc(data, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }); i >= 0 {
		return wrong("there is a character in it that can't be written, such as a line end", "write one record in one line")
	}
	if cutShort(data) {
		return wrong("what comes after a semicolon would be a comment, or a quote or a bracket is left open", `put text with blanks or semicolons into quotes, as in "v=DKIM1; k=rsa"`)
	}
	if !known(typ) {
		return wrong(fmt.Sprintf("%.20q is no type of a record", typ), "write A, AAAA, CNAME, MX, TXT, SRV, CAA, NS, HTTPS or another one's name")
	}
	recs, err := zone.ReadRecords(zone.Source{Apex: apex, TTL: 60, File: where, Text: owned(name) + " 60 IN " + typ + " " + data + "\n"})
	if err != nil {
		p := problems(err)[0]
		return wrong(fmt.Sprintf("%.80q does not read as the data of this type: %s", data, p.Text), cmp.Or(example(typ), p.Hint))
	}
	if len(recs) != 1 {
		return wrong("it is not one record", "signatures are made here by themselves; write any other record in one line")
	}
	return recs[0], nil
}

// owned is a name as it may begin a line of a master file.
func owned(name string) string {
	if strings.HasPrefix(name, "$") {
		return `\` + name
	}
	return name
}

// cutShort says whether a master file would not take the text as it stands.
func cutShort(data string) bool {
	quoted, open := false, 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ';':
			return true
		case c == '(':
			open++
		case c == ')':
			open--
		}
		if open < 0 {
			return true
		}
	}
	return quoted || open != 0 || strings.HasSuffix(data, `\`) && !strings.HasSuffix(data, `\\`)
}

// known says whether a text can be a type's name: figures and letters.
func known(typ string) bool {
	for _, c := range typ {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return typ != "" && len(typ) <= 20
}

// apply carries changes out over sets. What does not fit is told by its change, and
// left out.
func (f Facts) apply(all sets, changes []Change) (refused []Problem) {
	for i, c := range changes {
		if err := f.applyOne(all, c); err != nil {
			for _, p := range problems(err) {
				p.Change, p.Name, p.Type = i+1, c.Name, c.Type
				refused = append(refused, p)
			}
		}
	}
	return refused
}

func (f Facts) applyOne(all sets, c Change) error {
	owner, err := zone.Pack(c.Name)
	if err != nil {
		return err
	}
	if err := f.editable(c.Name, c.Type); err != nil {
		return err
	}
	k := [2]string{owner, c.Type}
	s := all[k]
	where := trimmed(c.Name) + " " + c.Type
	if s == nil {
		if c.Op == Remove || len(c.Old) > 0 {
			return fault.New(fault.Conflict, "%s is not there any more: somebody else has removed it", where).WithHint("take this change out of the draft, or add the record anew")
		}
		s = &set{typ: c.Type, ttl: cmp.Or(c.TTL, f.Zone.TTL, usualTTL)}
	} else {
		s = &set{typ: s.typ, ttl: s.ttl, values: slices.Clone(s.values)}
	}
	for _, old := range c.Old {
		at := s.find(old)
		if at < 0 {
			return fault.New(fault.Conflict, "%s holds %.80q no more: somebody else has changed it", where, old).WithHint("take this change out of the draft, and make it anew on what is there now")
		}
		s.values = slices.Delete(s.values, at, at+1)
	}
	if len(c.Old) == 0 && c.Op != Add {
		s.values = nil
	}
	for _, data := range c.Data {
		rec, err := parse(f.Zone.Apex, c.Name, c.Type, data)
		if err != nil {
			return err
		}
		if s.find(data) < 0 {
			s.values = append(s.values, value{rec, data})
		}
	}
	if c.TTL > 0 {
		s.ttl = c.TTL
	}
	s.touched = true
	if all[k] = s; len(s.values) == 0 {
		delete(all, k)
	}
	return nil
}

// usualTTL is of new sets where neither the change nor the zone says one, in seconds.
const usualTTL = 300
