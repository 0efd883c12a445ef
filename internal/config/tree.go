package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"lifeboat/internal/fault"
)

// shape is what a node looks like in the file.
type shape int

const (
	textShape shape = iota
	numberShape
	boolShape
	emptyShape
	mapShape
	listShape
)

// node is a value in the file, and the only thing the rest of the package sees
// of YAML.
type node struct {
	at      position
	shape   shape
	text    string // scalars: the text itself, numbers as written
	line    int    // scalars: the text's first line in the file
	folded  bool   // line ends were turned into spaces
	entries []entry
	index   map[string]int // key → entries
	items   []*node
}

// entry is one "key: value" of a mapping.
type entry struct {
	key   string
	at    position // the key's
	value *node
}

// get gives the value of a key, nil when there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	i, ok := n.index[key]
	if !ok {
		return nil
	}
	return n.entries[i].value
}

// find gives the place of the node at a path of keys and list indexes, or of the
// deepest one on the way that is there.
func (n *node) find(path ...string) position {
	at := n.at
	for _, key := range path {
		next := n.get(key)
		if i, err := strconv.Atoi(key); err == nil && n.shape == listShape && i < len(n.items) {
			next = n.items[i]
		}
		if next == nil {
			return at
		}
		n, at = next, next.at
	}
	return at
}

// found says what a node is, for messages.
func (n *node) found() string {
	switch n.shape {
	case mapShape:
		return "a mapping"
	case listShape:
		return "a list"
	case emptyShape:
		return "nothing"
	case numberShape:
		return "the number " + clip(n.text)
	case boolShape:
		return n.text
	case textShape:
	}
	if strings.Contains(n.text, "//") {
		return "a URL" // which may hold a password
	}
	return "the text " + strconv.Quote(clip(n.text))
}

// clip keeps messages to one readable line.
func clip(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// readTree turns YAML into nodes; nil when it could not, with the problem noted.
func (r *report) readTree(data []byte) *node {
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	if !r.readable(text) {
		return nil
	}
	tokens := lexer.Tokenize(text)
	if !r.screen(tokens) {
		return nil
	}
	file, err := parseYAML(tokens)
	if err != nil {
		r.syntax(err)
		return nil
	}
	root := &node{at: position{1, 1}, shape: emptyShape}
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 {
			r.invalid(firstOf(doc.Body, root.at), "a second document begins here").WithHint("keep everything in one document")
			return nil
		}
		root = r.node(doc.Body, root.at)
	}
	return root
}

// readable refuses what is not text.
func (r *report) readable(text string) bool {
	at := position{1, 1}
	for i, c := range text {
		broken := false
		if c == utf8.RuneError {
			_, size := utf8.DecodeRuneInString(text[i:])
			broken = size <= 1
		}
		switch {
		case broken:
			r.invalid(at, "this is not UTF-8 text").WithHint("save the file as UTF-8")
			return false
		case c < ' ' && c != '\n' && c != '\t', c == 0x7f:
			r.invalid(at, "there is a control character %U here", c).WithHint("remove it")
			return false
		case c == '\n':
			at = position{at.line + 1, 1}
		default:
			at.col++
		}
	}
	return true
}

// parseYAML gives the library's errors, and its panics as errors: the text comes
// from outside and must never end the process.
func parseYAML(tokens token.Tokens) (f *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// syntax notes what the parser could not read.
func (r *report) syntax(err error) {
	var at position
	var text string
	// The library's own Error lays out the whole source: it takes seconds on a large file.
	if y := yaml.Error(nil); errors.As(err, &y) {
		at, text = positionOf(y.GetToken()), y.GetMessage()
	} else {
		at, text = position{1, 1}, err.Error()
	}
	text, _, _ = strings.Cut(strings.ReplaceAll(text, "\t", `\t`), "\n")
	r.invalid(at, "this can't be read as YAML: %s", clip(text)).
		WithHint("look at this line and the one above: indentation by spaces, a colon after each key, quotes around text that holds @ * & # : or %%")
}

func positionOf(tk *token.Token) position {
	if tk == nil || tk.Position == nil {
		return position{1, 1}
	}
	return position{max(tk.Position.Line, 1), max(tk.Position.Column, 1)}
}

// node turns a parsed node into ours. at is the place of the key that holds it.
func (r *report) node(n ast.Node, at position) *node {
	switch n := n.(type) {
	case *ast.MappingNode:
		return r.mapping(n.Values, at)
	case *ast.MappingValueNode:
		return r.mapping([]*ast.MappingValueNode{n}, at)
	case *ast.SequenceNode:
		out := &node{at: at, shape: listShape}
		for _, item := range n.Values {
			out.items = append(out.items, r.node(item, firstOf(item, at)))
		}
		return out
	case *ast.StringNode:
		own := positionOf(n.Token)
		folded := strings.Contains(strings.TrimSpace(n.Token.Origin), "\n")
		return &node{at: own, shape: textShape, text: n.Value, line: own.line, folded: folded}
	case *ast.LiteralNode:
		own := positionOf(n.Start)
		return &node{at: own, shape: textShape, text: n.Value.Value, line: own.line + 1, folded: n.Start.Type == token.FoldedType}
	case *ast.BoolNode:
		return &node{at: positionOf(n.Token), shape: boolShape, text: strconv.FormatBool(n.Value)}
	case *ast.NullNode:
		return &node{at: at, shape: emptyShape}
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return &node{at: positionOf(n.GetToken()), shape: numberShape, text: n.GetToken().Value}
	default:
		r.invalid(at, "this kind of YAML (%s) is not read here", n.Type()).WithHint("write the value plainly")
		return &node{at: at, shape: emptyShape}
	}
}

// firstOf is the place of a list's item: a block mapping's own token is its
// first colon, so its first key stands for it.
func firstOf(n ast.Node, or position) position {
	for {
		m, ok := n.(*ast.MappingNode)
		if !ok || m.IsFlowStyle || len(m.Values) == 0 {
			break
		}
		n = m.Values[0].Key
	}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return positionOf(tk)
	}
	return or
}

func (r *report) mapping(values []*ast.MappingValueNode, at position) *node {
	out := &node{at: at, shape: mapShape, index: map[string]int{}}
	if len(values) > maxKeys {
		r.tooManyKeys(positionOf(values[maxKeys].Key.GetToken()))
		return out
	}
	for _, v := range values {
		keyAt := positionOf(v.Key.GetToken())
		key, ok := keyText(v.Key)
		if !ok {
			r.invalid(keyAt, "a key must be plain text").WithHint("for example title: Example Shop")
			continue
		}
		if i, twice := out.index[key]; twice {
			r.invalid(keyAt, "key %q is written twice, first in line %d", clip(key), out.entries[i].at.line).
				WithHint("keep one of them")
			continue
		}
		out.index[key] = len(out.entries)
		out.entries = append(out.entries, entry{key, keyAt, r.node(v.Value, keyAt)})
	}
	return out
}

func (r *report) tooManyKeys(at position) {
	r.invalid(at, "more than %d keys stand side by side here", maxKeys).WithHint("move zone records into files of their own with file:")
}

func keyText(key ast.MapKeyNode) (string, bool) {
	switch key := key.(type) {
	case *ast.StringNode:
		return key.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		return key.GetToken().Value, true
	}
	return "", false
}

// The limits of the small YAML that is taken. The parser's time grows with the
// square of a mapping's keys and its stack with the depth, so both are bounded
// before it runs.
const (
	maxDepth  = 20
	maxKeys   = 5_000
	maxTokens = 200_000
)

// refusedTokens are the parts of YAML that make a file hard to read, or small
// files large.
var refusedTokens = map[token.Type]struct{ what, remedy string }{
	token.AnchorType:     {"an anchor (&)", "write the value out, in quotes if & is meant as text"},
	token.AliasType:      {"an alias (*)", "write the value out, in quotes if * is meant as text"},
	token.MergeKeyType:   {"a merge key (<<)", "write the keys out"},
	token.TagType:        {"a tag (!)", "leave it out, or use quotes if ! is meant as text"},
	token.DirectiveType:  {"a directive (%)", "remove this line"},
	token.MappingKeyType: {"an explicit key (?)", "write key: value"},
}

// screen looks at the tokens before the parser does.
func (r *report) screen(tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		r.invalid(position{1, 1}, "this file is too large: %d words and signs, %d are taken", len(tokens), maxTokens).
			WithHint("move zone records into files of their own with file:")
		return false
	}
	var s outline
	for i, tk := range tokens {
		at := positionOf(tk)
		if no, refused := refusedTokens[tk.Type]; refused {
			r.problem(fault.NotSupported, at, "%s is not read here", no.what).WithHint("%s", no.remedy)
			return false
		}
		if tk.Type == token.DocumentHeaderType && s.seen {
			r.invalid(at, "a second document (---) begins here").WithHint("keep everything in one document")
			return false
		}
		if i > 0 && (tokens[i-1].Type == token.LiteralType || tokens[i-1].Type == token.FoldedType) {
			continue // the text of a block: its columns mean nothing
		}
		s.take(tk, at)
		if s.depth() > maxDepth {
			r.invalid(at, "this is nested more than %d levels deep", maxDepth).WithHint("compare with the sample: lifeboat config show")
			return false
		}
		if s.most > maxKeys {
			r.tooManyKeys(at)
			return false
		}
	}
	return true
}

// outline follows nesting by columns and brackets, a little too deep rather than
// too shallow.
type outline struct {
	columns []int // of the block's lines that are open
	counts  []int // lines at each of them
	flow    int   // open brackets
	dashes  int   // "- - -" in this line
	line    int
	most    int  // the largest count
	seen    bool // something other than comments
}

func (o *outline) depth() int { return len(o.columns) + o.flow + o.dashes }

func (o *outline) take(tk *token.Token, at position) {
	if tk.Type == token.CommentType {
		return
	}
	o.seen = true
	if o.flow == 0 && at.line != o.line {
		o.open(at)
	}
	switch tk.Type {
	case token.MappingStartType, token.SequenceStartType:
		o.flow++
	case token.MappingEndType, token.SequenceEndType:
		o.flow = max(0, o.flow-1)
	case token.SequenceEntryType:
		o.dashes++
	}
}

// open begins a line of a block.
func (o *outline) open(at position) {
	o.line, o.dashes = at.line, 0
	for n := len(o.columns); n > 0 && o.columns[n-1] > at.col; n-- {
		o.columns, o.counts = o.columns[:n-1], o.counts[:n-1]
	}
	if n := len(o.columns); n == 0 || o.columns[n-1] < at.col {
		o.columns, o.counts = append(o.columns, at.col), append(o.counts, 0)
	}
	o.counts[len(o.counts)-1]++
	o.most = max(o.most, o.counts[len(o.counts)-1])
}
