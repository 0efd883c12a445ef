package web

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"

	"lifeboat/internal/account"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// counting counts how often a whole record is read.
type counting struct {
	Engine
	n atomic.Int64
}

// Events implements Engine.
func (c *counting) Events(ctx context.Context, id string) ([]incident.Event, error) {
	c.n.Add(1)
	return c.Engine.Events(ctx, id)
}

// TestTheRecordIsNotReadByEveryLook: a page that looks again after each of many notes does
// not read all of them again, and knows the newest answer all the same.
func TestTheRecordIsNotReadByEveryLook(t *testing.T) {
	t.Parallel()
	b := launch(t)
	declared(b)
	o := b.options()
	c := &counting{Engine: o.Engine}
	o.Engine = c
	s := newServer(o)
	look := func(want string) {
		t.Helper()
		x, err := s.scope(t.Context(), account.Session{Role: role.Admin}, "shop", "", url.Values{})
		must(t, err)
		if got := x.symptom(); got != want {
			t.Errorf("after %d events visitors meet %q, want %q", x.in.Seq, got, want)
		}
	}
	notes := func(n int, each func()) {
		for i := range n {
			b.do(incident.Note{Text: fmt.Sprint("note ", i)})
			each()
		}
	}
	answer := func(symptom string) { b.do(incident.Note{Text: met + symptomWords(symptom) + "."}) }
	now := ""
	again := func() { look(now) }
	notes(40, again)
	if n := c.n.Load(); n > 1 {
		t.Errorf("the record was read %d times for 40 looks", n)
	}
	for _, now = range []string{"nothing-loads", "some-pages", "wrong-data"} {
		answer(now)
		look(now)
		notes(40, again)
		notes(40, func() {})
		look(now)
	}
	answer("one-thing")
	notes(40, func() {})
	look("one-thing")
	if n := c.n.Load(); n > 10 {
		t.Errorf("the record was read %d times", n)
	}
}
