package quarantine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

var columns = []quarantine.Column{{Name: "id", Type: "bigint", Class: quarantine.ClassInteger}, {Name: "state", Type: "text", Class: quarantine.ClassText},
	{Name: "total", Type: "numeric", Class: quarantine.ClassDecimal}, {Name: "Odd \"name", Type: "text", Class: quarantine.ClassText}, {Name: "at", Type: "timestamp", Class: quarantine.ClassStamp}}

func TestParsePredicate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"id = 4711": `{"column":"id","op":"=","value":4711}`,
		"id IN (1, 2) AND (state='it''s' or total >= -1.5)":      `{"and":[{"column":"id","op":"in","values":[1,2]},{"or":[{"column":"state","op":"=","value":"it's"},{"column":"total","op":"\u003e=","value":-1.5}]}]}`,
		`"Odd ""name" is not null`:                               `{"column":"Odd \"name","op":"is not null"}`,
		`{"column": "id", "op": "=", "value": 9007199254740993}`: `{"column":"id","op":"=","value":9007199254740993}`,
		"at < '2026-01-01 10:00:00' or id is null":               `{"or":[{"column":"at","op":"\u003c","value":"2026-01-01 10:00:00"},{"column":"id","op":"is null"}]}`,
	} {
		p, err := quarantine.ParsePredicate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, _ := json.Marshal(p); string(got) != want {
			t.Errorf("%s: %s", text, got)
		}
		if err := p.Check(columns, nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestParsePredicateRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " ", "1 = 1", "id = 1 or 1=1", "'a' = 'a'", "id", "id =", "id = id", "id = (select 1)", "id = 1; drop table x", "id = 1 --", "f(id) = 1", "id in ()", "id in (1",
		"id is 5", "id = null", "(id = 1", "id = 1)", "id = 'x", "id + 1 = 2", "not id = 1", "id = 1 id = 2", "{}x", `{"column":"id","op":"=","value":null}`, `{"sql":"1=1"}`, `{"column":"id"}{}`,
		strings.Repeat("(", 100) + "id = 1" + strings.Repeat(")", 100), strings.Repeat("id = 1 or ", 300) + "id = 1", "id = 1" + strings.Repeat(" ", 70000), "\xff = 1", "id = 1e99999"} {
		p, err := quarantine.ParsePredicate(text)
		if err == nil {
			err = p.Check(columns, nil)
		}
		if f, ok := err.(*fault.Error); !ok || f.Hint == "" {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}

func FuzzParsePredicate(f *testing.F) {
	for _, s := range []string{"id = 4711", "id in (1,'a') and (x is null or y like 'a%')", `{"and":[{"column":"id","op":"=","value":1}]}`, `"a""b" <> -1.5e3`, "((", "{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := quarantine.ParsePredicate(s)
		if err != nil {
			return
		}
		_ = p.Check(columns, nil)
		_ = p.Shape()
		first, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := quarantine.ParsePredicate(string(first))
		if err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		if second, _ := json.Marshal(again); string(second) != string(first) {
			t.Fatalf("%s became %s", first, second)
		}
	})
}

func TestPlanHashSurvivesStorage(t *testing.T) {
	t.Parallel()
	value := "x"
	p := quarantine.Plan{ID: "a", Request: quarantine.Request{Where: &quarantine.Predicate{Column: "id", Op: quarantine.Equal, Value: &quarantine.Literal{Text: "+5", Kind: quarantine.Number}}, Set: []quarantine.Cell{{Column: "a", Value: &value}, {Column: "b"}}},
		Tables:   []quarantine.Table{{Name: "t", Frozen: []quarantine.Row{{Key: quarantine.Key{"1", "23"}, Hash: "h"}}}},
		Detached: []quarantine.Detach{{Hold: "d", Frozen: []quarantine.Row{{Key: quarantine.Key{"1"}, Hash: "h"}}}}}
	hash, err := quarantine.HashPlan(p)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(p)
	var back quarantine.Plan
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if again, _ := quarantine.HashPlan(back); again != hash {
		t.Error("the hash does not survive storage")
	}
	for what, change := range map[string]func(*quarantine.Plan){
		"a key":                   func(p *quarantine.Plan) { p.Tables[0].Frozen[0].Key[0] = "2" },
		"where a key's parts end": func(p *quarantine.Plan) { p.Tables[0].Frozen[0].Key = quarantine.Key{"12", "3"} },
		"a row's hash":            func(p *quarantine.Plan) { p.Tables[0].Frozen[0].Hash = "g" },
		"a link's key":            func(p *quarantine.Plan) { p.Detached[0].Frozen[0].Key[0] = "2" },
		"where rows lie": func(p *quarantine.Plan) {
			p.Tables[0].Frozen, p.Detached[0].Frozen = nil, append(p.Tables[0].Frozen, p.Detached[0].Frozen...)
		},
		"a table's name": func(p *quarantine.Plan) { p.Tables[0].Name = "u" },
	} {
		var changed quarantine.Plan
		if err := json.Unmarshal(raw, &changed); err != nil {
			t.Fatal(err)
		}
		change(&changed)
		if again, _ := quarantine.HashPlan(changed); again == hash {
			t.Errorf("the hash does not cover %s", what)
		}
	}
}
