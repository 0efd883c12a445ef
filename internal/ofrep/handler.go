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
)

const (
	bulkPath   = "/ofrep/v1/evaluate/flags"
	singlePath = bulkPath + "/"
)

// The error codes of OFREP that are used here.
const (
	codeParse   = "PARSE_ERROR"
	codeContext = "INVALID_CONTEXT"
	codeNoFlag  = "FLAG_NOT_FOUND"
	codeGeneral = "GENERAL"
)

// failure is OFREP's evaluationFailure; without key and code it is its
// generalErrorResponse.
type failure struct {
	Key     string `json:"key,omitempty"`
	Code    string `json:"errorCode,omitempty"`
	Details string `json:"errorDetails"`
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cors(w.Header())
	path := r.URL.EscapedPath()
	switch {
	case path == bulkPath || path == singlePath:
		s.bulk(w, r)
	case strings.HasPrefix(path, singlePath):
		s.single(w, r, path[len(singlePath):])
	default:
		s.counts.refused.Add(1)
		fail(w, http.StatusNotFound, failure{Details: "nothing is here; flags are asked for at POST " + singlePath + "{key}"})
	}
}

// cors lets browsers ask from anywhere and read the headers that they need.
func cors(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "ETag, Retry-After, "+RevisionHeader)
}

// onlyPost answers a preflight and refuses every method but POST.
func (s *Server) onlyPost(w http.ResponseWriter, r *http.Request, key string) bool {
	if r.Method == http.MethodPost {
		return true
	}
	h := w.Header()
	h.Set("Allow", "POST, OPTIONS")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Content-Type, If-None-Match, X-API-Key, Authorization")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return false
	}
	s.counts.refused.Add(1)
	fail(w, http.StatusMethodNotAllowed, failure{Key: key, Code: codeGeneral, Details: "flags are asked for with POST"})
	return false
}

// bulk says that clients in browsers need a later version.
func (s *Server) bulk(w http.ResponseWriter, r *http.Request) {
	if !s.onlyPost(w, r, "") {
		return
	}
	s.counts.refused.Add(1)
	fail(w, http.StatusNotImplemented, failure{
		Code:    codeGeneral,
		Details: "asking for all flags at once is not in this version, only single evaluation: POST " + singlePath + "{key}",
	})
}

func (s *Server) single(w http.ResponseWriter, r *http.Request, escaped string) {
	key, err := url.PathUnescape(escaped)
	if err != nil {
		key = escaped
	}
	if !s.onlyPost(w, r, short(key)) {
		return
	}
	v := s.view.Load()
	if v == nil {
		s.counts.notReady.Add(1)
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusServiceUnavailable, failure{Details: "no flags have been taken over yet; ask again in a second"})
		return
	}
	if v.revision != "" {
		w.Header().Set(RevisionHeader, v.revision)
	}
	if status, wrong := checkBody(w, r); status != 0 {
		s.counts.refused.Add(1)
		wrong.Key = short(key)
		fail(w, status, wrong)
		return
	}
	a, ok := v.answers[key]
	if !ok {
		s.counts.unknown.Add(1)
		fail(w, http.StatusNotFound, failure{Key: short(key), Code: codeNoFlag, Details: "no feature has this key"})
		return
	}
	s.counts.answered.Add(1)
	send(w, http.StatusOK, a.body, a.length)
}

// checkBody reads the request's body and gives the status to refuse it with, 0
// for none. An empty body and a context that is null count as "no context":
// nothing is targeted in this version, and a kill switch that refuses leaves the
// feature at the default in the client's code.
func checkBody(w http.ResponseWriter, r *http.Request) (int, failure) {
	if r.ContentLength > MaxBody {
		w.Header().Set("Connection", "close") // what was announced is not read
		return tooLarge()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge()
	case err != nil:
		return http.StatusBadRequest, failure{Code: codeParse, Details: "the body could not be read to its end"}
	}
	return checkContext(body)
}

func tooLarge() (int, failure) {
	return http.StatusRequestEntityTooLarge,
		failure{Code: codeGeneral, Details: "the body has more than " + strconv.Itoa(MaxBody) + " bytes"}
}

// checkContext looks at the shape of {"context":{…}} and at nothing in it.
func checkContext(body []byte) (int, failure) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return 0, failure{}
	}
	var request struct {
		Context json.RawMessage `json:"context"`
	}
	if body[0] != '{' || json.Unmarshal(body, &request) != nil {
		return http.StatusBadRequest, failure{Code: codeParse, Details: `the body is not a JSON object like {"context":{"targetingKey":"…"}}`}
	}
	if c := request.Context; len(c) > 0 && c[0] != '{' && string(c) != "null" {
		return http.StatusBadRequest, failure{Code: codeContext, Details: "the context is not an object"}
	}
	return 0, failure{}
}

// short keeps an unknown key from making a long answer.
func short(key string) string {
	const most = 256
	if len(key) > most {
		return strings.ToValidUTF8(key[:most], "") + "…"
	}
	return key
}

func fail(w http.ResponseWriter, status int, f failure) {
	body, err := json.Marshal(f)
	if err != nil {
		// Not reached: strings always marshal.
		body = []byte(`{"errorDetails":"internal fault"}`)
	}
	send(w, status, body, strconv.Itoa(len(body)))
}

// send writes an answer whole.
func send(w http.ResponseWriter, status int, body []byte, length string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", length)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A client that has gone away is no fault of ours.
	_, _ = w.Write(body)
}
