package docs

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/cli"
)

// update writes the generated pages anew.
var update = flag.Bool("update", false, "write the generated pages anew")

// actAs tells the test binary to be lifeboat; it holds the process id of the test.
const actAs = "DOCS_LIFEBOAT"

func TestMain(m *testing.M) {
	if tester, err := strconv.Atoi(os.Getenv(actAs)); err == nil {
		go endWith(tester)
		os.Exit(cli.Main("test"))
	}
	os.Exit(m.Run())
}

// endWith ends this process when its tester is gone, so that a test that was killed
// leaves nothing behind.
func endWith(tester int) {
	for range time.Tick(time.Second) {
		if unix.Kill(tester, 0) != nil {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		}
	}
}

// root is the folder of go.mod.
var root = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", errors.New("no go.mod two folders up")
	}
	return dir, nil
})

func read(t *testing.T, file string) string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pages are all documents, from the root, with slashes.
func pages(t *testing.T) []string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	list := []string{"README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"}
	err = filepath.WalkDir(filepath.Join(dir, "docs"), func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			rel, rerr := filepath.Rel(dir, path)
			list = append(list, filepath.ToSlash(rel))
			return rerr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// generated compares a page with what it should be, or writes it.
func generated(t *testing.T, file, want string) {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := read(t, file); got != want {
		t.Errorf("%s is not what the program says; write it anew with: go test ./test/docs -update", file)
	}
}

// block is one fenced block of a page.
type block struct {
	page string
	line int // of the opening fence
	lang string
	says string // the docs: comment above it
	text string
}

// blocks gives the fenced blocks of a page.
func blocks(t *testing.T, page string) []block {
	t.Helper()
	var out []block
	var open *block
	says := ""
	for i, line := range strings.Split(read(t, page), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		comment, isComment := strings.CutPrefix(line, "<!-- docs: ")
		switch {
		case open != nil && line == "```":
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case isFence:
			open = &block{page: page, line: i + 1, lang: fence, says: says}
			says = ""
		case isComment:
			says = strings.TrimSuffix(comment, " -->")
		case strings.TrimSpace(line) != "":
			says = ""
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block is never closed", page, open.line)
	}
	return out
}
