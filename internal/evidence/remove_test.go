package evidence

import (
	"strings"
	"testing"

	"lifeboat/internal/fault"
)

func TestRemoveTakesABodyAway(t *testing.T) {
	t.Parallel()
	f, err := Open(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	free := f.Free()
	b, err := f.Put(strings.NewReader("a customer's address"), 100)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second time is no error
		if err := f.Remove(b.SHA256); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := f.Get(b.SHA256); fault.KindOf(err) != fault.NotFound {
		t.Errorf("it is still there: %v", err)
	}
	if f.Free() != free {
		t.Errorf("%d bytes are free, %d were before", f.Free(), free)
	}
	if err := f.Remove("../../etc/passwd"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a path: %v", err)
	}
}
