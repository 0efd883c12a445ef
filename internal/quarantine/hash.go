package quarantine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// HashSet is the hash of a set of rows: SHA-256 over their sorted hashes, in
// hexadecimal. The order of rows does not count.
func HashSet(rows []Row) string {
	hashes := make([]string, len(rows))
	for i, r := range rows {
		hashes[i] = r.Hash
	}
	return HashHashes(hashes)
}

// HashHashes is HashSet for hashes alone. It sorts them in place.
func HashHashes(hashes []string) string {
	slices.Sort(hashes)
	sum := sha256.New()
	for _, h := range hashes {
		sum.Write([]byte(h))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// HashColumns is the hash of a table's shape: name, type, not null, generated and
// identity of each column in order.
func HashColumns(columns []Column) string {
	sum := sha256.New()
	for _, c := range columns {
		fmt.Fprintf(sum, "%q %q %t %t %q\n", c.Name, c.Type, c.NotNull, c.Generated, c.Identity)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// HashPlan is what an approval is bound to: SHA-256 over everything in the plan but the
// hash itself. Frozen rows, of which there may be many thousands, are written apart from
// the rest, each part behind its length.
func HashPlan(p Plan) (string, error) {
	sum := sha256.New()
	p.Hash = ""
	p.Tables, p.Detached = slices.Clone(p.Tables), slices.Clone(p.Detached)
	var b []byte
	for n := range p.Tables {
		b = appendRows(b[:0], p.Tables[n].Frozen)
		sum.Write(b)
		p.Tables[n].Frozen = nil
	}
	for n := range p.Detached {
		b = appendRows(b[:0], p.Detached[n].Frozen)
		sum.Write(b)
		p.Detached[n].Frozen = nil
	}
	rest, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode plan: %w", err)
	}
	sum.Write(rest)
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func appendRows(b []byte, rows []Row) []byte {
	b = slices.Grow(b, len(rows)*96)
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b = binary.AppendUvarint(b, uint64(len(rows)))
	for _, r := range rows {
		b = binary.AppendUvarint(b, uint64(len(r.Key)))
		for _, part := range r.Key {
			text(part)
		}
		text(r.Hash)
	}
	return b
}
