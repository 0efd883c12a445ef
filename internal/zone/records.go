package zone

import (
	"strings"
)

// ReadRecords reads the records of zone text one by one: each is checked by itself, and
// none beside the others; nothing is made and nothing is left out but signatures. The
// records come in the text's order. All problems are told at once, each a fault.Invalid
// with its place.
func ReadRecords(s Source) ([]Record, error) {
	s.Apex = strings.ToLower(s.Apex)
	apex, err := Pack(s.Apex)
	if err != nil {
		return nil, err
	}
	r := newReader(s, apex)
	r.read()
	if len(r.problems) > 0 {
		return nil, join(r.problems)
	}
	out := make([]Record, len(r.recs))
	for i := range r.recs {
		rec := &r.recs[i]
		out[i] = Record{Owner: string(r.names.Name(rec.name)), Type: rec.typ, TTL: rec.ttl, Data: r.dataOf(rec), Line: int(rec.line)}
	}
	return out, nil
}

// Value is a record's data as text: what follows owner, TTL, class and type in its line
// of a master file. The type is the one that the text is of: data which the type's own
// form can't carry is in the form of RFC 3597, and its type is TYPE and a number.
func (rec Record) Value() (typ, data string) {
	line, owner := rec.String(), Unpack(rec.Owner)
	if !strings.HasPrefix(line, owner) { // a dollar sign at its beginning is escaped
		owner = `\` + owner
	}
	line = strings.TrimPrefix(line, owner)
	f := strings.SplitN(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ", 4)
	if len(f) < 4 {
		return f[len(f)-1], ""
	}
	return f[2], f[3]
}
