package objectlever_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// fake is a bucket that speaks S3's protocol as its reference has it: signatures,
// conditions, path style, pages of lists. It is no real S3 server.
type fake struct {
	t    *testing.T
	http *httptest.Server

	mu      sync.Mutex // guards all below
	objects map[string]object
	door    http.HandlerFunc // in place of the bucket, when set
	old     bool             // a server that does not know conditions on copies and deletes
	hook    func(method, key string)
	count   int
}

type object struct {
	body     []byte
	kind     string
	etag     string // "" = the body's MD5
	packed   bool   // Content-Encoding: gzip
	redirect string // where a website sends who asks for it
}

func (o object) tag() string {
	if o.etag != "" {
		return o.etag
	}
	sum := md5.Sum(o.body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, objects: map[string]object{}}
	f.http = httptest.NewServer(f)
	t.Cleanup(f.http.Close)
	return f
}

func (f *fake) set(key, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects[key] = object{body: []byte(body), kind: "image/jpeg"}
}

// shut puts a handler in the bucket's place until it is called again.
func (f *fake) shut(h http.HandlerFunc) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.door = h
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.door = nil
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	door, hook := f.door, f.hook
	f.count++
	f.mu.Unlock()
	if door != nil {
		door(w, r)
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if hook != nil {
		hook(r.Method, key)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !signed(r, body):
		fail(w, r, http.StatusForbidden, "SignatureDoesNotMatch")
	case bucket != "shop":
		fail(w, r, http.StatusNotFound, "NoSuchBucket")
	case key == "":
		f.list(w, r)
	default:
		f.object(w, r, key, body)
	}
}

// signed makes the signature again from what came, by the makers' own signer.
func signed(r *http.Request, body []byte) bool {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	got := r.Header.Get("Authorization")
	_, names, ok := strings.Cut(got, "SignedHeaders=")
	if err != nil || !ok {
		return false
	}
	names, _, _ = strings.Cut(names, ",")
	again, _ := http.NewRequest(r.Method, "http://"+r.Host+r.URL.EscapedPath()+"?"+r.URL.RawQuery, bytes.NewReader(body))
	again.URL = &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery}
	for _, n := range strings.Split(names, ";") {
		if n != "host" && n != "content-length" {
			again.Header.Set(n, r.Header.Get(n))
		}
	}
	again.ContentLength = r.ContentLength
	s := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
	if err := s.SignHTTP(r.Context(), creds, again, r.Header.Get("X-Amz-Content-Sha256"), "s3", "us-east-1", at); err != nil {
		return false
	}
	return again.Header.Get("Authorization") == got
}

func fail(w http.ResponseWriter, r *http.Request, status int, code string) {
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code></Error>", code)
	}
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	most, _ := strconv.Atoi(q.Get("max-keys"))
	most = min(most, 2) // small pages, so that they are turned
	var keys []string
	for k := range f.objects {
		if strings.HasPrefix(k, q.Get("prefix")) && k > q.Get("continuation-token") {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	type content struct {
		Key  string
		Size int
	}
	page := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Contents              []content
		IsTruncated           bool
		NextContinuationToken string
	}{}
	for _, k := range keys[:min(most, len(keys))] {
		page.Contents = append(page.Contents, content{k, len(f.objects[k].body)})
	}
	if page.IsTruncated = len(keys) > most; page.IsTruncated {
		page.NextContinuationToken = keys[most-1]
	}
	_ = xml.NewEncoder(w).Encode(page)
}

func (f *fake) object(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	o, there := f.objects[key]
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if !there {
			fail(w, r, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", o.tag())
		w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
		if o.packed {
			w.Header().Set("Content-Encoding", "gzip")
		}
		if o.redirect != "" {
			w.Header().Set("X-Amz-Website-Redirect-Location", o.redirect)
		}
		if r.Method == http.MethodGet {
			_, _ = w.Write(o.body)
		}
	case http.MethodPut:
		if r.Header.Get("If-None-Match") == "*" && there && !f.old {
			fail(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		source := r.Header.Get("X-Amz-Copy-Source")
		if source == "" {
			f.objects[key] = object{body: body, kind: r.Header.Get("Content-Type")}
			return
		}
		name, _ := url.PathUnescape(strings.TrimPrefix(source, "/shop/"))
		from, known := f.objects[name]
		switch {
		case !known:
			fail(w, r, http.StatusNotFound, "NoSuchKey")
		case r.Header.Get("X-Amz-Copy-Source-If-Match") != from.tag():
			fail(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
		default:
			from.etag = "" // one of many parts has another one after a copy
			from.redirect = r.Header.Get("X-Amz-Website-Redirect-Location")
			f.objects[key] = from
			_, _ = w.Write([]byte("<CopyObjectResult></CopyObjectResult>"))
		}
	case http.MethodDelete:
		match := r.Header.Get("If-Match")
		switch {
		case f.old && match != "":
			fail(w, r, http.StatusNotImplemented, "NotImplemented")
		case match != "" && there && match != o.tag():
			fail(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
		default:
			delete(f.objects, key)
			w.WriteHeader(http.StatusNoContent)
		}
	}
}
