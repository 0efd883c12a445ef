package find

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// Moving is how ByMoving acts. All fields MUST be set.
type Moving struct {
	Database quarantine.Database
	NewID    func() string // of operations: 1 to 26 of a-z and 0-9
	By       string
	Incident string
	// Approve is asked for each plan before it is applied, and after the result is told
	// nothing more is moved. Each move is an operation of its own in the record.
	Approve func(ctx context.Context, p quarantine.Plan) error
	// Ask asks the symptom as visitors meet it, long enough for caches to follow.
	Ask func(ctx context.Context) (Answer, error)
}

// putBackFor is how long putting back may take after the context has ended.
const putBackFor = time.Minute

// ByMoving narrows down by taking rows away for a moment, with everything that
// hangs on them, and putting them back at once: for a page's check, which runs over
// production's own connections and sees only what is committed. It acts on
// production; each move is approved.
//
// All rows are back when it returns without an error. An error of it names the
// operations that still hold rows.
func ByMoving(ctx context.Context, list []Candidate, m Moving) (Located, error) {
	return Narrow(ctx, list, func(ctx context.Context, rows []Candidate) (Answer, error) {
		return m.without(ctx, rows)
	})
}

// without moves, asks and puts back.
func (m Moving) without(ctx context.Context, rows []Candidate) (a Answer, err error) {
	var held []string
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putBackFor)
		defer cancel()
		for i := len(held) - 1; i >= 0; i-- {
			if _, back := m.Database.Restore(ctx, quarantine.Back{Operation: held[i], ID: m.NewID(), By: m.By}, nil); back != nil {
				err = errors.Join(err, fault.New(fault.KindOf(back), "operation %s still holds rows that were taken away to look for the harm", held[i]).Because(back).
					WithHint("put them back: lifeboat data restore %s", held[i]))
			}
		}
	}()
	away := map[string]bool{} // rows that left along with others
	for _, part := range byTable(rows) {
		table, keys := part.table, slices.DeleteFunc(part.keys, func(k quarantine.Key) bool { return away[rowName(part.table, k)] })
		if len(keys) == 0 {
			continue
		}
		p, err := m.Database.Plan(ctx, quarantine.Request{ID: m.NewID(), By: m.By, Incident: m.Incident, Reason: Looking, Table: table, Keys: keys,
			Accept: Accepted})
		if err != nil {
			return a, err
		}
		if len(p.Refused) > 0 {
			return a, fault.New(fault.Refused, "%d rows of %s can't be taken away: %s", len(keys), table, p.Refused[0].Reason).WithHint("%s", p.Refused[0].Satisfy)
		}
		if err := m.Approve(ctx, p); err != nil {
			return a, err
		}
		held = append(held, p.ID) // whatever becomes of it, it is looked at
		if _, err := m.Database.Apply(ctx, p, nil); err != nil {
			op, look := m.Database.Look(context.WithoutCancel(ctx), p.ID)
			if look == nil && op.State == quarantine.Absent {
				held = held[:len(held)-1]
			}
			return a, fmt.Errorf("take rows of %s away: %w", table, err)
		}
		for _, t := range p.Tables {
			for _, r := range t.Frozen {
				away[rowName(t.Name, r.Key)], away[rowName(t.Name[strings.LastIndex(t.Name, ".")+1:], r.Key)] = true, true
			}
		}
	}
	return m.Ask(ctx)
}

// Looking is the reason of the operations that ByMoving makes.
const Looking = "looking for the row that does the harm"

// Accepted are the rules that whoever asks for a search by moving takes upon them: the
// rows are back in a moment.
var Accepted = []quarantine.Rule{quarantine.RuleOpen, quarantine.RuleShare}

type tableKeys struct {
	table string
	keys  []quarantine.Key
}

// byTable groups candidates, in the order in which their tables come up.
func byTable(list []Candidate) (out []tableKeys) {
	for _, c := range list {
		at := slices.IndexFunc(out, func(t tableKeys) bool { return t.table == c.Table })
		if at < 0 {
			at, out = len(out), append(out, tableKeys{table: c.Table})
		}
		out[at].keys = append(out[at].keys, c.Key)
	}
	return out
}

func rowName(table string, k quarantine.Key) string { return table + "\x00" + strings.Join(k, "\x00") }
