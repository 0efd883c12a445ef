package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/flagfile"
	"lifeboat/internal/lever/levertest"
	"lifeboat/internal/lever/unleash"
)

const flagsFile = `{
  "flags": {
    "checkout": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on", "targeting": {"if": [{"var": "vip"}, "on", null]}},
    "rehearsal": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"}
  }
}
`

// withFile is a boat with levers over a flagd file: one with something to rehearse on,
// one without.
func withFile(t *testing.T) (*boat, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flags.json")
	must(t, os.WriteFile(path, []byte(flagsFile), 0o640))
	levers := fmt.Sprintf(`  file-off: {title: Close the checkout in flagd, flagd: {file: %s, flag: checkout, variant: "off", drill: rehearsal}}
  bare-off: {title: The same, flagd: {file: %s, flag: checkout, variant: "off"}}
`, path, path)
	return launchWith(t, "propose", levers, map[string]lever.Driver{flagfile.Flagd: flagfile.NewFlagd(flagfile.Options{Now: time.Now})}), path
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

func (b *boat) leverNamed(name string) engine.LeverView {
	for _, l := range b.overview().Sites[0].Levers {
		if l.Name == name {
			return l
		}
	}
	b.t.Fatalf("no lever %s", name)
	return engine.LeverView{}
}

// Press → the file has changed → it is seen → put back, and every byte is as before. It
// works with answer gone, and answer is never told of it.
func TestFlagElsewhereThereAndBack(t *testing.T) {
	t.Parallel()
	b, path := withFile(t)
	b.eventually("ready", func() bool { return b.overview().Answer.Ready })
	rec, err := b.eng.Drill(context.Background(), "file-off", me)
	must(t, err)
	if !rec.OK || rec.LookedOnly || text(t, path) != flagsFile {
		t.Fatalf("drill: %+v\n%s", rec, text(t, path))
	}
	b.stopA()
	b.eventually("answer is gone", func() bool { return !b.overview().Answer.Connected })
	if l := b.leverNamed("file-off"); !l.Armed || !l.Shadow || l.To != "off of checkout" || l.Reach == "" {
		t.Errorf("lever: %+v", l)
	}
	for _, s := range func() []string {
		sites, _, _ := b.cfg.Parts()
		var out []string
		for _, l := range sites[0].Levers {
			out = append(out, l.Name)
		}
		return out
	}() {
		if strings.HasSuffix(s, "-off") {
			t.Errorf("answer is offered the lever %s, which it can't pull", s)
		}
	}
	start := time.Now()
	must(t, b.pull("file-off", ""))
	if waited := time.Since(start); waited > 4*time.Second { // Waits.Answer is 5s
		t.Errorf("the press waited %s for an answer process that has no part in it", waited)
	}
	if got := text(t, path); !strings.Contains(got, `"checkout": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"}`) {
		t.Fatalf("pulled: %s", got)
	}
	if b.phase() != incident.Diagnose || !b.happened(incident.LeverSeen) {
		t.Errorf("phase %s", b.phase())
	}
	in := b.overview().Sites[0].Incident
	if p := in.Pulls[0]; p.From != "on by its rules" || p.To != "off" || p.Kind != flagfile.Flagd {
		t.Errorf("pull: %+v", p)
	}
	if err := b.pull("file-off", ""); fault.KindOf(err) != fault.Conflict {
		t.Errorf("pulled twice: %v", err)
	}
	if err := b.pull("bare-off", "it is the same flag, which is pulled"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the other lever of one flag: %v", err)
	}
	_, err = b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "file-off"}, me)
	must(t, err)
	if got := text(t, path); got != flagsFile {
		t.Errorf("put back: %s", got)
	}
}

// Somebody else changes the flag: it is told, not fought, and one press pulls again.
// The way back then leads to what somebody else had set.
func TestFlagElsewhereNoLongerHolds(t *testing.T) {
	t.Parallel()
	b, path := withFile(t)
	must(t, b.pull("file-off", "nobody has rehearsed it"))
	theirs := strings.Replace(flagsFile, `"defaultVariant": "on", "targeting"`, `"defaultVariant": "off", "targeting"`, 1)
	must(t, os.WriteFile(path, []byte(theirs), 0o640))
	b.eventually("drift is noticed", func() bool { return b.leverNamed("file-off").Drifted })
	if text(t, path) != theirs {
		t.Fatal("it was fought")
	}
	must(t, b.pull("file-off", "nobody has rehearsed it"))
	if l := b.leverNamed("file-off"); l.Drifted || l.State != string(incident.Active) {
		t.Errorf("pulled again: %+v", l)
	}
	_, err := b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "file-off"}, me)
	must(t, err)
	if got := text(t, path); got != theirs {
		t.Errorf("put back: %s", got)
	}
	if l := b.leverNamed("file-off"); l.State != "free" {
		t.Errorf("left behind: %+v", l)
	}
}

// A put-back over somebody else's change does nothing.
func TestFlagElsewhereIsNotOverwritten(t *testing.T) {
	t.Parallel()
	b, path := withFile(t)
	must(t, b.pull("file-off", "nobody has rehearsed it"))
	theirs := strings.Replace(flagsFile, `"on": true`, `"on": 1`, 1)
	must(t, os.WriteFile(path, []byte(theirs), 0o640))
	_, err := b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "file-off"}, me)
	if fault.KindOf(err) != fault.Conflict || text(t, path) != theirs {
		t.Errorf("%v, and the file is\n%s", err, text(t, path))
	}
}

// A lever with nothing to rehearse on is looked at, and its record says so.
func TestDrillThatOnlyLooks(t *testing.T) {
	t.Parallel()
	b, path := withFile(t)
	rec, err := b.eng.Drill(context.Background(), "bare-off", me)
	must(t, err)
	if !rec.OK || !rec.LookedOnly || text(t, path) != flagsFile || b.leverNamed("bare-off").Shadow {
		t.Errorf("drill: %+v", rec)
	}
	must(t, os.Remove(path))
	rec, err = b.eng.Drill(context.Background(), "bare-off", me)
	must(t, err)
	if rec.OK || !strings.Contains(rec.Detail, "can't be read") {
		t.Errorf("drill without the file: %+v", rec)
	}
}

// A restart between the order and the word of it: what was done is found, not repeated.
func TestFlagElsewhereAfterACrash(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"intent recorded", "ordered", "observed"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			b, path := withFile(t)
			b.eventually("ready", func() bool { return b.overview().Answer.Ready })
			var armed atomic.Bool
			armed.Store(true)
			b.hook = func(p string) {
				if p == at && armed.Swap(false) {
					panic(errCrash)
				}
			}
			func() {
				defer func() {
					if p := recover(); p != nil && p != errCrash { //nolint:errorlint // the very value
						panic(p)
					}
				}()
				_ = b.pull("file-off", "nobody has rehearsed it")
			}()
			b.stopC()
			b.hook = nil
			b.control()
			b.eventually("it is in force", func() bool { return b.leverNamed("file-off").State == string(incident.Active) })
			if !strings.Contains(text(t, path), `"defaultVariant": "off"}`) {
				t.Errorf("the file is\n%s", text(t, path))
			}
			_, err := b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "file-off"}, me)
			must(t, err)
			if text(t, path) != flagsFile {
				t.Errorf("put back:\n%s", text(t, path))
			}
		})
	}
}

var errCrash = errors.New("crash")

// An answer that is lost on the way leaves nobody guessing: it is looked, and seen.
func TestAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	var on atomic.Bool
	on.Store(true)
	door := levertest.NewDoor(t, "s3cret", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			on.Store(strings.HasSuffix(r.URL.Path, "/on"))
			return
		}
		fmt.Fprintf(w, `{"enabled":%t}`, on.Load())
	}))
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte("s3cret"), 0o600))
	levers := fmt.Sprintf("  unleash-off: {title: Close it in Unleash, unleash: {url: %q, token_file: %s, feature: checkout, environment: production}}\n", door.URL, token)
	b := launchWith(t, "propose", levers, map[string]lever.Driver{unleash.Kind: unleash.New(time.Now)})
	again := door.Lose()
	must(t, b.pull("unleash-off", "nobody has rehearsed it"))
	again()
	if on.Load() || door.Writes() != 1 {
		t.Errorf("on %t after %d writes", on.Load(), door.Writes())
	}
	// Gone from the network: nobody can tell, and nothing is done twice.
	blind := door.Blind()
	_, err := b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "unleash-off"}, me)
	if fault.KindOf(err) != fault.Unavailable || door.Writes() != 1 {
		t.Errorf("put back blindly: %v", err)
	}
	blind()
	b.eventually("it is seen again", func() bool { return b.leverNamed("unleash-off").State == string(incident.Active) })
	_, err = b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "unleash-off"}, me)
	must(t, err)
	if !on.Load() {
		t.Error("still off")
	}
	for _, e := range b.overview().Sites[0].Tail {
		if strings.Contains(e.Text, "s3cret") {
			t.Errorf("the timeline has the token: %s", e.Text)
		}
	}
}

// The return puts it back with everything else.
func TestFlagElsewhereGoesBackWithTheReturn(t *testing.T) {
	t.Parallel()
	b, path := withFile(t)
	b.eventually("ready", func() bool { return b.overview().Answer.Ready })
	must(t, b.pull("to-standby", "nobody has rehearsed it"))
	must(t, b.pull("file-off", "nobody has rehearsed it"))
	_, err := b.eng.Do(context.Background(), "shop", incident.GoBack{Because: "The release was taken back."}, me)
	must(t, err)
	b.eventually("everything is back", func() bool { return b.phase() == incident.Review })
	if got := text(t, path); got != flagsFile {
		t.Errorf("put back: %s", got)
	}
}
