package signer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// Folder keeps the keys of zones, one file for each, mode 0600.
type Folder struct{ dir string }

// OpenFolder opens or makes a folder of mode 0700.
func OpenFolder(dir string) (Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Folder{}, fault.New(fault.Unavailable, "make the folder of the zones' keys").Because(err).WithHint("%s must be writable by this account", dir)
	}
	return Folder{dir}, nil
}

// kept is a key file.
type kept struct {
	Apex string      `json:"apex"`
	Keys []keptKey   `json:"keys"`
	Roll dnssec.Roll `json:"roll,omitzero"`
}

type keptKey struct {
	Private []byte    `json:"private"` // the figure, 32 octets
	Tag     uint16    `json:"tag"`     // for people
	Made    time.Time `json:"made"`
}

// File is where a zone's keys are kept.
func (f Folder) File(apex string) string { return f.path(apex) }

// path is a zone's file. A host name has no octet that a file name can't have; what
// other apexes there are is spelt out.
func (f Folder) path(apex string) string {
	plain := func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._", r) }
	name := strings.TrimSuffix(apex, ".")
	if name == "" || strings.ContainsFunc(name, plain) {
		name = fmt.Sprintf("%x", apex)
	}
	return filepath.Join(f.dir, name+".keys")
}

// Load reads a zone's keys; a zone without is a fault.NotFound.
func (f Folder) Load(apex string) (Keys, error) {
	path := f.path(apex)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Keys{}, fault.New(fault.NotFound, "zone %s has no key", apex)
	}
	if err != nil {
		return Keys{}, fault.New(fault.Unavailable, "read the keys of zone %s", apex).Because(err).WithHint("the file must be readable by this account")
	}
	bad := fault.New(fault.Invalid, "the keys of zone %s can't be read", apex).At(path).
		WithHint("put the file back from a backup; a new key would need a new DS record at the parent first")
	var k kept
	if err := json.Unmarshal(b, &k); err != nil || k.Apex != apex {
		return Keys{}, bad
	}
	out := Keys{Roll: k.Roll}
	for _, key := range k.Keys {
		read, err := readKey(key.Private, key.Made)
		if err != nil || read.Tag() != key.Tag {
			return Keys{}, bad
		}
		out.Keys = append(out.Keys, read)
	}
	if len(out.Keys) != len(out.Roll.Roles().Keys) {
		return Keys{}, bad
	}
	return out, nil
}

// Save writes a zone's keys durably.
func (f Folder) Save(apex string, k Keys) error {
	out := kept{Apex: apex, Roll: k.Roll}
	for _, key := range k.Keys {
		secret, err := key.secret()
		if err != nil {
			return fmt.Errorf("write a key: %w", err)
		}
		out.Keys = append(out.Keys, keptKey{Private: secret, Tag: key.Tag(), Made: key.made})
	}
	b, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	if err := snapshot.WriteFile(f.path(apex), append(b, '\n')); err != nil {
		return fault.New(fault.Unavailable, "keep the keys of zone %s", apex).Because(err).WithHint("is there room on the disk, and may this account write there?")
	}
	return nil
}

// New makes a new key for a zone that has none, because a person says so. Where there is
// one it is a fault.Conflict: that is what a roll-over is for.
func (f Folder) New(apex string, now time.Time) (Keys, error) {
	k, made, err := f.LoadOrMake(apex, now)
	if err == nil && !made {
		err = fault.New(fault.Conflict, "zone %s has a key", apex).WithHint("to change it, begin a roll-over: lifeboat zone roll %s", apex)
	}
	return k, err
}

// LoadOrMake reads a zone's keys, and makes its first where it has none.
func (f Folder) LoadOrMake(apex string, now time.Time) (k Keys, made bool, err error) {
	k, err = f.Load(apex)
	if fault.KindOf(err) != fault.NotFound {
		return k, false, err
	}
	key, err := NewKey(now)
	if err != nil {
		return k, false, err
	}
	k = Keys{Keys: []*Key{key}}
	return k, true, f.Save(apex, k)
}

// Begin begins a roll-over: the next key is made. One that goes on already is a
// fault.Conflict.
func (k Keys) Begin(now time.Time) (Keys, error) {
	if k.Roll.Step != dnssec.Calm {
		return k, fault.New(fault.Conflict, "a roll-over goes on already: %s", k.Roll.Words())
	}
	next, err := NewKey(now)
	for err == nil && next.Tag() == k.Keys[0].Tag() { // validators would have to try both
		next, err = NewKey(now)
	}
	if err != nil {
		return k, err
	}
	return Keys{Keys: []*Key{k.Keys[0], next}, Roll: dnssec.Begin(now)}, nil
}

// Step takes the roll-over one step further where the facts allow it.
func (k Keys) Step(apex string, f dnssec.Facts, now time.Time) (next Keys, moved bool) {
	if k.Roll.Step == dnssec.Calm {
		return k, false
	}
	f.KeyTTL, f.Next = keyTTL*time.Second, dnssec.DS(apex, k.Keys[1].Data())
	roll, moved := k.Roll.Next(f, now)
	if !moved {
		return k, false
	}
	next = Keys{Keys: k.Keys, Roll: roll}
	if roll.Step == dnssec.Calm {
		next.Keys = k.Keys[1:]
	}
	return next, true
}
