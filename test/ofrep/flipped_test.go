package ofrep

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lifeboat/internal/lever"
	"lifeboat/internal/lever/flagfile"
)

// TestFlippedFileIsOffForEverybody pulls a lever on each flag of a flagd file and asks
// flagd's own evaluator about the file as it stands on the disk: the off value, without
// an error, for every context; and after putting back, the answers and every byte are
// as before.
func TestFlippedFileIsOffForEverybody(t *testing.T) {
	t.Parallel()
	const count = 60
	random := &maker{rand.New(rand.NewPCG(20261122, 2))}
	flags := map[string]any{}
	var all []question
	for i := range count {
		key := fmt.Sprintf("flag-%d", i)
		f := map[string]any{"state": "ENABLED", "variants": variants, "defaultVariant": "on", "targeting": random.rule(), "metadata": map[string]any{"text": "<&>\u2028"}}
		switch i % 6 {
		case 0:
			f["state"] = "DISABLED"
		case 1:
			delete(f, "targeting")
		case 2:
			delete(f, "defaultVariant")
		}
		flags[key] = f
		for range 5 {
			all = append(all, question{Key: key, Context: random.context()})
		}
		all = append(all, question{Key: key, Context: map[string]any{}})
	}
	text, err := json.MarshalIndent(map[string]any{"flags": flags}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "flags.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	before := askFile(t, path, all)
	d := flagfile.NewFlagd(flagfile.Options{Now: time.Now})
	var plans []lever.Plan
	for key := range flags {
		section, _ := json.Marshal(flagfile.Section{File: path, Flag: key, Variant: "off"}) // texts
		p, err := d.Plan(t.Context(), lever.Request{Card: lever.Card{Name: key, Kind: flagfile.Flagd, Config: section}, Now: time.Now()})
		if err == nil {
			err = d.Apply(t.Context(), p, 0, lever.Token{})
		}
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		plans = append(plans, p)
	}
	differed := 0
	for i, o := range askFile(t, path, all) {
		for _, way := range o {
			if way.Value != variants["off"] || way.Variant != "off" || way.Reason != "STATIC" || way.Error != "" {
				t.Errorf("%s for %v: %+v", all[i].Key, all[i].Context, way)
			}
		}
		if before[i][0].Value != variants["off"] {
			differed++
		}
	}
	if differed < len(all)/2 {
		t.Errorf("only %d of %d answers were not off before", differed, len(all))
	}
	random.Shuffle(len(plans), func(i, j int) { plans[i], plans[j] = plans[j], plans[i] })
	for _, p := range plans {
		if _, err := d.Revert(t.Context(), p, 0, lever.Token{}); err != nil {
			t.Fatal(err)
		}
	}
	if back, err := os.ReadFile(path); err != nil || !bytes.Equal(back, text) {
		t.Errorf("the file is not as before: %v\n%s", err, back)
	}
	t.Logf("%d flags, %d answers, %d of them not off before", count, len(all), differed)
}

// askFile evaluates with flagd's own core what is in the file.
func askFile(t *testing.T, path string, all []question) [][2]opinion {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return consultOn(t, json.RawMessage(text), all)
}
