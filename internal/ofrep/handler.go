package ofrep

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"lifeboat/internal/feature"
)

const (
	bulkPath   = "/ofrep/v1/evaluate/flags"
	singlePath = bulkPath + "/"
	streamPath = "/ofrep/v1/streams"
)

// The error codes of OFREP that are used here.
const (
	codeParse   = "PARSE_ERROR"
	codeContext = "INVALID_CONTEXT"
	codeNoKey   = "TARGETING_KEY_MISSING"
	codeNoFlag  = "FLAG_NOT_FOUND"
	codeGeneral = "GENERAL"
)

// failure is OFREP's evaluationFailure; without key it is its
// bulkEvaluationFailure, without code, too, its generalErrorResponse.
type failure struct {
	Key     string `json:"key,omitempty"`
	Code    string `json:"errorCode,omitempty"`
	Details string `json:"errorDetails"`
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	single := len(path) > len(singlePath) && strings.HasPrefix(path, singlePath)
	bulk := path == bulkPath || path == singlePath
	stream, copied := path == streamPath, path == copyPath
	key, method := "", http.MethodPost
	if single {
		key = unescape(path[len(singlePath):])
	}
	if stream || copied {
		method = http.MethodGet
	}
	a := s.access.Load()
	known := copied || a.cors(w.Header(), r) // a copy is nothing for a browser
	switch {
	case !single && !bulk && !stream && !copied:
		s.refuse(w, http.StatusNotFound, failure{Details: "nothing is here; flags are asked for at POST " + singlePath + "{key}"})
		return
	case r.Method != method:
		s.otherMethod(w, r, method, key)
		return
	case !known:
		s.counts.denied.Add(1)
		fail(w, http.StatusForbidden, failure{Key: short(key), Code: codeGeneral, Details: "pages of this origin may not ask"})
		return
	}
	v := s.view.Load()
	if v == nil {
		s.counts.notReady.Add(1)
		later(w, http.StatusServiceUnavailable, 1, failure{Key: short(key), Code: codeGeneral, Details: "no flags have been taken over yet; ask again in a second"})
		return
	}
	who, ok := s.admit(w, r, a, key, stream)
	if !ok {
		return
	}
	if who.audience == copies && (single || bulk) { // who may have it all may ask
		who.audience = servers
	}
	if v.header != nil {
		w.Header()[RevisionHeader] = v.header
	}
	switch {
	case single:
		s.single(w, r, v, who, key)
	case bulk:
		s.bulk(w, r, v, who)
	case copied:
		s.copy(w, r, v, who)
	default:
		s.stream(w, r, who)
	}
}

// unescape gives a key as it was meant; one that can't be is unknown as it stands.
func unescape(escaped string) string {
	key, err := url.PathUnescape(escaped)
	if err != nil {
		return escaped
	}
	return key
}

// otherMethod answers a preflight and refuses every method but one.
func (s *Server) otherMethod(w http.ResponseWriter, r *http.Request, method, key string) {
	h := w.Header()
	h.Set("Allow", method+", OPTIONS")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", method+", OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Content-Type, If-None-Match, X-API-Key, Authorization, Cache-Control, Last-Event-ID")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.refuse(w, http.StatusMethodNotAllowed, failure{Key: short(key), Code: codeGeneral, Details: "this is asked for with " + method})
}

// admit finds out who asks, and refuses who may not.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, a *access, key string, stream bool) (caller, bool) {
	who, ok := a.who(r, stream)
	if !ok {
		s.counts.denied.Add(1)
		w.Header().Set("WWW-Authenticate", "Bearer")
		fail(w, http.StatusUnauthorized, failure{Key: short(key), Code: codeGeneral, Details: "a good key is needed: X-API-Key: KEY, or Authorization: Bearer KEY"})
		return who, false
	}
	if wait := who.limit.take(s.opts.Now()); wait > 0 {
		s.counts.limited.Add(1)
		later(w, http.StatusTooManyRequests, wait, failure{Key: short(key), Code: codeGeneral, Details: "this key asks too often"})
		return who, false
	}
	return who, true
}

// single answers one flag.
func (s *Server) single(w http.ResponseWriter, r *http.Request, v *View, who caller, key string) {
	b := buffers.Get().(*bytes.Buffer)
	defer putBuffer(b)
	status, wrong := readBody(w, r, b)
	if status != 0 {
		wrong.Key = short(key)
		s.refuse(w, status, wrong)
		return
	}
	e, ok := v.flags[key]
	if !ok || who.audience == pages && (!e.public || strings.Contains(key, "~")) {
		s.counts.unknown.Add(1)
		fail(w, http.StatusNotFound, failure{Key: short(key), Code: codeNoFlag, Details: "no feature has this key"})
		return
	}
	context, wrong := findContext(b.Bytes())
	if wrong.Code != "" {
		wrong.Key = key
		s.refuse(w, http.StatusBadRequest, wrong)
		return
	}
	if !e.static {
		s.evaluateOne(w, r, v, e, who, context)
		return
	}
	if e.prepared == nil {
		s.counts.refused.Add(1)
		send(w, http.StatusBadRequest, e.answers[who.audience].calm)
		return
	}
	s.counts.answered.Add(1)
	s.note(r, v, who, nil)
	send(w, http.StatusOK, e.answers[who.audience].calm)
}

// evaluateOne follows a flag's rule.
func (s *Server) evaluateOne(w http.ResponseWriter, r *http.Request, v *View, e *entry, who caller, raw []byte) {
	key := e.key
	if !s.begin() {
		s.tooBusy(w, key)
		return
	}
	defer s.end()
	c, err := feature.ReadContext(raw, s.opts.Now())
	if err != nil {
		s.refuse(w, http.StatusBadRequest, failure{Key: key, Code: codeContext, Details: err.Error()})
		return
	}
	a, status := e.evaluate(c, who.audience)
	if status == http.StatusOK {
		s.counts.answered.Add(1)
		s.note(r, v, who, nil)
	} else {
		s.counts.refused.Add(1)
	}
	send(w, status, a)
}

// evaluate follows the rule; a fault of ours spoils this flag only.
func (e *entry) evaluate(c *feature.Context, to audience) (out answer, status int) {
	t := &e.answers[to]
	defer func() {
		if recover() != nil {
			out, status = ready(marshal(failure{Key: e.key, Code: codeGeneral, Details: "the rule could not be followed"})), http.StatusInternalServerError
		}
	}()
	if e.prepared == nil {
		return t.calm, http.StatusBadRequest
	}
	if e.static {
		return t.calm, http.StatusOK
	}
	a := e.prepared.Evaluate(c)
	switch {
	case a.NoKey:
		return t.noKey, http.StatusBadRequest
	case a.Problem != "":
		return e.render(a, to, ""), http.StatusOK
	case a.Reason == feature.Matched, a.Reason == feature.Split:
		return t.matched[a.Variant], http.StatusOK
	}
	return t.calm, http.StatusOK
}

// begin takes one of the places for evaluations; who gets none is told so at once.
func (s *Server) begin() bool {
	if s.busy.Add(1) > int64(s.opts.MaxBusy) {
		s.busy.Add(-1)
		return false
	}
	return true
}

func (s *Server) end() { s.busy.Add(-1) }

func (s *Server) tooBusy(w http.ResponseWriter, key string) {
	s.counts.shed.Add(1)
	later(w, http.StatusServiceUnavailable, 1, failure{Key: short(key), Code: codeGeneral, Details: "too many are asking; ask again in a second"})
}

// buffers hold bodies, of requests and of answers.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= 2*MaxBody {
		b.Reset()
		buffers.Put(b)
	}
}

// maxDrain is how much of a body that is too large is read all the same: a client
// reads the refusal only when it has sent everything.
const maxDrain = 4 << 20

// readBody reads the request's body and gives the status to refuse it with, 0
// for none.
func readBody(w http.ResponseWriter, r *http.Request, b *bytes.Buffer) (int, failure) {
	_, err := b.ReadFrom(io.LimitReader(r.Body, MaxBody+1))
	if b.Len() > MaxBody {
		if n, _ := io.CopyN(io.Discard, r.Body, maxDrain); n == maxDrain {
			w.Header().Set("Connection", "close")
		}
		return http.StatusBadRequest, failure{Code: codeContext, Details: "the body has more than " + strconv.Itoa(MaxBody) + " bytes; send only what rules ask for"}
	}
	if err != nil {
		return http.StatusBadRequest, failure{Code: codeParse, Details: "the body could not be read to its end"}
	}
	return 0, failure{}
}

// errShape is a body that is no object.
var errShape = errors.New("not an object")

// findContext looks at the shape of {"context":{…}} and gives the context, nil for
// none. An empty body and a context that is null count as "no context": a kill
// switch that refuses leaves the feature at the default in the client's code.
func findContext(body []byte) ([]byte, failure) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, failure{}
	}
	raw, err := member(body, "context")
	if err != nil {
		return nil, failure{Code: codeParse, Details: `the body is not a JSON object like {"context":{"targetingKey":"…"}}`}
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil, failure{}
	}
	if raw[0] != '{' {
		return nil, failure{Code: codeContext, Details: feature.ErrContextShape.Error()}
	}
	return raw, failure{}
}

// member gives the last member of that name of a JSON object, as it is written. It
// copies nothing and makes no tree: most flags have no rule.
func member(body []byte, name string) (value []byte, err error) {
	if body[0] != '{' || !json.Valid(body) {
		return nil, errShape
	}
	for i := skip(body, 1); body[i] != '}'; {
		keyEnd := endOf(body, i)
		key := body[i+1 : keyEnd-1]
		i = skip(body, skip(body, keyEnd)+1) // past the colon
		end := endOf(body, i)
		if string(key) == name || bytes.IndexByte(key, '\\') >= 0 && unquoted(key) == name {
			value = body[i:end]
		}
		if i = skip(body, end); body[i] == ',' {
			i = skip(body, i+1)
		}
	}
	return value, nil
}

func unquoted(key []byte) string {
	var s string
	if json.Unmarshal([]byte(`"`+string(key)+`"`), &s) != nil {
		return ""
	}
	return s
}

// skip goes past white space in valid JSON.
func skip(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// endOf is where the value that begins at i ends, in valid JSON.
func endOf(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\n', '\t', '\r', ':':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// short keeps an unknown key from making a long answer.
func short(key string) string {
	const most = 256
	if len(key) > most {
		return strings.ToValidUTF8(key[:most], "") + "…"
	}
	return key
}

func (s *Server) refuse(w http.ResponseWriter, status int, f failure) {
	s.counts.refused.Add(1)
	fail(w, status, f)
}

func fail(w http.ResponseWriter, status int, f failure) { send(w, status, ready(marshal(f))) }

// later refuses for now and says for how many seconds.
func later(w http.ResponseWriter, status, seconds int, f failure) {
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	fail(w, status, f)
}

// The headers of every answer, as values that nobody changes.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
	noSniff  = []string{"nosniff"}
)

// send writes an answer whole.
func send(w http.ResponseWriter, status int, a answer) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = a.length
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(status)
	// A client that has gone away is no fault of ours.
	_, _ = w.Write(a.body)
}
