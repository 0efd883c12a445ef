package house

import (
	"bytes"
	"go/ast"
	"go/format"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// timeCalls finds the uses of functions of package time, called or passed on.
func timeCalls(s source, names ...string) []ast.Node {
	local := "time"
	imported := false
	for _, spec := range s.tree.Imports {
		if spec.Path.Value == `"time"` {
			imported = true
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	if !imported {
		return nil
	}
	var found []ast.Node
	ast.Inspect(s.tree, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && slices.Contains(names, sel.Sel.Name) {
			found = append(found, sel)
		}
		return true
	})
	return found
}

func TestNoSleep(t *testing.T) {
	t.Parallel()
	for _, s := range allSources(t) {
		if s.test() || !strings.HasPrefix(s.path, "internal/") && !strings.HasPrefix(s.path, "cmd/") {
			continue
		}
		for _, call := range timeCalls(s, "Sleep") {
			t.Errorf("%s: time.Sleep can't be woken by a stop and hides what is waited for; wait on a channel, a timer beside ctx.Done(), or a condition", s.at(call))
		}
	}
}

func TestPackageDocs(t *testing.T) {
	t.Parallel()
	docs := map[string]string{} // by folder; "" when there is none
	name := map[string]string{}
	for _, s := range allSources(t) {
		if s.test() {
			continue
		}
		dir := path.Dir(s.path)
		name[dir] = s.tree.Name.Name
		docs[dir] += s.tree.Doc.Text()
	}
	for dir, doc := range docs {
		want := "Package " + name[dir] + " "
		if name[dir] == "main" {
			want = "Command " + path.Base(dir) + " "
		}
		if !strings.HasPrefix(doc, want) {
			t.Errorf("%s: no package doc that begins %q: a reader has to learn from one place what it is, what it is not and who may call it", dir, want)
		}
	}
}

func TestGofmt(t *testing.T) {
	t.Parallel()
	for _, s := range allSources(t) {
		if ast.IsGenerated(s.tree) {
			continue
		}
		formatted, err := format.Source(s.text)
		if err != nil {
			t.Errorf("%s: %v", s.path, err)
			continue
		}
		if !bytes.Equal(formatted, s.text) {
			t.Errorf("%s: not gofmt'ed: differences should be about what the code does; run gofmt -w %s", s.path, s.path)
		}
	}
}

// literals gives the strings of a Go file, imports and struct tags left out.
func literals(s source) map[ast.Node]string {
	out := map[ast.Node]string{}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			return n.Tag == nil || len(n.Names) == 0
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && strings.HasPrefix(n.Value, `"`) || strings.HasPrefix(n.Value, "`") {
				out[n] = text
			}
		}
		return true
	})
	return out
}
