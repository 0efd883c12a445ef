package web

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/zonebook"
	zonedesk "lifeboat/internal/zonebook/desk"
)

// zoneActs are what people do with the records of zones.
var zoneActs = withZones(map[string]act{
	"zone-add": {
		titled: func(x scope) string { return "Add to your changes" },
		head:   func(x scope) string { return "A new record: " + typeOf(x) + "." },
		lede: func(x scope) string {
			return zonebook.FormOf(typeOf(x)).Says + " Nothing is answered differently until you publish."
		},
		least: role.Operator, after: zoneOfForm, back: zoneOfForm, fields: addFields, do: addRecord,
	},
	"zone-edit": {
		titled: func(x scope) string { return "Add to your changes" },
		head:   func(x scope) string { return shortName(x.arg("rname"), x.arg("zone")) + " " + x.arg("rtype") + "." },
		lede: func(x scope) string {
			return zonebook.FormOf(typeOf(x)).Says + " Nothing is answered differently until you publish."
		},
		submits: []option{{Value: "change", Label: "Change it"}, {Value: "remove", Label: "Remove it"}}, submit: "do",
		least: role.Operator, after: zoneOfForm, back: zoneOfForm, fields: editFields, do: editRecord,
	},
	"zone-paste": {
		title: "Add to your changes", head: func(scope) string { return "Paste records." },
		lede:  func(scope) string { return "Lines of a zone file. Nothing is answered differently until you publish." },
		least: role.Operator, after: zoneOfForm, back: zoneOfForm, do: pasteRecords,
		fields: func(x scope) []field {
			return []field{
				{Name: "records", Kind: area, Label: "Records, one in each line", Help: "NAME TTL TYPE DATA. A name without a final dot is below the zone. A SOA record is passed over.", Rows: 10, Max: 60000, Must: true, Holder: "www 300 A 192.0.2.10"},
				{Name: "how", Kind: radio, Label: "What of the records that are there?", Options: marked("add", option{Value: "add", Label: "They stay, these come beside them"}, option{Value: "replace", Label: "Those of the same name and type give way", Says: "All others stay."})},
			}
		},
	},
	"zone-take-out": {
		title: "Take it out", least: role.Operator, after: zoneOfForm,
		do: func(ctx context.Context, x scope) (string, error) {
			n, err := strconv.Atoi(x.arg("number"))
			if err != nil || n < 1 {
				return "", fault.New(fault.Invalid, "which change is meant is not said").WithHint("go back, and press again")
			}
			d, err := x.s.o.Zones.TakeOut(ctx, x.arg("zone"), x.editor(), n)
			return "It is out. " + leftInDraft(d), err
		},
	},
	"zone-throw": {
		title: "Throw away", least: role.Operator, after: zoneOfForm,
		do: func(ctx context.Context, x scope) (string, error) {
			_, err := x.s.o.Zones.TakeOut(ctx, x.arg("zone"), x.editor(), 0)
			return "Your changes are thrown away. What is answered has not changed.", err
		},
	},
	"zone-publish": {
		title: "Publish", least: role.Operator, after: zoneOfForm, back: zoneOfForm, fields: publishFields, do: publishZone,
		head: func(scope) string { return "Publish." },
		terms: func(scope) terms {
			return terms{"Our name servers answer by it. It is written down first, and then every name server is asked.", "A second here. Resolvers may keep what they have for as long as each line says.", "“Undo” on the page of the zone: the records before come back as they were."}
		},
	},
	"zone-keep": {
		title: "What was published stays", least: role.Operator, after: zoneOfForm,
		do: func(ctx context.Context, x scope) (string, error) {
			return "What was published stays in force.", x.s.o.Zones.Keep(ctx, x.arg("zone"), x.editor())
		},
	},
})

// withZones keeps acts from a desk that is not there.
func withZones(all map[string]act) map[string]act {
	for name, a := range all {
		do := a.do
		a.do = func(ctx context.Context, x scope) (string, error) {
			if x.s.o.Zones == nil {
				return "", noZones()
			}
			if x.arg("zone") == "" {
				return "", fault.New(fault.Invalid, "which zone is meant is not said").WithHint("begin on the page of the zone")
			}
			return do(ctx, x)
		}
		all[name] = a
	}
	return all
}

// zoneOfForm is the room of the zone that a form is about.
func zoneOfForm(x scope) string {
	if x.arg("zone") == "" {
		return "/zones"
	}
	return zonePath(x.arg("zone"), "")
}

// typeOf is the type that a form is about.
func typeOf(x scope) string {
	typ := strings.ToUpper(strings.TrimSpace(x.arg("rtype")))
	if typ == "OTHER" {
		return "another type"
	}
	return cut(typ, 20)
}

func leftInDraft(d zonebook.Draft) string {
	if len(d.Changes) == 0 {
		return "Nothing is left that is not published."
	}
	return draftWords(len(d.Changes)) + "."
}

// dataFields are the fields of a record's data.
func dataFields(x scope, typ string, values map[string]string) []field {
	var out []field
	for _, f := range zonebook.FormOf(typ).Fields {
		g := field{Name: f.Name, Kind: line, Label: f.Label, Help: f.Help, Holder: f.Holder, Value: f.Usual, Max: 2000, Must: f.Usual == "" && f.Name != "rest", Auto: "off"}
		if v, has := values[f.Name]; has {
			g.Value = v
		}
		if f.Name == "text" && typ == "TXT" || f.Name == "data" || len(g.Value) > 80 {
			g.Kind, g.Rows, g.Max = area, 3, 20000
		}
		for _, o := range f.Options {
			g.Kind, g.Options = choice, append(g.Options, option{Value: o, Label: o, On: o == strings.ToLower(g.Value)})
		}
		if g.Kind == choice && !among(f.Options, g.Value) {
			g.Options = append(g.Options, option{Value: g.Value, Label: g.Value, On: true})
		}
		out = append(out, g)
	}
	return out
}

func among(all []string, one string) bool {
	for _, s := range all {
		if strings.EqualFold(s, one) {
			return true
		}
	}
	return false
}

func keptField(value string) field {
	return field{Name: "kept", Kind: line, Label: "How long may resolvers keep it?", Help: "300, 5m, 1h. It counts for all records of this name and type. Empty: as before, or as the zone says.", Value: value, Holder: "5m", Max: 20, Auto: "off", Fold: true}
}

func addFields(x scope) []field {
	fields := []field{{Name: "owner", Kind: line, Label: "Name", Help: "Without the zone’s own name, as in www. @ is the zone itself.", Holder: "www", Must: true, Max: 255, Auto: "off"}}
	typ := typeOf(x)
	if typ == "another type" {
		fields = append(fields, field{Name: "new_type", Kind: line, Label: "Type", Holder: "SSHFP", Must: true, Max: 20, Auto: "off"})
	}
	return append(append(fields, dataFields(x, typ, nil)...), keptField(""))
}

func addRecord(ctx context.Context, x scope) (string, error) {
	typ := typeOf(x)
	form := zonebook.FormOf(typ)
	if typ == "another type" {
		typ = strings.ToUpper(strings.TrimSpace(x.arg("new_type")))
	}
	data, err := form.Data(zonedesk.Apex(x.arg("zone")), x.arg)
	if err != nil {
		return "", err
	}
	ttl, err := zonebook.ParseTTL(x.arg("kept"))
	if err != nil {
		return "", err
	}
	return x.draft(ctx, zonebook.Change{Op: zonebook.Add, Name: x.arg("owner"), Type: typ, TTL: ttl, Data: []string{data}})
}

func editFields(x scope) []field {
	typ := typeOf(x)
	fields := dataFields(x, typ, zonebook.FormOf(typ).Split(x.arg("rdata")))
	return append(fields, keptField(""))
}

func editRecord(ctx context.Context, x scope) (string, error) {
	c := zonebook.Change{Op: zonebook.Remove, Name: x.arg("rname"), Type: typeOf(x), Old: []string{x.arg("rdata")}}
	if x.arg("rname") == "" || x.arg("rdata") == "" {
		return "", fault.New(fault.Invalid, "which record is meant is not said").WithHint("choose it on the page of the zone")
	}
	if x.arg("do") != "remove" {
		data, err := zonebook.FormOf(c.Type).Data(zonedesk.Apex(x.arg("zone")), x.arg)
		if err != nil {
			return "", err
		}
		if c.TTL, err = zonebook.ParseTTL(x.arg("kept")); err != nil {
			return "", err
		}
		c.Op, c.Data = zonebook.Replace, []string{data}
	}
	return x.draft(ctx, c)
}

// draft adds a change to the draft of whoever presses.
func (x scope) draft(ctx context.Context, c zonebook.Change) (string, error) {
	d, err := x.s.o.Zones.Change(ctx, x.arg("zone"), x.editor(), c)
	if err != nil {
		return "", err
	}
	return "Kept. " + leftInDraft(d), nil
}

func pasteRecords(ctx context.Context, x scope) (string, error) {
	d, err := x.s.o.Zones.Paste(ctx, x.arg("zone"), x.editor(), x.arg("records"), x.arg("how") == "replace")
	return "Kept. " + leftInDraft(d), err
}

func publishFields(x scope) []field {
	fields := []field{{Name: "note", Kind: line, Label: "Why?", Help: "For the history. May be empty.", Max: 500, Holder: "The shop moves"}}
	if x.arg("asks") != "" {
		fields = append(fields, field{Name: "accept", Kind: several, Label: "What goes away", Options: []option{{Value: "yes", Label: "It is meant: what is said above may be answered no more"}}}, field{Name: "asks", Kind: hidden, Value: "yes"})
	}
	return fields
}

func publishZone(ctx context.Context, x scope) (string, error) {
	of, _ := strconv.Atoi(x.arg("revision"))
	done, err := x.s.o.Zones.Publish(ctx, x.arg("zone"), x.editor(), zonedesk.Order{
		What: zonedesk.What{Kind: zonebook.Kind(x.arg("which")), Of: of}, Hash: x.arg("hash"), Accept: x.arg("accept") == "yes", Note: x.arg("note"),
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Revision %d is published. %s", done.Revision.Number, done.Outcome.Words), nil
}
