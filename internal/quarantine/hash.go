package quarantine

import (
	"crypto/sha256"
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

// HashPlan is what an approval is bound to: SHA-256 over everything in the plan but
// the hash itself.
func HashPlan(p Plan) (string, error) {
	p.Hash = ""
	b, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode plan: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
