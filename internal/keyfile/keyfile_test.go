package keyfile

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"lifeboat/internal/fault"
)

type key struct {
	ID   string `json:"id"`
	Seed []byte `json:"seed"`
}

func at(path string) File[key] {
	return File[key]{Path: path, What: "the keys of a test", Cost: "nobody minds", Most: 2, Whole: func(k key) bool { return len(k.Seed) == 4 }}
}

func TestKeysComeBack(t *testing.T) {
	t.Parallel()
	f := at(filepath.Join(t.TempDir(), "keys"))
	if keys, err := f.Read(); err != nil || keys != nil {
		t.Errorf("before there is a file: %v, %v", keys, err)
	}
	want := []key{{"a", []byte("1234")}, {"b", []byte("5678")}}
	if err := f.Write(want); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(f.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v %v", info.Mode(), err)
	}
	if keys, err := f.Read(); err != nil || !reflect.DeepEqual(keys, want) {
		t.Errorf("%v, %v", keys, err)
	}
	if err := at("").Write(want); err != nil {
		t.Errorf("where nothing is kept: %v", err)
	}
}

func TestFilesThatAreNotOurs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		kind fault.Kind
	}{
		"read by others": {`[{"seed":"MTIzNA=="}]`, 0o640, fault.Denied}, "no JSON": {"hello", 0o600, fault.Invalid}, "nothing": {"", 0o600, fault.Invalid},
		"no key": {"[]", 0o600, fault.Invalid}, "too many": {`[{"seed":"MTIzNA=="},{"seed":"MTIzNA=="},{"seed":"MTIzNA=="}]`, 0o600, fault.Invalid}, "half a key": {`[{"seed":"MTI="}]`, 0o600, fault.Invalid},
	} {
		f := at(filepath.Join(t.TempDir(), "keys"))
		if err := os.WriteFile(f.Path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		if keys, err := f.Read(); fault.KindOf(err) != c.kind || keys != nil {
			t.Errorf("%s: %v, %v", name, keys, err)
		}
	}
	if err := at(filepath.Join(t.TempDir(), "no", "folder")).Write(nil); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without a folder: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`[]`, `[{"id":"a","seed":"MTIzNA=="}]`, `{`, `[{"id":"","seed":""}]`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := at("")
		keys, err := file.parse(text)
		if err != nil {
			return
		}
		if len(keys) == 0 || len(keys) > file.Most || !file.Whole(keys[len(keys)-1]) {
			t.Errorf("%q gives %v", text, keys)
		}
	})
}
