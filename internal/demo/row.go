package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
)

// row is a row that does harm: where it is, and how it is repaired.
type row struct {
	database, table, key string
	page                 string // that fails by it
	why                  string // it is taken away
	column, value        string // what it shall say
	repairs              string // why
}

// findsRow has lifeboat look for the row, by taking candidates away for moments and
// asking the page that fails.
func findsRow(by who, r row) act {
	return func(ctx context.Context, p *play) (string, error) {
		c := p.as(by)
		found, err := c.SearchData(ctx, api.DataSearchBody{Database: r.database, By: desk.ByMoving, Paths: []string{r.page}})
		if err != nil {
			return "", err
		}
		wait := p.tell.wait("for the search", 0)
		defer wait.over()
		err = until(ctx, lookEvery, func() (bool, string, error) {
			wait.at(0)
			found, err = c.DataSearch(ctx, found.ID)
			return !found.Running, "the search " + found.Step, err
		})
		switch {
		case err != nil:
			return "", err
		case found.Problem != "":
			return "", errors.New(found.Problem)
		case found.Finding == nil || len(found.Finding.Rows) != 1 || found.Finding.Rows[0].Table != r.table || found.Finding.Rows[0].Key[0] != r.key:
			return "", fmt.Errorf("it was not found: %+v", found.Finding)
		}
		p.named = append(p.named, found.Finding.Words)
		return fmt.Sprintf("%s lets lifeboat look: %s (%d candidates, %d questions, rows were away %d times, and all are back)",
			p.name(by), found.Finding.Words, len(found.Candidates), found.Asked, found.Moves), nil
	}
}

// plansRow reads what would leave.
func plansRow(by who, r row) act {
	return func(ctx context.Context, p *play) (string, error) {
		k, err := p.as(by).PlanData(ctx, api.DataPlanBody{Database: r.database, Table: r.table, Keys: [][]string{{r.key}}, Reason: r.why})
		if err != nil {
			return "", err
		}
		if len(k.Plan.Refused) > 0 {
			return "", fmt.Errorf("the plan is refused: %s", k.Plan.Refused[0].Reason)
		}
		if k.Plan.Rows < 2 {
			return "", errors.New("nothing that hangs on the row would leave with it")
		}
		p.rows = k
		var tables []string
		for _, t := range k.Plan.Tables {
			tables = append(tables, fmt.Sprintf("%d of %s", len(t.Frozen), t.Name))
		}
		return fmt.Sprintf("%s reads the plan: %s (%s)", p.name(by), k.Title, strings.Join(tables, ", ")), nil
	}
}

// takesRowAway carries the plan out, and waits until main is well without the row.
func takesRowAway(by who, r row) act {
	return func(ctx context.Context, p *play) (string, error) {
		began := p.now()
		if _, err := p.as(by).ApplyData(ctx, p.rows.Plan.ID, api.DataHashBody{Hash: p.rows.Plan.Hash, Reason: r.why}); err != nil {
			return "", err
		}
		took := p.since(began)
		if err := p.mainIs(ctx, probe.Up); err != nil {
			return "", err
		}
		v, err := p.as(by).VerifyData(ctx, p.rows.Plan.ID)
		if err != nil || !v.OK {
			return "", fmt.Errorf("not all is as it should be: %+v %w", v.Checks, err)
		}
		p.named = append(p.named, r.why)
		return fmt.Sprintf("%s took the rows away in %s; main is seen up %s after the press", p.name(by), words(took), words(p.since(began))), nil
	}
}

// rowIsMissed asks main for the page that failed, and for the row's own: the one is well,
// the other not there.
func rowIsMissed(by who, r row) act {
	return func(ctx context.Context, p *play) (string, error) {
		status, text, err := p.visitor.pageAt(ctx, mainIP, r.page)
		own, _, errOwn := p.visitor.pageAt(ctx, mainIP, "/"+r.table+"/"+r.key)
		switch {
		case errors.Join(err, errOwn) != nil:
			return "", errors.Join(err, errOwn)
		case status != http.StatusOK || own != http.StatusNotFound:
			return "", fmt.Errorf("main answers %d at %s and %d for the row, expected 200 and 404", status, r.page, own)
		case strings.Contains(text, "/"+r.table+"/"+r.key+`"`):
			return "", errors.New("the page still lists the row")
		}
		saw := fmt.Sprintf("GET %s at main, asked by hand, answers 200 without row %s of %s", r.page, r.key, r.table)
		_, err = p.as(by).AddEvidenceNote(ctx, siteID, api.EvidenceNoteBody{Title: saw})
		return fmt.Sprintf("%s: %s", p.name(by), saw), err
	}
}

// putsRowBack corrects the row and puts it back with what hung on it, and looks whether
// main shows it.
func putsRowBack(by who, r row) act {
	return func(ctx context.Context, p *play) (string, error) {
		id := p.rows.Plan.ID
		value := r.value
		body := api.DataBackBody{Reason: r.repairs, Edits: []api.DataEditBody{{Table: r.table, Key: []string{r.key}, Set: []api.DataCellBody{{Column: r.column, Value: &value}}}}}
		preview, err := p.as(by).PreviewData(ctx, id, body)
		if err != nil {
			return "", err
		}
		if !preview.Clear {
			return "", fmt.Errorf("not all of it can come back: %+v", preview.Conflicts)
		}
		back, err := p.as(by).RestoreData(ctx, id, body)
		if err != nil {
			return "", err
		}
		if back.Edited != 1 || back.Operation.State != quarantine.Restored || back.Rows != p.rows.Plan.Rows {
			return "", fmt.Errorf("it did not come back: %+v", back)
		}
		status, _, err := p.visitor.pageAt(ctx, mainIP, "/"+r.table+"/"+r.key)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("main answers %d for the row that was put back", status)
		}
		p.named = append(p.named, r.repairs)
		return fmt.Sprintf("%s corrected %s and put %d rows back; main shows the product", p.name(by), r.column, back.Rows), err
	}
}

// doneByHand says that the fix that was made by hand is in place, and waits until it did
// what it promised.
func doneByHand(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		in, err := p.current(ctx)
		if err != nil {
			return "", err
		}
		f, flies := in.FixInFlight()
		if !flies {
			return "", errors.New("no fix is under way")
		}
		if _, err := p.as(by).FixDone(ctx, siteID, api.DoneBody{}); err != nil {
			return "", err
		}
		f, err = p.measured(ctx, f.ID)
		if err == nil && f.State != incident.StateWorked {
			err = fmt.Errorf("%s is %s: %s", f.ID, f.State, f.Result)
		}
		return fmt.Sprintf("%s: %s", f.ID, f.Result), err
	}
}
