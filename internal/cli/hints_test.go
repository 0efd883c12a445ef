package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// called finds calls of the program in a text: the words after its name, and its flags.
var called = regexp.MustCompile(`\blifeboat((?: [a-z][a-z-]*)+)((?: (?:"[^"]*"|--?[a-z][a-z-]*|[A-Z]+|%[a-z]))*)`)

// wrongHints are calls that are known not to be there, until their packages say another.
var wrongHints = map[string]bool{}

// TestHintsNameCommands: whatever the program tells people to type, it has.
func TestHintsNameCommands(t *testing.T) {
	t.Parallel()
	a := &app{o: Options{Getenv: func(string) string { return "" }}}
	root, found := a.root(), 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, is := n.(*ast.BasicLit)
			if !is || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				return true
			}
			for _, m := range called.FindAllStringSubmatchIndex(text, -1) {
				words, rest := text[m[2]:m[3]], text[m[4]:m[5]]
				told, wrong := unknown(root, words, rest)
				if before := text[:m[0]]; !told && (strings.HasSuffix(before, "with: ") || strings.HasSuffix(before, "next: ")) {
					told, wrong = true, "there is no such command"
				}
				if told {
					found++
				}
				if wrong != "" && !wrongHints[strings.TrimSpace(words+rest)] {
					t.Errorf("%s: lifeboat%s%s: %s", files.Position(lit.Pos()), words, rest, wrong)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 100 {
		t.Errorf("only %d calls were found", found)
	}
}

// unknown says whether a text is a call of the program, and what of it the program has
// not. A sentence about lifeboat is no call: its first word is no command.
func unknown(root *cobra.Command, words, rest string) (call bool, wrong string) {
	at := root
	for i, w := range strings.Fields(words) {
		next := child(at, w)
		if next == nil {
			if i == 0 {
				return false, ""
			}
			if at.HasAvailableSubCommands() && !at.Runnable() {
				return true, "there is no " + at.CommandPath() + " " + w
			}
			break
		}
		at = next
	}
	for _, w := range strings.Fields(rest) {
		if name, is := strings.CutPrefix(w, "--"); is && at.Flag(name) == nil {
			return true, at.CommandPath() + " has no flag " + w
		}
	}
	return true, ""
}

func child(of *cobra.Command, name string) *cobra.Command {
	for _, c := range of.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

// TestCommandsShowExamples: whatever speaks to a running lifeboat shows how it is typed.
func TestCommandsShowExamples(t *testing.T) {
	t.Parallel()
	a := &app{o: Options{Getenv: func(string) string { return "" }}}
	n := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Runnable() && c.Flag("server") != nil {
			n++
			if !strings.Contains(c.Example, "lifeboat ") || c.Short == "" {
				t.Errorf("%s has no example", c.CommandPath())
			}
			if _, wrong := unknown(a.root(), strings.TrimPrefix(c.CommandPath(), "lifeboat"), ""); wrong != "" {
				t.Error(wrong)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
	if n < 60 {
		t.Errorf("only %d commands were found", n)
	}
}
