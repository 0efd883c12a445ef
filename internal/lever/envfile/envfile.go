// Package envfile is the lever of kind envfile: it closes a feature that an
// environment variable decides. It replaces the one line KEY=value of a file and then
// runs the command that makes the application read it again.
//
// It is no shell: the command is a list of words, and the line's other bytes are not
// looked at. Whether the application has taken the value can only be seen where the
// section says how to look (observe).
//
// Invariants: a pull whose reload failed is never called done; the reload is run again
// whenever the act is, and must bear it.
//
// Concurrency: everything may be used from any goroutine.
package envfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/outside"
)

// Kind is this driver's kind.
const Kind = "envfile"

// Section is the driver's configuration.
type Section struct {
	File     string        `json:"file"` // absolute
	Key      string        `json:"key"`
	Value    string        `json:"value"`              // as it will stand behind the =
	Reload   []string      `json:"reload,omitempty"`   // a program's absolute path and its arguments
	Deadline time.Duration `json:"deadline,omitempty"` // of the reload; 10s
	Observe  Observe       `json:"observe,omitzero"`
	Drill    string        `json:"drill,omitempty"` // a key of the same file that drills move
}

// Observe is how an application is asked what it has: one of the two, and what it says
// while the lever is pulled.
type Observe struct {
	URL      string   `json:"url,omitempty"`
	Exec     []string `json:"exec,omitempty"`
	Contains string   `json:"contains,omitempty"` // in the answer while the lever is pulled, and not otherwise
}

// The bounds of what is run and read.
const (
	reloadTime  = 10 * time.Second
	observeTime = 2 * time.Second
	maxPage     = 64 << 10 // bytes
	maxLine     = 16 << 10 // bytes
)

// Command is a program that is run without a shell: it ends by its deadline, and no
// more than 64 KiB of what it says is kept.
type Command struct {
	Words    []string // the program's absolute path and its arguments
	Deadline time.Duration
	For      lever.Token
}

// Options of a driver. Now and Run MUST be set.
type Options struct {
	Now    func() time.Time
	Run    func(ctx context.Context, c Command) (text, problem string) // problem "": it ended well
	Rename func(from, to string) error                                 // os.Rename unless set
}

// driver remembers which reloads failed, so that nobody takes the file's word alone.
type driver struct {
	o       Options
	client  *http.Client
	mu      sync.Mutex        // guards pending
	pending map[string]string // target → why
}

// New makes the driver.
func New(o Options) *outside.Driver {
	if o.Rename == nil {
		o.Rename = os.Rename
	}
	d := &driver{
		o: o, pending: map[string]string{},
		client: &http.Client{Timeout: observeTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	return outside.New(outside.Options{Kind: Kind, Now: o.Now, Open: d.open, Limit: reloadTime + time.Minute, Capabilities: lever.Capabilities{
		Class: lever.R0, Latency: 5 * time.Second, Rights: []string{"read and replace the file", "run the reload"},
		SideEffects: []string{"The application reads its settings again, or is restarted: see its reload."},
		Reach:       "An estimate: as long as the reload takes, within seconds as a rule.",
	}})
}

// thing is one key of one file.
type thing struct {
	*driver
	Section
	drill bool
}

func (d *driver) open(raw json.RawMessage, drill bool) (outside.Thing, error) {
	t := thing{driver: d, drill: drill}
	if err := outside.Section(raw, &t.Section, "a file, a key and a value"); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(t.File) || !goodKey(t.Key) || t.Drill != "" && !goodKey(t.Drill) || t.Drill == t.Key {
		return nil, fault.New(fault.Invalid, "the lever's section is not whole").WithHint("it needs a file by its absolute path, a key of letters, digits and _, and for drills another key")
	}
	if strings.ContainsAny(t.Value, "\r\n\x00") || !utf8.ValidString(t.Value) || len(t.Value) > maxLine {
		return nil, fault.New(fault.Invalid, "the lever's value is not one line of text").WithHint("write one line")
	}
	if drill && t.Drill == "" {
		return nil, outside.ErrNoShadow
	}
	if drill {
		t.Key = t.Drill
	}
	return t, nil
}

func goodKey(key string) bool {
	for i, c := range key {
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return key != "" && len(key) <= 200
}

func (t thing) Target() string  { return t.File + "#" + t.Key }
func (t thing) Witness() string { return t.File }

// line is where a key's line is, without its end; start < 0 where there is none.
type line struct {
	file       outside.File
	start, end int
	value      int // where the value begins
}

// Read finds the key's line. A value may be a secret, so it is shown by its digest
// unless it is the one that the lever writes.
func (t thing) Read(ctx context.Context) (outside.Reading, error) {
	f, err := outside.ReadFile(ctx, t.File)
	if err != nil {
		return outside.Reading{}, err
	}
	if !utf8.Valid(f.Bytes) {
		return outside.Reading{}, fault.New(fault.Unavailable, "%s is not UTF-8 text", t.File).WithHint("mend the file")
	}
	l := line{file: f, start: -1}
	at := 0
	for text := range bytes.Lines(f.Bytes) {
		body := bytes.TrimRight(text, "\r\n")
		if value, is := t.mine(string(body)); is {
			if l.start >= 0 {
				return outside.Reading{}, fault.New(fault.Invalid, "%s is written twice in %s", t.Key, t.File).WithHint("leave one of the two")
			}
			l.start, l.end, l.value = at, at+len(body), at+value
		}
		at += len(text)
	}
	if l.start < 0 {
		return outside.Reading{State: json.RawMessage("null"), Word: "not set", Mark: l}, nil
	}
	if l.end-l.start > maxLine {
		return outside.Reading{}, fault.New(fault.Invalid, "the line of %s is longer than %d bytes", t.Key, maxLine)
	}
	return outside.Reading{State: outside.State(string(f.Bytes[l.start:l.end])), Word: t.word(string(f.Bytes[l.value:l.end])), Mark: l}, nil
}

// mine says whether a line sets the key, and where its value begins.
func (t thing) mine(text string) (value int, is bool) {
	rest := strings.TrimLeft(text, " \t")
	if after, exported := strings.CutPrefix(rest, "export "); exported {
		rest = strings.TrimLeft(after, " \t")
	}
	rest, is = strings.CutPrefix(rest, t.Key+"=")
	return len(text) - len(rest), is
}

// word is a value for people.
func (t thing) word(value string) string {
	if value == t.Value || harmless(value) {
		return value
	}
	sum := sha256.Sum256([]byte(value))
	return "another value (" + hex.EncodeToString(sum[:3]) + ")"
}

// harmless values can't be secrets.
func harmless(value string) bool {
	plain := strings.ToLower(strings.Trim(value, `"'`))
	return slices.Contains([]string{"", "0", "1", "true", "false", "on", "off", "yes", "no", "enabled", "disabled"}, plain)
}

// Wanted is the line with the lever's value; one that is not there comes at the end.
func (t thing) Wanted(now outside.Reading) (outside.Reading, error) {
	l, is := now.Mark.(line)
	if !is {
		return outside.Reading{}, fault.New(fault.Internal, "a reading of something else")
	}
	text := t.Key + "="
	if l.start >= 0 {
		text = string(l.file.Bytes[l.start:l.value])
	}
	return outside.Reading{State: outside.State(text + t.Value), Word: t.word(t.Value)}, nil
}

// Write puts a line in the place of what is there; null takes it away.
func (t thing) Write(ctx context.Context, now outside.Reading, to json.RawMessage) error {
	l, is := now.Mark.(line)
	var text *string
	if !is || json.Unmarshal(to, &text) != nil {
		return fault.New(fault.Invalid, "the plan's step can't be read")
	}
	b := l.file.Bytes
	switch {
	case text == nil && l.start < 0:
		return nil
	case text == nil: // we had put it at the end
		end := l.end
		for end < len(b) && (b[end] == '\r' || b[end] == '\n') {
			if end++; b[end-1] == '\n' {
				break
			}
		}
		b = slices.Concat(b[:l.start], b[end:])
	case l.start >= 0:
		b = slices.Concat(b[:l.start], []byte(*text), b[l.end:])
	case len(b) > 0 && b[len(b)-1] != '\n': // taking it away again must leave no line end behind
		return fault.New(fault.Conflict, "%s does not end with a line end, so %s can't be added and taken away again", t.File, t.Key).WithHint("add a line end, or the line %s=", t.Key)
	default:
		b = slices.Concat(b, []byte(*text+"\n"))
	}
	t.doubt("the reload was not run")
	return l.file.Replace(ctx, b, t.o.Rename)
}

// doubt notes why the application may not know the value; "" when it does.
func (t thing) doubt(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if why == "" || len(t.Reload) == 0 {
		delete(t.pending, t.Target())
		return
	}
	t.pending[t.Target()] = why
}

// Finish runs the reload. It is run at every act, also where the file needs no change:
// the act before may have ended between the two.
func (t thing) Finish(ctx context.Context, tok lever.Token) error {
	if len(t.Reload) == 0 {
		return nil
	}
	deadline := t.Deadline
	if deadline <= 0 {
		deadline = reloadTime
	}
	_, problem := t.o.Run(ctx, Command{t.Reload, deadline, tok})
	t.doubt(problem)
	if problem == "" {
		return nil
	}
	return fault.New(fault.Unavailable, "the file is written, and its reload failed: %s", problem).
		WithHint("run it by hand: %s", strings.Join(t.Reload, " ")).Because(lever.ErrUnsure)
}

// Look asks the application, where it is said how; else the reload's word counts.
func (t thing) Look(ctx context.Context, s lever.Step) []lever.Sighted {
	var out []lever.Sighted
	t.mu.Lock()
	why := t.pending[t.Target()]
	t.mu.Unlock()
	if why != "" {
		out = append(out, lever.Sighted{Witness: "the reload", World: lever.Unknown, Value: why})
	}
	if t.drill || t.Observe.Contains == "" {
		return out // the application is not asked about a drill's key
	}
	var text string
	var err error
	w := lever.Sighted{Witness: t.Observe.URL}
	if t.Observe.URL != "" {
		text, err = t.page(ctx)
	} else {
		w.Witness = t.Observe.Exec[0]
		said, problem := t.o.Run(ctx, Command{Words: t.Observe.Exec, Deadline: observeTime})
		if text = said; problem != "" {
			err = fault.New(fault.Unavailable, "%s", problem)
		}
	}
	switch {
	case err != nil:
		w.World, w.Value = lever.Unknown, err.Error()
	case strings.Contains(text, t.Observe.Contains):
		w.World, w.Value = lever.After, "what it says while the lever is pulled"
	default:
		w.World, w.Value = lever.Before, "what it says while the lever is not pulled"
	}
	return append(out, w)
}

func (t thing) page(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Observe.URL, nil)
	if err != nil {
		return "", fault.New(fault.Invalid, "the address to look at can't be read")
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return "", fault.New(fault.Unavailable, "no answer").Because(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", fault.New(fault.Unavailable, "it answered %s", resp.Status).Because(err)
	}
	return string(b), nil
}

// Problems looks at the file's place and at the programs.
func (t thing) Problems(_ context.Context, now outside.Reading) []string {
	var out []string
	if l, is := now.Mark.(line); is {
		out = l.file.Problems()
	}
	for _, words := range [][]string{t.Reload, t.Observe.Exec} {
		if len(words) == 0 {
			continue
		}
		if info, err := os.Stat(words[0]); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			out = append(out, "There is no program "+words[0]+": install it, or name another.")
		}
	}
	return out
}
