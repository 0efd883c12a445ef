package account_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// TestCrowdAtTheDoor: strangers who try passwords from everywhere don't keep out those
// who have signed in from where they are.
func TestCrowdAtTheDoor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newWorld(t).open()
		create(t, b, "ada", role.Admin)
		b.Cheap()
		if _, err := b.SignIn(t.Context(), "ada", good, home); err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		var mu sync.Mutex
		busy := 0
		b.Derive(func() {
			mu.Lock()
			busy++
			strangers := busy <= 2
			mu.Unlock()
			if strangers {
				<-release
			}
		})
		var crowd sync.WaitGroup
		for i := range 50 {
			crowd.Go(func() {
				_, _ = b.SignIn(t.Context(), fmt.Sprintf("nobody%d", i), "wrong", fmt.Sprintf("198.51.100.%d", i))
			})
		}
		synctest.Wait()
		if _, err := b.SignIn(t.Context(), "ada", good, home); err != nil {
			t.Errorf("from where she always signs in: %v", err)
		}
		if _, err := b.Create(t.Context(), account.Account{Name: "ben", Role: role.Viewer}, good); err != nil {
			t.Errorf("an admin makes an account: %v", err)
		}
		_, err := b.SignIn(t.Context(), "ada", good, "203.0.113.99:1")
		wantKind(t, err, fault.Unavailable) // she waits like all others elsewhere
		close(release)
		crowd.Wait()
	})
}

// TestUnheardTriesAreNotCounted: who was not looked at, because too many came at once,
// has not tried in vain.
func TestUnheardTriesAreNotCounted(t *testing.T) {
	t.Parallel()
	b := newWorld(t).open()
	create(t, b, "ada", role.Admin)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	release, begun := make(chan struct{}), make(chan struct{}, 2)
	b.Derive(func() { begun <- struct{}{}; <-release })
	var busy sync.WaitGroup
	for i := range 2 {
		busy.Go(func() { _, _ = b.SignIn(t.Context(), "nobody", "wrong", fmt.Sprintf("198.51.100.%d", i)) })
		<-begun
	}
	for range 30 {
		if _, err := b.SignIn(gone, "ada", good, home); err == nil {
			t.Fatal("signed in without being looked at")
		}
	}
	close(release)
	busy.Wait()
	b.Cheap()
	if _, err := b.SignIn(t.Context(), "ada", good, home); err != nil {
		t.Errorf("after thirty tries that nobody looked at: %v", err)
	}
}
