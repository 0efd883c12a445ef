package docs

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lifeboat/internal/incident"
	"lifeboat/internal/web"
)

// TestRules keeps reference/rules.md as the program has it: what each rule asks, who may
// pass it, which tests hold it, and where people meet it. A rule without a test fails.
func TestRules(t *testing.T) {
	t.Parallel()
	held, shown := heldRules(t), map[string]bool{}
	for _, s := range web.Shows {
		if held[s.Rule] == nil {
			t.Fatalf("a page shows %q, which is no rule", s.Rule)
		}
		shown[s.Rule], held[s.Rule].in["web"] = true, true // web's own test renders all of them
	}
	may := overriders(t)
	var page strings.Builder
	page.WriteString(`# Guard rails

Generated from the rules of the program and from its tests; change them there, then run ` + "`go test ./test/docs -update`" + `.

A guard rail refuses or slows a dangerous step. A refusal names the rule, says why and what would satisfy it, and ends with exit code
3. Where the third column names a role, a person with that role or a higher one passes it with one sentence (` + "`--reason`" + `); who, when and why
is in the timeline. What moves by itself never passes one. [Why one direction is free](../why/direction-decides.md).

| Rule | Asks that | A sentence passes it | Held by the tests of |
|---|---|---|---|
`)
	for _, r := range incident.Rules {
		h := held[r.ID]
		if h == nil || h.cases == 0 {
			t.Errorf("%s (%s) has no row in a table of package incident's tests", r.ID, r.Text)
			continue
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", r.ID, r.Text, passes(r, may, h), h.places(r.ID))
	}
	page.WriteString(`
"Not always": in some cases of the rule no sentence helps, and the refusal says so.

## Where people meet them

Each of these is rendered by a test that looks for the words on the page.

| Rule | Page | It says |
|---|---|---|
`)
	for _, s := range web.Shows {
		fmt.Fprintf(&page, "| %s | %s | %s |\n", s.Rule, strings.ReplaceAll(s.Moment, "-", " "), strings.ReplaceAll(s.Says, "|", `\|`))
	}
	var silent []string
	for _, r := range incident.Rules {
		if !shown[r.ID] {
			silent = append(silent, r.ID)
		}
	}
	if len(silent) > 0 {
		fmt.Fprintf(&page, "\n%s bind what moves by itself, and show in the timeline alone.\n", and(silent))
	}
	generated(t, "docs/reference/rules.md", page.String())
}

// and lists words as a sentence does.
func and(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// holding is what the tests say of a rule.
type holding struct {
	cases int             // rows of its table
	hard  bool            // a row says that nobody passes it
	in    map[string]bool // packages whose tests name it
}

// places lists where a rule is held, its own package first.
func (h *holding) places(id string) string {
	out := []string{"incident (`TestRules/" + id + "`)"}
	for _, place := range slices.Sorted(maps.Keys(h.in)) {
		if place != "incident" {
			out = append(out, place)
		}
	}
	return strings.Join(out, ", ")
}

func passes(r incident.Rule, may func(id string) string, h *holding) string {
	switch {
	case !r.Overridable:
		return "no"
	case h.hard:
		return may(r.ID) + ", not always"
	}
	return may(r.ID)
}

// overriders reads from the source of package incident who may pass a rule.
func overriders(t *testing.T) func(id string) string {
	t.Helper()
	file := parse(t, "internal/incident/permit.go")
	roles, other := map[string]string{}, ""
	ast.Inspect(file, func(n ast.Node) bool {
		f, is := n.(*ast.FuncDecl)
		if !is || f.Name.Name != "overrideRole" {
			return true
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CaseClause:
				for _, of := range n.List {
					if rule, is := of.(*ast.SelectorExpr); is {
						roles[fmt.Sprint(rule.X)] = returned(n.Body)
					}
				}
				return false
			case *ast.ReturnStmt:
				other = returned([]ast.Stmt{n})
			}
			return true
		})
		return false
	})
	if len(roles) < 5 || other == "" {
		t.Fatalf("who may pass which rule can't be read from package incident: %v, %q", roles, other)
	}
	return func(id string) string { return cmp.Or(roles[id], other) }
}

// returned is the role that statements return.
func returned(body []ast.Stmt) string {
	for _, s := range body {
		if r, is := s.(*ast.ReturnStmt); is && len(r.Results) == 1 {
			if sel, is := r.Results[0].(*ast.SelectorExpr); is {
				return strings.ToLower(sel.Sel.Name)
			}
		}
	}
	return ""
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, file), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// ruleNamed finds a rule where a test speaks of it: alone in a text, as "rule R5", or
// first in what is said above a test.
var (
	ruleAlone = regexp.MustCompile(`^[RU][0-9]{1,2}$`)
	ruleNamed = regexp.MustCompile(`(?i:\brule) ([RU][0-9]{1,2})\b`)
	ruleAbove = regexp.MustCompile(`\b([RU][0-9]{1,2})\b`)
)

// heldRules reads all tests for the rules that they name.
func heldRules(t *testing.T) map[string]*holding {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]*holding{}
	for _, r := range incident.Rules {
		held[r.ID] = &holding{in: map[string]bool{}}
	}
	for _, part := range []string{"internal", "test/e2e"} {
		err := filepath.WalkDir(filepath.Join(dir, part), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "/shows_test.go") {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			rel = filepath.ToSlash(rel)
			readTests(parse(t, rel), strings.TrimPrefix(filepath.ToSlash(filepath.Dir(rel)), "internal/"), held)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return held
}

// readTests notes the rules that a file of tests names.
func readTests(file *ast.File, place string, held map[string]*holding) {
	note := func(id string) {
		if h := held[id]; h != nil {
			h.in[place] = true
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			text, err := strconv.Unquote(n.Value)
			if n.Kind != token.STRING || err != nil {
				return true
			}
			if ruleAlone.MatchString(text) {
				note(text)
			}
			for _, m := range ruleNamed.FindAllStringSubmatch(text, -1) {
				note(m[1])
			}
		case *ast.FuncDecl:
			if strings.HasPrefix(n.Name.Name, "Test") && n.Doc != nil {
				for _, m := range ruleAbove.FindAllStringSubmatch(n.Doc.Text(), -1) {
					note(m[1])
				}
			}
		case *ast.KeyValueExpr:
			if place == "incident" {
				countCases(n, held)
			}
		}
		return true
	})
}

// countCases counts the rows of a rule's table.
func countCases(kv *ast.KeyValueExpr, held map[string]*holding) {
	key, is := kv.Key.(*ast.BasicLit)
	rows, table := kv.Value.(*ast.CompositeLit)
	if !is || !table {
		return
	}
	id, err := strconv.Unquote(key.Value)
	h := held[id]
	if err != nil || h == nil {
		return
	}
	for _, row := range rows.Elts {
		fields, is := row.(*ast.CompositeLit)
		if !is {
			continue
		}
		h.cases++
		for _, f := range fields.Elts {
			if f, is := f.(*ast.KeyValueExpr); is && fmt.Sprint(f.Key) == "hard" && fmt.Sprint(f.Value) == "true" {
				h.hard = true
			}
		}
	}
}
