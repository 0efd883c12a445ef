package capture

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// metricsTasks fetch the metrics of each address.
func (r *run) metricsTasks() []task {
	m := r.job.Metrics
	if m == nil {
		return nil
	}
	var out []task
	r.each(func(place string, at netip.Addr) {
		q := question{place: place, at: netip.AddrPortFrom(at, uint16(r.job.Port)), scheme: r.job.Scheme, host: r.job.Names[0], path: m.Path}
		if m.Port != 0 && m.Port != r.job.Port {
			q.at, q.scheme = netip.AddrPortFrom(at, uint16(m.Port)), "http"
		}
		it := Item{Kind: KindMetrics, Source: q.source(), Title: fmt.Sprintf("The metrics of %s.", q.source())}
		out = append(out, task{it, func(ctx context.Context, it Item) []Item { return []Item{r.metrics(ctx, it, q)} }})
	})
	return out
}

func (r *run) metrics(ctx context.Context, it Item, q question) Item {
	a := q.ask(ctx, r.o.Now)
	it.ClockOffset = a.offset
	if a.resp == nil {
		it.Summary, it.Problem = a.says(ctx, r.o.Item)
		return it
	}
	it.Type, it.Body, it.Truncated = mediaType(a), a.body, a.more || a.err != nil
	if a.resp.StatusCode != http.StatusOK {
		it.Problem = fmt.Sprintf("GET %s answered %d instead of metrics", q.path, a.resp.StatusCode)
		it.Summary = it.Problem + "."
		return it
	}
	text := a.body
	if it.Truncated { // a number that is cut is another number
		text = text[:bytes.LastIndexByte(text, '\n')+1]
	}
	var n int
	n, it.Deciding = readMetrics(text)
	switch {
	case n == 0:
		it.Problem = "what came back holds no metrics"
		it.Summary = sentence(it.Problem)
	case it.Deciding != "":
		it.Summary = it.Deciding
	default:
		it.Summary = fmt.Sprintf("%s were read; no disk among them is full.", counted(n, "value"))
	}
	return it
}

// gauge is a well-known gauge of what is free on a disk, and the one of how much
// there is in all. Both have the same labels.
type gauge struct{ free, total, thing string }

var gauges = []gauge{
	{"node_filesystem_avail_bytes", "node_filesystem_size_bytes", "byte"}, // node_exporter
	{"node_filesystem_files_free", "node_filesystem_files", "file"},
	{"disk_free_bytes", "disk_total_bytes", "byte"}, // Spring Boot (Micrometer)
	{"disk_free", "disk_total", "byte"},             // Telegraf
	{"disk_inodes_free", "disk_inodes_total", "file"},
	{"windows_logical_disk_free_bytes", "windows_logical_disk_size_bytes", "byte"},
}

// freeEndings are how other programs' gauges of free disk end; only 0 says something.
var freeEndings = []string{"_disk_free", "_disk_free_bytes", "_disk_free_space", "_disk_free_space_bytes"}

const (
	readOnly = "node_filesystem_readonly"

	// A disk counts as full below a hundredth, but not while it has room for hours:
	// a hundredth of a large disk is a lot.
	fullShare = 0.01
	fullBytes = 1e9
)

// alwaysFull are file systems that are made to have nothing free.
var alwaysFull = []string{"squashfs", "iso9660", "erofs", "cramfs", "udf", "autofs", "proc", "sysfs", "nsfs", "cgroup", "cgroup2"}

// disk is what the metrics say of one disk.
type disk struct {
	gauge
	labels      string
	free, total float64 // none is below 0; total is 0 where it is not known
}

// share is how much of the disk is free, from 0.
func (d disk) share() float64 {
	if d.free == 0 || d.total == 0 {
		return 0
	}
	return d.free / d.total
}

// full says whether nothing more fits.
func (d disk) full() bool {
	return d.free == 0 || d.thing == "byte" && d.total > 0 && d.share() < fullShare && d.free < fullBytes
}

// readMetrics counts the values in a Prometheus text and gives the sentence that
// decides, "" when there is none. It passes over whatever it can't read.
func readMetrics(text []byte) (values int, deciding string) {
	known := map[string]float64{} // by name and labels
	var free []disk
	for l := range bytes.Lines(text) {
		name, labels, value, ok := sample(string(l))
		if !ok {
			continue
		}
		values++
		if value < 0 { // some programs' way to say that they don't know
			continue
		}
		i := slices.IndexFunc(gauges, func(g gauge) bool { return name == g.free || name == g.total })
		switch {
		case i >= 0 && name == gauges[i].free:
			free = append(free, disk{gauge: gauges[i], labels: labels, free: value})
		case i >= 0 || name == readOnly:
			known[name+labels] = value
		case slices.ContainsFunc(freeEndings, func(e string) bool { return strings.HasSuffix(name, e) }):
			free = append(free, disk{gauge: gauge{free: name, thing: "byte"}, labels: labels, free: value})
		}
	}
	var full []disk
	for _, d := range free {
		total, hasTotal := known[d.gauge.total+d.labels]
		d.total = total
		switch {
		case hasTotal && total == 0: // a file system that counts nothing
		case known[readOnly+d.labels] == 1, slices.Contains(alwaysFull, label(d.labels, "fstype")):
		case d.full():
			full = append(full, d)
		}
	}
	return values, decide(full)
}

// decide tells of the fullest disk.
func decide(full []disk) string {
	if len(full) == 0 {
		return ""
	}
	slices.SortStableFunc(full, func(a, b disk) int { return cmp.Compare(a.share(), b.share()) })
	d, where, more := full[0], "", ""
	for _, l := range []string{"mountpoint", "path", "volume", "device"} {
		if v := label(d.labels, l); v != "" {
			where = " on " + clip(v, 100)
			break
		}
	}
	if len(full) > 1 {
		more = ", and " + counted(len(full)-1, "more disk") + " as well"
	}
	switch {
	case d.thing == "file":
		return fmt.Sprintf("The disk is full: no more files can be made%s%s.", where, more)
	case d.free == 0:
		return fmt.Sprintf("The disk is full: 0 bytes are free%s%s.", where, more)
	}
	return fmt.Sprintf("The disk is full: %s of %s are free%s%s.", size(d.free), size(d.total), where, more)
}

// sample reads one line of the text format: name{labels} value [time]. A value that
// is no number says nothing.
func sample(l string) (name, labels string, value float64, ok bool) {
	l = strings.TrimSpace(l)
	i := strings.IndexAny(l, "{ \t")
	if i <= 0 || l[0] == '#' {
		return "", "", 0, false
	}
	name, rest := l[:i], l[i:]
	if rest[0] == '{' {
		end := closing(rest)
		if end < 0 {
			return "", "", 0, false
		}
		labels, rest = rest[:end+1], rest[end+1:]
	}
	f := strings.Fields(rest)
	if len(f) == 0 {
		return "", "", 0, false
	}
	value, err := strconv.ParseFloat(f[0], 64)
	return name, labels, value, err == nil && !math.IsNaN(value) && !math.IsInf(value, 0)
}

// closing is where the brace that opens s is closed; braces in quotes don't count.
func closing(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '}' && !quoted:
			return i
		}
	}
	return -1
}

// label is the value of a label in {a="b",c="d"}, "" when it is not there.
func label(labels, name string) string {
	for rest := strings.TrimPrefix(labels, "{"); rest != ""; {
		key, after, ok := strings.Cut(rest, `="`)
		if !ok {
			return ""
		}
		end := 0
		for end < len(after) && after[end] != '"' {
			if after[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(after) {
			return ""
		}
		if strings.Trim(key, ", \t") == name {
			return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, " ").Replace(after[:end])
		}
		rest = after[end+1:]
	}
	return ""
}
