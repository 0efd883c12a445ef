package web

import (
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/account"
	"lifeboat/internal/capture"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// Limits on evidence: what of a text is shown, and what the upload's form may carry.
const (
	maxShown  = 200 << 10
	maxUpload = engine.MaxFile + maxForm
	maxTyped  = 16 << 10 // bytes of one field
	maxParts  = 20
	maxTitle  = 300 // characters, as the record has them
	maxText   = 4000
	maxFields = 128 << 10       // bytes of all that comes before the file
	fileTime  = 2 * time.Minute // for a file to arrive, or to be taken: a telephone at night is slow
)

// patient gives a request that carries a file its time.
func patient(w http.ResponseWriter) {
	until := time.Now().Add(fileTime) // the kernel's clock
	rc := http.NewResponseController(w)
	_, _ = rc.SetReadDeadline(until), rc.SetWriteDeadline(until) // a test's writer has none
}

// images are the media types that are shown as such; what a body is was decided when
// it was kept, by looking at it.
var images = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

// incidentScope is the scope of an incident by its id.
func (s *server) incidentScope(r *http.Request, who account.Session) (scope, error) {
	return s.scope(r.Context(), who, "", r.PathValue("id"), r.URL.Query())
}

// incidentRoom is the frame of a page about one incident.
func (x scope) incidentRoom(headline, lede string) page {
	p := x.s.room(x.who, x.o, "/incidents", headline, lede)
	p.Drill, p.Incident, p.Site, p.Where = x.in.Drill, x.in.ID, x.in.Site, []string{phaseWords(x.in.Phase), orElse(x.v.Title, x.in.Site), cut(x.in.Title, 80)}
	p.Clock = clock{Big: x.s.clock(x.in.DeclaredAt), Since: x.in.DeclaredAt.In(x.s.o.Zone).Format("2 January 2006"), UTC: beside(x.in.DeclaredAt, x.s.o.Zone)}
	if x.in.Phase.Open() {
		p.Clock = clock{Big: spell(x.now().Sub(x.in.DeclaredAt)), Since: "since " + x.s.clock(x.in.DeclaredAt), Local: x.s.clock(x.now()), UTC: beside(x.now(), x.s.o.Zone)}
		live := x
		live.past = false
		live.keel(&p)
	}
	return p
}

// evidence is the room of what was seen in an incident.
func (s *server) evidence(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.incidentScope(r, who)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	p := x.incidentRoom(count(len(x.in.Evidence), "piece", "pieces")+" of evidence.", "Kept as it was found, each with its time, its source and its hash.")
	p.Say = s.said(r)
	live := x
	live.past = false
	list := slices.Clone(x.in.Evidence)
	slices.Reverse(list)
	p.Body = struct {
		List         []incident.Evidence
		Add, Capture ask
		Open         bool
	}{list, live.ask(upload), live.ask("capture"), x.open()}
	s.show(w, http.StatusOK, "evidence.html", p)
}

// piecePart is one piece of evidence.
type piecePart struct {
	incident.Evidence
	Body     string // of a text
	More     bool   // there is more than is shown
	Image    string
	File     string
	Problem  string // why its body can't be had
	Redact   ask
	HasBody  bool
	Drawn    drawn
	Received string
}

// piece is the page of one piece of evidence.
func (s *server) piece(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.incidentScope(r, who)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	e, body, err := s.o.Engine.Evidence(r.Context(), x.in.ID, r.PathValue("piece"))
	if e.ID == "" {
		s.fail(w, who, err)
		return
	}
	here := evidencePath(x) + "/" + url.PathEscape(e.ID)
	part := piecePart{Evidence: e, Redact: x.ask("redact", "evidence", e.ID)}
	switch {
	case body == nil:
		if err != nil && e.SHA256 != "" {
			part.Problem = plain(err)
		}
	default:
		defer func() { _ = body.Close() }() // it was only read
		part.HasBody, part.File = true, here+"/file"
		if slices.Contains(images, e.Type) && e.Kind == "image" {
			part.Image = here + "/image"
		} else if strings.HasPrefix(e.Type, "text/") {
			all, more := firstOf(body, capture.MaxBody)
			part.Drawn = x.drawnOf(e, all)
			part.Body, part.More = shownOf(e, all, more)
			part.Drawn.Changed, part.Drawn.Since = s.sinceBefore(r.Context(), x, e, part.Body)
		}
	}
	p := x.incidentRoom(cut(e.Title, 120), "")
	p.Where = append([]string{e.ID}, p.Where...)
	p.Say, p.Body = s.said(r), part
	s.show(w, http.StatusOK, "piece.html", p)
}

// sinceBefore is what differs from the capture before this one, of the same thing by the
// same collector, and which that was.
func (s *server) sinceBefore(ctx context.Context, x scope, e incident.Evidence, text string) ([]diffLine, string) {
	at := slices.IndexFunc(x.in.Evidence, func(o incident.Evidence) bool { return o.ID == e.ID })
	for i := at - 1; i >= 0; i-- {
		o := x.in.Evidence[i]
		if o.Title != e.Title || o.Kind != e.Kind || o.Source != e.Source || o.Collector != e.Collector || o.Redacted != "" {
			continue
		}
		_, body, err := s.o.Engine.Evidence(ctx, x.in.ID, o.ID)
		if err != nil || body == nil {
			return nil, ""
		}
		before, more := firstOf(body, maxShown)
		_ = body.Close() // it was only read
		if more {
			return nil, ""
		}
		return diffOf(lasting(before), lasting(text)), o.ID
	}
	return nil, ""
}

// shownOf is the part of a text that is shown: its beginning, of a log its end, from the
// beginning of a line.
func shownOf(e incident.Evidence, all string, more bool) (text string, cutOff bool) {
	if len(all) <= maxShown {
		return all, more
	}
	if e.Kind != capture.KindLog {
		return strings.ToValidUTF8(all[:maxShown], "\ufffd"), true
	}
	text = all[len(all)-maxShown:]
	if _, rest, found := strings.Cut(text, "\n"); found {
		text = rest
	}
	return strings.ToValidUTF8(text, "\ufffd"), true
}

// firstOf reads the beginning of a text, at most so many bytes.
func firstOf(r io.Reader, most int) (text string, more bool) {
	b, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return "It could not be read: " + err.Error(), false
	}
	more = len(b) > most
	b = b[:min(len(b), most)]
	for i := len(b) - 1; more && i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) { // the last character, which may be cut in two
			if !utf8.FullRune(b[i:]) {
				b = b[:i]
			}
			break
		}
	}
	return strings.ToValidUTF8(string(b), "\ufffd"), more
}

// image gives a body that is an image, and only that.
func (s *server) image(w http.ResponseWriter, r *http.Request, who account.Session) {
	e, body, err := s.body(r)
	if err == nil && (e.Kind != "image" || !slices.Contains(images, e.Type)) {
		_ = body.Close()
		err = fault.New(fault.NotFound, "%s is not an image that can be shown", e.ID).WithHint("download it instead")
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	s.send(w, r, e, body, e.Type, "inline")
}

// file gives a body to keep; nothing in it is run here.
func (s *server) file(w http.ResponseWriter, r *http.Request, who account.Session) {
	e, body, err := s.body(r)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	s.send(w, r, e, body, "application/octet-stream", "attachment")
}

func (s *server) body(r *http.Request) (incident.Evidence, io.ReadSeekCloser, error) {
	e, body, err := s.o.Engine.Evidence(r.Context(), r.PathValue("id"), r.PathValue("piece"))
	if err == nil && body == nil {
		err = fault.New(fault.NotFound, "%s has no body", e.ID)
	}
	return e, body, err
}

// send gives bytes that somebody else has made: no browser may take them for more
// than they are said to be.
func (s *server) send(w http.ResponseWriter, r *http.Request, e incident.Evidence, body io.ReadSeekCloser, kind, how string) {
	defer func() { _ = body.Close() }() // it was only read
	patient(w)
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Disposition", mime.FormatMediaType(how, map[string]string{"filename": fileName(e)}))
	http.ServeContent(w, r, "", e.At, body)
}

// fileName is what a download is called: nothing that a file system could take amiss.
func fileName(e incident.Evidence) string {
	name := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, orElse(e.Name, e.Kind+".txt"))
	return e.ID + "-" + strings.TrimLeft(cut(name, 80), ".")
}

// upload takes the one form that carries a file. What was typed is read first; the
// file is passed on as it comes, and a body that is too large still gets an answer.
func (s *server) upload(w http.ResponseWriter, r *http.Request, who account.Session) {
	patient(w)
	args, file, err := readUpload(r)
	r.PostForm = args
	if err == nil && file != nil {
		err = fitting(args)
	}
	if err == nil && file != nil {
		err = s.oneMore(w, who)
	}
	if err != nil {
		drain(r.Body, maxDrain)
		s.badUpload(w, r, who, args, err)
		return
	}
	var f *engine.File
	if file != nil {
		f = file
	}
	rest := &heldBack{ResponseWriter: w, before: func() { drain(r.Body, maxDrain) }}
	s.press(rest, r, who, upload, args, f)
}

// fitting says what of the words is too long to be written down: before the file is taken,
// for its body would belong to nothing.
func fitting(args url.Values) error {
	for name, most := range map[string]int{"title": maxTitle, "text": maxText} {
		if utf8.RuneCountInString(strings.TrimSpace(args.Get(name))) > most {
			return fault.New(fault.Invalid, "the %s has more than %d characters", name, most).At(name).WithHint("make it shorter, or add it as a file of its own")
		}
	}
	return nil
}

// oneMore lets nobody fill the folder of evidence by themselves.
func (s *server) oneMore(w http.ResponseWriter, who account.Session) error {
	wait := s.files.try(who.Who.String())
	if wait == 0 {
		return nil
	}
	w.Header().Set("Retry-After", seconds(wait))
	return fault.New(fault.Unavailable, "you have sent many files in a short time, so this one was not kept").WithHint("send it again in %s; a note needs no file", wait)
}

// heldBack writes nothing before what is still being sent was read: a browser shows
// our answer only then.
type heldBack struct {
	http.ResponseWriter
	before func()
}

// Unwrap lets deadlines be set through it.
func (h *heldBack) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (h *heldBack) WriteHeader(status int) {
	if h.before != nil {
		h.before()
		h.before = nil
	}
	h.ResponseWriter.WriteHeader(status)
}

func (s *server) badUpload(w http.ResponseWriter, r *http.Request, who account.Session, args url.Values, err error) {
	x, serr := s.scope(r.Context(), who, r.PathValue("site"), "", args)
	if serr != nil {
		s.problem(w, statusOf(serr), who, messageOf(serr), typed(r))
		return
	}
	s.refused(w, r, x, upload, err)
}

// readUpload reads the fields up to the file, which is left to be read.
func readUpload(r *http.Request) (url.Values, *engine.File, error) {
	args, body := url.Values{}, r.Body
	first := &fieldsFirst{r: body, left: maxFields}
	r.Body = io.NopCloser(first)
	parts, err := r.MultipartReader()
	r.Body = body // what is left is read from here
	if err != nil {
		return args, nil, unread(err)
	}
	for range maxParts {
		part, err := parts.NextPart()
		if err == io.EOF {
			return args, nil, nil
		}
		if err != nil {
			return args, nil, unread(err)
		}
		if part.FormName() == "file" {
			if part.FileName() == "" { // none was chosen
				continue
			}
			first.over = true
			return args, &engine.File{Name: part.FileName(), Type: part.Header.Get("Content-Type"), Body: &arriving{r: io.LimitReader(part, maxUpload)}}, nil
		}
		if err := readPart(args, part); err != nil {
			return args, nil, err
		}
	}
	return args, nil, unread(fmt.Errorf("it has more than %d fields", maxParts))
}

// fieldsFirst lets only so much come before the file: the names of fields and the headers
// of their parts are held in memory.
type fieldsFirst struct {
	r    io.Reader
	left int64
	over bool // the file has begun, which is not held
}

// Read implements io.Reader.
func (f *fieldsFirst) Read(p []byte) (int, error) {
	if f.over {
		return f.r.Read(p)
	}
	if f.left <= 0 {
		return 0, fmt.Errorf("more than %d KB come before the file", maxFields>>10)
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}

// arriving is a file on its way; it remembers that it broke off.
type arriving struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if err != nil && err != io.EOF {
		a.err = err
	}
	return n, err
}

// readPart keeps what was typed into a field, or the beginning of it.
func readPart(args url.Values, part *multipart.Part) error {
	b, err := io.ReadAll(io.LimitReader(part, maxTyped+1))
	if err != nil {
		return unread(err)
	}
	args.Add(part.FormName(), strings.ToValidUTF8(string(b[:min(len(b), maxTyped)]), "\ufffd"))
	if len(b) > maxTyped {
		return fault.New(fault.Invalid, "what you typed has more than %d KB, so nothing was kept", maxTyped>>10).At(part.FormName()).WithHint("the beginning of it is still here; add the whole as a file")
	}
	return nil
}

func unread(err error) error {
	return fault.New(fault.Invalid, "the form did not arrive whole, so nothing was kept").Because(err).WithHint("send it again")
}
