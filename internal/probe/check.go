package probe

import (
	"net/url"
	"strings"
	"time"

	"lifeboat/internal/fault"
)

// What a check is when nothing is said.
const (
	DefaultEvery     = 5 * time.Second
	DefaultTimeout   = 2 * time.Second
	DefaultDownAfter = 3
	DefaultUpAfter   = 5
	DefaultStatus    = 200
)

// The limits that Validate holds a check to.
const (
	MinEvery    = 100 * time.Millisecond
	MaxEvery    = 24 * time.Hour
	MinTimeout  = 10 * time.Millisecond
	MaxTimeout  = time.Minute
	MaxRow      = 1000 // of DownAfter and UpAfter
	MaxName     = 64   // bytes
	MaxPath     = 2048 // bytes
	MaxContains = 4096 // bytes
	MaxHeader   = 1024 // bytes
)

// WithDefaults fills in what is not given (zero); what is given stays as it is,
// so that Validate can speak about it.
func (c Check) WithDefaults() Check {
	if c.Kind == "" {
		c.Kind = KindHTTP
	}
	if c.Kind == KindHTTP {
		c.Path = or(c.Path, "/")
		c.Method = or(c.Method, "GET")
		c.Status = or(c.Status, DefaultStatus)
	}
	c.Every = or(c.Every, DefaultEvery)
	c.Timeout = or(c.Timeout, DefaultTimeout)
	c.DownAfter = or(c.DownAfter, DefaultDownAfter)
	c.UpAfter = or(c.UpAfter, DefaultUpAfter)
	return c
}

// or is v, or d where v is the zero value.
func or[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// Validate says what is wrong with a check whose defaults are filled in: a
// *fault.Error of kind Invalid whose Place is the JSON name of the first field at
// fault, or nil.
func (c Check) Validate() error {
	if !nameOK(c.Name) {
		return invalid("name", "%q can't be a check's name", c.Name).
			WithHint("use 1 to %d letters, digits, - _ or .", MaxName)
	}
	if err := c.validateTimes(); err != nil {
		return err
	}
	switch c.Kind {
	case KindHTTP:
		return c.validateHTTP()
	case KindTCP:
		return c.validateTCP()
	default:
		return invalid("kind", "there is no kind of check called %q", c.Kind).WithHint("use http or tcp")
	}
}

func (c Check) validateTimes() error {
	if c.Every < MinEvery || c.Every > MaxEvery {
		return invalid("every", "a check can't be asked every %s", c.Every).
			WithHint("use %s to %s", MinEvery, MaxEvery)
	}
	if c.Timeout < MinTimeout || c.Timeout > MaxTimeout {
		return invalid("timeout", "a check can't wait %s for its answer", c.Timeout).
			WithHint("use %s to %s", MinTimeout, MaxTimeout)
	}
	if c.DownAfter < 1 || c.DownAfter > MaxRow {
		return invalid("down_after", "%d fails in a row can't mean down", c.DownAfter).WithHint("use 1 to %d", MaxRow)
	}
	if c.UpAfter < 1 || c.UpAfter > MaxRow {
		return invalid("up_after", "%d passes in a row can't mean up", c.UpAfter).WithHint("use 1 to %d", MaxRow)
	}
	return nil
}

func (c Check) validateHTTP() error {
	if c.Port != 0 {
		return invalid("port", "an http check is asked at the target's own port").WithHint("remove the port")
	}
	if err := validatePath(c.Path); err != nil {
		return err
	}
	// Only methods that promise to change nothing (RFC 9110 section 9.2.1).
	if c.Method != "GET" && c.Method != "HEAD" && c.Method != "OPTIONS" {
		return invalid("method", "a check must not change anything, so it can't use %q", c.Method).
			WithHint("use GET, HEAD or OPTIONS")
	}
	if c.Status < 200 || c.Status > 599 {
		return invalid("status", "%d is no status that an answer ends with", c.Status).WithHint("use 200 to 599")
	}
	if len(c.Contains) > MaxContains {
		return invalid("contains", "the text is %d bytes long", len(c.Contains)).WithHint("use at most %d", MaxContains)
	}
	if c.Contains != "" && c.Method == "HEAD" {
		return invalid("contains", "an answer to HEAD has no body to hold a text").WithHint("use GET, or remove contains")
	}
	return validateHeader(c.Header)
}

func (c Check) validateTCP() error {
	if c.Port < 0 || c.Port > 65535 {
		return invalid("port", "%d is not a port", c.Port).WithHint("use 1 to 65535, or leave it out for the target's own")
	}
	given := []struct{ field, value string }{
		{"path", c.Path}, {"method", c.Method}, {"contains", c.Contains}, {"header", c.Header},
	}
	for _, g := range given {
		if g.value != "" {
			return invalid(g.field, "a tcp check only connects").WithHint("remove %s, or use an http check", g.field)
		}
	}
	if c.Status != 0 {
		return invalid("status", "a tcp check only connects").WithHint("remove status, or use an http check")
	}
	return nil
}

func validatePath(path string) error {
	if len(path) > MaxPath {
		return invalid("path", "the path is %d bytes long", len(path)).WithHint("use at most %d", MaxPath)
	}
	_, err := url.ParseRequestURI(path)
	if err != nil || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "# ") {
		return invalid("path", "%q is not a path on the site", path).WithHint("write it as /some/page, with escapes for blanks")
	}
	return nil
}

func validateHeader(header string) error {
	if header == "" {
		return nil
	}
	name, value, found := strings.Cut(header, ":")
	switch {
	case len(header) > MaxHeader:
		return invalid("header", "the header is %d bytes long", len(header)).WithHint("use at most %d", MaxHeader)
	case !found, !token(name), strings.IndexFunc(value, control) >= 0:
		return invalid("header", "%q is not a header", header).WithHint(`write it as "Name: value"`)
	}
	return nil
}

// WantedHeader is the header that the answer must carry, taken apart. An empty
// value means that any will do; an empty name means that none is asked for.
func (c Check) WantedHeader() (name, value string) {
	name, value, _ = strings.Cut(c.Header, ":")
	return strings.TrimSpace(name), strings.TrimSpace(value)
}

// WorstDetection is the longest time between a target's end and its being seen
// down: the target goes right after it gave an answer, and every asking from then
// on waits its whole timeout. It holds while every asking comes to a Pass or a
// Fail; an Inconclusive one adds its own time.
func WorstDetection(c Check) time.Duration {
	c = c.WithDefaults()
	rounds := time.Duration(c.DownAfter - 1)
	return c.Every + rounds*max(c.Every, c.Timeout) + c.Timeout
}

// token says whether s is a token (RFC 9110 section 5.6.2), as a header's name
// must be.
func token(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !nameRune(r) && !strings.ContainsRune("!#$%&'*+^`|~", r)
	}) < 0
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

func nameOK(s string) bool {
	return s != "" && len(s) <= MaxName && strings.IndexFunc(s, func(r rune) bool { return !nameRune(r) }) < 0
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

func invalid(field, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...).At(field)
}
