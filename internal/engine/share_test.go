package engine_test

import (
	"context"
	"fmt"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// back counts those of a hundred people for whom the checkout is open.
func (b *boat) back() int {
	b.t.Helper()
	n := 0
	for i := range 100 {
		if b.askedBy("checkout", fmt.Sprintf("u%d", i)) == "true" {
			n++
		}
	}
	return n
}

func TestALeverOfAFeatureGoesBackInStages(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	ctx := context.Background()
	if err := b.eng.ShareFlag(ctx, "checkout", 5, lever.Token{}); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("a share of what is not ordered: %v", err)
	}
	if err := b.eng.ShareFlag(ctx, "moon", 5, lever.Token{}); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("a share of what is not there: %v", err)
	}
	b.drill("close-checkout")
	must(t, b.pull("close-checkout", "orders fail"))
	rev, err := b.store.Revision(ctx)
	must(t, err)
	token := lever.Token{Revision: uint64(rev), By: "ben"}
	for _, wrong := range []int{-1, 101} {
		if err := b.eng.ShareFlag(ctx, "checkout", wrong, token); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a share of %d percent: %v", wrong, err)
		}
	}
	if n := b.back(); n != 0 {
		t.Fatalf("it is closed, and open to %d", n)
	}
	before := 0
	for _, share := range []int{5, 25, 50, 100} {
		must(t, b.eng.ShareFlag(ctx, "checkout", share, token))
		n := b.back()
		if n < before || n == 0 && share > 5 || share == 100 && n != 100 {
			t.Errorf("at %d percent %d of 100 are back", share, n)
		}
		before = n
	}
	if err := b.eng.ShareFlag(ctx, "checkout", 5, lever.Token{Revision: token.Revision - 1}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("an older order: %v", err)
	}
	_, orders := b.eng.Features()
	if o := orders["checkout"]; o.Share != 100 || o.By == "ben" || o.Incident == "" {
		t.Errorf("who closed it is forgotten: %+v", o)
	}
	must(t, b.eng.SetFlag(ctx, "checkout", []byte("false"), token)) // a step back
	if n := b.back(); n != 0 {
		t.Errorf("closed again, and open to %d", n)
	}
}

// Pulled at answer, it is closed to everybody at once, whatever stage it was in.
func TestAnOrderAtAnswerEndsTheStages(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.drill("close-checkout")
	must(t, b.pull("close-checkout", "orders fail"))
	rev, err := b.store.Revision(context.Background())
	must(t, err)
	must(t, b.eng.ShareFlag(context.Background(), "checkout", 100, lever.Token{Revision: uint64(rev)}))
	if n := b.back(); n != 100 {
		t.Fatalf("%d of 100 are back", n)
	}
	b.stopC()
	b.pullAtAnswer("close-checkout")
	if n := b.back(); n != 0 {
		t.Fatalf("pulled at answer, and open to %d", n)
	}
	b.control()
	b.ready()
	if n := b.back(); n != 0 {
		t.Fatalf("control has come back, and it is open to %d", n)
	}
}
