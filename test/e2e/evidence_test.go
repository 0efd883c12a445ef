package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/api"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// lastLine is at the end of the log that is captured.
const lastLine = "ERROR pool exhausted, 20 of 20 in use"

// withCapture has metrics and the end of a log taken as evidence, too.
func (b *Boat) withCapture() {
	log := filepath.Join(b.dir, "shop.log")
	b.Must(os.WriteFile(log, []byte(strings.Repeat("INFO all is well\n", 20_000)+lastLine+"\n"), 0o600))
	b.site += fmt.Sprintf("    capture: {metrics: {path: /metrics}, logs: [%s]}\n", log)
}

// body is the body of a piece of evidence, as somebody reads it.
func (p *Person) body(id, piece string) said {
	p.b.t.Helper()
	s, err := p.Send(http.MethodGet, "/incidents/"+id+"/evidence/"+piece, "", nil)
	p.b.Must(err)
	return s
}

// bodies checks that every body is there as its hash says, and gives what each kind
// says about it.
func (p *Person) bodies(in api.Incident) map[string]string {
	t := p.b.t
	t.Helper()
	out := map[string]string{}
	for _, e := range in.Evidence {
		if e.SHA256 == "" {
			continue
		}
		got := p.body(in.ID, e.ID)
		sum := sha256.Sum256(got.body)
		if !got.ok() || hex.EncodeToString(sum[:]) != e.SHA256 || int64(len(got.body)) != e.Size {
			t.Errorf("the body of %s (%s, %d bytes) is another one: %d, %d bytes", e.ID, e.Title, e.Size, got.status, len(got.body))
		}
		if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, "sandbox") || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s is sent with the policy %q", e.ID, policy)
		}
		out[e.Kind] += string(got.body)
	}
	return out
}

// TestEvidence: whoever pulls a lever has collected what it looked like from outside,
// without having asked for it and without having waited.
func TestEvidence(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Ready: (*Boat).withCapture})
	ada := b.Person("Ada", role.Operator)
	b.Load()
	b.Pull("to-standby")
	want := map[string]string{"dns": "shop.example.com", "http": "Add to cart: this is " + home, "metrics": "pool_in_use", "log": lastLine}
	var got map[string]string
	b.Eventually("evidence of all kinds is there, with what was seen", func() bool {
		got = ada.bodies(b.Incident())
		for kind, text := range want {
			if !strings.Contains(got[kind], text) {
				return false
			}
		}
		return true
	})
	for _, e := range b.Incident().Evidence {
		nobodys := e.Kind == "metrics" && strings.HasPrefix(e.Source, standby) // it has none
		if e.Title == "" || e.Collector == "" || e.At.IsZero() || e.Problem != "" && !nobodys {
			t.Errorf("evidence %+v", e)
		}
	}
	b.GoBack()
	b.KillControl()
	line := b.OneIncident()
	if again := ada.bodies(incident.Fold(line.Events)); len(again) != len(got) {
		t.Errorf("after a restart there are bodies of %d kinds, not %d", len(again), len(got))
	}
	b.Settle()
}

// TestEvidenceWhileAnswerStands: nothing waits for evidence that does not come.
func TestEvidenceWhileAnswerStands(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "off", Ready: (*Boat).withCapture})
	ada := b.Person("Ada", role.Operator)
	answering := b.Running(b.Answer)
	b.Signal(answering, unix.SIGSTOP)
	stands := func() {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(answering), "stat"))
		if err != nil || !strings.Contains(string(raw), ") T ") {
			t.Fatalf("answer does not stand still: %v %s", err, raw)
		}
	}
	const site = "/sites/shop"
	ada.Do(site+"/declare", api.DeclareBody{Title: "Nothing loads"}, nil)
	ada.Do(site+"/notes", api.NoteBody{Text: "It is dark."}, nil)
	ada.Do(site+"/causes", api.CauseBody{Statement: "The power is out."}, nil)
	ada.attach("power.txt", "text/plain", []byte("no power"))
	s, err := ada.Send(http.MethodPost, site+"/evidence/capture", "", nil)
	b.Must(err)
	if s.status != http.StatusAccepted && s.status != http.StatusServiceUnavailable || s.clear() != nil {
		t.Errorf("asked for more evidence while answer stands, it says %s", s)
	}
	b.Eventually("the log was read without answer", func() bool { return strings.Contains(ada.bodies(b.Incident())["log"], lastLine) })
	stands()
	b.Signal(answering, unix.SIGCONT)
	b.Eventually("answer's evidence is there, or why not", func() bool {
		for _, e := range b.Incident().Evidence {
			if e.Collector == "answer" {
				return true
			}
		}
		return false
	})
	b.Must(b.Post(site+"/evidence/capture", nil, nil))
	b.Eventually("asked again, the evidence is there", func() bool {
		got := ada.bodies(b.Incident())
		return strings.Contains(got["http"], "Add to cart") && got["dns"] != ""
	})
}

// attach adds a file, as a browser or curl does.
func (p *Person) attach(name, kind string, file []byte) said {
	p.b.t.Helper()
	return p.attachFrom(name, kind, bytes.NewReader(file))
}

func (p *Person) attachFrom(name, kind string, file io.Reader) said {
	p.b.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+p.b.Console()+"/api/v1/sites/shop/evidence?name="+url.QueryEscape(name), file)
	p.b.Must(err)
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Expect", "100-continue") // as curl does: what is refused by its size is not sent
	s, err := p.ask(req)
	p.b.Must(err)
	if err := s.clear(); err != nil {
		p.b.t.Errorf("%s: %v", name, err)
	}
	return s
}

// piece is the newest evidence that was added under a name.
func (b *Boat) piece(name string) api.Evidence {
	b.t.Helper()
	all := b.Incident().Evidence
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Name == name {
			return all[i]
		}
	}
	b.t.Errorf("there is no evidence called %s", name)
	return api.Evidence{}
}

// TestOddFiles: what is too large, empty, or not what it is called, is told so or kept
// as what it is; it holds nobody up.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "off", Undrilled: true})
	ada := b.Person("Ada", role.Reporter)
	const site, mb = "/sites/shop", 1 << 20
	ada.Do(site+"/declare", api.DeclareBody{Title: "Odd files"}, nil)
	huge := strings.Repeat("x", 10*mb)
	tooLarge := func(path string, in any) (answered bool) {
		s, err := ada.Send(http.MethodPost, path, "", in) // who still sends half a second after the answer may find the line cut
		if err == nil && s.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %s", path, s)
		}
		return err == nil
	}
	tooLarge(site+"/notes", api.NoteBody{Text: huge})
	tooLarge(site+"/evidence/notes", api.EvidenceNoteBody{Title: "Long", Text: huge})
	b.Eventually("what is not much too large is answered", func() bool { return tooLarge(site+"/notes", api.NoteBody{Text: huge[:100_000]}) })
	ada.Fails(http.StatusUnprocessableEntity, http.MethodPost, site+"/notes", api.NoteBody{Text: huge[:20_000]})

	noise := make([]byte, 11*mb)
	_, _ = rand.Read(noise) // never fails
	for what, s := range map[string]said{
		"11 MiB":                               ada.attach("core", "application/octet-stream", noise),
		"10 MiB and a byte, of unknown length": ada.attachFrom("core", "application/octet-stream", io.MultiReader(bytes.NewReader(noise[:10*mb+1]))),
	} {
		if s.status != http.StatusRequestEntityTooLarge || !strings.Contains(s.problem.Detail, "10 MB") {
			t.Errorf("a file of %s: %s", what, s)
		}
	}
	if s := ada.attach("empty.log", "text/plain", nil); s.status != http.StatusUnprocessableEntity || s.problem.Kind != fault.Invalid {
		t.Errorf("an empty file: %s", s)
	}
	if n := len(added(b.Incident())); n != 0 {
		t.Errorf("of what was not taken %d pieces are there", n)
	}
	b.kept(ada, noise)
	if n := count(b.OneIncident().Events, incident.NoteAdded); n != 0 {
		t.Errorf("%d notes are there that are too long", n)
	}
}

// kept adds what can be kept, and looks how it is shown.
func (b *Boat) kept(ada *Person, noise []byte) {
	t := b.t
	t.Helper()
	var picture bytes.Buffer
	b.Must(png.Encode(&picture, image.NewRGBA(image.Rect(0, 0, 3, 3))))
	script := []byte("<!doctype html><script>alert(1)</script>")
	for _, f := range []struct {
		name, kind string
		body       []byte
		image      bool
		shown      string // as what it is sent
	}{
		{"dump", "application/octet-stream", noise[:10<<20], false, "application/octet-stream"},
		{"real.png", "image/png", picture.Bytes(), true, "image/png"},
		{"shot.png", "image/png", script, false, ""},
		{"half.png", "image/png", picture.Bytes()[:20], false, ""},
		{"page.html", "text/html", script, false, ""},
	} {
		if s := ada.attach(f.name, f.kind, f.body); !s.ok() {
			t.Errorf("%s was not taken: %s", f.name, s)
			continue
		}
		e := b.piece(f.name)
		if (e.Kind == "image") != f.image || strings.HasPrefix(e.Type, "image/") != f.image {
			t.Errorf("%s is kept as %s, %s", f.name, e.Kind, e.Type)
		}
		if called := strings.HasPrefix(f.kind, "image/") && !f.image; called && e.Problem == "" {
			t.Errorf("nothing says that %s is no image", f.name)
		}
		got := ada.body(b.Incident().ID, e.ID)
		kind := got.header.Get("Content-Type")
		if !bytes.Equal(got.body, f.body) || f.shown != "" && kind != f.shown || strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "image/") != f.image || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s comes back as %v, %d bytes", f.name, got.header, len(got.body))
		}
	}
}

// added is the evidence that people have added.
func added(in api.Incident) (out []api.Evidence) {
	for _, e := range in.Evidence {
		if e.Collector == "person" {
			out = append(out, e)
		}
	}
	return out
}

// TestNoRoomForEvidence: the folder of evidence can't be written. The incident goes on,
// and says so.
func TestNoRoomForEvidence(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Ready: (*Boat).withCapture})
	ada := b.Person("Ada", role.Operator)
	b.Load()
	folder := filepath.Join(b.data, "control", "evidence")
	b.Must(os.Rename(folder, folder+".away"))
	b.Must(os.WriteFile(folder, []byte("not a folder"), 0o600)) // also root can't write into it
	b.Pull("to-standby")
	b.Eventually("what was seen is told, and that its body was not kept", func() bool {
		kinds := map[string]bool{}
		for _, e := range b.Incident().Evidence {
			kinds[e.Kind] = kinds[e.Kind] || e.SHA256 == "" && strings.Contains(e.Problem, "not kept") && (e.Summary != "" || e.Title != "")
		}
		return kinds["dns"] && kinds["http"] && kinds["log"]
	})
	unkept := func() {
		t.Helper()
		if s := ada.attach("a.txt", "text/plain", []byte("a")); s.status != http.StatusServiceUnavailable {
			t.Errorf("a file that can't be kept: %s", s)
		}
		ada.Do("/sites/shop/evidence/notes", api.EvidenceNoteBody{Title: "A note is kept."}, nil)
	}
	unkept()
	b.KillControl()
	b.Expect(standby)
	unkept()
	b.Must(os.Remove(folder))
	b.Must(os.Rename(folder+".away", folder))
	b.KillControl()
	if s := ada.attach("b.txt", "text/plain", []byte("b")); !s.ok() {
		t.Errorf("a file is not kept although there is room again: %s", s)
	}
	b.GoBack()
	b.OneIncident()
	b.Settle()
}
