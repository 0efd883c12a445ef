package docs

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/cli"
)

// command is a command as its own help tells of it.
type command struct {
	path  string // "lifeboat go-back start"
	help  string
	flags []string // with their dashes
	subs  []string
}

// commands are all commands in help's order, those that cobra adds left out.
var commands = sync.OnceValues(func() ([]command, error) {
	var all []command
	var walk func(words []string) error
	walk = func(words []string) error {
		var out, errs bytes.Buffer
		o := cli.Options{Version: "test", In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: func(string) string { return "" }, Now: time.Now}
		if code := cli.Run(context.Background(), o, append(slices.Clone(words), "--help")); code != 0 {
			return fmt.Errorf("lifeboat %s --help: exit code %d: %s", strings.Join(words, " "), code, &errs)
		}
		c := command{path: strings.TrimSpace("lifeboat " + strings.Join(words, " ")), help: out.String()}
		c.read()
		all = append(all, c)
		for _, sub := range c.subs {
			if sub == "help" || sub == "completion" {
				continue
			}
			if err := walk(append(slices.Clone(words), sub)); err != nil {
				return err
			}
		}
		return nil
	}
	return all, walk(nil)
})

var flagLine = regexp.MustCompile(`^ +(?:(-[a-z]), )? *(--[a-z-]+)`)

// read finds flags and subcommands in the help.
func (c *command) read() {
	section := ""
	for line := range strings.Lines(c.help) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || strings.HasPrefix(line, " "):
		default:
			section = line
		}
		switch {
		case strings.HasSuffix(section, "lags:"):
			if m := flagLine.FindStringSubmatch(line); m != nil {
				c.flags = append(c.flags, m[2])
				if m[1] != "" {
					c.flags = append(c.flags, m[1])
				}
			}
		case slices.Contains([]string{"Available Commands:", "In a crisis:", "In calm:", "Running it:"}, section) && strings.HasPrefix(line, "  "):
			c.subs = append(c.subs, strings.Fields(line)[0])
		}
	}
}

// TestCommandLine keeps reference/cli.md as the commands' own help has it.
func TestCommandLine(t *testing.T) {
	all, err := commands()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 30 {
		t.Fatalf("only %d commands were found in the help", len(all))
	}
	var page strings.Builder
	page.WriteString(`# Command line

Generated from the program's own help; change the help, then run ` + "`go test ./test/docs -update`" + `.

Commands that talk to a running lifeboat find it by ` + "`--server`" + ` or ` + "`LIFEBOAT_SERVER`" + `, else by ` + "`control.sock`" + ` in the data folder, and need a
token only over TCP (` + "`--token`" + `, ` + "`LIFEBOAT_TOKEN`" + `). [Exit codes](exit-codes.md) are promised.

`)
	for _, c := range all {
		fmt.Fprintf(&page, "- [`%s`](#%s)\n", c.path, strings.ReplaceAll(c.path, " ", "-"))
	}
	for _, c := range all {
		fmt.Fprintf(&page, "\n## %s\n\n```text\n%s\n```\n", c.path, strings.TrimSpace(c.help))
	}
	generated(t, "docs/reference/cli.md", page.String())
}

// TestConfigurationKeys looks for each key that package config knows in the tables
// of its reference.
func TestConfigurationKeys(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/reference/configuration.md")
	row := regexp.MustCompile("(?m)^\\| `([^`]+)`")
	mentioned := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(page, -1) {
		for part := range strings.SplitSeq(m[1], ".") {
			mentioned[part] = true
		}
	}
	known := knownKeys(t)
	if len(known) < 40 {
		t.Fatalf("only %d keys were found in package config", len(known))
	}
	for _, key := range known {
		if !mentioned[key] {
			t.Errorf("docs/reference/configuration.md has no row for the key %q", key)
		}
	}
}

// knownKeys reads the keys from the source of package config: what is known there
// is what it takes.
func knownKeys(t *testing.T) []string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, "internal/config/keys.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	ast.Inspect(file, func(n ast.Node) bool {
		kv, is := n.(*ast.KeyValueExpr)
		if !is {
			return true
		}
		if name, is := kv.Key.(*ast.Ident); !is || name.Name != "known" {
			return true
		}
		ast.Inspect(kv.Value, func(n ast.Node) bool {
			if lit, is := n.(*ast.BasicLit); is && lit.Kind == token.STRING {
				if key, err := strconv.Unquote(lit.Value); err == nil {
					keys = append(keys, key)
				}
			}
			return true
		})
		return false
	})
	return keys
}

// lifeboatCall finds calls of the program in code.
var lifeboatCall = regexp.MustCompile(`(?:^|[\s(>"'` + "`" + `;|&])(?:\./bin/|bin/|/usr/local/bin/)?lifeboat((?: +[a-z][a-z-]*| +--?[a-z][a-z-]*(?:=\S+)?| +(?:"[^"]*"|'[^']*'|[A-Za-z0-9./:_$|%-]+))*)`)

var inlineCode = regexp.MustCompile("`([^`\n]+)`")

// TestCommandsExist: whatever a document tells people to type, the program has.
func TestCommandsExist(t *testing.T) {
	all, err := commands()
	if err != nil {
		t.Fatal(err)
	}
	byPath := map[string]command{}
	for _, c := range all {
		byPath[c.path] = c
	}
	seen := 0
	for _, page := range pages(t) {
		if page == "docs/reference/cli.md" {
			continue
		}
		var code []string
		for _, b := range blocks(t, page) {
			if b.lang == "sh" {
				code = append(code, strings.ReplaceAll(b.text, "\\\n", " "))
			}
		}
		for _, m := range inlineCode.FindAllStringSubmatch(read(t, page), -1) {
			if strings.HasPrefix(m[1], "lifeboat ") || strings.Contains(m[1], "bin/lifeboat ") {
				code = append(code, m[1])
			}
		}
		for _, text := range code {
			for line := range strings.Lines(text) {
				line, _, _ = strings.Cut(line, " # ")
				for _, m := range lifeboatCall.FindAllStringSubmatch(line, -1) {
					seen++
					tryCall(t, page, m[1], byPath)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d calls of lifeboat were found in the documents", seen)
	}
}

func tryCall(t *testing.T, page, call string, byPath map[string]command) {
	t.Helper()
	words := strings.Fields(call)
	if len(words) > 0 && strings.HasPrefix(words[0], "/") { // the program's file, being copied
		return
	}
	at := byPath["lifeboat"]
	flagged := false // what follows may be a flag's value
	for _, w := range words {
		if strings.HasPrefix(w, "-") {
			flagged = true
			name, _, _ := strings.Cut(w, "=")
			if !slices.Contains(at.flags, name) {
				t.Errorf("%s: lifeboat%s: %s has no flag %s", page, call, at.path, name)
			}
			continue
		}
		if sub, is := byPath[at.path+" "+w]; is {
			at = sub
			continue
		}
		if !flagged && len(at.subs) > 0 && !slices.Contains(at.subs, w) { // no command with others below it takes arguments
			t.Errorf("%s: lifeboat%s: %s has no command %q", page, call, at.path, w)
			return
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks: each link to a file of ours leads somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			path := filepath.Join(dir, filepath.Dir(page), target)
			if target == "" {
				path = filepath.Join(dir, page)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
				continue
			}
			if anchor != "" && !hasHeading(t, path, anchor) {
				t.Errorf("%s: %s has no heading %q", page, target, anchor)
			}
		}
	}
}

func hasHeading(t *testing.T, path, anchor string) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if title := strings.TrimLeft(line, "#"); title != line {
			if strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-") == anchor {
				return true
			}
		}
	}
	return false
}

// TestIndex: each document is linked from the index.
func TestIndex(t *testing.T) {
	t.Parallel()
	index := read(t, "docs/README.md")
	for _, page := range pages(t) {
		if rel, in := strings.CutPrefix(page, "docs/"); in && rel != "README.md" && !strings.Contains(index, "("+rel+")") {
			t.Errorf("docs/README.md does not link %s", rel)
		}
	}
}
