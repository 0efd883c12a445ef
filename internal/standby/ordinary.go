package standby

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"net/url"
)

// ordinary is a request that nobody could read in two ways: GET of a plain path, each
// field known, none twice, no body, nothing about the connection but that it stays open.
// Its parts lie in the buffer that it was read from.
type ordinary struct {
	path   []byte // without the query
	target []byte // with it
	host   []byte

	// What the handler looks at, beside the path (document.go: varies).
	accept, encoding, dest []byte
}

// What became of reading a request.
type reading int

const (
	whole      reading = iota
	incomplete         // more has to come
	unusual            // it is for net/http
)

var (
	verb    = []byte("GET ")
	version = []byte(" HTTP/1.1\r\n")
	ending  = []byte("\r\n\r\n")
)

// readOrdinary reads the request at the beginning of b, and says how long it is. It is
// stricter than RFC 9112 in everything: what it does not know is unusual.
func readOrdinary(b []byte) (o ordinary, size int, state reading) {
	if !bytes.HasPrefix(b, verb[:min(len(b), len(verb))]) {
		return o, 0, unusual
	}
	end := bytes.Index(b, ending)
	if end < 0 && bareEnd(b) { // whoever ends lines so waits for an answer
		return o, 0, unusual
	}
	if end < 0 {
		return o, 0, incomplete
	}
	size = end + len(ending)
	line := bytes.IndexByte(b, '\n') + 1 // there is one
	if o.target = bytes.TrimSuffix(b[len(verb):line], version); len(o.target) == line-len(verb) {
		return o, 0, unusual
	}
	if o.path = plainPath(o.target); o.path == nil {
		return o, 0, unusual
	}
	for rest := b[line : end+2]; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 1 || rest[i-1] != '\r' || !o.field(rest[:i-1]) {
			return o, 0, unusual
		}
		rest = rest[i+1:]
	}
	if len(o.host) == 0 {
		return o, 0, unusual
	}
	return o, size, whole
}

// bareEnd says whether a line ends without a carriage return.
func bareEnd(b []byte) bool {
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			return true
		}
	}
	return false
}

// plainPath gives the path of a target whose path is written in the one way that it can
// be: no escapes, no empty or dotted segments; nil for any other. A query may hold
// escapes; nobody looks at it.
func plainPath(target []byte) []byte {
	if len(target) == 0 || target[0] != '/' {
		return nil
	}
	path, query, _ := bytes.Cut(target, []byte("?"))
	for i, c := range path {
		if !pathByte[c] || c == '/' && i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.') {
			return nil
		}
	}
	for _, c := range query {
		if !pathByte[c] && c != '%' && c != '?' {
			return nil
		}
	}
	return path
}

// pathByte are the bytes of a path that stand for themselves (RFC 3986 section 3.3).
var pathByte = func() (is [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-._~!$&'()*+,;=:@") {
		is[c] = true
	}
	return is
}()

// field takes a line of the head, and says whether it is known and as it should be.
func (o *ordinary) field(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 {
		return false
	}
	value := bytes.Trim(line[colon+1:], " \t")
	for _, c := range value {
		if c < ' ' || c > '~' {
			return false
		}
	}
	switch fieldOf(line[:colon]) {
	case hostField:
		return once(&o.host, value)
	case acceptField:
		return once(&o.accept, value)
	case encodingField:
		return once(&o.encoding, value)
	case destField:
		return once(&o.dest, value)
	case connectionField:
		return bytes.EqualFold(value, []byte("keep-alive"))
	case passedOver:
		return true
	}
	return false
}

// once keeps a value that is there for the first time.
func once(at *[]byte, value []byte) bool {
	if *at != nil || len(value) == 0 || len(value) > 256 {
		return false
	}
	*at = value
	return true
}

// known is what a field is to us.
type known int

const (
	strange known = iota
	passedOver
	hostField
	acceptField
	encodingField
	destField
	connectionField
)

// fields are the known ones, by their names in lower case.
var fields = func() map[string]known {
	all := map[string]known{"host": hostField, "accept": acceptField, "accept-encoding": encodingField, "sec-fetch-dest": destField, "connection": connectionField}
	for _, name := range []string{
		"user-agent", "accept-language", "cookie", "referer", "cache-control", "pragma", "dnt", "sec-gpc", "priority", "upgrade-insecure-requests", "save-data",
		"sec-fetch-site", "sec-fetch-mode", "sec-fetch-user", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
	} {
		all[name] = passedOver
	}
	return all
}()

// fieldOf looks a name up, whatever its case.
func fieldOf(name []byte) known {
	var lower [32]byte
	if len(name) > len(lower) {
		return strange
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return fields[string(lower[:len(name)])]
}

// key tells apart the requests that are answered differently, but for their paths.
func (o ordinary) key(into []byte) []byte {
	for _, part := range [][]byte{o.host, o.accept, o.encoding, o.dest} {
		into = append(append(into, part...), '\n') // which is in none of them
	}
	return into
}

// request is the same for the handler.
func (o ordinary) request() *http.Request {
	r := &http.Request{
		Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: string(o.host), RequestURI: string(o.target),
		URL: &url.URL{Path: string(o.path)}, Header: http.Header{}, Body: http.NoBody, TLS: &tls.ConnectionState{},
	}
	for name, value := range map[string][]byte{"Accept": o.accept, "Accept-Encoding": o.encoding, "Sec-Fetch-Dest": o.dest} {
		if value != nil {
			r.Header[name] = []string{string(value)}
		}
	}
	return r
}
