package standby

import (
	"testing"
	"time"
)

// BenchmarkStatusFresh is what a status page costs each few seconds, and
// BenchmarkStatusAll what it costs when something changed.
func BenchmarkStatusFresh(b *testing.B) { benchStatus(b, func(int) string { return "same" }) }

func BenchmarkStatusAll(b *testing.B) {
	benchStatus(b, func(i int) string { return time.Duration(i).String() })
}

func benchStatus(b *testing.B, version func(int) string) {
	s := &Statuses{}
	f := boards(nil)
	for i := 0; b.Loop(); i++ {
		f.Now = f.Now.Add(time.Second)
		if _, err := s.Render(f, version(i)); err != nil {
			b.Fatal(err)
		}
	}
}
