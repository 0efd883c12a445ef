package capture

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestReadMetrics(t *testing.T) {
	t.Parallel()
	const node = `node_filesystem_avail_bytes{device="/dev/sda1",fstype="ext4",mountpoint="/"} `
	const nodeSize = "\nnode_filesystem_size_bytes{device=\"/dev/sda1\",fstype=\"ext4\",mountpoint=\"/\"} "
	for name, c := range map[string]struct {
		text     string
		values   int
		deciding string
	}{
		"nothing":                   {"", 0, ""},
		"a page":                    {"<html>\n<body>404</body>", 0, ""},
		"comments":                  {"# HELP a b\n# TYPE a gauge\na 1\n", 1, ""},
		"full":                      {node + "0" + nodeSize + "1e+11\n", 2, "The disk is full: 0 bytes are free on /."},
		"full, size unknown":        {node + "0\n", 1, "The disk is full: 0 bytes are free on /."},
		"nearly full":               {node + "5.5e+08" + nodeSize + "1e+11\n", 2, "The disk is full: 550 MB of 100 GB are free on /."},
		"one percent":               {node + "1e+09" + nodeSize + "1e+11\n", 2, ""},
		"little of a large disk":    {node + "3e+10" + nodeSize + "4e+12\n", 2, ""},
		"free, size unknown":        {node + "1\n", 1, ""},
		"no size":                   {node + "0" + nodeSize + "0\n", 2, ""},
		"an image":                  {`node_filesystem_avail_bytes{fstype="squashfs",mountpoint="/snap/x"} 0`, 1, ""},
		"read-only":                 {node + "0\n" + `node_filesystem_readonly{device="/dev/sda1",fstype="ext4",mountpoint="/"} 1`, 2, ""},
		"writable":                  {node + "0\n" + `node_filesystem_readonly{device="/dev/sda1",fstype="ext4",mountpoint="/"} 0`, 2, "The disk is full: 0 bytes are free on /."},
		"no inodes":                 {"node_filesystem_files_free{mountpoint=\"/var\"} 0\nnode_filesystem_files{mountpoint=\"/var\"} 1000\n", 2, "The disk is full: no more files can be made on /var."},
		"few inodes":                {"node_filesystem_files_free{mountpoint=\"/var\"} 5\nnode_filesystem_files{mountpoint=\"/var\"} 1000\n", 2, ""},
		"inodes are not counted":    {"node_filesystem_files_free{mountpoint=\"/var\"} 0\nnode_filesystem_files{mountpoint=\"/var\"} 0\n", 2, ""},
		"spring":                    {"disk_free_bytes{path=\"/srv/.\",} 0.0\ndisk_total_bytes{path=\"/srv/.\",} 1.0E11\n", 2, "The disk is full: 0 bytes are free on /srv/.."},
		"the app's own":             {"app_disk_free_bytes 0\n", 1, "The disk is full: 0 bytes are free."},
		"the app's own, some free":  {"app_disk_free_bytes 17\n", 1, ""},
		"a limit, not a disk":       {"rabbitmq_disk_free_limit 0\napp_disk_free_alarm 0\n", 2, ""},
		"unknown as -1":             {"app_disk_free_bytes -1\n", 1, ""},
		"no number":                 {node + "NaN\n" + node + "+Inf\n" + node + "x\n" + node + "\n", 0, ""},
		"a brace in a label":        {`node_filesystem_avail_bytes{mountpoint="/a}b \"c\" 0"} 17` + "\n", 1, ""},
		"no end of labels":          {`node_filesystem_avail_bytes{mountpoint="/ 0`, 0, ""},
		"with a time":               {node + "0 1700000000000\n", 1, "The disk is full: 0 bytes are free on /."},
		"windows line ends":         {"app_disk_free 0\r\n", 1, "The disk is full: 0 bytes are free."},
		"two, the fullest first":    {node + "5e+08" + nodeSize + "1e+11\napp_disk_free 0\n", 3, "The disk is full: 0 bytes are free, and 1 more disk as well."},
		"a name that can't be said": {"app_disk_free{path=\"\x1b[2J\"} 0\n", 1, "The disk is full: 0 bytes are free on  [2J."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values, deciding := readMetrics([]byte(c.text))
			if values != c.values || deciding != c.deciding {
				t.Errorf("%d values, %q; want %d, %q", values, deciding, c.values, c.deciding)
			}
		})
	}
}

func FuzzReadMetrics(f *testing.F) {
	f.Add([]byte("# TYPE a gauge\nnode_filesystem_avail_bytes{mountpoint=\"/\"} 0\nnode_filesystem_size_bytes{mountpoint=\"/\"} 10 1\n"))
	f.Add([]byte("a{b=\"\\\"} 1\n{} 0\nx_disk_free{path=\"\\"))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, deciding := readMetrics(text)
		if values > len(text) || deciding != "" && (values == 0 || !strings.HasPrefix(deciding, "The disk is full: ")) {
			t.Errorf("%d values, %q", values, deciding)
		}
		if it := (Item{Deciding: deciding}).sealed(); len(it.Deciding) > maxLine {
			t.Error("too long")
		}
	})
}

func metricsJob(at net.Addr, path string) Job {
	ap := netip.MustParseAddrPort(at.String())
	return job(func(j *Job) {
		j.Places = []Place{{Name: "main", Addresses: []netip.Addr{ap.Addr()}}}
		j.Metrics = &Metrics{Path: path, Port: int(ap.Port())}
		j.Scheme, j.Port = "https", 443 // metrics on a port of their own are asked without TLS
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			_, _ = io.WriteString(w, "a 1\nb 2\n")
		case "/full":
			_, _ = io.WriteString(w, "a 1\ndisk_free_bytes{path=\"/data\"} 0\n")
		case "/page":
			_, _ = io.WriteString(w, "<html>")
		case "/long": // the last number is cut: 0 of 0123 would be a full disk
			_, _ = io.WriteString(w, strings.Repeat("a 1\n", MaxBody/4-4)+"app_disk_free 0123456789\n")
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	})
	for path, want := range map[string]Item{
		"/metrics": {Summary: "2 values were read; no disk among them is full."},
		"/full":    {Summary: "The disk is full: 0 bytes are free on /data.", Deciding: "The disk is full: 0 bytes are free on /data."},
		"/page":    {Summary: "What came back holds no metrics.", Problem: "what came back holds no metrics"},
		"/long":    {Summary: "262140 values were read; no disk among them is full.", Truncated: true},
		"/gone":    {Summary: "GET /gone answered 403 instead of metrics.", Problem: "GET /gone answered 403 instead of metrics"},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			j := metricsJob(at, path)
			r := &run{job: j, o: patient().withDefaults()}
			tasks := r.metricsTasks()
			if len(tasks) != 1 {
				t.Fatalf("%d tasks", len(tasks))
			}
			it := r.take(t.Context(), tasks[0])[0]
			must(t, it.Validate())
			if it.Summary != want.Summary || it.Deciding != want.Deciding || it.Problem != want.Problem || it.Truncated != want.Truncated || it.Source != "main "+at.String() {
				it.Body = nil
				t.Errorf("%+v", it)
			}
		})
	}
}
