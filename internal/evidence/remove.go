package evidence

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Remove takes a body away for good. One that is not there is no error. Who calls has
// made sure that no other piece of evidence has the same body.
func (f *Folder) Remove(sha256 string) error {
	path, err := f.path(sha256)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return diskFault("take evidence away", err)
	}
	f.used -= info.Size()
	return syncFolder(filepath.Dir(path))
}
