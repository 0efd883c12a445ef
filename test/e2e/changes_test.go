package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/role"
)

// TestPipelineTellsOfChanges: the last step of a deployment tells lifeboat, with a token
// that may do little, and tells it again where it heard no answer. When the site
// breaks, that change stands first.
func TestPipelineTellsOfChanges(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Undrilled: true})
	pipeline, ada, vic := b.Person("pipeline", role.Reporter), b.Person("Ada", role.Operator), b.Person("Vic", role.Viewer)
	release := api.ChangeBody{What: "Release 412 of the shop", Kind: ledger.Deploy, Site: "shop", At: time.Now().Add(-2 * time.Minute), Ref: "4f2a9c1", Source: "ci"}
	tell := func(p *Person, key string, c api.ChangeBody) said {
		t.Helper()
		s, err := p.Send(http.MethodPost, "/changes", key, c)
		b.Must(err)
		if err := s.clear(); err != nil {
			t.Error(err)
		}
		return s
	}
	first := tell(pipeline, "deploy-412", release)
	again := tell(pipeline, "deploy-412", release)
	b.KillControl()
	after := tell(pipeline, "deploy-412", release)
	id := changeOf(t, first).ID
	for _, s := range []said{first, again, after} {
		if s.status != http.StatusCreated || changeOf(t, s).ID != id || changeOf(t, s).Who != "pipeline" {
			t.Errorf("the change is told with %s", s)
		}
	}
	tell(pipeline, "deploy-411", api.ChangeBody{What: "Release 411 of the shop", Kind: ledger.Deploy, At: time.Now().Add(-time.Hour)})
	tell(pipeline, "", api.ChangeBody{What: "A migration", Kind: ledger.Schema, At: time.Now().Add(-3 * time.Hour), ID: "migration-7"})
	tell(pipeline, "", api.ChangeBody{What: "A migration", Kind: ledger.Schema, At: time.Now().Add(-3 * time.Hour), ID: "migration-7"})
	for status, s := range map[int]said{
		http.StatusForbidden:           tell(vic, "", release),
		http.StatusUnauthorized:        tell(&Person{b: b, name: "nobody", text: "lbt_" + strings.Repeat("0", 40)}, "", release),
		http.StatusUnprocessableEntity: tell(pipeline, "deploy-412", api.ChangeBody{What: "Another one", At: time.Now(), Kind: "nonsense"}),
	} {
		if s.status != status {
			t.Errorf("answered with %s, not %d", s, status)
		}
	}

	b.main.Down()
	b.Eventually("the monitor opens an incident", func() bool { return b.Incident().Phase.Open() })
	in := b.Incident()
	if in.FirstSymptomAt.IsZero() {
		t.Error("nobody says when it began")
	}
	tell(pipeline, "deploy-413", api.ChangeBody{What: "Release 413 of the shop", Kind: ledger.Deploy, Site: "shop", At: time.Now().Add(time.Second)})
	b.Eventually("the incident has seen all changes", func() bool { return len(b.Incident().Changes) >= 4 })
	var all api.Changes
	ada.Get("/changes?site=shop", &all)
	b.checkRanked(all, in.ID)
	ada.Do("/sites/shop/changes/"+id+"/mark", api.MarkBody{Suspect: true, Note: "it is the only one that night"}, nil)
	ada.Get("/changes?site=shop", &all)
	if c := all.Changes[0]; c.ID != id || !c.Suspect || c.Note == "" {
		t.Errorf("the suspected change is %+v", c)
	}
	seen := 0
	for _, e := range b.OneIncident().Events {
		if e.Type == incident.ChangeSeen && e.Subject.ID == id {
			seen++
		}
	}
	if seen != 1 {
		t.Errorf("the change is in the timeline %d times", seen)
	}
}

func changeOf(t *testing.T, s said) (c api.Change) {
	t.Helper()
	if err := json.Unmarshal(s.body, &c); err != nil {
		t.Errorf("%v in %s", err, s)
	}
	return c
}

// checkRanked checks that changes stand in the order in which they are worth a look.
func (b *Boat) checkRanked(all api.Changes, id string) {
	t := b.t
	t.Helper()
	var got []string
	for _, c := range all.Changes {
		if c.Source != "lifeboat" {
			got = append(got, c.What)
		}
		if before := c.What != "Release 413 of the shop"; c.Before != before || before != strings.HasSuffix(c.When, "before it began") {
			t.Errorf("%s: %q, before is %v", c.What, c.When, c.Before)
		}
	}
	if want := []string{"Release 412 of the shop", "Release 411 of the shop", "A migration", "Release 413 of the shop"}; !slices.Equal(got, want) || all.Incident != id {
		t.Errorf("in incident %s they stand as %q", all.Incident, got)
	}
}
