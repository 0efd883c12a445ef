package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
	"lifeboat/internal/postmortem"
	"lifeboat/internal/snapshot"
)

// answers answers the four questions that only people can answer.
func answers(by who, l lessons) act {
	return func(ctx context.Context, p *play) (string, error) {
		all := map[string]string{"surprise": l.surprise, "help": l.help, "hard": l.hard, "different": l.different}
		for _, q := range incident.Questions {
			if _, err := p.as(by).Answer(ctx, p.incident, q.Key, all[q.Key]); err != nil {
				return "", err
			}
			p.named = append(p.named, all[q.Key])
		}
		return fmt.Sprintf("%s answers the four questions; why were we surprised? %s", p.name(by), l.surprise), nil
	}
}

// finds accepts what lifeboat itself finds on how they work, and adds a finding of
// their own.
func finds(by who, text string) act {
	return func(ctx context.Context, p *play) (string, error) {
		proposed, err := p.client.Findings(ctx, p.incident)
		if err != nil {
			return "", err
		}
		said := ""
		i := slices.IndexFunc(proposed, func(f api.WriteUpFinding) bool { return f.About == incident.AboutProcess })
		if i >= 0 {
			if _, err := p.as(by).JudgeFinding(ctx, p.incident, api.FindingBody{ID: proposed[i].ID, Accepted: true}); err != nil {
				return "", err
			}
			said = fmt.Sprintf("; of %d that lifeboat proposed, accepted: %s", len(proposed), proposed[i].Text)
			p.named = append(p.named, proposed[i].Text)
		}
		_, err = p.as(by).JudgeFinding(ctx, p.incident, api.FindingBody{About: incident.AboutProcess, Text: text, Accepted: true})
		p.named = append(p.named, text)
		return fmt.Sprintf("%s on how they work: %s%s", p.name(by), text, said), err
	}
}

// owes writes down the one change that somebody promises.
func owes(by, owner who, o owed) act {
	return func(ctx context.Context, p *play) (string, error) {
		due := p.now().AddDate(0, 0, 14).UTC().Truncate(24 * time.Hour)
		_, err := p.as(by).AddFollowUp(ctx, p.incident, api.FollowUpBody{What: o.what, Class: o.class, Owner: p.name(owner), Due: due, DoneWhen: o.doneWhen})
		p.named = append(p.named, o.what, o.doneWhen)
		return fmt.Sprintf("owed by %s until %s: %s", p.name(owner), due.Format("2 January"), o.what), err
	}
}

// finishes makes the write-up final.
func finishes(by who) act {
	return func(ctx context.Context, p *play) (string, error) {
		res, err := p.as(by).FinishWriteUp(ctx, p.incident)
		if err == nil && !res.Incident.WriteUp.Final {
			err = errors.New("the write-up is not final")
		}
		return fmt.Sprintf("%s finished the write-up, version %d", p.name(by), res.Incident.WriteUp.Version), err
	}
}

// checked looks at what is left of it all: the timeline has no gap, the incident went
// through the phases of its case, and the write-up tells what happened. The write-up is
// kept.
func checked(ctx context.Context, p *play) (string, error) {
	t, err := p.client.Timeline(ctx, p.incident)
	if err != nil {
		return "", err
	}
	if !t.Intact {
		return "", fmt.Errorf("the timeline was changed: %s", t.Broken)
	}
	p.report.Incident, p.report.TimelineEvents, p.report.Phases = p.incident, len(t.Events), phasesOf(t.Events)
	if got := phaseWords(p.report.Phases); !regexp.MustCompile("^" + p.story.phases + "$").MatchString(got) {
		return "", fmt.Errorf("the incident went through %s, expected %s", got, p.story.phases)
	}
	text, err := p.client.WriteUp(ctx, p.incident, "markdown", false)
	if err != nil {
		return "", fmt.Errorf("read the write-up: %w", err)
	}
	if err := p.tellsAll(string(text)); err != nil {
		return "", err
	}
	if err := p.keep(ctx, text); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d events in the timeline, none changed; the write-up tells all of it: %s", len(t.Events), near(p.report.PostMortem)), nil
}

// phasesOf gives the phases that an incident went through.
func phasesOf(events []incident.Event) (out []incident.Phase) {
	var in incident.Incident
	for _, e := range events {
		was := in.Phase
		if in = in.Apply(e); in.Phase != was {
			out = append(out, in.Phase)
		}
	}
	return out
}

func phaseWords(all []incident.Phase) string {
	list := make([]string, len(all))
	for i, p := range all {
		list[i] = string(p)
	}
	return strings.Join(list, " ")
}

// tellsAll says whether the write-up names all that it has to.
func (p *play) tellsAll(text string) error {
	plain := plainText(text)
	for _, w := range p.named {
		if !strings.Contains(plain, plainText(strings.TrimSuffix(w, "."))) {
			return fmt.Errorf("the write-up does not say: %s", w)
		}
	}
	for _, f := range p.report.Fixes {
		if f.Result == string(incident.StateNoEffect) && !strings.Contains(plain, "noeffect") {
			return fmt.Errorf("the write-up does not say that %s had no effect", f.ID)
		}
	}
	if p.report.Cause == "" && len(p.report.Phases) > 0 && p.report.Phases[len(p.report.Phases)-1] == incident.Closed && !strings.Contains(plain, "causeisnotknown") {
		return errors.New("the write-up does not say that the cause is not known")
	}
	return nil
}

// plainText is a text without what Markdown adds to it.
func plainText(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("\\ \n>_*`\u00a0", r) {
			return -1
		}
		return r
	}, text)
}

// keep puts the write-up where it stays, and its summary into the report.
func (p *play) keep(ctx context.Context, text []byte) error {
	var doc postmortem.Document
	raw, err := p.client.WriteUp(ctx, p.incident, "json", false)
	if err == nil {
		err = json.Unmarshal(raw, &doc)
	}
	if err != nil {
		return fmt.Errorf("read the write-up: %w", err)
	}
	for _, s := range doc.Sections {
		if s.Key == postmortem.KeySummary {
			p.report.Summary = sentencesOf(s.Blocks)
		}
	}
	if len(p.report.Summary) == 0 {
		return errors.New("the write-up has no summary")
	}
	folder, err := filepath.Abs(p.o.Out)
	if err != nil {
		return fmt.Errorf("find the folder for the post-mortem: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the folder for the post-mortem: %w", err)
	}
	p.report.PostMortem = filepath.Join(folder, "post-mortem-"+p.story.Name+".md")
	return snapshot.WriteFile(p.report.PostMortem, text)
}

// sentencesOf are the sentences of a section.
func sentencesOf(blocks []postmortem.Block) (out []string) {
	for _, b := range blocks {
		for _, f := range b.Paragraph {
			out = append(out, f.Text)
		}
		for _, l := range b.List {
			for _, f := range l {
				out = append(out, f.Text)
			}
		}
	}
	return out
}
