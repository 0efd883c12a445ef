package quarantine

import (
	"fmt"
	"strconv"
	"strings"
)

// Text is the plan as a report in plain English: what would leave, why, what will be
// noticed, and why it is refused if it is.
func (p Plan) Text() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	switch {
	case p.Mode == Replace:
		say("%s of %s would get safe values. The old values are kept and can be put back.", rows(p.Rows), p.Root)
	default:
		say("%s in %d tables would leave the database %s, and can be put back.", rows(p.Rows), len(p.Tables), p.Database)
	}
	for _, t := range p.Tables {
		of := ""
		if t.Total > 0 {
			of = fmt.Sprintf(" of about %d", t.Total)
		}
		say("\n%s: %s%s, %s", t.Name, rows(len(t.Frozen)), of, size(t.Bytes))
		say("  %s", t.Why)
		if t.Path != "" && strings.Contains(t.Path, " via ") {
			say("  The way there: %s.", t.Path)
		}
		for _, s := range t.Samples {
			say("  for example %s (%s)", strings.Join(s.Key, ", "), strings.Join(s.Cells, "; "))
		}
	}
	for _, d := range p.Detached {
		say("\n%s: %s stay, without their link to %s for the time being", d.Link.Child, rows(len(d.Frozen)), d.Link.Parent)
	}
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		say("\n%s", title)
		for _, l := range lines {
			say("  %s", l)
		}
	}
	var notices, refused []string
	for _, n := range p.Notices {
		notices = append(notices, strings.TrimPrefix(n.Table+": "+n.Text, ": "))
	}
	for _, r := range p.Refused {
		refused = append(refused, r.Reason+" "+r.Satisfy)
	}
	section("What will be noticed", notices)
	section("Who may be in the way", p.Locks)
	section("Why this can't be done", refused)
	section("What will run", p.SQL)
	section("What puts it back", p.Inverse)
	return b.String()
}

func rows(n int) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

func size(bytes int64) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d bytes", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("about %d KiB", bytes>>10)
	}
	return fmt.Sprintf("about %d MiB", bytes>>20)
}

// Count says how many: "1 row is gone", "3 rows are gone".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// Of says how many of how many, with its verb: "1 of 3 rows is", "2 of 3 rows are".
func Of(n, of int, one, many string) string {
	verb := " are"
	if n == 1 {
		verb = " is"
	}
	return strconv.Itoa(n) + " of " + Count(of, one, many) + verb
}
