package flagfile_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/lever"
	"lifeboat/internal/lever/flagfile"
	"lifeboat/internal/lever/outside"
)

// daemon answers for a flagd file as flagd does, from what it has read last.
type daemon struct {
	*httptest.Server
	path string
	text atomic.Pointer[string]
}

func newDaemon(t *testing.T, path string) *daemon {
	d := &daemon{path: path}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var file struct {
			Flags map[string]struct {
				State          string         `json:"state"`
				Variants       map[string]any `json:"variants"`
				DefaultVariant string         `json:"defaultVariant"`
				Targeting      any            `json:"targeting"`
			} `json:"flags"`
		}
		if err := json.Unmarshal([]byte(*d.text.Load()), &file); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		key := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		f, known := file.Flags[key]
		out := map[string]any{"key": key, "reason": "STATIC", "variant": f.DefaultVariant, "value": f.Variants[f.DefaultVariant]}
		switch {
		case !known:
			w.WriteHeader(http.StatusNotFound)
		case f.State == "DISABLED":
			out = map[string]any{"key": key, "reason": "DISABLED"}
		case f.Targeting != nil: // a rule that gives this caller the off value, too
			out["reason"], out["variant"], out["value"] = "TARGETING_MATCH", "off", f.Variants["off"]
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(d.Close)
	d.reload(t)
	return d
}

func (d *daemon) reload(t *testing.T) {
	text := read(t, d.path)
	d.text.Store(&text)
}

// The lever is done only once flagd answers with the value, there and back: also for a
// flag that gave its rules' value, or none, before.
func TestFlagdIsAsked(t *testing.T) {
	t.Parallel()
	for name, flag := range map[string]string{
		"plain":    `{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}`,
		"ruled":    `{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","targeting":{"if":[true,"off"]}}`,
		"disabled": `{"state":"DISABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "flags.json")
			must(t, os.WriteFile(path, []byte(`{"flags":{"checkout":`+flag+`}}`), 0o600))
			flagd := newDaemon(t, path)
			d := newDriver(flagfile.Flagd, flagfile.Options{})
			c := card(flagfile.Flagd, flagfile.Section{File: path, Flag: "checkout", Variant: "off", OFREP: outside.Remote{URL: flagd.URL}})
			if r, err := d.Preflight(t.Context(), c); err != nil || !r.Ready {
				t.Fatalf("preflight: %+v %v", r, err)
			}
			p, err := d.Plan(t.Context(), lever.Request{Card: c, Now: time.Now()})
			must(t, err)
			sees := func(when string, want lever.World) {
				t.Helper()
				if obs, err := d.Observe(t.Context(), p, 0); err != nil || obs.World != want || len(obs.Seen) != 2 {
					t.Errorf("%s: seen as %s (%s) %v, want %s", when, obs.World, obs.Detail, err, want)
				}
			}
			sees("in calm", lever.Before)
			must(t, d.Apply(t.Context(), p, 0, lever.Token{}))
			sees("flagd has not read it", lever.Partial)
			flagd.reload(t)
			sees("flagd has read it", lever.After)
			other := `{"flags":{"checkout":{"state":"ENABLED","variants":{"x":"ajar"},"defaultVariant":"x"}}}`
			flagd.text.Store(&other)
			sees("flagd reads another file", lever.Foreign)
			flagd.reload(t)
			if _, err := d.Revert(t.Context(), p, 0, lever.Token{}); err != nil {
				t.Fatal(err)
			}
			sees("flagd has not read that either", lever.Partial)
			flagd.reload(t)
			sees("put back", lever.Before)
			flagd.Close()
			sees("flagd is gone", lever.Unknown)
		})
	}
}
