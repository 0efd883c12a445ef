package ofrep

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/feature"
)

// TestFlagdFileThereAndBack: a file of flagd's that is taken over and written again
// comes to the same values, asked of flagd's own evaluator before and after, and of ours.
func TestFlagdFileThereAndBack(t *testing.T) {
	t.Parallel()
	count, seed := 300, uint64(20261122)
	if os.Getenv("LIFEBOAT_SOAK") != "" {
		count, seed = 5_000, uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	random := &maker{rand.New(rand.NewPCG(seed, 2))}
	shared := map[string]any{"adult": op(">=", map[string]any{"var": "age"}, 18), "german": op("and", op("==", map[string]any{"var": "country"}, "DE"), map[string]any{"$ref": "adult"})}
	names := slices.Sorted(maps.Keys(variants))
	flags := map[string]any{}
	var all []question
	for i := range count {
		key := "flag-" + strconv.Itoa(i)
		rule := random.rule()
		if random.IntN(3) == 0 {
			rule = op("if", map[string]any{"$ref": random.pick("adult", "german")}, random.pick("on", "a", "off"), rule)
		}
		flag := map[string]any{"state": "ENABLED", "variants": variants, "defaultVariant": names[random.IntN(len(names))], "targeting": rule}
		file := map[string]any{"flags": map[string]any{key: flag}, "$evaluators": shared}
		if _, _, err := feature.ReadFlagd(encode(t, file), nil); err != nil {
			if !strings.Contains(err.Error(), "names the variant") { // which flagd finds out when it is asked
				t.Errorf("%v\n%s", err, encode(t, file))
			}
			continue
		}
		flags[key] = flag
		for range 4 {
			all = append(all, question{Key: key, Context: random.context()})
		}
	}
	before := map[string]any{"flags": flags, "$evaluators": shared}
	w, _, err := feature.ReadFlagd(encode(t, before), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := feature.WriteFlagd(w)
	if err != nil {
		t.Fatal(err)
	}
	ours := prepared(t, w)
	one, two := consultOn(t, before, all), consultOn(t, json.RawMessage(text), all)
	compared := 0
	for i, q := range all {
		if one[i][0] != one[i][1] || two[i][0] != two[i][1] {
			continue // where flagd's two ways differ, nobody is right
		}
		was, is := one[i][0], two[i][0]
		raw := encode(t, q.Context)
		c, err := feature.ReadContext(raw, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		got := ours[q.Key].Evaluate(c)
		if (was.Error == "") != (is.Error == "") || was.Value != is.Value || was.Error == "" && !got.NoKey && string(encode(t, was.Value)) != string(got.Value) {
			t.Errorf("%s\nbefore %+v\nafter %+v\nours %s\ncontext %s\nrule %s", q.Key, was, is, got.Value, raw, encode(t, flags[q.Key]))
		}
		compared++
	}
	t.Logf("%d flags, %d questions compared", len(flags), compared)
	if compared < count*2 {
		t.Error("too little is compared")
	}
}

// prepared are the flags, with what their $ref stand for, ready to be asked.
func prepared(t *testing.T, w feature.Written) map[string]*feature.Prepared {
	t.Helper()
	out := map[string]*feature.Prepared{}
	for _, f := range w.Flags {
		rule, _, expand := feature.Expand(f.Targeting, w.Evaluators)
		if expand != nil {
			t.Fatal(expand)
		}
		f.Targeting = rule
		p, err := feature.Prepare(f, nil)
		if err != nil {
			t.Fatal(err)
		}
		out[f.Key] = p
	}
	return out
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
