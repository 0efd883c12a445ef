package main

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// pause is between an answer and the next query where the delay is measured.
const pause = 500 * time.Microsecond

// measureLatency asks one query after another, unhurried.
func (b *bench) measureLatency(r *result, l *load, addr string) error {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	buf := make([]byte, 2048)
	var delays []float64
	for begin, i := time.Now(), 0; time.Since(begin) < b.each; i++ {
		query := l.queries[i%len(l.queries)]
		asked := time.Now()
		_ = conn.SetDeadline(asked.Add(late))
		if _, err := conn.Write(query); err != nil {
			return err
		}
		n, err := conn.Read(buf)
		if err != nil {
			r.Lost++
			continue
		}
		if !l.good(buf[:n], query) {
			r.Bad++
		}
		delays = append(delays, float64(time.Since(asked).Nanoseconds())/1000)
		time.Sleep(pause)
	}
	if len(delays) == 0 {
		return errNothing
	}
	slices.Sort(delays)
	r.Delays = append(r.Delays, [3]float64{delays[len(delays)/2], delays[len(delays)*99/100], delays[len(delays)-1]})
	return nil
}

// printLatency shows the table.
func (b *bench) printLatency() {
	of := func(r *result, i int) float64 {
		var list []float64
		for _, d := range r.Delays {
			list = append(list, d[i])
		}
		return median(list)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "server\tmedian µs\tp99 µs\tmost µs\tlost\tbad")
	for _, r := range slices.SortedFunc(slices.Values(b.results), func(x, y *result) int { return cmp.Compare(of(x, 1), of(y, 1)) }) {
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%d\t%d\n", r.Name, of(r, 0), of(r, 1), of(r, 2), r.Lost, r.Bad)
	}
	_ = w.Flush()
	fmt.Printf("\nhow: %d rounds of %v for each server in turn, started anew on core %d; one query after another, %v between; a zone of %d names; medians of the rounds; machine with %s\n",
		b.rounds, b.each, b.serverCPU, pause, b.names, processor())
}
