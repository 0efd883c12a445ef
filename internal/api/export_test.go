package api

import "lifeboat/internal/role"

// LeastFor is the role that a pattern of the mux asks for, in an API without routes.
func LeastFor(pattern, method string) role.Role { return (&api{}).ruling(pattern, method).least }

// Disposition is for tests of what names become.
func Disposition(x Evidence) string { return disposition(x, false) }

// ParseETag is for tests of what If-Match may hold.
func ParseETag(header string) (incident string, seq uint64, err error) {
	x, err := parseExpectation(header)
	return x.Incident, x.Seq, err
}

// ParseKey is for tests of what a key may be.
func ParseKey(header string) (string, error) { return parseKey([]string{header}) }
