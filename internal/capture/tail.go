package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Tail gives the last most bytes of a log file (MaxBody when most is 0 or more than
// that), from the beginning of a line. It never blocks on what is no regular file: a pipe, a device or a socket
// is a Problem, as is a file that is not there or not readable. A file on a network
// disk that hangs hangs Tail, too.
func Tail(path string, most int64, now func() time.Time) Item {
	it := Item{Kind: KindLog, Source: path, Title: fmt.Sprintf("The end of the log %s.", filepath.Base(path)), At: now()}
	var written time.Time
	var err error
	if most <= 0 || most > MaxBody {
		most = MaxBody
	}
	it.Body, it.Truncated, written, err = tail(path, most)
	it.Took = now().Sub(it.At)
	switch {
	case err != nil:
		it.Problem = "the log can't be read: " + unreadable(err)
		it.Summary = sentence(it.Problem)
	case len(it.Body) == 0:
		it.Summary = fmt.Sprintf("The log is empty; it was last written on %s.", written.UTC().Format(time.DateTime+" UTC"))
	default:
		part := "The whole of it"
		if it.Truncated {
			part = "The last part of it"
		}
		it.Summary = fmt.Sprintf("%s, %s, is here; it was last written on %s.", part, counted(lines(it.Body), "line"), written.UTC().Format(time.DateTime+" UTC"))
	}
	return it.sealed()
}

func lines(b []byte) int {
	n := bytes.Count(b, []byte{'\n'})
	if b[len(b)-1] != '\n' {
		n++ // one that is being written
	}
	return n
}

func unreadable(err error) string {
	var f failure
	switch {
	case errors.As(err, &f):
		return f.Error()
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "this account may not read it"
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err // the path is in the item already
	}
	return err.Error()
}

func tail(path string, most int64) (b []byte, more bool, written time.Time, err error) {
	info, err := os.Stat(path) // first, since opening a device can do something to it
	if err == nil && !info.Mode().IsRegular() {
		err = failf("it is no regular file")
	}
	if err != nil {
		return nil, false, written, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, written, err
	}
	defer func() { _ = f.Close() }()
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() { // it may be another one by now
		err = failf("it is no regular file")
	}
	if err != nil {
		return nil, false, written, err
	}
	start := info.Size() - most
	if start <= 0 {
		b, err = io.ReadAll(io.NewSectionReader(f, 0, most))
		return b, false, info.ModTime(), err
	}
	b, err = io.ReadAll(io.NewSectionReader(f, start-1, most+1)) // the byte before tells whether a line begins here
	if len(b) > 0 {
		b = wholeLine(b)
	}
	return b, true, info.ModTime(), err
}

// wholeLine drops the first byte, and with it the line that it belongs to. Of one
// line that fills everything the end is kept.
func wholeLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 && i < len(b)-1 {
		return b[i+1:]
	}
	return b[1:]
}
