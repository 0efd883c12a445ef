package control

import (
	"lifeboat/internal/engine"
	"lifeboat/internal/parentwatch"
	"lifeboat/internal/zone"
)

// watcher looks at our zones from outside, as the configuration says.
func watcher(o Options, eng *engine.Engine) (*parentwatch.Watcher, error) {
	cfg := o.Config.Outside
	var rdap *parentwatch.RDAP
	if cfg.RDAP != "" {
		var err error
		if rdap, err = parentwatch.NewRDAP(cfg.RDAP, nil); err != nil {
			return nil, err
		}
	}
	return parentwatch.NewWatcher(parentwatch.WatcherOptions{
		Options: parentwatch.Options{From: cfg.From, Now: o.Now, RDAP: rdap},
		Every:   cfg.Every, Logger: o.Logger, Told: eng.Ring,
		Zones: func() []parentwatch.Zone { return published(eng.Published()) },
	}), nil
}

// published is what we publish, as the watch knows it.
func published(zones []engine.Published) []parentwatch.Zone {
	out := make([]parentwatch.Zone, 0, len(zones))
	for _, z := range zones {
		p := parentwatch.Zone{Apex: z.Apex, Serial: z.Serial, NS: z.NS, DS: z.DS, Names: map[string][]parentwatch.Told{}}
		for name, list := range z.Names {
			for _, a := range list {
				p.Names[name] = append(p.Names[name], told(a))
			}
		}
		out = append(out, p)
	}
	return out
}

func told(a zone.Addresses) parentwatch.Told {
	return parentwatch.Told{Addresses: a.IPs, Alias: a.Alias}
}

// seen is what the watch saw last, as findings.
func seen(reports []parentwatch.Report) []engine.Finding {
	const code, title = "outside", "What the world sees"
	out := make([]engine.Finding, 0, len(reports))
	for _, r := range reports {
		f := engine.Finding{Severity: engine.SeverityOK, Code: code, About: r.Zone, Title: title, Text: r.Verdict}
		switch r.State {
		case parentwatch.Unseen:
			f.Severity = engine.SeverityProblem
		case parentwatch.Partly, parentwatch.Unknown:
			f.Severity = engine.SeverityWarning
		}
		if f.Severity != engine.SeverityOK {
			f.Next = "See all of it with: lifeboat zone watch " + r.Zone
		}
		out = append(out, f)
	}
	return out
}
