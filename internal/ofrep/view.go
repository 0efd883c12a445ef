package ofrep

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/feature"
)

// audience is who asks: it decides which flags are seen and what is told of them.
type audience int

const (
	pages   audience = iota // browsers: public flags, and no person's name
	servers                 // programs of ours: everything
	copies                  // lifeboats that answer in our place: the flags themselves, instead of answers
)

var (
	audiences = []audience{pages, servers}         // those who are given answers
	listening = []audience{pages, servers, copies} // those who are told of changes
)

// View is every flag's answer, ready to be sent. It is immutable.
type View struct {
	revision string
	header   []string // the revision as a header's value
	flags    map[string]*entry
	sets     [3]set // by audience
	copy     answer // for copies; without a body when it is too large
}

// entry is one flag.
type entry struct {
	key      string
	prepared *feature.Prepared // nil: the flag can't be answered
	static   bool
	public   bool
	answers  [2]told // by audience
	stale    string  // since when what is known may be old, "" when it is not
}

// told are a flag's answers for one audience.
type told struct {
	calm    answer            // what it is without a rule; of a flag that can't be answered the error
	matched map[string]answer // by variant
	noKey   answer            // the rule needs a targetingKey
}

type answer struct {
	body   []byte
	length []string // as a header's value
}

// set is all flags of an audience.
type set struct {
	entries []*entry
	static  bool   // the same for everybody
	timed   bool   // may change by time alone
	flags   []byte // {"flags":[…]; only of a static set
	digest  string // of what is answered, whatever the context
}

// success is OFREP's evaluationSuccess.
type success struct {
	Key      string            `json:"key"`
	Value    json.RawMessage   `json:"value"`
	Reason   string            `json:"reason"`
	Variant  string            `json:"variant"`
	Metadata map[string]string `json:"metadata"`
}

// Compile renders the answer of every flag as it is ordered. A flag whose rule can't
// be read (package config refuses those) has its calm value for everybody, and one
// that has no usable value is answered with an error; the others are unharmed.
// Orders for flags that aren't there are harmless.
func Compile(flags []feature.Flag, orders map[string]feature.Order) *View {
	return CompileStale(flags, orders, time.Time{})
}

// CompileStale is Compile for a copy that has not heard of its origin since then:
// each answer says so. The zero time says nothing.
func CompileStale(flags []feature.Flag, orders map[string]feature.Order, since time.Time) *View {
	stale := ""
	if !since.IsZero() {
		stale = since.UTC().Format(time.RFC3339)
	}
	v := &View{flags: make(map[string]*entry, len(flags))}
	seen := map[string]bool{}
	var whole [2][]byte
	for _, f := range flags {
		if seen[f.Key] {
			continue
		}
		seen[f.Key] = true
		var order *feature.Order
		if o, ok := orders[f.Key]; ok {
			order = &o
		}
		e := compileFlag(f, order, stale)
		v.flags[f.Key] = e
		for _, a := range audiences {
			if strings.Contains(f.Key, "~") || a == pages && !e.public {
				continue // a drill's stand-in is for those who ask for it
			}
			v.sets[a].entries = append(v.sets[a].entries, e)
			whole[a] = append(e.answers[a].everything(whole[a]), f.Targeting...)
		}
	}
	v.copyable(flags, orders)
	for _, a := range audiences {
		v.sets[a].finish(a, whole[a])
	}
	return v
}

func compileFlag(f feature.Flag, order *feature.Order, stale string) *entry {
	e := &entry{key: f.Key, public: f.Public, stale: stale}
	p, err := feature.Prepare(f, order)
	problem := ""
	if err != nil { // go on without the rule
		f.Targeting, f.Variants, problem = nil, nil, "the rule can't be read"
		p, err = feature.Prepare(f, order)
	}
	if err != nil {
		e.static = true
		for a := range e.answers {
			e.answers[a].calm = ready(marshal(failure{Key: f.Key, Code: codeParse, Details: "the feature has no value that can be used"}))
		}
		return e
	}
	e.prepared = p
	calm, static := p.Static()
	e.static = static
	for _, a := range audiences {
		t := &e.answers[a]
		t.calm = e.render(calm, a, problem)
		t.noKey = ready(marshal(failure{Key: f.Key, Code: codeNoKey, Details: "the feature's rule splits by targetingKey, and the context has none"}))
		if static {
			continue
		}
		t.matched = map[string]answer{}
		for _, m := range p.Matches() {
			t.matched[m.Variant] = e.render(m, a, "")
		}
	}
	return e
}

// everything appends all that may be answered.
func (t *told) everything(to []byte) []byte {
	to = append(append(to, t.calm.body...), '\n')
	for _, name := range slices.Sorted(maps.Keys(t.matched)) {
		to = append(append(to, t.matched[name].body...), '\n')
	}
	return to
}

// finish renders what is the same for everybody.
func (s *set) finish(a audience, whole []byte) {
	s.static = true
	for _, e := range s.entries {
		s.static = s.static && e.static
		s.timed = s.timed || e.prepared != nil && e.prepared.Timed()
	}
	s.digest = digest(whole)
	if !s.static {
		return
	}
	s.flags = append(s.flags, bulkHead...)
	for i, e := range s.entries {
		if i > 0 {
			s.flags = append(s.flags, ',')
		}
		s.flags = append(s.flags, e.answers[a].calm.body...)
	}
}

const bulkHead = `{"flags":[`

// digest is short, and the same on every machine and after every start.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(strconv.Itoa(len(p)) + " "))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// At gives a copy of the view that says which manifest it is true for.
func (v *View) At(epoch, revision uint64) *View {
	at := *v
	at.revision = strconv.FormatUint(epoch, 10) + "." + strconv.FormatUint(revision, 10)
	at.header = []string{at.revision}
	return &at
}

// render makes an answer's body. Pages are not told who it was.
func (e *entry) render(a feature.Answer, to audience, problem string) answer {
	about := map[string]string{}
	for name, value := range a.Metadata {
		if to == servers || name != "by" {
			about[name] = value
		}
	}
	if a.Problem != "" {
		problem = a.Problem
	}
	if problem != "" {
		about["problem"] = problem
	}
	if e.stale != "" {
		about["stale_since"] = e.stale
	}
	return ready(marshal(success{Key: e.key, Value: a.Value, Reason: a.Reason, Variant: a.Variant, Metadata: about}))
}

func ready(body []byte) answer { return answer{body, []string{strconv.Itoa(len(body))}} }

// marshal writes JSON without HTML's escapes.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		// Not reached: a valid flag's value is JSON, and the rest are strings.
		return []byte(`{"errorDetails":"internal fault"}`)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func quote(s string) []byte { return marshal(s) }
