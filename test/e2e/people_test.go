package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"lifeboat/internal/api"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// Person is somebody with a token, who uses lifeboat over the network.
type Person struct {
	b    *Boat
	name string
	may  role.Role
	text string // the token itself
}

// Person makes a token for somebody.
func (b *Boat) Person(name string, may role.Role) *Person {
	b.t.Helper()
	var made api.NewToken
	b.Must(b.Post("/tokens", api.TokenBody{Name: name, Role: string(may)}, &made))
	return &Person{b: b, name: name, may: may, text: made.Text}
}

// said is an answer of the API.
type said struct {
	status  int
	header  http.Header
	body    []byte
	problem api.Problem // where status is none of 2xx
}

func (s said) ok() bool { return s.status/100 == 2 }

func (s said) String() string { return fmt.Sprintf("%d %s", s.status, s.body) }

// rule is the guard rail that refused, "" where none did.
func (s said) rule() string {
	if s.problem.Refusal == nil {
		return ""
	}
	return s.problem.Refusal.Rule
}

// clear says what a person misses in a refusal: what is wrong, in words, and what to
// do next (U9).
func (s said) clear() error {
	p := s.problem
	switch {
	case s.ok():
		return nil
	case !strings.HasPrefix(s.header.Get("Content-Type"), "application/problem+json"):
		return fmt.Errorf("an answer of type %q: %s", s.header.Get("Content-Type"), s)
	case p.Status != s.status || p.Title == "" || p.Detail == "" || p.Kind == "":
		return fmt.Errorf("a problem that says too little: %s", s)
	case p.Kind == fault.Refused && (p.Refusal == nil || p.Refusal.Rule == "" || p.Refusal.Reason == "" || p.Refusal.Satisfy == ""):
		return fmt.Errorf("a refusal without rule, reason or what would satisfy it: %s", s)
	case p.Kind != fault.Refused && p.Hint == "" && len(p.Errors) == 0:
		return fmt.Errorf("a problem without a next step: %s", s)
	}
	return nil
}

// Send asks the API, and gives an error only where there was no answer.
func (p *Person) Send(method, path, key string, in any) (said, error) {
	var body io.Reader
	kind := ""
	switch in := in.(type) {
	case nil:
	case io.Reader:
		body = in
	default:
		raw, err := json.Marshal(in)
		if err != nil {
			return said{}, err
		}
		body, kind = bytes.NewReader(raw), "application/json"
	}
	req, err := http.NewRequest(method, "http://"+p.b.Console()+"/api/v1"+path, body)
	if err != nil {
		return said{}, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return p.ask(req)
}

// ask sends a request under the person's token.
func (p *Person) ask(req *http.Request) (said, error) {
	req.Header.Set("Authorization", "Bearer "+p.text)
	client := http.Client{Transport: plain, Timeout: 2 * within}
	res, err := client.Do(req)
	if err != nil {
		return said{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return said{}, err
	}
	s := said{status: res.StatusCode, header: res.Header, body: raw}
	if !s.ok() {
		_ = json.Unmarshal(raw, &s.problem) // clear says so where it is none
	}
	return s, nil
}

// Do asks for something that must be done, and reads what came of it into out.
func (p *Person) Do(path string, in, out any) {
	p.b.t.Helper()
	p.read(http.MethodPost, path, in, out)
}

// Get reads.
func (p *Person) Get(path string, out any) {
	p.b.t.Helper()
	p.read(http.MethodGet, path, nil, out)
}

func (p *Person) read(method, path string, in, out any) {
	p.b.t.Helper()
	s, err := p.Send(method, path, "", in)
	switch {
	case err != nil:
		p.b.t.Fatalf("%s: %s %s: %v", p.name, method, path, err)
	case !s.ok():
		p.b.t.Fatalf("%s: %s %s: %s", p.name, method, path, s)
	case out == nil || len(s.body) == 0:
		return
	}
	if err := json.Unmarshal(s.body, out); err != nil {
		p.b.t.Fatalf("%s: %s %s: %v in %s", p.name, method, path, err, s.body)
	}
}

// Refused asks for something that a guard rail must refuse, in words.
func (p *Person) Refused(rule, path string, in any) {
	p.b.t.Helper()
	s, err := p.Send(http.MethodPost, path, "", in)
	if err != nil {
		p.b.t.Fatalf("%s: %s: %v", p.name, path, err)
	}
	if s.ok() || s.rule() != rule || s.status != http.StatusConflict {
		p.b.t.Errorf("%s: %s is not refused by %s: %s", p.name, path, rule, s)
	}
	if err := s.clear(); err != nil {
		p.b.t.Error(err)
	}
}

// Fails asks for something that must fail with a status, in words.
func (p *Person) Fails(status int, method, path string, in any) said {
	p.b.t.Helper()
	s, err := p.Send(method, path, "", in)
	if err != nil {
		p.b.t.Fatalf("%s: %s: %v", p.name, path, err)
	}
	if s.status != status {
		p.b.t.Errorf("%s: %s %s is answered with %s, not %d", p.name, method, path, s, status)
	}
	if err := s.clear(); err != nil {
		p.b.t.Error(err)
	}
	return s
}

// Incident is the incident on view, open or the last one.
func (b *Boat) Incident() api.Incident {
	in := b.Site().Incident
	if in == nil {
		return api.Incident{}
	}
	return *in
}
