package certs

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// folder keeps certificates, the account and what is remembered of renewals:
//
//	account.json      the account at the authority, with its key
//	state.json        when renewals were tried and what they came to
//	held/ID.KIND.pem  key and chain in one file, so that they always fit
//	held/ID.KIND.before.pem  the one before it, while it is for names that the new one is not
//	held/import.NAME.KIND.pem  brought by a command
type folder string

func openFolder(dir string) (folder, error) {
	if err := os.MkdirAll(filepath.Join(dir, "held"), 0o700); err != nil {
		return "", fault.New(fault.Unavailable, "make the folder of certificates").At(dir).Because(err)
	}
	return folder(dir), nil
}

// state is what is remembered between starts.
type state struct {
	Items map[string]item `json:"items"` // by ID.KIND
}

// item is what is remembered of one certificate.
type item struct {
	Directory string    `json:"directory,omitempty"` // that made it
	Serial    string    `json:"serial,omitempty"`    // what the window below is about
	Selected  time.Time `json:"selected,omitzero"`   // when the authority wants it renewed (RFC 9773)
	Explained string    `json:"explained,omitempty"` // where the authority says why, a URL
	AskAgain  time.Time `json:"ask_again,omitzero"`  // when it may be asked for that again

	Failures  int       `json:"failures,omitempty"` // in a row
	Since     time.Time `json:"since,omitzero"`     // of the first of them
	NextTry   time.Time `json:"next_try,omitzero"`
	LastTry   time.Time `json:"last_try,omitzero"`
	LastError string    `json:"last_error,omitempty"`
	Left      []string  `json:"left,omitempty"` // names that the authority would not take, and why
}

func (f folder) path(elem ...string) string {
	return filepath.Join(append([]string{string(f)}, elem...)...)
}

// readState reads what is remembered. What can't be read is forgotten: everything is
// then looked at anew.
func (f folder) readState() state {
	s := state{}
	if b, err := readFile(f.path("state.json")); err == nil && json.Unmarshal(b, &s) != nil {
		s = state{}
	}
	if s.Items == nil {
		s.Items = map[string]item{}
	}
	return s
}

func (f folder) writeState(s state) error {
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return snapshot.WriteFile(f.path("state.json"), b)
}

// readFile reads a file of a bounded size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, fault.New(fault.Invalid, "it is no regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(file, maxPEM+1))
	if err == nil && len(b) > maxPEM {
		err = fault.New(fault.Invalid, "it is larger than %d bytes", maxPEM)
	}
	return b, err
}

const before = ".before"

func (f folder) pem(id string) string { return f.path("held", id+".pem") }

// keep writes a certificate in the place of the one before. That one stays beside it
// while it is for names that the new one is not.
func (f folder) keep(id string, c snapshot.Certificate, now time.Time) error {
	if old, err := f.read(id, FromAuthority); err == nil && old.Until.After(now) {
		fresh, err := hold(id, FromAuthority, c, nil)
		if err == nil && !fresh.coversAll(old.Names) {
			if err := snapshot.WriteFile(f.pem(id+before), pemOf(old.cert)); err != nil {
				return err
			}
		}
	}
	return snapshot.WriteFile(f.pem(id), pemOf(c))
}

// read reads one certificate of ours.
func (f folder) read(id, source string) (Held, error) {
	path := f.pem(id)
	b, err := readFile(path)
	if err != nil {
		return Held{}, fault.New(fault.Unavailable, "read a certificate").At(path).Because(err)
	}
	c, notes, err := Read(b, b, path, path)
	if err != nil {
		return Held{}, err
	}
	return hold(id, source, c, notes)
}

// ids are the certificates in the folder.
func (f folder) ids() []string {
	entries, err := os.ReadDir(f.path("held"))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if id, is := strings.CutSuffix(e.Name(), ".pem"); is && !strings.HasPrefix(id, ".") {
			out = append(out, id)
		}
	}
	return out
}

const imported = "import."

// sourceOf says by its id where a certificate in the folder came from.
func sourceOf(id string) string {
	if strings.HasPrefix(id, imported) {
		return FromImport
	}
	return FromAuthority
}

// remove takes a certificate away.
func (f folder) remove(id string) error { return os.Remove(f.pem(id)) }
