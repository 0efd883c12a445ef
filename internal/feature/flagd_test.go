package feature

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/fault"
)

// What is written as flagd's file comes back as it was.
func TestFlagdAndBack(t *testing.T) {
	t.Parallel()
	w := Written{
		Flags: []Flag{
			{Key: "a.plain", Value: raw("true"), Off: raw("false"), Says: "Card payments", Owner: "Payments", CodeDefault: raw("false"), Public: true},
			{Key: "b.ruled", Value: raw("true"), Off: raw("false"), Targeting: raw(`{"if":[{"$ref":"staff"},"on","off"]}`)},
			{Key: "c.text", Value: raw(`"full"`), Off: raw(`"none"`), Variants: map[string]json.RawMessage{"light": raw(`"titles"`)}, Targeting: raw(`{"fractional":[["on",90],["light",10]]}`)},
			{Key: "d.mapping", Value: raw(`{"a":1.0}`), Off: raw(`{}`), CodeDefault: raw(`{"a":2}`)},
		},
		Evaluators: map[string]json.RawMessage{"staff": raw(`{"ends_with":[{"var":"email"},"@example.com"]}`)},
	}
	text, err := WriteFlagd(w)
	if err != nil {
		t.Fatal(err)
	}
	got, notes, err := ReadFlagd(text, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	tidy := cmp.Transformer("tight", func(r json.RawMessage) string { return string(tight(r)) })
	if diff := cmp.Diff(w, got, tidy); diff != "" || len(notes) != 0 {
		t.Errorf("%s\nnotes %q", diff, notes)
	}
}

func TestFlagdIsTakenOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flag string
		off  string
		want Flag
		note string
	}{
		"off by default": {`{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"var":"beta"},"on"]}}`, "",
			Flag{Value: raw("false"), Off: raw("false"), Targeting: raw(`{"if":[{"var":"beta"},"true"]}`)}, "the variant on is called true here"},
		"other names": {`{"state":"ENABLED","variants":{"yes":true,"no":false},"defaultVariant":"yes","targeting":{"fractional":[["yes",1],["no",1]]}}`, "",
			Flag{Value: raw("true"), Off: raw("false"), Targeting: raw(`{"fractional":[["on",1],["off",1]]}`)}, "the variant no is called off here"},
		"texts": {`{"state":"ENABLED","variants":{"big":"b","small":"s","on":"x"},"defaultVariant":"big","targeting":{"if":[true,"on",{"if":[true,"small"]}]}}`, "small",
			Flag{Value: raw(`"b"`), Off: raw(`"s"`), Variants: map[string]json.RawMessage{"on-1": raw(`"x"`)}, Targeting: raw(`{"if":[true,"on-1",{"if":[true,"off"]}]}`)}, "on is called on-1"},
		"no rule": {`{"state":"ENABLED","variants":{"on":1,"off":0},"defaultVariant":"on","targeting":{}}`, "", Flag{Value: raw("1"), Off: raw("0")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			off := map[string]string{}
			if c.off != "" {
				off["k"] = c.off
			}
			got, notes, err := ReadFlagd([]byte(`{"flags":{"k":`+c.flag+`}}`), off)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Key = "k"
			if diff := cmp.Diff([]Flag{c.want}, got.Flags); diff != "" || !strings.Contains(strings.Join(notes, "\n"), c.note) {
				t.Errorf("%s\nnotes %q", diff, notes)
			}
		})
	}
	got, notes, err := ReadFlagd([]byte(`{"flags":{"k":{"state":"DISABLED","variants":{},"defaultVariant":"on"}}}`), nil)
	if err != nil || len(got.Flags) != 0 || len(notes) != 1 || !strings.Contains(notes[0], "DISABLED") {
		t.Errorf("%+v %q %v", got, notes, err)
	}
}

// A name that a rule only makes while it is followed means the same, too.
func TestFlagdNamesThatAreMade(t *testing.T) {
	t.Parallel()
	const file = `{"flags":{"k":{"state":"ENABLED","variants":{"on":"x","off":"y","a":"z"},"defaultVariant":"off","targeting":{"cat":[{"var":"name"},""]}}}}`
	got, _, err := ReadFlagd([]byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"on": `"x"`, "off": `"y"`, "a": `"z"`} {
		if a := follow(t, got.Flags[0], `{"name":"`+name+`"}`); string(a.Value) != want {
			t.Errorf("%s comes to %+v, want %s", name, a, want)
		}
	}
}

func TestFlagdThatCannotBeTakenOver(t *testing.T) {
	t.Parallel()
	const good = `"variants":{"on":true,"off":false},"defaultVariant":"on"`
	for flag, want := range map[string]string{
		`{"state":"ENABLED","variants":{"on":true}}`:                                           "no defaultVariant",
		`{"state":"ENABLED","variants":{"on":true},"defaultVariant":"x"}`:                      `no variant "x"`,
		`{"state":"ENABLED","variants":{"a":1,"b":2},"defaultVariant":"a"}`:                    "--off k=VARIANT",
		`{"state":"ENABLED","variants":{"on":true,"off":"no"},"defaultVariant":"on"}`:          "of type string",
		`{"state":"ENABLED","variants":{"on":[1],"off":[]},"defaultVariant":"on"}`:             "list",
		`{"state":"ENABLED","variants":{"on":true,"off":true},"defaultVariant":"on"}`:          "",
		`{"state":"SOMETIMES",` + good + `}`:                                                   "SOMETIMES",
		`{"state":"ENABLED",` + good + `,"targeting":{"nonsense":[1]}}`:                        `no operator "nonsense"`,
		`{"state":"ENABLED",` + good + `,"targeting":{"if":[{"$ref":"b"},"on"]}}`:              "not there",
		`{"state":"ENABLED",` + good + `,"targeting":{"if":[true,"purple"]}}`:                  "purple",
		`{"state":"ENABLED","variants":{"on":true,"off":false,"?":true},"defaultVariant":"?"}`: "",
		`{"state":"ENABLED","variants":{"on":"a","off":"b","?":"c"},"defaultVariant":"on"}`:    "may not hold",
		`{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":5}`:            "can't be read",
		`[]`: "can't be read",
	} {
		_, _, err := ReadFlagd([]byte(`{"flags":{"k":`+flag+`}}`), nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Invalid) {
			t.Errorf("%s: %v, want %q", flag, err, want)
		}
	}
	for file, want := range map[string]string{
		``: "not JSON", `[]`: "not JSON", `{}`: "no object with flags", `{"flags":[]}`: "no object with flags",
		`{"flags":{},"$evaluators":{"a":{"$ref":"a"}}}`: "circle",
	} {
		if _, _, err := ReadFlagd([]byte(file), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, _, err := ReadFlagd([]byte(`{"flags":{}}`), map[string]string{"x": "off"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("--off of no flag: %v", err)
	}
}

func FuzzReadFlagd(f *testing.F) {
	f.Add([]byte(`{"flags":{"k":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","targeting":{"if":[{"$ref":"a"},"on"]}}},"$evaluators":{"a":{"==":[1,1]}}}`))
	f.Add([]byte(`{"flags":{"k":{"variants":{"a":1,"off":null},"defaultVariant":"a"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		w, _, err := ReadFlagd(text, nil)
		if err != nil {
			return
		}
		again, err := WriteFlagd(w)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadFlagd(again, nil); err != nil {
			t.Fatalf("what was written can't be read: %v\n%s", err, again)
		}
	})
}
