package apiclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/postmortem"
)

// keeper is an engine that keeps one file.
type keeper struct {
	still
	file *engine.File
	body *[]byte
}

func (k keeper) Attach(_ context.Context, _ string, f engine.File, _ incident.Actor) (engine.Result, error) {
	b, err := io.ReadAll(f.Body)
	*k.file, *k.body = f, b
	return engine.Result{}, err
}

// closing is a body that is in memory.
type closing struct{ *bytes.Reader }

func (closing) Close() error { return nil }

func (k keeper) Evidence(_ context.Context, _, piece string) (incident.Evidence, io.ReadSeekCloser, error) {
	if piece != "e1" {
		return incident.Evidence{}, nil, fault.New(fault.NotFound, "there is no evidence %q", piece)
	}
	return incident.Evidence{ID: "e1", Type: "text/plain", SHA256: "ab"}, closing{bytes.NewReader(*k.body)}, nil
}

func (k keeper) WriteUp(_ context.Context, id string, public bool) (postmortem.Document, error) {
	return postmortem.Document{Incident: id, Title: "Dark", Public: public}, nil
}

func keep(t *testing.T) (keeper, *apiclient.Client) {
	t.Helper()
	k := keeper{still: still{by: new(incident.Actor), got: new(incident.Command)}, file: new(engine.File), body: new([]byte)}
	return k, serveEngine(t, k)
}

func TestFilesGoThereAndBack(t *testing.T) {
	t.Parallel()
	k, c := keep(t)
	sent := strings.Repeat("pool exhausted\n", 10000)
	for _, size := range []int64{int64(len(sent)), -1} {
		if _, err := c.AddEvidence(t.Context(), "shop", apiclient.File{Name: "a&b.log", Title: "Ein Ärger", Text: "x=1", Body: strings.NewReader(sent), Size: size}); err != nil {
			t.Fatal(err)
		}
		if f := k.file; f.Name != "a&b.log" || f.Title != "Ein Ärger" || f.Text != "x=1" || string(*k.body) != sent {
			t.Errorf("sent %+v with %d bytes", f, len(*k.body))
		}
	}
	if b, err := c.EvidenceBody(t.Context(), "01J", "e1"); err != nil || string(b) != sent {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := c.EvidenceBody(t.Context(), "01J", "e/2"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("e/2: %v", err)
	}
	if b, err := c.WriteUp(t.Context(), "01J", "markdown", true); err != nil || !strings.Contains(string(b), "Dark") {
		t.Errorf("write-up: %q, %v", b, err)
	}
}

// TestTooLargeIsTold: also where the server stops reading before all is sent.
func TestTooLargeIsTold(t *testing.T) {
	t.Parallel()
	_, c := keep(t)
	_, err := c.AddEvidence(t.Context(), "shop", apiclient.File{Name: "x", Body: strings.NewReader(strings.Repeat("x", engine.MaxFile+1)), Size: engine.MaxFile + 1})
	if fault.KindOf(err) != fault.Invalid || errors.Is(err, apiclient.ErrUnreachable) {
		t.Errorf("too large: %v", err)
	}
}

// TestStrangersGiveNoFiles: a page of something else is not taken for evidence.
func TestStrangersGiveNoFiles(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	t.Cleanup(srv.Close)
	if b, err := client(t, apiclient.Options{Server: srv.URL, Token: "x"}).EvidenceBody(t.Context(), "01J", "e1"); fault.KindOf(err) != fault.Unavailable || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
}

// TestPathsAreEscaped: no id leads to another route.
func TestPathsAreEscaped(t *testing.T) {
	t.Parallel()
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.EscapedPath()+"?"+r.URL.RawQuery)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(srv.Close)
	c := client(t, apiclient.Options{Server: srv.URL})
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	_, _ = c.RuleOutCause(t.Context(), "shop", "c1/../../close?x", "why")
	_, _ = c.EndFollowUp(t.Context(), "01J", "a1", "done", "")
	_, _ = c.Changes(t.Context(), apiclient.ChangesQuery{Site: "a&b", From: at, Limit: 5})
	_, _ = c.SetRole(t.Context(), "../x", "admin")
	want := []string{
		"/healthz?", "/api/v1/sites/shop/causes/c1%2F..%2F..%2Fclose%3Fx/rule-out?", "/api/v1/incidents/01J/follow-ups/a1/done?",
		"/api/v1/changes?from=2026-03-01T09%3A00%3A00Z&limit=5&site=a%26b", "/api/v1/accounts/..%2Fx/role?",
	}
	if strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked:\n%s\nwant:\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
}

var _ api.Engine = keeper{}
