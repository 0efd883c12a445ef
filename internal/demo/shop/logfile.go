package shop

import (
	"errors"
	"os"
	"sync"

	"lifeboat/internal/fault"
)

// maxLog is how long the log may become, in bytes; the one before is kept beside it.
const maxLog = 4 << 20

// logFile is a file that grows to a limit, is put aside under its name with ".1",
// and is begun anew. A file that is there already is gone on with: what a shop said
// before it died is worth the most.
type logFile struct {
	path  string
	limit int64

	mu   sync.Mutex // guards both
	file *os.File
	size int64
}

func openLog(path string, limit int64) (*logFile, error) {
	l := &logFile{path: path, limit: limit}
	if err := l.open(os.O_APPEND); err != nil {
		return nil, fault.New(fault.Unavailable, "open the shop's log").At(path).Because(err).
			WithHint("does its folder exist, and may this account write there?")
	}
	return l, nil
}

// open opens the file; the caller holds mu, or nobody else has l yet.
func (l *logFile) open(how int) error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|how, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Write appends one line.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(line)) > l.limit {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

// rotate puts the file aside. One that can't be moved is begun anew all the same:
// it must not grow.
func (l *logFile) rotate() error {
	how := os.O_APPEND
	if err := errors.Join(l.file.Close(), os.Rename(l.path, l.path+".1")); err != nil {
		how |= os.O_TRUNC
	}
	return l.open(how)
}

// Close closes the file.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
