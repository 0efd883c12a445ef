package find

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/doctor"
)

// Located is what narrowing down came to.
type Located struct {
	Rows   []Candidate `json:"rows"`   // without all of these the harm is gone; empty: none was found
	Words  string      `json:"words"`  // the result in a sentence or two
	Asked  int         `json:"asked"`  // how many questions it took
	Before string      `json:"before"` // what the symptom said with all rows there
	After  string      `json:"after"`  // and without those found
}

// Answer is what a symptom says.
type Answer struct {
	Harm bool
	Says string // in words, without contents of rows
}

// Without asks the symptom while some rows are out of sight. An error means that
// the symptom could not be asked, not that there is harm.
type Without func(ctx context.Context, rows []Candidate) (Answer, error)

// Narrow finds the fewest of some candidates that the harm goes away without. It
// takes hiding more rows never to bring harm back, and asks about log2(n) questions
// for each row that is found.
func Narrow(ctx context.Context, list []Candidate, ask Without) (Located, error) {
	f := Located{Rows: []Candidate{}}
	try := func(rows []Candidate) (Answer, error) {
		f.Asked++
		return ask(ctx, rows)
	}
	all, err := try(nil)
	if err != nil {
		return f, err
	}
	f.Before = all.Says
	if !all.Harm {
		f.Words = "There is no harm to be seen now, so no row can be found: " + all.Says + "."
		return f, nil
	}
	none, err := try(list)
	if err != nil {
		return f, err
	}
	if f.After = none.Says; none.Harm || len(list) == 0 {
		f.Words = fmt.Sprintf("None of the %d candidates does the harm by itself or together with others: without all of them %s. Look at other tables, or for another cause.", len(list), none.Says)
		return f, nil
	}
	if err := f.search(list, try); err != nil {
		return f, err
	}
	f.Words = f.sentence()
	return f, nil
}

// search finds one row after another: the last of the shortest beginning that
// helps is needed, and the search goes on before it.
func (f *Located) search(list []Candidate, try func([]Candidate) (Answer, error)) error {
	rest := list
	for len(rest) > 0 {
		low, high := 0, len(rest) // rest[:high] helps, rest[:low] does not
		for high-low > 1 {
			middle := (low + high) / 2
			a, err := try(append(rest[:middle:middle], f.Rows...))
			if err != nil {
				return err
			}
			if a.Harm {
				low = middle
			} else {
				high = middle
			}
		}
		f.Rows = append(f.Rows, rest[high-1])
		rest = rest[:high-1]
		a, err := try(f.Rows)
		if err != nil {
			return err
		}
		if f.After = a.Says; !a.Harm {
			return nil
		}
	}
	return fault.New(fault.Unavailable, "the symptom says one thing and then another: no row can be told from it").WithHint("see that the symptom holds still, then try again")
}

func (f *Located) sentence() string {
	names := make([]string, len(f.Rows))
	for i, r := range f.Rows {
		names[i] = r.Name()
	}
	const most = 5
	list := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		list += fmt.Sprintf(" and %d more", len(names)-most)
	}
	if len(names) == 1 {
		return fmt.Sprintf("%s does the harm: %s; without it %s.", upper(list), f.Before, f.After)
	}
	return fmt.Sprintf("These %d rows do the harm together: %s. With them %s; without them %s.", len(names), list, f.Before, f.After)
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// ByQuery narrows down by the symptom query, in one read-only snapshot: all
// questions see the same world, in which production goes on.
func ByQuery(ctx context.Context, conn *sql.Conn, t Target, list []Candidate) (Located, error) {
	d, err := dialectOf(t.Kind)
	if err != nil {
		return Located{}, err
	}
	if err := askable(t, list); err != nil {
		return Located{}, err
	}
	var f Located
	err = d.snapshot(ctx, conn, func(q asker) error {
		f, err = Narrow(ctx, list, func(ctx context.Context, rows []Candidate) (Answer, error) {
			query, args := hide(d, t.Query, rows)
			var a Answer
			err := q.guarded(ctx, func() error { var err error; a, err = q.symptom(ctx, query, args); return err })
			var harm harmful
			if errors.As(err, &harm) {
				return Answer{Harm: true, Says: "the symptom query fails: " + harm.why}, nil
			}
			return a, err
		})
		return err
	})
	if err != nil && fault.KindOf(err) == fault.Internal {
		err = fault.New(fault.Unavailable, "the symptom query can't be asked: %s", plain(err)).At(t.Name).WithHint("lifeboat data doctor says what is missing")
	}
	return f, err
}

// AskQuery asks the symptom query once, with every row in sight.
func AskQuery(ctx context.Context, conn *sql.Conn, t Target) (Answer, error) {
	var a Answer
	f, err := ByQuery(ctx, conn, t, nil)
	if err != nil {
		return a, err
	}
	a.Says = f.Before
	a.Harm = f.Asked > 1 // it is asked again only where there is harm
	return a, nil
}

// askable refuses a query that hiding would not work on.
func askable(t Target, list []Candidate) error {
	if t.Query == "" {
		return fault.New(fault.Invalid, "there is no symptom query").At(t.Name).WithHint("write symptom_query under the database, or ask by the rows' own pages")
	}
	seen := map[string]string{}
	for _, c := range list {
		if c.table == nil {
			return fault.New(fault.Invalid, "a candidate is not from Propose").At(t.Name).WithHint("search again")
		}
		if other, known := seen[c.table.plain]; known && other != c.Table {
			return fault.New(fault.Invalid, "%s and %s have the same name: the symptom query can't tell them apart", other, c.Table).At(t.Name).WithHint("search one of them at a time")
		}
		seen[c.table.plain] = c.Table
		whole := regexp.MustCompile(`(?i)["\x60]?\b` + regexp.QuoteMeta(c.table.schema) + `\b["\x60]?\s*\.\s*["\x60]?` + regexp.QuoteMeta(c.table.plain) + `\b`)
		if whole.MatchString(t.Query) {
			return fault.New(fault.Invalid, "the symptom query names %s with its schema, so that no row can be hidden from it", c.Table).At(t.Name).WithHint("write %s alone", c.table.plain)
		}
	}
	return nil
}

// hide puts common table expressions of the tables' own names before a query, so
// that it sees the tables without some rows.
func hide(d dialect, query string, rows []Candidate) (string, []any) {
	var order []*table
	by := map[*table][]quarantine.Key{}
	for _, c := range rows {
		if by[c.table] == nil {
			order = append(order, c.table)
		}
		by[c.table] = append(by[c.table], c.Key)
	}
	if len(order) == 0 {
		return query, nil
	}
	var parts []string
	var args []any
	for _, t := range order {
		var gone []string
		for _, key := range by[t] {
			var same []string
			for i, text := range key {
				c := t.keyColumn(i)
				args = append(args, d.value(c, text))
				same = append(same, d.name(c.name)+" = "+d.place(len(args)))
			}
			gone = append(gone, "("+strings.Join(same, " AND ")+")")
		}
		parts = append(parts, fmt.Sprintf("%s AS (SELECT * FROM %s WHERE NOT (%s))", t.alone, t.from, strings.Join(gone, " OR ")))
	}
	with := strings.Join(parts, ", ")
	if m := leadingWith.FindStringSubmatch(query); m != nil { // its own expressions come after ours, and see them
		return "WITH " + m[1] + with + ", " + query[len(m[0]):], args
	}
	return "WITH " + with + " " + query, args
}

var leadingWith = regexp.MustCompile(`(?i)^\s*WITH\s+(RECURSIVE\s+)?`)

// harmful is a failure that a row's contents bring about.
type harmful struct{ why string }

func (h harmful) Error() string { return h.why }

// symptom asks once. Harm is a query that fails by what it reads, or a first value
// that is neither 0, false, empty nor null.
func (q asker) symptom(ctx context.Context, query string, args []any) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, questionFor)
	defer cancel()
	// What can't be prepared is a mistake in the query, not a row's doing.
	s, err := q.conn.PrepareContext(ctx, query)
	if err != nil {
		return Answer{}, fault.New(fault.Invalid, "the symptom query can't be read: %s", plain(err)).WithHint("try it by hand, with the user that lifeboat signs in as")
	}
	defer func() { _ = s.Close() }()
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return Answer{}, judge(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil || len(names) == 0 {
		return Answer{}, fault.New(fault.Invalid, "the symptom query gives no value").WithHint("for example SELECT count(*) FROM orders WHERE total < 0")
	}
	var first any
	more := rows.Next()
	if more {
		into := make([]any, len(names))
		into[0] = &first
		for i := 1; i < len(into); i++ {
			into[i] = new(any)
		}
		if err := rows.Scan(into...); err != nil {
			return Answer{}, judge(ctx, err)
		}
		for n := 0; n < 100_000 && rows.Next(); n++ { // what is read later may be what fails
		}
	}
	if err := rows.Err(); err != nil {
		return Answer{}, judge(ctx, err)
	}
	if harm, says := truthy(first, more); harm {
		return Answer{Harm: true, Says: says}, nil
	}
	return Answer{Says: "the symptom query is clean"}, nil
}

func truthy(v any, there bool) (bool, string) {
	if b, ok := v.([]byte); ok {
		v = string(b)
	}
	switch x := v.(type) {
	case nil:
		return false, ""
	case bool:
		return x, "the symptom query says yes"
	case string:
		switch strings.ToLower(x) {
		case "", "0", "f", "false":
			return false, ""
		}
		return there, "the symptom query finds something"
	}
	text := fmt.Sprint(v)
	return text != "0", "the symptom query counts " + text
}

// judge tells a row's doing from a database that could not finish.
func judge(ctx context.Context, err error) error {
	var p *pgconn.PgError
	var m *mysql.MySQLError
	switch {
	case ctx.Err() != nil:
		return fault.New(fault.Unavailable, "the symptom query did not answer in %s", questionFor).WithHint("make it faster, or search fewer tables")
	case errors.As(err, &p):
		switch p.Code[:2] {
		case "08", "25", "28", "40", "42", "53", "55", "57", "58":
			return fault.New(fault.Unavailable, "the symptom query could not be finished: %s", doctor.Plain(err)).WithHint("try it by hand")
		}
		return harmful{"it is answered with error " + p.Code} // the message may repeat what is in the row
	case errors.As(err, &m):
		switch m.Number {
		case 1040, 1044, 1045, 1053, 1064, 1142, 1143, 1146, 1205, 1213, 1227, 1317, 1969, 3024:
			return fault.New(fault.Unavailable, "the symptom query could not be finished: %s", doctor.Plain(err)).WithHint("try it by hand")
		}
		return harmful{fmt.Sprintf("it is answered with error %d", m.Number)}
	case errors.Is(err, sql.ErrConnDone), errors.Is(err, mysql.ErrInvalidConn):
		return fault.New(fault.Unavailable, "the connection was lost").WithHint("try again")
	}
	return harmful{"it is answered with an error"}
}
