package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "lifeboat"

// root is the folder of go.mod.
var root = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above this folder")
		}
		dir = up
	}
})

func treeRoot(t *testing.T) string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// run gives a command's output, run at the root.
func run(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

// listed is a package as go list tells of it.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	GoFiles                            []string
}

// packages are all packages of the module.
var packages = sync.OnceValues(func() ([]listed, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	out, err := run(dir, "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,GoFiles", "./...")
	if err != nil {
		return nil, err
	}
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func allPackages(t *testing.T) []listed {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// in says whether a package is one of these or lies below one of them.
func in(path string, places ...string) bool {
	return slices.ContainsFunc(places, func(place string) bool {
		return path == place || strings.HasPrefix(path, place+"/")
	})
}

// ours gives import paths of packages below internal.
func ours(names ...string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = module + "/internal/" + n
	}
	return out
}

// exists says whether a package has code already.
func exists(t *testing.T, path string) bool {
	return slices.ContainsFunc(allPackages(t), func(p listed) bool {
		return p.ImportPath == path && len(p.GoFiles) > 0
	})
}

// source is one parsed Go file.
type source struct {
	path string // from the root, with slashes
	text []byte
	tree *ast.File
	set  *token.FileSet
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(n.Pos()).Line)
}

// files are the files of the tree that git keeps or would keep; all of them where
// there is no git. Folders are read even so: go test keeps a result for as long as
// what the test itself read is unchanged.
var files = sync.OnceValues(func() ([]string, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	list, err := walk(dir)
	if err != nil {
		return nil, err
	}
	out, err := run(dir, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return list, nil // an unpacked archive
	}
	kept := map[string]bool{}
	for path := range strings.SplitSeq(string(out), "\x00") {
		kept[path] = true
	}
	return slices.DeleteFunc(list, func(path string) bool { return !kept[path] }), nil
})

func walk(dir string) ([]string, error) {
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "lifeboat-data") {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			rel, err := filepath.Rel(dir, path)
			list = append(list, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	return list, err
}

// sources are all Go files of the tree.
var sources = sync.OnceValues(func() ([]source, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	list, err := files()
	if err != nil {
		return nil, err
	}
	var all []source
	for _, path := range list {
		if !strings.HasSuffix(path, ".go") || strings.Contains(path, "testdata/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return nil, err
		}
		s := source{path: path, text: text, set: token.NewFileSet()}
		if s.tree, err = parser.ParseFile(s.set, path, text, parser.ParseComments); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
})

func allSources(t *testing.T) []source {
	t.Helper()
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d Go files found: these tests look in the wrong place", len(all))
	}
	return all
}

func allFiles(t *testing.T) []string {
	t.Helper()
	list, err := files()
	if err != nil {
		t.Fatal(err)
	}
	return list
}
