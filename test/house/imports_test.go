package house

import (
	"slices"
	"strings"
	"testing"
)

// dataPlane is what keeps answering when everything else is gone.
var dataPlane = []string{"answer", "authdns", "standby", "prober", "capture", "ofrep", "replica", "proxy", "xfr", "emergency"}

// TestDataPlane holds the wall between the two planes, through all imports.
func TestDataPlane(t *testing.T) {
	t.Parallel()
	banned := map[string]string{
		"database/sql":                     "a database that locks or fills up must not be able to stop an answer",
		"modernc.org/sqlite":               "a database that locks or fills up must not be able to stop an answer",
		"github.com/spf13/cobra":           "the command line wires the data plane, never the other way round",
		"github.com/danielgtaylor/huma/v2": "the API belongs to the control plane",
		"golang.org/x/crypto/acme":         "certificates come in the snapshot; renewing them must not be able to stop an answer",
		"github.com/mholt/acmez":           "certificates come in the snapshot; renewing them must not be able to stop an answer",
		"github.com/caddyserver/certmagic": "certificates come in the snapshot; renewing them must not be able to stop an answer",
	}
	for _, name := range []string{"store", "journal", "engine", "control", "certs", "evidence", "ledger", "outbox", "action", "webhook", "account", "token", "board/desk", "board/door", "subscribe/desk", "postmortem", "api", "web", "cli", "apiclient", "supervise", "demo", "feed/publish", "signer"} {
		banned[module+"/internal/"+name] = "answer keeps serving from its last snapshot with the control plane dead; what it does not import can't take it down"
	}
	for _, name := range dataPlane {
		path := module + "/internal/" + name
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !exists(t, path) {
				t.Skipf("no package %s yet", path)
			}
			out, err := run(treeRoot(t), "go", "list", "-e", "-deps", "./internal/"+name)
			if err != nil {
				t.Fatal(err)
			}
			deps := strings.Fields(string(out))
			if !slices.Contains(deps, path) {
				t.Fatalf("go list does not name %s itself", path)
			}
			for _, dep := range deps {
				for place, reason := range banned {
					if in(dep, place) {
						t.Errorf("data plane: %s depends on %s: %s", name, dep, reason)
					}
				}
				if in(dep, ours("lever")...) && dep != module+"/internal/lever" {
					t.Errorf("data plane: %s depends on the driver %s: levers are pulled by control, answer only takes what is ordered", name, dep)
				}
			}
		})
	}
}

// pure packages decide and never touch the world.
var pure = []string{"fault", "role", "probe", "zone", "dnssec", "feature", "lever", "snapshot", "incident", "postmortem", "statuspage", "quarantine", "board", "boardfeed", "zonediff", "zonebook", "subscribe"}

func TestPurePackages(t *testing.T) {
	t.Parallel()
	const reason = "rules that need no world can be tested in microseconds and replayed after a crash; give it what it needs as a value"
	for _, s := range allSources(t) {
		if s.test() || !inPure(s) {
			continue
		}
		folder := s.path == "internal/snapshot/folder.go" // the last good snapshots on disk
		for _, spec := range s.tree.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			switch {
			case path == "os" && folder:
			case in(path, "os", "net/http", "database/sql", "syscall", "golang.org/x/sys"):
				t.Errorf("%s: pure package imports %s: %s", s.at(spec), path, reason)
			case in(path, ours("slot")...) && folder:
			case in(path, module+"/internal") && !in(path, ours(pure...)...):
				t.Errorf("%s: pure package imports %s: it may import only pure packages, or the direction turns round", s.at(spec), path)
			}
		}
		if folder {
			continue
		}
		for _, call := range timeCalls(s, "Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick") {
			t.Errorf("%s: pure package reads the clock: %s", s.at(call), reason)
		}
	}
}

// inPure says whether a file belongs to a pure package itself; the drivers below
// lever and the test helpers do not.
func inPure(s source) bool {
	rest, ok := strings.CutPrefix(s.path, "internal/")
	dir, _, _ := cutLast(rest, "/")
	return ok && slices.Contains(pure, dir)
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// rule says who alone may import a place.
type rule struct {
	place   string   // and all below it
	allowed []string // importers: these, and all below them
	reason  string
}

func TestImportDirection(t *testing.T) {
	t.Parallel()
	rules := []rule{
		{place: "store/sqlite", allowed: []string{"control", "store"}, reason: "only control chooses a store; everybody else works with any"},
		{place: "store/mem", allowed: []string{"control", "store"}, reason: "only control chooses a store; everybody else works with any"},
		{place: "lever/zonelever", allowed: []string{"control"}, reason: "drivers are known only to control's table; the engine works with any"},
		{place: "lever/featurelever", allowed: []string{"control"}, reason: "drivers are known only to control's table; the engine works with any"},
		{place: "lever/flagfile", allowed: []string{"control"}, reason: "drivers are known only to control's table; the engine works with any"},
		{place: "lever/envfile", allowed: []string{"control"}, reason: "drivers are known only to control's table; the engine works with any"},
		{place: "lever/unleash", allowed: []string{"control"}, reason: "drivers are known only to control's table; the engine works with any"},
		{place: "lever/flipt", allowed: []string{"control"}, reason: "drivers are known only to control's table; the engine works with any"},
		{place: "lever/launchdarkly", allowed: []string{"control"}, reason: "drivers are known only to control's table; the engine works with any"},
		{place: "quarantine/relational", allowed: []string{"control", "quarantine"}, reason: "only control opens databases; everybody else works with quarantine.Database"},
		{place: "lever/filelever", allowed: []string{"control"}, reason: "drivers are known only to control's table; the engine works with any"},
		{place: "lever/objectlever", allowed: []string{"control"}, reason: "drivers are known only to control's table; the engine works with any"},
		{place: "lever/quarantinelever", allowed: []string{"control"}, reason: "drivers are known only to control's table; the engine works with any"},
		{place: "quarantine/dbtest", allowed: []string{"quarantine"}, reason: "servers are started by tests only"},
		{place: "engine", allowed: []string{"control", "api", "web"}, reason: "the engine owns every side effect; what drives it stands above it"},
		{place: "api", allowed: []string{"control", "cli", "apiclient", "web", "demo"}, reason: "the API is an edge: nothing inside leans on it"},
		{place: "web", allowed: []string{"control"}, reason: "the pages are an edge: nothing inside leans on them"},
		{place: "control", allowed: []string{"cli", "supervise", "demo"}, reason: "control wires the control plane; only what starts it may know it"},
		{place: "certs", allowed: []string{"control", "api", "cli"}, reason: "answer takes certificates from the snapshot, and the engine hands them on without knowing where they come from"},
		{place: "outbox", allowed: []string{"control", "engine", "api", "web"}, reason: "news goes out beside what happens, never in its way"},
		{place: "action", allowed: []string{"control"}, reason: "the engine runs prepared acts by their names"},
		{place: "answer", allowed: []string{"cli", "supervise", "demo"}, reason: "answer wires the data plane; only what starts it may know it"},
		{place: "export", allowed: []string{"cli"}, reason: "a folder of files is for who asks for one; nothing that serves waits for a disk"},
		{place: "cli", allowed: []string{}, reason: "the command line is the outermost room; only cmd/lifeboat opens it"},
		{place: "demo", allowed: []string{"cli", "demo"}, reason: "the product must not know its sample site"},
	}
	for _, r := range rules {
		for _, p := range allPackages(t) {
			mayImport := !in(p.ImportPath, module+"/internal") || in(p.ImportPath, ours(append(r.allowed, r.place)...)...)
			if mayImport {
				continue
			}
			for _, dep := range p.Imports {
				if in(dep, ours(r.place)...) {
					t.Errorf("%s imports %s: %s", p.ImportPath, dep, r.reason)
				}
			}
		}
	}
}

// TestDriversStandAlone: a driver is called by the engine and calls only outside.
func TestDriversStandAlone(t *testing.T) {
	t.Parallel()
	allowed := ours("lever", "fault", "zone", "feature", "snapshot", "probe", "quarantine")
	shared := module + "/internal/lever/outside" // the driver that those of other systems are a part of
	for _, p := range allPackages(t) {
		if !in(p.ImportPath, ours("lever")...) || in(p.ImportPath, ours("lever/levertest")...) || p.ImportPath == module+"/internal/lever" {
			continue
		}
		for _, dep := range p.Imports {
			if !in(dep, module) || in(dep, p.ImportPath) {
				continue
			}
			another := in(dep, ours("lever")...) && dep != module+"/internal/lever" && dep != shared
			if another || !in(dep, allowed...) {
				t.Errorf("driver %s imports %s: a driver gets values and returns results, so that the next one can be written from the contract alone", p.ImportPath, dep)
			}
		}
	}
}

// TestFaultIsTheFloor: what every package imports must import none.
func TestFaultIsTheFloor(t *testing.T) {
	t.Parallel()
	for _, p := range allPackages(t) {
		if p.ImportPath != module+"/internal/fault" {
			continue
		}
		for _, dep := range p.Imports {
			if in(dep, module) {
				t.Errorf("fault imports %s: every package imports fault, so this is a circle in waiting", dep)
			}
		}
	}
}
