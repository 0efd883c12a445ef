package web

import (
	"bytes"
	"errors"
	"html/template"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
)

// What a form may carry, in bytes. What is more is read and thrown away up to a bound:
// a browser shows our answer only once it has sent everything.
const (
	maxForm  = 64 << 10
	maxDrain = 32 << 20

	maxStoryForm = 512 << 10 // a write-up in several languages
	storyPath    = "/lifeboat/board-story"
)

// forms reads what was sent before anything acts on it: a form that came by halves is
// refused, never run with what is left of it. A form with a file reads itself.
func (s *server) forms(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || isUpload(r) {
			next.ServeHTTP(w, r)
			return
		}
		most, long := maxForm, false
		if r.URL.Path == storyPath { // of somebody who is signed in: others send nothing that is kept
			if _, _, long = s.session(r); long {
				most = maxStoryForm
			}
		}
		if strings.HasPrefix(r.URL.Path, "/sign-in") || r.URL.Path == "/account/prove" { // a form may wait in it
			most += carriedRoom
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
		if err == nil && len(body) > most {
			drain(r.Body, maxDrain)
			s.tooBig(w, r)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if err == nil {
			err = readForm(r)
		}
		if err == nil && len(body) > maxForm && !long && r.PostForm.Get(carriedPath) == "" {
			s.tooBig(w, r)
			return
		}
		if err != nil {
			who, _, _ := s.session(r)
			s.fail(w, who, fault.New(fault.Invalid, "the form could not be read, so nothing was done").WithHint("go back with the browser and send it again"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// tooBig answers a form that is longer than any that we make.
func (s *server) tooBig(w http.ResponseWriter, r *http.Request) {
	who, _, _ := s.session(r)
	s.problem(w, http.StatusRequestEntityTooLarge, who, message{
		Text: "That was more than 64 KiB, so nothing was done.",
		Next: "Go back with the browser: what you typed is still there. Make it shorter, or add it as a file under Evidence.",
	}, "")
}

// drain reads on and throws away.
func drain(r io.Reader, most int64) { _, _ = io.CopyN(io.Discard, r, most) }

// isUpload says whether a request is the one form that carries a file.
func isUpload(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	parts := strings.Split(r.URL.Path, "/")
	return err == nil && kind == "multipart/form-data" && len(parts) == 4 && parts[1] == "sites" && parts[3] == upload
}

// readForm takes both ways in which browsers send forms. Those with a field to type in
// are sent as multipart/form-data, which does not make text that is not ASCII three
// times as long.
func readForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	if err := r.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return err
	}
	return nil
}

// worded are the names of fields that people write sentences into, in the order in
// which these are given back where their form is gone.
var worded = []string{
	"title", "text", "prediction", "saw", "note", "below", "within", "to", "way_back", "takes", "risk", "owner", "things", "doing", "needs",
	"question_text", "options", "chosen", "factors", "done_when", "tracker", "ref", "who", "reason", "keys", "where", "set", "records", "address", "target", "data",
}

// typed is all that a person wrote into a form.
func typed(r *http.Request) string {
	return wordsOf(r.PostForm)
}

func wordsOf(form map[string][]string) string {
	var out []string
	names := slices.Clone(worded)
	for _, name := range slices.Sorted(maps.Keys(form)) { // the same in other languages
		if strings.HasPrefix(name, "title_") || strings.HasPrefix(name, "text_") || strings.HasPrefix(name, "reason_text") {
			names = append(names, name)
		}
	}
	for _, name := range names {
		for _, v := range form[name] {
			if v != "" {
				out = append(out, v)
			}
		}
	}
	return strings.Join(out, "\n\n")
}

// foreign answers a form that another site has sent.
func (s *server) foreign(w http.ResponseWriter, _ *http.Request) {
	s.problem(w, http.StatusForbidden, account.Session{}, message{
		Text: "This form was sent by another site, so nothing was done.",
		Next: "Open the page here and press there. If you did, whatever stands between your browser and lifeboat changes the Host header: let it pass it on.",
	}, "")
}

// The kinds of fields.
const (
	line    = "text" // one line, unless said otherwise
	area    = "area"
	choice  = "choice" // one of several, as a list that opens
	radio   = "radio"  // one of several, all seen
	several = "several"
	number  = "number"
	day     = "date"
	file    = "file"
	secret  = "password"
	hidden  = "hidden"
)

// field is one thing that a form carries.
type field struct {
	Name    string
	Kind    string
	Label   string
	Help    string // below the label
	Holder  string // shown while it is empty
	Value   string
	Options []option
	Must    bool
	Rows    int
	Max     int // characters
	Focus   bool
	Fold    bool   // few need it: it is behind a line that opens
	Auto    string // what the browser may fill in
	ID      string // made by the form
	Why     string // id of what says why it was refused
}

// option is one of several.
type option struct {
	Value, Label, Says string
	On                 bool
}

// fill puts what was typed into the fields.
func fill(fields []field, args map[string][]string) []field {
	out := slices.Clone(fields)
	for i := range out {
		f := &out[i]
		v, has := args[f.Name]
		if !has || f.Kind == secret || f.Kind == file {
			continue
		}
		if len(v) > 0 {
			f.Value = v[0]
		}
		f.Options = slices.Clone(f.Options)
		for j := range f.Options {
			f.Options[j].On = slices.Contains(v, f.Options[j].Value)
		}
	}
	return out
}

// marked turns on the option with a value.
func marked(value string, options ...option) []option {
	for i := range options {
		options[i].On = options[i].Value == value
	}
	return options
}

// terms are the three lines below a button: always in this order, always all three.
type terms struct{ Happens, HowLong, Back string }

// ask is a form: what one press does, and what is said of it.
type ask struct {
	ID       string // begins the ids of its fields
	Action   string // where it is sent
	Page     string // its own page; for those that are shown as a link
	Title    string // the words of its button
	Name     string // what the button is called where its words say too little
	More     string // what the fields are that few need; empty: more
	Says     string // a line beside a link to it
	Fields   []field
	Key      string // makes it act once, however often it is sent
	Incident string // what the page showed
	Phase    string
	Terms    terms
	Ready    template.HTML // right below the button
	Off      string        // why it can't be pressed: then no button is drawn
	Denied   bool          // it is the role that says so
	Submits  []option      // several buttons in place of one
	Submit   string        // their name
	Problem  *message
	Go       bool // the one thing to do
	Small    bool // in a row of others
}

// Types says whether somebody types into it.
func (a ask) Types() bool {
	return slices.ContainsFunc(a.Fields, func(f field) bool { return f.Kind != hidden })
}

// Files says whether it carries a file.
func (a ask) Files() bool {
	return slices.ContainsFunc(a.Fields, func(f field) bool { return f.Kind == file })
}

// Main and Folded are the fields that one sees, and those that few need.
func (a ask) Main() []field   { return a.only(false) }
func (a ask) Folded() []field { return a.only(true) }

func (a ask) only(folded bool) []field {
	var out []field
	for _, f := range a.Fields {
		if f.Kind != hidden && f.Fold == folded {
			out = append(out, f)
		}
	}
	return out
}

// numbered gives the fields their ids and says what describes them.
func (a *ask) numbered() {
	why := ""
	if a.Problem != nil {
		why = a.ID + "why"
	}
	focused := false
	for i := range a.Fields {
		f := &a.Fields[i]
		f.ID, f.Why = a.ID+f.Name, why
		f.Focus = f.Focus && !focused
		focused = focused || f.Focus
	}
}
