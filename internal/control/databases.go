package control

import (
	"fmt"

	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/quarantine/doctor"
)

// databases opens the round of those that rows can be taken away from. An address
// that can't be read stops nothing: in a crisis control has to start all the same.
func databases(o Options) (*doctor.Round, []engine.Finding) {
	var targets []doctor.Target
	var bad []engine.Finding
	for _, d := range o.Config.Databases {
		t := doctor.Target{Name: d.Name, Kind: d.Kind, File: d.File, Tables: d.Tables}
		var err error
		if d.Kind != config.KindSQLite {
			t.DSN, err = doctor.ReadDSN(d.DSNFile, d.DSNEnv)
		}
		if err == nil {
			db, bad := doctor.Open(t) // nothing is dialled: it shows whether the address can be read
			if err = bad; err == nil {
				_ = db.Close()
				targets = append(targets, t)
				continue
			}
		}
		o.Logger.Warn("a database can't be used", "database", d.Name, "error", err)
		bad = append(bad, engine.Finding{
			Severity: engine.SeverityProblem, Code: "database", About: d.Name, Title: "Taking rows away from " + d.Name,
			Text: "Its address can't be used: " + err.Error() + ".", Next: "Correct it, then start control again. lifeboat data doctor " + d.Name + " tries it.",
		})
	}
	round, err := doctor.NewRound(targets, o.Now, o.Logger)
	if err != nil { // each was tried by itself
		round, _ = doctor.NewRound(nil, o.Now, o.Logger)
	}
	return round, bad
}

// databaseFindings says what the daily checks and the kept connections come to.
func databaseFindings(round *doctor.Round, bad []engine.Finding) func() []engine.Finding {
	return func() []engine.Finding {
		out := append([]engine.Finding(nil), bad...)
		for _, s := range round.Standings() {
			f := engine.Finding{Code: "database", About: s.Report.Database, Title: "Taking rows away from " + s.Report.Database}
			next := "Run: lifeboat data doctor " + s.Report.Database
			switch {
			case s.Report.At.IsZero():
				f.Severity, f.Text = engine.SeverityWarning, "It has not been checked yet."
				f.Next = "Ask again in a minute."
			case !s.Kept.Open:
				f.Severity, f.Text, f.Next = engine.SeverityProblem, "lifeboat has no connection to it: "+s.Kept.Why+".", next
			case !s.Report.OK:
				f.Severity, f.Next = engine.SeverityProblem, s.Report.Problems[0].Next
				f.Text = s.Report.Problems[0].Text
				if n := len(s.Report.Problems) - 1; n > 0 {
					f.Text += fmt.Sprintf(" %d more are missing.", n)
					f.Next = next
				}
			default:
				f.Severity = engine.SeverityOK
				f.Text = fmt.Sprintf("All rights are there, as of %s, and a connection is kept.", s.Report.At.Format("2006-01-02 15:04 MST"))
			}
			out = append(out, f)
		}
		return out
	}
}
