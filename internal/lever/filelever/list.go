package filelever

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// File is one file of a frozen list.
type File struct {
	Path     string      `json:"path"` // inside root
	Size     int64       `json:"size"` // bytes
	Mode     fs.FileMode `json:"mode"`
	Modified time.Time   `json:"modified"`
	SHA256   string      `json:"sha256"`
}

// same says whether two are alike in all that is put back. A rename keeps all of it.
func (f File) same(o File) bool {
	return f.Path == o.Path && f.Size == o.Size && f.Mode == o.Mode && f.Modified.Equal(o.Modified) && f.SHA256 == o.SHA256
}

// freeze resolves a section into the list of files that are there now, sorted.
// Paths that are not there are left out only when all of them are.
func freeze(ctx context.Context, root *os.Root, sec Section) ([]File, error) {
	paths := slices.Clone(sec.Paths)
	if sec.Glob != "" {
		found, err := fs.Glob(root.FS(), sec.Glob)
		if err != nil {
			return nil, err
		}
		paths = slices.DeleteFunc(found, func(p string) bool { return in(p, sec.Aside) })
	}
	if len(paths) > MaxFiles {
		return nil, fault.New(fault.Invalid, "%d files are too many, %d fit", len(paths), MaxFiles).At(sec.Root).WithHint("write a narrower glob")
	}
	slices.Sort(paths)
	var list []File
	var missing []string
	var bytes int64
	for _, p := range slices.Compact(paths) {
		f, err := measure(ctx, root, p)
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, p)
			continue
		}
		if err != nil {
			return nil, err
		}
		if bytes += f.Size; bytes > MaxBytes {
			return nil, fault.New(fault.Invalid, "the files are larger than %s together", sizeWords(MaxBytes)).At(sec.Root).WithHint("take fewer at once")
		}
		list = append(list, f)
	}
	if len(list) > 0 && len(missing) > 0 {
		return nil, fault.New(fault.NotFound, "%d of the files are not there, %s among them", len(missing), clip(missing[0])).At(sec.Root).
			WithHint("take them out of the lever's paths")
	}
	return list, nil
}

// measure reads a regular file whole. A symbolic link on the way is refused: what
// it points at may be shared.
func measure(ctx context.Context, root *os.Root, name string) (File, error) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if info, err := root.Lstat(dir); err != nil {
			return File{}, err
		} else if !info.IsDir() {
			return File{}, fault.New(fault.Invalid, "%s is no folder but a link or a file", clip(dir)).WithHint("name the file where it really is")
		}
	}
	info, err := root.Lstat(name)
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() {
		return File{}, fault.New(fault.Invalid, "%s is no regular file", clip(name)).WithHint("name plain files only: links, folders and devices are not moved")
	}
	f, err := root.Open(name)
	if err != nil {
		return File{}, err
	}
	defer func() { _ = f.Close() }()
	if now, err := f.Stat(); err != nil || !os.SameFile(info, now) {
		return File{}, fault.New(fault.Conflict, "%s was changed while it was read", clip(name)).WithHint("make the plan again")
	}
	h := sha256.New()
	if _, err := io.Copy(h, &bounded{ctx, f}); err != nil {
		return File{}, err
	}
	return File{Path: name, Size: info.Size(), Mode: info.Mode(), Modified: info.ModTime().UTC(), SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// bounded is a reader that ends with its context.
type bounded struct {
	ctx context.Context
	r   io.Reader
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

// digest names a frozen list by its contents.
func digest(list []File) string {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(list) // flat values: they always can be
	return hex.EncodeToString(h.Sum(nil))
}

// prefixOf begins the names of a lever's folders.
func prefixOf(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '_'
	}, name) + "."
}

// heldBy finds the folder in which a lever holds files already, "" when there is none.
func heldBy(root *os.Root, sec Section, name string) string {
	folder, err := root.Open(sec.Aside)
	if err != nil {
		return ""
	}
	defer func() { _ = folder.Close() }()
	names, _ := folder.Readdirnames(MaxFiles)
	slices.Sort(names)
	for _, n := range names {
		if !strings.HasPrefix(n, prefixOf(name)) {
			continue
		}
		m := move{sec: sec, held: path.Join(sec.Aside, n)}
		if man, err := m.manifest(root); err == nil && man.Lever == name && !man.Back {
			return m.held
		}
	}
	return ""
}
