package find

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/quarantine"
)

// mentioned looks which mentions are keys of a table. Only keys of one column are
// matched: a number is never half a key.
func mentioned(ctx context.Context, q asker, d dialect, t *table, mentions []Mention, found *pile) error {
	if len(t.key) != 1 {
		return nil
	}
	c := t.keyColumn(0)
	var fit []Mention
	for _, m := range mentions {
		if fits(c.class, m.Value) {
			fit = append(fit, m)
		}
	}
	const many = 100
	for part := range slices.Chunk(fit, many) {
		places, args := make([]string, len(part)), make([]any, len(part))
		for i, m := range part {
			places[i], args[i] = d.place(i+1), d.value(c, m.Value)
		}
		rows, err := q.read(ctx, many, fmt.Sprintf("SELECT %s FROM %s WHERE %s IN (%s)", d.text(d.name(c.name)), t.from, d.name(c.name), strings.Join(places, ", ")), args...)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r[0] == nil {
				continue
			}
			i := slices.IndexFunc(part, func(m Mention) bool { return strings.EqualFold(m.Value, *r[0]) })
			if i < 0 {
				continue
			}
			m := part[i]
			weight := 0.25 + 0.75*about(m.Near, t.name)
			if c.class == uuidClass {
				weight = 1 // nothing else looks like it
			}
			found.add(t, quarantine.Key{*r[0]}, m.Score*weight, "it is mentioned in "+m.Where)
		}
	}
	return nil
}

func fits(c class, value string) bool {
	switch c {
	case integerClass:
		_, err := strconv.ParseInt(value, 10, 64)
		return err == nil
	case uuidClass:
		return uuidLike.MatchString(value)
	case textClass:
		return len(value) > 2
	}
	return false
}

// latest takes the newest rows of a table whose keys count up.
func latest(ctx context.Context, q asker, d dialect, t *table, found *pile) error {
	if len(t.key) != 1 || t.keyColumn(0).class != integerClass {
		return nil
	}
	c := d.name(t.keyColumn(0).name)
	rows, err := q.read(ctx, newest, fmt.Sprintf("SELECT %s FROM %s ORDER BY %s DESC LIMIT %d", d.text(c), t.from, c, newest))
	if err != nil {
		return err
	}
	for i, r := range rows {
		if r[0] != nil {
			found.add(t, quarantine.Key{*r[0]}, 2-float64(i)/newest, "it is one of the newest rows")
		}
	}
	return nil
}

// odd compares the shapes of a bounded sample's rows: the newest where keys count
// up, else any.
func odd(ctx context.Context, q asker, d dialect, t *table, found *pile) error {
	columns := t.columns[:min(len(t.columns), maxColumns)]
	var list []string
	for i := range t.key {
		list = append(list, d.text(d.name(t.keyColumn(i).name)))
	}
	for _, c := range columns {
		text := d.text(d.name(c.name))
		length := "length(" + text + ")"
		if d.quote == '`' {
			length = "char_length(" + text + ")"
		}
		list = append(list, length, fmt.Sprintf("substr(%s, 1, %d)", text, maxCell))
	}
	order := ""
	if len(t.key) == 1 && t.keyColumn(0).class == integerClass {
		order = " ORDER BY " + d.name(t.keyColumn(0).name) + " DESC"
	}
	rows, err := q.read(ctx, sample, fmt.Sprintf("SELECT %s FROM %s%s LIMIT %d", strings.Join(list, ", "), t.from, order, sample))
	if err != nil {
		return err
	}
	if len(rows) < 8 {
		return nil // too few to say what is usual
	}
	keys := make([]quarantine.Key, len(rows))
	for i, r := range rows {
		for k := range t.key {
			if r[k] != nil {
				keys[i] = append(keys[i], *r[k])
			}
		}
	}
	for n, c := range columns {
		if slices.ContainsFunc(t.key, func(k int) bool { return t.columns[k].name == c.name }) {
			continue
		}
		cells := make([]cell, len(rows))
		for i, r := range rows {
			cells[i] = newCell(r[len(t.key)+2*n], r[len(t.key)+2*n+1])
		}
		for _, o := range oddities(c, cells) {
			if len(keys[o.row]) == len(t.key) {
				found.add(t, keys[o.row], o.score, o.why)
			}
		}
	}
	return nil
}

// cell is one cell as far as its shape goes.
type cell struct {
	null   bool
	length float64
	number float64 // NaN when it is none
	text   string  // its beginning
	whole  bool    // text is all of it
}

func newCell(length, text *string) cell {
	if text == nil || length == nil {
		return cell{null: true, number: math.NaN()}
	}
	n, _ := strconv.ParseFloat(*length, 64)
	v, err := strconv.ParseFloat(strings.TrimLeft(*text, "$"), 64)
	if err != nil {
		v = math.NaN()
	}
	return cell{length: n, number: v, text: *text, whole: n <= maxCell}
}

// oddity is why a row differs from the others.
type oddity struct {
	row   int
	score float64
	why   string
}

// rare is the share of rows up to which a trait is unusual.
const rare = 0.01

// oddities compares the cells of one column.
func oddities(c column, cells []cell) []oddity {
	out := outliers(cells, func(x cell) (float64, bool) { return math.Log1p(x.length), !x.null && c.class == textClass }, "longer", "shorter", c.name)
	numeric := c.class == integerClass || c.class == numberClass
	out = append(out, outliers(cells, func(x cell) (float64, bool) {
		return x.number, numeric && !math.IsNaN(x.number) && !math.IsInf(x.number, 0)
	}, "larger", "smaller", c.name)...)
	for _, trait := range []struct {
		has   func(cell) bool
		score float64
		why   string
	}{
		{func(x cell) bool { return x.null }, 3, "its %s is null, and that of others is not"},
		{func(x cell) bool { return !x.null && x.text == "" }, 2, "its %s is empty, and that of others is not"},
		{func(x cell) bool { return numeric && !x.null && (math.IsNaN(x.number) || math.IsInf(x.number, 0)) }, 4, "its %s is no number"},
		{func(x cell) bool { return numeric && x.number < 0 }, 3, "its %s is below zero, and that of others is not"},
		{func(x cell) bool { return c.class == textClass && badText(x.text) }, 4, "its %s holds control characters or broken text"},
		{func(x cell) bool {
			return c.class == textClass && looksJSON(x.text) && x.whole && !json.Valid([]byte(x.text))
		}, 5, "its %s looks like JSON and can't be read"},
		{func(x cell) bool {
			return c.class == textClass && x.whole && !x.null && !json.Valid([]byte(x.text)) && mostlyJSON(cells)
		}, 4, "its %s is no JSON, and that of others is"},
	} {
		out = append(out, few(cells, trait.has, trait.score, fmt.Sprintf(trait.why, c.name))...)
	}
	return out
}

// few gives the rows with a trait that hardly any row has.
func few(cells []cell, has func(cell) bool, score float64, why string) []oddity {
	var out []oddity
	most := max(1, int(rare*float64(len(cells))))
	for i, x := range cells {
		if !has(x) {
			continue
		}
		if out = append(out, oddity{i, score, why}); len(out) > most {
			return nil
		}
	}
	return out
}

// outliers gives the rows whose value is far from the median, by the median
// absolute deviation: a few wild rows do not move either.
func outliers(cells []cell, value func(cell) (float64, bool), above, below, name string) []oddity {
	var values []float64
	for _, x := range cells {
		if v, ok := value(x); ok {
			values = append(values, v)
		}
	}
	if len(values) < 8 {
		return nil
	}
	slices.Sort(values)
	middle := values[len(values)/2]
	away := make([]float64, len(values))
	for i, v := range values {
		away[i] = math.Abs(v - middle)
	}
	slices.Sort(away)
	// Where more than half are alike the spread of the rest decides, then a share of
	// the median.
	spread := 1.4826 * away[len(away)/2]
	spread = max(spread, away[len(away)*9/10]/1.645, 0.05*math.Abs(middle), 1e-9)
	const far = 6
	var out []oddity
	for i, x := range cells {
		v, ok := value(x)
		z := (v - middle) / spread
		if !ok || math.Abs(z) < far {
			continue
		}
		way := above
		if z < 0 {
			way = below
		}
		out = append(out, oddity{i, 3 + min(3, math.Log10(math.Abs(z)/far)+1), fmt.Sprintf("its %s is far %s than that of others", name, way)})
	}
	if len(out) > max(3, len(values)/50) {
		return nil // so many are not odd but another kind
	}
	return out
}

func badText(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool {
		return c == utf8.RuneError || unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t' || c >= 0xe000 && c <= 0xf8ff || unicode.Is(unicode.Bidi_Control, c)
	})
}

func looksJSON(s string) bool {
	s = strings.TrimSpace(s)
	return strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[")
}

func mostlyJSON(cells []cell) bool {
	good, all := 0, 0
	for _, x := range cells[:min(len(cells), 200)] {
		if !x.null && x.whole {
			all++
			if looksJSON(x.text) && json.Valid([]byte(x.text)) {
				good++
			}
		}
	}
	return all >= 8 && good*10 >= all*9
}
