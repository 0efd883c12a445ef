package filelever

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"
)

// standInText is what the file of a drill holds.
const standInText = "A drill of lifeboat's moves this file there and back.\n"

// standInTime makes every stand-in alike, as a plan made twice must be.
var standInTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// standIn is the file that a drill moves, in a folder of the lever's own, so that
// nothing of production's is touched.
func standIn(sec Section, name string) File {
	sum := sha256.Sum256([]byte(standInText))
	return File{
		Path: path.Join(sec.Aside, "drill", prefixOf(name)+"txt"), Size: int64(len(standInText)), Mode: 0o600, Modified: standInTime, SHA256: hex.EncodeToString(sum[:]),
	}
}

// makeStandIn makes the drill's file where there is none yet.
func (m move) makeStandIn(root *os.Root) error {
	f := m.files[0]
	for _, name := range []string{f.Path, m.kept(0)} {
		if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := root.MkdirAll(path.Dir(f.Path), 0o700); err != nil {
		return m.failed("make the drill's folder", err)
	}
	if err := root.WriteFile(f.Path, []byte(standInText), 0o600); err != nil {
		return m.failed("make the drill's file", err)
	}
	if err := errors.Join(root.Chmod(f.Path, f.Mode), root.Chtimes(f.Path, f.Modified, f.Modified)); err != nil {
		return m.failed("make the drill's file", err)
	}
	return nil
}
