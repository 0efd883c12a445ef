package config

import (
	"path/filepath"
	"slices"

	"lifeboat/internal/probe"
)

// The most that is captured of a site: evidence delays nobody.
const (
	maxCapturePaths = 20
	maxCaptureLogs  = 10
)

// capture reads what is collected as evidence of a site whose checks and port are
// read already.
func (s section) capture(site Site) Capture {
	out := Capture{Paths: checkPaths(site.Checks)}
	n := s.n.get("capture")
	if n == nil {
		return out
	}
	p, ok := s.section(n, "capture of "+s.where, captureKeys)
	if !ok {
		return out
	}
	if n := p.n.get("paths"); n != nil && n.shape != emptyShape {
		out.Paths = p.paths()
	}
	out.Metrics = p.metrics(site.Port)
	out.Logs = p.logs()
	return out
}

// checkPaths are the paths that HTTP checks ask for, each once.
func checkPaths(checks []probe.Check) []string {
	var out []string
	for _, c := range checks {
		if c.Kind == probe.KindHTTP && len(out) < maxCapturePaths && !slices.Contains(out, c.Path) {
			out = append(out, c.Path)
		}
	}
	return out
}

func (s section) paths() []string {
	const sample = "paths: [/, /cart]"
	var out []string
	for _, n := range s.few("paths", "[/, /cart]", maxCapturePaths) {
		path, ok := s.text(n, s.of("paths"), sample)
		if !ok {
			continue
		}
		if path == "" || !validPath(path) {
			s.notPath(n.at, "paths", path, sample)
			continue
		}
		if len(path) > maxPath {
			s.invalid(n.at, "%s: a path is too long: %d characters, %d fit", s.of("paths"), len(path), maxPath).WithHint("ask for a shorter one")
			continue
		}
		if slices.Contains(out, path) {
			s.invalid(n.at, "%s: %s is written twice", s.of("paths"), clip(path)).WithHint("remove one")
			continue
		}
		out = append(out, path)
	}
	return out
}

func (s section) metrics(port int) *Metrics {
	n := s.n.get("metrics")
	if n == nil {
		return nil
	}
	p, ok := s.section(n, "metrics of "+s.where, metricsKeys)
	if !ok {
		return nil
	}
	return &Metrics{Path: p.path("/metrics", "/metrics"), Port: p.number("port", port, 1, 65535)}
}

func (s section) logs() []string {
	const sample = "logs: [/var/log/shop/error.log]"
	var out []string
	for _, n := range s.few("logs", "[/var/log/shop/error.log]", maxCaptureLogs) {
		path, ok := s.text(n, s.of("logs"), sample)
		if !ok || !s.absolutePath(n.at, s.of("logs"), path, sample) {
			continue
		}
		if slices.Contains(out, path) {
			s.invalid(n.at, "%s: %s is written twice", s.of("logs"), clip(path)).WithHint("remove one")
			continue
		}
		out = append(out, path)
	}
	return out
}

// maxFilePath is the longest path that is taken, in bytes; longer ones can't be
// opened (PATH_MAX of Linux).
const maxFilePath = 4095

// absolutePath checks the path of one file on this machine.
func (r *report) absolutePath(at position, what, path, example string) bool {
	switch clean := filepath.Clean(path); {
	case path == "" || !filepath.IsAbs(path):
		r.invalid(at, "%s: %q is not an absolute path", what, clip(path)).WithHint("begin with /, for example %s", example)
	case path == "/" || len(path) > maxFilePath || hasControl(path):
		r.invalid(at, "%s: %q can't be the path of a file", what, clip(path)).WithHint("for example %s", example)
	case clean != path:
		r.invalid(at, "%s: %q takes a detour", what, clip(path)).WithHint("write %s", clip(clean))
	default:
		return true
	}
	return false
}
