package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lifeboat/internal/account"
	"lifeboat/internal/api"
	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
	"lifeboat/internal/quarantine/find"
	"lifeboat/internal/role"
)

// Desk is where rows are taken out of databases; the API goes by the same.
type Desk = api.Desk

// noDesk is what somebody meets where no database is configured.
func noDesk() error {
	return fault.New(fault.NotFound, "no database is named in the configuration").WithHint("write databases: with the tables that rows may be taken out of; then lifeboat data doctor says which rights it needs")
}

// data is the room of rows that do harm: what is held, what is planned, and how to choose.
func (s *server) data(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.scope(r.Context(), who, "", "", url.Values{})
	if err == nil && s.o.Desk == nil {
		err = noDesk()
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	held := s.o.Desk.Held(r.Context())
	waiting := 0
	for _, h := range held.Held {
		waiting += h.Operation.Waiting()
	}
	headline := count(waiting, "row is held.", "rows are held.")
	if waiting == 0 {
		headline = "No row is held."
	}
	p := s.room(who, x.o, "/data", headline, "Rows that do harm leave with everything that hangs on them, in one move, and come back as they were, or repaired.")
	p.Say = s.said(r)
	plans := s.o.Desk.Plans()
	searches := s.o.Desk.Searches()
	p.Body = struct {
		Choose, Search ask
		Held           desk.Holding
		Plans          []desk.Kept
		Searches       []desk.Search
	}{x.ask("rows-plan"), x.ask("rows-search"), held, plans[:min(len(plans), maxRows)], searches}
	s.show(w, http.StatusOK, "data.html", p)
}

// dataSearch is one search: how far it is, and what came of it.
func (s *server) dataSearch(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.scope(r.Context(), who, "", "", url.Values{})
	var found desk.Search
	if err == nil && s.o.Desk == nil {
		err = noDesk()
	}
	if err == nil {
		found, err = s.o.Desk.Searched(r.PathValue("search"))
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	headline, lede := searchWords(found)
	p := s.room(who, x.o, "/data", headline, lede)
	p.Where = []string{found.Database}
	if found.Running { // that it has begun is no news any more
		p.Say = s.said(r)
	}
	type candidate struct {
		find.Candidate
		Plan ask
	}
	body := struct {
		desk.Search
		Stop  *ask
		Found []candidate
		Rest  []candidate
		Again ask
	}{Search: found, Again: x.ask("rows-search")}
	offer := func(c find.Candidate) candidate {
		a := x.ask("rows-plan", "table", found.Database+" "+c.Table, "keys", strings.Join(c.Key, ","))
		a.Fields, a.Small = slices.DeleteFunc(a.Fields, func(f field) bool { return f.Name != "table" && f.Name != "keys" }), true
		for i := range a.Fields {
			a.Fields[i].Kind = hidden
			a.Fields[i].Value = map[string]string{"table": found.Database + " " + c.Table, "keys": strings.Join(c.Key, ",")}[a.Fields[i].Name]
		}
		a.Name = "See what would leave with " + c.Name()
		return candidate{c, a}
	}
	if found.Running {
		stop := x.ask("rows-search-stop", "search", found.ID)
		body.Stop, p.Refresh = &stop, 2
	}
	if found.Finding != nil {
		for _, c := range found.Finding.Rows {
			body.Found = append(body.Found, offer(c))
		}
	}
	for _, c := range found.Candidates[:min(len(found.Candidates), maxCandidates)] {
		if !slices.ContainsFunc(body.Found, func(f candidate) bool { return f.Name() == c.Name() }) {
			body.Rest = append(body.Rest, offer(c))
		}
	}
	p.Body = body
	s.show(w, http.StatusOK, "datasearch.html", p)
}

// maxCandidates are shown of a search.
const maxCandidates = 10

// searchWords say in two sentences how far a search is.
func searchWords(f desk.Search) (headline, lede string) {
	switch {
	case f.Running:
		moved := ""
		if f.Moves > 0 {
			moved = ", and rows were away " + count(f.Moves, "time", "times")
		}
		return "Looking for the row.", sentence("It "+f.Step) + " " + sentence(count(f.Asked, "question", "questions")+" so far"+moved)
	case f.Problem != "":
		return "No row was found.", sentence(f.Problem)
	case f.Finding == nil:
		return count(len(f.Candidates), "row may do the harm.", "rows may do the harm."), "They were only proposed. Nothing was changed."
	case len(f.Finding.Rows) == 0:
		return "No row was found.", f.Finding.Words
	}
	return "Found: " + f.Finding.Rows[0].Name() + ".", f.Finding.Words
}

// dataPlan is the report of one plan, and what can be done with it.
func (s *server) dataPlan(w http.ResponseWriter, r *http.Request, who account.Session) {
	k, err := s.kept(r.PathValue("plan"))
	var x scope
	if err == nil {
		x, err = s.scope(r.Context(), who, "", "", url.Values{})
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	p := s.room(who, x.o, "/data", sentence(k.Title), planLede(k))
	p.Say, p.Where = s.said(r), []string{k.Plan.Database}
	about := []string{"plan", k.Plan.ID, "hash", k.Plan.Hash}
	body := struct {
		desk.Kept
		Apply, Approve, Stop *ask
		Held                 bool
	}{Kept: k}
	offer := func(name string) *ask {
		a := x.ask(name, about...)
		return &a
	}
	switch {
	case len(k.Plan.Refused) > 0:
	case k.Progress != nil && k.Progress.Running:
		body.Stop = offer("rows-stop")
		p.Refresh = 2
	case k.Approval && !k.Approved():
		body.Approve = offer("rows-approve")
	case k.Begun.IsZero() || k.Halted():
		body.Apply = offer("rows-apply")
	}
	body.Held = !k.Begun.IsZero()
	p.Body = body
	s.show(w, http.StatusOK, "dataplan.html", p)
}

func (s *server) kept(id string) (desk.Kept, error) {
	if s.o.Desk == nil {
		return desk.Kept{}, noDesk()
	}
	return s.o.Desk.Kept(id)
}

// planLede says in a sentence where a plan stands.
func planLede(k desk.Kept) string {
	switch {
	case len(k.Plan.Refused) > 0:
		return "It can’t be carried out as it is: read why below. Nothing was changed."
	case k.Progress != nil && k.Progress.Running:
		return "It is under way, in many transactions: " + count(k.Progress.Done, "row", "rows") + " so far."
	case k.Progress != nil && k.Progress.Problem != "":
		return "It came to a halt: " + sentence(k.Progress.Problem) + " It can go on."
	case k.Halted():
		return "It was begun, and is not known to have ended. Look at what is held; pressed again, it goes on where it was."
	case !k.Begun.IsZero():
		return "It was carried out. What became of its rows stands under what is held."
	case k.Approval && !k.Approved():
		return "Another person reads it before it is carried out. Nothing was changed."
	}
	return "This is all that would happen. Nothing was changed."
}

// dataHeld is one operation: what waits, whether all is as it should be, and the way back.
func (s *server) dataHeld(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.scope(r.Context(), who, "", "", url.Values{})
	var h desk.Held
	if err == nil && s.o.Desk == nil {
		err = noDesk()
	}
	if err == nil {
		h, _, err = s.o.Desk.Find(r.Context(), r.PathValue("operation"))
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	op := h.Operation
	headline := count(op.Waiting(), "row waits.", "rows wait.")
	if op.Waiting() == 0 {
		headline = "No row waits."
	}
	p := s.room(who, x.o, "/data", headline, sentence("Taken out of "+op.Root+" at "+s.date(op.Started)+" by "+op.By)+" "+sentence(op.Reason))
	p.Say, p.Where = s.said(r), []string{h.Database}
	body := struct {
		desk.Held
		Verdict          quarantine.Verdict
		Preview          quarantine.Preview
		Problem          string
		Restore, Discard ask
		Purge            ask
		Waits, Over      bool
	}{Held: h, Waits: op.Waiting() > 0, Over: op.Waiting() == 0 && op.State != quarantine.Purged}
	if body.Verdict, err = s.o.Desk.Verify(r.Context(), op.ID); err != nil {
		body.Problem = plain(err)
	}
	if body.Waits {
		if body.Preview, err = s.o.Desk.Preview(r.Context(), quarantine.Back{Operation: op.ID, Policy: quarantine.Abort}); err != nil {
			body.Problem = plain(err)
		}
	}
	body.Restore, body.Discard, body.Purge = x.ask("rows-restore", "operation", op.ID, "edit_table", op.Root, "edit_key", s.onlyRoot(op)), x.ask("rows-discard", "operation", op.ID), x.ask("rows-purge", "operation", op.ID)
	p.Body = body
	s.show(w, http.StatusOK, "dataheld.html", p)
}

// onlyRoot is the key of the row that was chosen, where it was one: the likeliest to be
// corrected.
func (s *server) onlyRoot(op quarantine.Operation) string {
	k, err := s.o.Desk.Kept(op.ID)
	if err != nil {
		return "" // made long ago
	}
	for _, t := range k.Plan.Tables {
		if t.Name == op.Root && len(t.Frozen) == 1 {
			return strings.Join(t.Frozen[0].Key, ",")
		}
	}
	return ""
}

// dataActs are what people do with rows.
var dataActs = withDesk(map[string]act{
	"rows-plan": {
		title: "See what would leave", least: role.Operator, fields: rowFields, do: planRows,
		lede:  func(scope) string { return "Nothing is changed by this: it shows what would happen." },
		after: func(x scope) string { return "/data/plans/" + url.PathEscape(x.arg("made")) },
	},
	"rows-search": {
		title: "Find the row", least: role.Operator, fields: searchFields, do: searchRows,
		after: func(x scope) string { return "/data/searches/" + url.PathEscape(x.arg("made")) },
	},
	"rows-search-stop": {
		title: "Stop", least: role.Operator, safe: true,
		fields: func(x scope) []field {
			return []field{{Name: "search", Kind: hidden, Value: x.arg("search")}}
		},
		after: func(x scope) string { return "/data/searches/" + url.PathEscape(x.arg("search")) },
		do: func(_ context.Context, x scope) (string, error) {
			return "It stops, and what it has taken away is put back.", x.s.o.Desk.StopSearch(x.arg("search"))
		},
	},
	"rows-approve": {
		title: "I have read it, go ahead", least: role.Operator, fields: planFields, after: planPath,
		do: func(_ context.Context, x scope) (string, error) {
			_, err := x.s.o.Desk.Approve(x.arg("plan"), x.arg("hash"), x.by())
			return "Approved.", err
		},
	},
	"rows-apply": {
		title: "Take these rows away", least: role.Operator, after: planPath,
		fields: func(x scope) []field {
			return append(planFields(x), field{Name: "text", Label: "Why, in one sentence", Must: true, Max: 500, Holder: "Order 4711 breaks the list of orders"})
		},
		terms: func(scope) terms {
			return terms{"The rows leave with everything that hangs on them, in one move, or not at all.", "A second or two; visitors see it at their next page.", "“Put them back” on the page of what is held: as they were, or repaired."}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			k, err := x.s.o.Desk.Apply(ctx, x.arg("plan"), x.arg("hash"), x.arg("text"), x.by())
			if k.Plan.Batch {
				return "The batch has begun.", err
			}
			return "The rows are gone, as seen in the database.", err
		},
	},
	"rows-stop": {
		title: "Stop after the transaction under way", least: role.Operator, safe: true, fields: planFields, after: planPath,
		do: func(_ context.Context, x scope) (string, error) {
			return "It stops after the transaction under way.", x.s.o.Desk.Stop(x.arg("plan"))
		},
	},
	"rows-restore": {
		title: "Put them back", more: "Correct a row first, or put back only some", least: role.Operator, fields: backFields, after: heldPath, do: restoreRows,
		terms: func(scope) terms {
			return terms{"Rows come back as they were, with their links, or as you corrected them. Nothing is ever overwritten.", "A second or two.", "Take them away again with a new plan."}
		},
	},
	"rows-discard": {
		title: "Give them up", least: role.Commander, prove: true, after: heldPath,
		fields: func(x scope) []field {
			return []field{heldField(x), {Name: "text", Label: "Why will they never be needed?", Must: true, Max: 500}}
		},
		terms: func(scope) terms {
			return terms{"The rows can’t come back any more.", "At once.", "There is no way back. The copies stay until two people purge them."}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			op, err := x.s.o.Desk.Discard(ctx, x.arg("operation"), nil, x.arg("text"), x.by())
			return count(op.Discarded, "row was given up.", "rows were given up."), err
		},
	},
	"rows-purge": {
		title: "Delete the copies for ever", least: role.Commander, prove: true, after: heldPath,
		fields: func(x scope) []field { return []field{heldField(x)} },
		terms: func(scope) terms {
			return terms{"The copies are deleted. Hashes, counts and who did it stay.", "As soon as a second person presses, too.", "There is no way back."}
		},
		do: func(ctx context.Context, x scope) (string, error) {
			_, done, err := x.s.o.Desk.Purge(ctx, x.arg("operation"), x.by())
			if !done {
				return "Nothing was deleted yet: another person has to press within a day.", err
			}
			return "The copies are gone.", err
		},
	},
})

// withDesk keeps acts from a desk that is not there.
func withDesk(all map[string]act) map[string]act {
	for name, a := range all {
		do := a.do
		a.do = func(ctx context.Context, x scope) (string, error) {
			if x.s.o.Desk == nil {
				return "", noDesk()
			}
			return do(ctx, x)
		}
		all[name] = a
	}
	return all
}

func planPath(x scope) string { return "/data/plans/" + url.PathEscape(x.arg("plan")) }
func heldPath(x scope) string { return "/data/held/" + url.PathEscape(x.arg("operation")) }
func heldField(x scope) field {
	return field{Name: "operation", Kind: hidden, Value: x.arg("operation")}
}
func planFields(x scope) []field {
	return []field{{Name: "plan", Kind: hidden, Value: x.arg("plan")}, {Name: "hash", Kind: hidden, Value: x.arg("hash")}}
}

// rowFields choose rows: the table, and either keys or a condition.
func rowFields(x scope) []field {
	var tables []option
	if x.s.o.Desk != nil {
		for _, s := range x.s.o.Desk.Sources() {
			for _, t := range s.Tables {
				tables = append(tables, option{Value: s.Name + " " + t, Label: s.Name + ": " + t})
			}
		}
	}
	return []field{
		{Name: "table", Kind: choice, Label: "Which table?", Options: tables, Must: true},
		{Name: "keys", Kind: area, Label: "Which rows? Their keys, one in each line", Help: "Where several columns make the key, write commas between them.", Rows: 3, Max: 20_000, Holder: "4711"},
		{Name: "where", Kind: line, Label: "Or all that meet a condition", Max: 4000, Holder: "customer = 12 and state in ('open', 'paid')", Fold: true},
		{Name: "set", Kind: area, Label: "Or leave the rows and put safe values there: COLUMN=VALUE, one in each line", Rows: 2, Max: 20_000, Fold: true},
		{Name: "batch", Kind: several, Label: "Many rows", Options: []option{{Value: "yes", Label: "In batches: not in one move, and so not all or nothing"}}, Fold: true},
		{Name: "accept", Kind: several, Label: "Take upon you", Options: []option{
			{Value: string(quarantine.RuleShare), Label: "More than a tenth of a table leaves"}, {Value: string(quarantine.RuleIndex), Label: "A large table is searched without an index"},
			{Value: string(quarantine.RuleOpen), Label: "Rows of the table are held already"}}, Fold: true},
	}
}

// searchFields say where to look, and what is known.
func searchFields(x scope) []field {
	var all []option
	if x.s.o.Desk != nil {
		for _, s := range x.s.o.Desk.Sources() {
			all = append(all, option{Value: s.Name, Label: s.Name})
		}
	}
	return []field{
		{Name: "database", Kind: choice, Label: "In which database?", Options: all, Must: true},
		{Name: "page", Kind: line, Label: "Which page fails?", Max: 500, Holder: "/orders"},
		{Name: "logs", Kind: area, Label: "Lines of its log, or what it answers", Help: "Empty: the evidence of the open incident is looked at.", Rows: 3, Max: 200_000, Fold: true},
		{Name: "by", Kind: choice, Label: "How is it narrowed down?", Options: []option{
			{Value: "", Label: "By what is configured: only reads"},
			{Value: desk.ByMoving, Label: "By taking rows away for moments and asking the page: visitors miss them meanwhile, and all of them come back"},
			{Value: desk.ByNone, Label: "Not at all: only propose"}}, Fold: true},
	}
}

func searchRows(ctx context.Context, x scope) (string, error) {
	r := desk.SearchRequest{Database: x.arg("database"), By: x.arg("by")}
	if page := strings.TrimSpace(x.arg("page")); page != "" {
		r.Paths = []string{page}
	}
	if text := strings.TrimSpace(x.arg("logs")); text != "" {
		r.Logs = strings.Split(text, "\n")
	}
	found, err := x.s.o.Desk.Search(ctx, r, x.by())
	if err != nil {
		return "", err
	}
	x.args.Set("made", found.ID)
	return "The search has begun.", nil
}

func planRows(ctx context.Context, x scope) (string, error) {
	database, table, _ := strings.Cut(x.arg("table"), " ")
	r := quarantine.Request{Mode: quarantine.Move, Table: table, Batch: x.arg("batch") == "yes", Keys: keyLines(x.arg("keys"))}
	for _, a := range x.args["accept"] {
		r.Accept = append(r.Accept, quarantine.Rule(a))
	}
	var err error
	if r.Set, err = cellLines(x.arg("set")); err != nil {
		return "", err
	}
	if len(r.Set) > 0 {
		r.Mode = quarantine.Replace
	}
	if where := strings.TrimSpace(x.arg("where")); where != "" {
		if r.Where, err = quarantine.ParsePredicate(where); err != nil {
			return "", err
		}
	}
	k, err := x.s.o.Desk.Plan(ctx, database, r, x.by())
	if err != nil {
		return "", err
	}
	x.args.Set("made", k.Plan.ID)
	return "This is the plan. Nothing was changed.", nil
}

// keyLines are keys as people type them: one in each line, with commas between columns.
func keyLines(text string) (out []quarantine.Key) {
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, quarantine.Key(strings.Split(l, ",")))
		}
	}
	return out
}

// cellLines are cells as people type them: COLUMN=VALUE, one in each line.
func cellLines(text string) (out []quarantine.Cell, err error) {
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l == "" {
			continue
		}
		column, value, is := strings.Cut(l, "=")
		if !is || column == "" {
			return nil, fault.New(fault.Invalid, "“%s” names no column and value", cut(l, 60)).WithHint("write COLUMN=VALUE, one in each line")
		}
		out = append(out, quarantine.Cell{Column: strings.TrimSpace(column), Value: &value})
	}
	return out, nil
}

// backFields say what comes back: everything as it was, unless more is said.
func backFields(x scope) []field {
	return []field{
		heldField(x),
		{Name: "keys", Kind: area, Label: "Only some of them? Their keys, one in each line", Help: "What hangs on them comes along. Empty: all that is held.", Rows: 2, Max: 20_000, Fold: true},
		{Name: "edit_table", Kind: line, Label: "Correct one row: its table", Value: x.arg("edit_table"), Max: 200, Fold: true},
		{Name: "edit_key", Kind: line, Label: "Its key", Value: x.arg("edit_key"), Max: 500, Fold: true},
		{Name: "set", Kind: area, Label: "What it shall say: COLUMN=VALUE, one in each line", Help: "Both versions are kept.", Rows: 3, Max: 20_000, Fold: true},
		{Name: "skip", Kind: several, Label: "What can’t come back", Options: []option{{Value: "yes", Label: "Leave it held, and put the rest back"}}, Fold: true},
		{Name: "text", Kind: line, Label: "A word on it, for the timeline", Max: 500},
	}
}

func restoreRows(ctx context.Context, x scope) (string, error) {
	b := quarantine.Back{Operation: x.arg("operation"), Policy: quarantine.Abort, Roots: keyLines(x.arg("keys"))}
	if x.arg("skip") == "yes" {
		b.Policy = quarantine.Skip
	}
	cells, err := cellLines(x.arg("set"))
	switch {
	case err != nil:
		return "", err
	case len(cells) > 0:
		b.Edits = []quarantine.Edit{{Table: strings.TrimSpace(x.arg("edit_table")), Key: quarantine.Key(strings.Split(strings.TrimSpace(x.arg("edit_key")), ",")), Set: cells}}
	}
	r, err := x.s.o.Desk.Restore(ctx, b, x.arg("text"), x.by())
	if err != nil {
		return "", err
	}
	text := count(r.Rows, "row is back.", "rows are back.")
	if left := r.Operation.Waiting(); left > 0 {
		text += " " + count(left, "row is still held.", "rows are still held.")
	}
	return text, nil
}
