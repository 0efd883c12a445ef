package feature

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func staged(t testing.TB, f Flag, share int) *Prepared {
	t.Helper()
	p, err := Prepare(f, &Order{Value: f.Off, Lever: "close-it", Incident: "01J", By: "anna", Since: "2026-03-12T02:07:00Z", Share: share})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func evaluate(t testing.TB, p *Prepared, context string) Answer {
	t.Helper()
	c, err := ReadContext([]byte(context), time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return p.Evaluate(c)
}

// of is how many of a thousand people have the value.
func of(t testing.TB, p *Prepared, value string) map[int]bool {
	t.Helper()
	out := map[int]bool{}
	for i := range 1000 {
		if string(evaluate(t, p, fmt.Sprintf(`{"targetingKey":"u%d"}`, i)).Value) == value {
			out[i] = true
		}
	}
	return out
}

func TestAShareHasTheFlagsOwn(t *testing.T) {
	t.Parallel()
	f := Flag{Key: "checkout", Value: raw("true"), Off: raw("false")}
	before := map[int]bool{}
	for _, share := range []int{1, 5, 25, 50, 99, 100} {
		p := staged(t, f, share)
		now := of(t, p, "true")
		if low, high := share*10-45, share*10+45; len(now) < low || len(now) > high {
			t.Errorf("at %d percent %d of 1000 have it", share, len(now))
		}
		for i := range before {
			if !now[i] {
				t.Errorf("u%d had it and has it no more at %d percent", i, share)
			}
		}
		before = now
		if a, same := p.Static(); same || a.Variant != Off {
			t.Errorf("at %d percent it is the same for everybody: %+v", share, a)
		}
	}
	if len(before) != 1000 {
		t.Errorf("at the last stage %d of 1000 have it", len(before))
	}
	other := f
	other.Key = "search"
	one, two := of(t, staged(t, f, 50), "true"), of(t, staged(t, other, 50), "true")
	both := 0
	for i := range one {
		if two[i] {
			both++
		}
	}
	if both < 200 || both > 300 {
		t.Errorf("%d have both of two features that are half back", both)
	}
}

// What is told of an answer while a lever goes back.
func TestAStagedAnswer(t *testing.T) {
	t.Parallel()
	about := func(share int) map[string]string {
		return map[string]string{"lever": "close-it", "incident": "01J", "by": "anna", "since": "2026-03-12T02:07:00Z", "share": strconv.Itoa(share)}
	}
	plain := Flag{Key: "checkout", Value: raw("true"), Off: raw("false")}
	split := Flag{Key: "k", Value: raw(`"on"`), Off: raw(`"off"`), Targeting: raw(`{"fractional":[["on",1],["off",1]]}`)}
	for name, c := range map[string]struct {
		flag    Flag
		share   int
		context string
		want    Answer
	}{
		"nobody in particular":          {plain, 99, `{}`, Answer{Value: raw("false"), Variant: Off, Reason: Split, Metadata: about(99)}},
		"an empty key":                  {plain, 99, `{"targetingKey":""}`, Answer{Value: raw("false"), Variant: Off, Reason: Split, Metadata: about(99)}},
		"nobody, at the last stage":     {plain, 100, `{}`, Answer{Value: raw("true"), Variant: On, Reason: Split, Metadata: about(100)}},
		"a rule lacks a key, last":      {split, 100, `{}`, Answer{Value: raw(`"on"`), Variant: On, Reason: Split, Metadata: about(100), NoKey: true}},
		"a rule lacks a key, before":    {split, 50, `{}`, Answer{Value: raw(`"off"`), Variant: Off, Reason: Split, Metadata: about(50)}},
		"a rule names the ordered one":  {ruled(`{"if":[true,"off"]}`), 100, `{}`, Answer{Value: raw(`"off"`), Variant: Off, Reason: Split, Metadata: about(100)}},
		"a rule names one of its own":   {ruled(`{"if":[{"var":"de"},"a"]}`), 100, `{"de":1}`, Answer{Value: raw(`"a"`), Variant: "a", Reason: Split, Metadata: about(100)}},
		"a rule names none":             {ruled(`{"if":[{"var":"de"},"a"]}`), 100, `{}`, Answer{Value: raw(`"on"`), Variant: On, Reason: Split, Metadata: about(100)}},
		"a rule that can't be followed": {ruled(`{"<":["x",1]}`), 100, `{}`, Answer{Value: raw(`"on"`), Variant: On, Reason: Split, Metadata: about(100), Problem: "what is compared is not a number"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, evaluate(t, staged(t, c.flag, c.share), c.context)); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, share := range []int{-1, 0, 101} {
		a, same := staged(t, plain, share).Static()
		if !same || a.Reason != Static || a.Metadata["share"] != "" || string(a.Value) != "false" {
			t.Errorf("a share of %d: %+v", share, a)
		}
	}
}

// Those who come back first are not all of one kind where a rule splits, too.
func TestAShareIsApartFromTheRulesOwnSplit(t *testing.T) {
	t.Parallel()
	f := ruled(`{"fractional":[["a",50],["b",50]]}`)
	p := staged(t, f, 20)
	a, b := len(of(t, p, `"a"`)), len(of(t, p, `"b"`))
	if a < 60 || b < 60 {
		t.Errorf("of those who are back %d have a and %d have b", a, b)
	}
}

// Every answer is among those that are told beforehand, and a share is never less than
// a smaller one.
func TestStagesAreWholeAndGrow(t *testing.T) {
	t.Parallel()
	flags := []Flag{
		{Key: "checkout", Value: raw("true"), Off: raw("false")},
		{Key: "checkout", Value: raw("true"), Off: raw("false"), Targeting: raw(`{"==":[{"var":"n"},1]}`)},
		ruled(`{"if":[{"<":[{"var":"n"},2]},"a","b"]}`), ruled(`{"fractional":[["a",1],["b",1],["off",1]]}`),
	}
	rapid.Check(t, func(rt *rapid.T) {
		f := rapid.SampledFrom(flags).Draw(rt, "flag")
		less, more := rapid.IntRange(0, 100).Draw(rt, "share"), rapid.IntRange(0, 100).Draw(rt, "share")
		less, more = min(less, more), max(less, more)
		key := rapid.String().Draw(rt, "key")
		context, _ := json.Marshal(map[string]any{"targetingKey": key, "n": rapid.IntRange(0, 3).Draw(rt, "n")})
		if in(less, f.Key, key) && !in(more, f.Key, key) {
			rt.Fatalf("%q is in at %d and not at %d", key, less, more)
		}
		p := staged(t, f, more)
		got := evaluate(t, p, string(context))
		known := p.Matches()
		if more == 0 {
			known = []Answer{p.static}
		}
		for _, a := range known {
			if got.Problem != "" || got.NoKey || cmp.Equal(a, got) {
				return
			}
		}
		rt.Fatalf("%+v is not among %+v", got, known)
	})
}

// A share is what flagd's fractional makes of it, which test/ofrep holds against flagd.
func TestAShareIsFlagdsFractional(t *testing.T) {
	t.Parallel()
	f := Flag{Key: "checkout", Value: raw(`"own"`), Off: raw(`"off"`), Targeting: raw(`{"fractional":[{"cat":["checkout back ",{"var":"targetingKey"}]},["on",25],["off",75]]}`)}
	p, err := Prepare(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		key := "u" + strconv.Itoa(i)
		if by := evaluate(t, p, `{"targetingKey":"`+key+`"}`).Variant == On; by != in(25, "checkout", key) {
			t.Fatalf("%s: by the rule %t", key, by)
		}
	}
}
