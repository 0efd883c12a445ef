package publish_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/snapshot"
)

// large makes parts of which one takes several pieces, with what a snapshot calls them.
func large() (refs map[string]snapshot.Ref, parts map[string][]byte) {
	refs, parts = map[string]snapshot.Ref{}, map[string][]byte{}
	for name, size := range map[string]int{"sites": 10, "zones": 3*feed.MaxPiece + 5} {
		b := bytes.Repeat([]byte(name[:1]), size)
		refs[name] = snapshot.RefOf(b)
		parts[refs[name].SHA256] = b
	}
	return refs, parts
}

// While answer makes a large snapshot ready, others are published: an order waits for
// nothing but itself. What was made ready is not sent again.
func TestOrdersGoBesideWhatIsMadeReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln := &control{}, newPipes()
		s, _ := serve(t, ln, publish.Options{Handler: c})
		refs, parts := large()
		begun, goOn := make(chan map[string][]byte, 1), make(chan struct{})
		a := &answer{stage: func(st feed.Stage, got map[string][]byte) feed.Staged {
			if len(st.Parts) != len(refs) {
				t.Errorf("asked for %+v", st.Parts)
			}
			begun <- got
			<-goOn
			return feed.Staged{}
		}}
		a.follows(t, "life 1", ln.dial)
		synctest.Wait()
		staged := make(chan error, 1)
		go func() { staged <- s.Stage(t.Context(), refs, parts) }() // ends below
		got := <-begun
		for hash, want := range parts {
			if !bytes.Equal(got[hash], want) {
				t.Errorf("a part of %d bytes came as %d", len(want), len(got[hash]))
			}
		}
		for revision := range uint64(5) {
			m, signed, small := snap(5+revision, "order")
			if _, err := s.Publish(t.Context(), m, signed, small); err != nil {
				t.Fatalf("while answer makes ready what is large: %v", err)
			}
		}
		close(goOn)
		if err := <-staged; err != nil {
			t.Fatal(err)
		}
		m, signed, _ := snap(20)
		if _, err := s.Publish(t.Context(), m, signed, parts); err != nil || a.tookParts(5) != 0 {
			t.Errorf("%d parts were sent again: %v", a.tookParts(5), err)
		}
		if err := s.Stage(t.Context(), refs, parts); err != nil {
			t.Errorf("once more: %v", err)
		}
	})
}

func TestStageSaysWhyNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln := &control{}, newPipes()
		s, _ := serve(t, ln, publish.Options{Handler: c})
		refs, parts := large()
		if err := s.Stage(t.Context(), refs, parts); err != nil {
			t.Errorf("nobody connected: %v", err)
		}
		hang := make(chan struct{})
		say := feed.Staged{Kind: fault.Invalid, Err: "the zones can't be served"}
		a := &answer{stage: func(feed.Stage, map[string][]byte) feed.Staged {
			if say.Err == "" {
				<-hang
			}
			return say
		}}
		a.follows(t, "life 1", ln.dial)
		synctest.Wait()
		if err := s.Stage(t.Context(), refs, parts); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "can't be served") {
			t.Errorf("refused: %v", err)
		}
		say.Err = ""
		ctx, cancel := context.WithCancelCause(t.Context())
		late := make(chan error, 1)
		go func() { late <- s.Stage(ctx, refs, parts) }() // ends below
		synctest.Wait()
		why := errors.New("no time is left")
		cancel(why)
		if err := <-late; fault.KindOf(err) != fault.Unavailable || !errors.Is(err, why) {
			t.Errorf("without a word: %v", err)
		}
		close(hang)
	})
}

// What is too large for one message goes in pieces when it is published, too.
func TestPublishInPieces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln := &control{}, newPipes()
		s, _ := serve(t, ln, publish.Options{Handler: c})
		_, parts := large()
		a := &answer{stage: func(feed.Stage, map[string][]byte) feed.Staged { return feed.Staged{} }}
		a.follows(t, "life 1", ln.dial)
		synctest.Wait()
		m, signed, _ := snap(5)
		if _, err := s.Publish(t.Context(), m, signed, parts); err != nil {
			t.Fatal(err)
		}
		for hash, want := range parts {
			if !bytes.Equal(a.taken[0].Parts[hash], want) {
				t.Errorf("a part of %d bytes came as %d", len(want), len(a.taken[0].Parts[hash]))
			}
		}
	})
}

// An answer that knows nothing of what is sent ahead gets all in one message, as ever.
func TestAnOlderAnswerGetsAllAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln := &control{}, newPipes()
		s, _ := serve(t, ln, publish.Options{Handler: c})
		refs, parts := large()
		a := &answer{}
		a.follows(t, "life 1", ln.dial)
		synctest.Wait()
		if err := s.Stage(t.Context(), refs, parts); err != nil {
			t.Fatal(err)
		}
		m, signed, _ := snap(5)
		if _, err := s.Publish(t.Context(), m, signed, parts); err != nil || a.tookParts(0) != len(parts) {
			t.Errorf("%d parts of %d: %v", a.tookParts(0), len(parts), err)
		}
	})
}
