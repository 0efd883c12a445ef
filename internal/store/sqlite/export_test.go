package sqlite

import (
	"database/sql"
	"testing"
)

// Pragma gives a setting of the writing and of a reading connection.
func Pragma(t *testing.T, s *Store, name string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for connection, db := range map[string]*sql.DB{"write": s.write, "read": s.read} {
		var value string
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value); err != nil {
			t.Fatal(err)
		}
		got[connection] = value
	}
	return got
}
