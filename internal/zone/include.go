package zone

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"lifeboat/internal/fault"
)

// Bounds of what $INCLUDE brings in.
const (
	maxIncludes     = 256      // files, and $INCLUDE lines that are followed
	maxDepth        = 8        // files that include each other
	maxIncludeBytes = 64 << 20 // all files together
)

// Includes reads the files that a zone's text includes ($INCLUDE, RFC 1035 section
// 5.1), and those that these include, as Source.Includes wants them. The file
// names count from the root of fsys, which is the zone file's folder; what lies
// outside of it is refused. The text's own name is for errors.
func Includes(fsys fs.FS, text, file string) (map[string]string, error) {
	files := map[string]string{}
	left := int64(maxIncludeBytes)
	var problems []error
	var collect func(text, file string)
	collect = func(text, file string) {
		if !mayInclude(text) { // a large text is read once, not twice
			return
		}
		r := &reader{source: Source{File: file, Line: 1}}
		for e := range entries(text) {
			name, err := r.included(e)
			if _, known := files[name]; known || err == nil && name == "" {
				continue
			}
			if err == nil && len(files) >= maxIncludes {
				err = r.invalid(e.line, "more than %d files are included", maxIncludes).WithHint("put some of them together")
			}
			if err == nil {
				files[name], err = readIncluded(fsys, name, &left, r.place(e.line))
			}
			if err != nil {
				problems = append(problems, err)
				continue
			}
			collect(files[name], name) // ends: each file is read once
		}
	}
	collect(text, file)
	if len(problems) > 0 {
		return nil, join(problems)
	}
	if len(files) == 0 {
		return nil, nil
	}
	return files, nil
}

// mayInclude says whether the word stands anywhere in a text.
func mayInclude(text string) bool {
	const word = "$INCLUDE"
	for {
		at := strings.IndexByte(text, word[0])
		if at < 0 || len(text)-at < len(word) {
			return false
		}
		if text = text[at:]; strings.EqualFold(text[:len(word)], word) {
			return true
		}
		text = text[1:]
	}
}

// readIncluded reads one file within the bytes that are left.
func readIncluded(fsys fs.FS, name string, left *int64, place string) (string, error) {
	f, err := openRegular(fsys, name)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return "", fault.New(fault.Invalid, "the included file %s can't be read", name).At(place).Because(err).
			WithHint("file names count from the zone file's folder and stay inside it")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, *left+1))
	if err != nil {
		return "", fault.New(fault.Invalid, "the included file %s can't be read", name).At(place).Because(err).WithHint("see its rights")
	}
	if *left -= int64(len(b)); *left < 0 {
		return "", fault.New(fault.Invalid, "the included files are larger than %d octets", maxIncludeBytes).At(place).WithHint("make them smaller")
	}
	return string(b), nil
}

// openRegular opens nothing that would wait: a pipe waits for its writer.
func openRegular(fsys fs.FS, name string) (fs.File, error) {
	if info, err := fs.Stat(fsys, name); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return fsys.Open(name)
}

// included gives the file that an $INCLUDE entry names, "" for another entry.
func (r *reader) included(e entry) (string, error) {
	if e.fault != "" || e.blank || len(e.fields) == 0 || !strings.EqualFold(e.fields[0], "$INCLUDE") {
		return "", nil
	}
	if len(e.fields) < 2 || len(e.fields) > 3 {
		return "", r.invalid(e.line, "$INCLUDE wants a file, and a name where another origin is meant").WithHint("as in $INCLUDE hosts.txt sub")
	}
	name := path.Clean(strings.Trim(e.fields[1], `"`))
	if !fs.ValidPath(name) || name == "." {
		return "", r.invalid(e.line, "$INCLUDE %s is refused: it lies outside the zone file's folder", e.fields[1]).
			WithHint("put the file beside the zone file and write its name alone")
	}
	return name, nil
}

// passage is a run of line numbers that stands for an included file's lines.
type passage struct {
	first int // counted over all texts
	file  string
}

// include reads an included file in place. The origin and the owner are afterwards
// as they were (RFC 1035 section 5.1); a $TTL stays.
func (r *reader) include(e entry) error {
	if len(r.source.Includes) == 0 {
		return r.invalid(e.line, "$INCLUDE is refused: a zone is one text here").WithHint("put the file's lines here")
	}
	name, err := r.included(e)
	if err != nil {
		return err
	}
	text, ok := r.source.Includes[name]
	switch {
	case !ok:
		return r.invalid(e.line, "the included file %s is not there", name).WithHint("file names count from the zone file's folder")
	case slices.Contains(r.within, name):
		return r.invalid(e.line, "%s includes itself", name).WithHint("take one of the $INCLUDE lines out")
	case len(r.within) >= maxDepth || len(r.passages) >= maxIncludes:
		return r.invalid(e.line, "too many files are included: at most %d deep and %d in all", maxDepth, maxIncludes).WithHint("put some of them together")
	}
	origin, owner, base := r.origin, r.lastOwner(), r.base
	if len(e.fields) == 3 {
		if r.origin = r.absolute(e.fields[2]); !wellFormed(r.origin) {
			r.origin = origin
			return r.invalid(e.line, "$INCLUDE: %s is no domain name", e.fields[2]).WithHint("as in $INCLUDE hosts.txt sub")
		}
	}
	r.within = append(r.within, name)
	r.readText(text, name)
	r.within = r.within[:len(r.within)-1]
	r.origin, r.base = origin, base
	r.setOwner(owner)
	return nil
}
