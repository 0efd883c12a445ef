package statuspage

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"lifeboat/internal/board"
)

// TestAtGivesTheSameBytes: one page by its path is the page that all of them together
// hold, to the last byte.
func TestAtGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	page, f := company()
	b := board.Make(page, f)
	fresh, err := Fresh(b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := Rest(b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, fresh)
	for path, want := range all {
		if strings.HasSuffix(path, ".txt") || strings.HasSuffix(path, ".json") {
			continue
		}
		got, found, err := At(b, Options{}, path)
		if err != nil || !found || !bytes.Equal(got.Body, want.Body) || got.Policy != want.Policy {
			t.Errorf("%s: found %v, %v, %d bytes for %d", path, found, err, len(got.Body), len(want.Body))
		}
	}
	for _, path := range []string{"", "/nowhere", "/incidents/", "/incidents/none", "/history/1999-01", "/de/nowhere", "/xx/", "//"} {
		if _, found, err := At(b, Options{}, path); found || err != nil {
			t.Errorf("%q: found %v, %v", path, found, err)
		}
	}
}
