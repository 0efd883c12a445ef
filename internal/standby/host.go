package standby

import "strings"

// hostName gives the name in a Host header (RFC 9110 section 7.2): lower case,
// without port and final dot. It is false for whatever can't be one of our names:
// an address in brackets, other bytes than letters, digits, "-", "_" and ".".
func hostName(header string) (string, bool) {
	name := header
	if i := strings.IndexByte(name, ':'); i >= 0 {
		if !digits(name[i+1:]) {
			return "", false
		}
		name = name[:i]
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 || name[0] == '.' || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
		return "", false
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return "", false
		}
	}
	return strings.ToLower(name), true
}

func nameByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '.' || c == '-' || c == '_'
}

// digits: a port may be empty (RFC 3986 section 3.2.3).
func digits(port string) bool {
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	return len(port) <= 5
}
