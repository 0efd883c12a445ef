package config

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
)

func (b *builder) features(top section) {
	shared := b.evaluators(top)
	for _, e := range b.named(top.n.get("features"), "features", "features: {checkout: {value: true, off: false}}") {
		where := "feature " + clip(e.key)
		if !featurePattern.MatchString(e.key) {
			b.invalid(e.at, "%s has a bad key", where).WithHint("1 to 80 of letters, digits, '.', '_' and '-', for example %s", example(e.key))
		}
		flag := feature.Flag{Key: e.key}
		var written json.RawMessage
		if s, ok := b.section(e.value, where, featureKeys); ok {
			written = b.feature(&flag, s, shared)
		}
		b.c.Features = append(b.c.Features, flag)
		flag.Targeting = written
		b.c.Written.Flags = append(b.c.Written.Flags, flag)
	}
	if len(shared) > 0 {
		b.c.Written.Evaluators = shared
	}
}

// feature reads one, and gives its rule as it is written.
func (b *builder) feature(flag *feature.Flag, s section, shared map[string]json.RawMessage) json.RawMessage {
	before := len(b.problems)
	flag.Says = s.line("says", "", "Card payments", 300)
	flag.Owner = s.line("owner", "", "The payments team", 100)
	flag.Public = s.truth("public", false)
	flag.Value, _ = s.value("value", ": what it is in calm")
	flag.Off, _ = s.value("off", ": what it is when its lever is pulled")
	if s.n.get("code_default") != nil {
		flag.CodeDefault, _ = s.value("code_default", "")
	}
	variants := s.n.get("variants")
	for _, e := range b.named(variants, s.of("variants"), "variants: {small: 10}") {
		if flag.Variants == nil {
			flag.Variants = map[string]json.RawMessage{}
		}
		if v, ok := b.json(e.value, clip(e.key)+" of variants of "+s.where); ok {
			flag.Variants[e.key] = v
		}
	}
	if len(b.problems) > before {
		return nil
	}
	// A feature whose value and off are the same gets a warning, not a refusal.
	if err := flag.Validate(); err != nil && !feature.Same(flag.Value, flag.Off) {
		b.told(s.n.find(fieldOf(err, flag.Key)...), s.where, err)
		return nil
	}
	return b.targeting(flag, s, shared)
}

// fieldOf is the path, below a feature, of what an error of package feature is about.
func fieldOf(err error, key string) []string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return nil
	}
	return strings.Split(strings.TrimPrefix(strings.TrimPrefix(f.Place, "features."+key), "."), ".")
}

// told notes an error of package feature at its place in the file.
func (r *report) told(at position, what string, err error) {
	var f *fault.Error
	if !errors.As(err, &f) {
		f = fault.New(fault.Invalid, "%s", err).WithHint("write another value")
	}
	text := f.Text
	if what != "" {
		text = what + ": " + text
	}
	r.problem(f.Kind, at, "%s", text).WithHint("%s", f.Hint)
}

// targeting reads a feature's rule, a mapping or JSON as text, and puts in what its
// $ref stand for. It gives the rule as it is written.
func (b *builder) targeting(flag *feature.Flag, s section, shared map[string]json.RawMessage) json.RawMessage {
	n := s.n.get("targeting")
	if n == nil || n.shape == emptyShape {
		return nil
	}
	raw, ok := b.rule(n, s.of("targeting"))
	if !ok {
		return nil
	}
	rule, path, err := feature.Expand(raw, shared)
	if err == nil {
		flag.Targeting = rule
		path, err = flag.CheckRule()
	}
	if err != nil {
		flag.Targeting = nil
		b.told(n.find(path...), s.of("targeting"), err)
	}
	return raw
}

// rule reads a rule as JSON.
func (b *builder) rule(n *node, what string) (json.RawMessage, bool) {
	if n.shape != textShape {
		return b.json(n, what)
	}
	text, ok := b.text(n, what, `{if: [{var: beta}, "on", "off"]}`)
	if !ok {
		return nil, false
	}
	if !json.Valid([]byte(text)) {
		b.invalid(n.at, "%s: expected a rule, found text that is not JSON", what).WithHint(`for example {if: [{var: beta}, "on", "off"]}`)
		return nil, false
	}
	return json.RawMessage(text), true
}

// maxEvaluators is how many rules may be shared.
const maxEvaluators = 100

// evaluators reads the parts that rules share.
func (b *builder) evaluators(top section) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, e := range b.atMost(maxEvaluators, top.n.get("evaluators"), "evaluators", `evaluators: {beta: {ends_with: [{var: email}, "@example.com"]}}`) {
		what := "evaluator " + clip(e.key)
		if !featurePattern.MatchString(e.key) {
			b.invalid(e.at, "%s has a bad name", what).WithHint("1 to 80 of letters, digits, '.', '_' and '-', for example %s", example(e.key))
		}
		if raw, ok := b.rule(e.value, what); ok {
			out[e.key] = raw
		}
	}
	// One that no feature names is checked, too.
	for _, e := range b.named(top.n.get("evaluators"), "evaluators", "") {
		raw, read := out[e.key]
		if !read {
			continue
		}
		rule, path, err := feature.Expand(raw, out)
		if err == nil {
			path, err = feature.CheckPart(rule)
		}
		if err != nil {
			b.told(e.value.find(path...), "evaluator "+clip(e.key), err)
			delete(out, e.key)
			out[e.key] = json.RawMessage("null") // what names it is not told of twice
		}
	}
	return out
}

// value reads a feature's value, which must be there.
func (s section) value(key, why string) (json.RawMessage, bool) {
	if !s.needs(key, why, key+": false") {
		return nil, false
	}
	n := s.n.get(key)
	switch {
	case n.shape == textShape && looksTrueOrFalse(n.text):
		s.invalid(n.at, "%s: expected true or false, found %s", s.of(key), n.found()).WithHint("write %s: true or %s: false", key, key)
		return nil, false
	case n.shape == emptyShape:
		s.invalid(n.at, "%s: expected a value, found nothing", s.of(key)).WithHint("for example %s: false", key)
		return nil, false
	case n.shape == listShape:
		s.later(n.at, s.of(key)+": a list").WithHint("put the list into a mapping: %s: {items: […]}", key)
		return nil, false
	}
	return s.json(n, s.of(key))
}

// json turns what is written into JSON.
func (r *report) json(n *node, what string) (json.RawMessage, bool) {
	switch n.shape {
	case boolShape:
		return json.RawMessage(n.text), true
	case emptyShape:
		return json.RawMessage("null"), true
	case numberShape:
		if !json.Valid([]byte(n.text)) {
			r.invalid(n.at, "%s: the number %s is written in a way that JSON has not", what, clip(n.text)).WithHint("write it in digits, for example 10 or 0.5, or in quotes if text is meant")
			return nil, false
		}
		return json.RawMessage(n.text), true
	case listShape:
		parts := make([]json.RawMessage, 0, len(n.items))
		for _, item := range n.items {
			p, ok := r.json(item, what)
			if !ok {
				return nil, false
			}
			parts = append(parts, p)
		}
		return r.encode(n.at, parts)
	case mapShape:
		parts := make(map[string]json.RawMessage, len(n.entries))
		for _, e := range n.entries {
			p, ok := r.json(e.value, what)
			if !ok {
				return nil, false
			}
			parts[e.key] = p
		}
		return r.encode(n.at, parts)
	case textShape:
	}
	text, ok := r.text(n, what, "a text")
	if !ok {
		return nil, false
	}
	return r.encode(n.at, text)
}

func (r *report) encode(at position, v any) (json.RawMessage, bool) {
	raw, err := json.Marshal(v)
	if err != nil { // what was read can be written
		r.problem(fault.Internal, at, "encode a value").Because(err).WithHint("write it otherwise")
		return nil, false
	}
	return raw, true
}

// The most that may be named for the endpoint.
const (
	maxFlagKeys    = 50
	maxFlagOrigins = 50
)

// ofrep reads who may ask for features.
func (b *builder) ofrep(top section) {
	n := top.n.get("ofrep")
	if n == nil {
		return
	}
	s, ok := b.section(n, "ofrep", ofrepKeys)
	if !ok {
		return
	}
	for _, e := range b.atMost(maxFlagKeys, s.n.get("keys"), "keys of ofrep", "keys: {shop: {sha256: …, for: servers}}") {
		b.id(e.at, "key", e.key)
		if k, ok := b.section(e.value, "key "+clip(e.key)+" of ofrep", ofrepKeyKeys); ok {
			b.ofrepKey(e.key, k)
		}
	}
	for _, item := range s.few("origins", `["https://shop.example.com"]`, maxFlagOrigins) {
		text, ok := b.text(item, s.of("origins"), "https://shop.example.com")
		if !ok {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || text != u.Scheme+"://"+u.Host || text != strings.ToLower(text) {
			b.invalid(item.at, "%s: this is not an origin", s.of("origins")).WithHint("write scheme and host as browsers send them, without a path: https://shop.example.com")
			continue
		}
		b.c.Access.Origins = append(b.c.Access.Origins, text)
	}
}

// ofrepKey reads one key. Messages never repeat what may be the key itself.
func (b *builder) ofrepKey(name string, s section) {
	const sample = "sha256: what this prints: printf %s KEY | sha256sum"
	k := feature.Key{Name: name, For: s.choice("for", feature.ForServers, feature.ForServers, feature.ForPages, feature.ForCopies)}
	k.PerSecond = s.number("per_second", 0, 1, 1_000_000)
	if !s.needs("sha256", "", sample) {
		return
	}
	n := s.n.get("sha256")
	sum, err := hex.DecodeString(n.text)
	if n.shape != textShape && n.shape != numberShape || err != nil || len(sum) != 32 {
		b.invalid(n.at, "%s: expected 64 of 0-9 and a-f", s.of("sha256")).WithHint("add %s", sample)
		return
	}
	k.SHA256 = strings.ToLower(n.text)
	if i := slices.IndexFunc(b.c.Access.Keys, func(o feature.Key) bool { return o.SHA256 == k.SHA256 }); i >= 0 {
		b.invalid(n.at, "%s is the same as that of key %s", s.of("sha256"), b.c.Access.Keys[i].Name).WithHint("give each who asks a key of their own")
		return
	}
	b.c.Access.Keys = append(b.c.Access.Keys, k)
}

// pagesNeedKeys warns of keys that no page has, while features are for pages.
func (b *builder) pagesNeedKeys() {
	keys := b.c.Access.Keys
	if !b.c.Access.Closed() || slices.ContainsFunc(keys, func(k feature.Key) bool { return k.For == feature.ForPages }) {
		return
	}
	for _, f := range b.c.Features {
		if f.Public {
			b.warn(b.at("features", f.Key, "public"), "feature %s is for pages, and no key is: pages can't ask", strconv.Quote(f.Key)).
				WithHint("add a key with for: pages under ofrep")
			return
		}
	}
}
