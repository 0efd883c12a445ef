package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/quarantine/doctor"
)

// shopOnDisk makes a database file with a poisoned order, a site whose page of that
// order fails, and a configuration of both.
func shopOnDisk(t *testing.T, more string) (config string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "shop.db")
	put(t, file, "")
	db, err := doctor.Open(doctor.Target{Kind: doctor.SQLite, File: file})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	exec := func(s string, args ...any) {
		if _, err := db.ExecContext(t.Context(), s, args...); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, detail TEXT)")
	for i := range 40 {
		exec("INSERT INTO orders VALUES (?, ?)", 4700+i, `{"size": 1}`)
	}
	exec("UPDATE orders SET detail = '{' WHERE id = 4711")
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "4711") {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(shop.Close)
	config = filepath.Join(dir, "lifeboat.yaml")
	put(t, config, fmt.Sprintf(`sites:
  shop:
    names: [shop.example.com]
    scheme: http
    port: %s
    origins: {main: {address: 127.0.0.1}}
    standby: {address: 198.51.100.7}
databases:
  shop: {kind: sqlite, file: %s, tables: [orders], pages: {orders: "/orders/{id}"}%s}
`, shop.URL[strings.LastIndex(shop.URL, ":")+1:], file, more))
	return config
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDataFind(t *testing.T) {
	t.Parallel()
	query := shopOnDisk(t, `, symptom_query: "SELECT sum(json_extract(detail, '$.size')) < 0 FROM orders"`)
	log := filepath.Join(filepath.Dir(query), "error.log")
	put(t, log, "render: order 4711: bad JSON\n")
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"by query":    {[]string{"shop", "--config", query, "--log", log}, 0, []string{"orders  4711  ", "a log line of a new kind", "Row 4711 of orders does the harm", "questions)"}},
		"by pages":    {[]string{"--config", query, "--by", "pages"}, 0, []string{"Row 4711 of orders breaks /orders/4711: the page answers 502"}},
		"none":        {[]string{"--config", query, "--by", "none"}, 0, []string{"To narrow them down"}},
		"for scripts": {[]string{"--config", query, "--json"}, 0, []string{`"words": "Row 4711`}},
		"no harm":     {[]string{"--config", shopOnDisk(t, `, symptom_query: SELECT 0`)}, 1, []string{"no harm to be seen"}},
		"no such":     {[]string{"blog", "--config", query}, 4, []string{`no database "blog"`}},
		"bad way":     {[]string{"--config", query, "--by", "luck"}, 2, []string{"--by is query, pages or none"}},
		"no log":      {[]string{"--config", query, "--log", "/nonexistent"}, 4, []string{"can't read the file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := command(t, append([]string{"data", "find"}, tt.args...)...)
			if got.code != tt.code {
				t.Errorf("code %d: %s%s", got.code, got.out, got.err)
			}
			for _, w := range tt.want {
				if !strings.Contains(got.out+got.err, w) {
					t.Errorf("%q is not said:\n%s%s", w, got.out, got.err)
				}
			}
		})
	}
}

func TestDataDoctor(t *testing.T) {
	t.Parallel()
	good := shopOnDisk(t, "")
	bad := filepath.Join(t.TempDir(), "lifeboat.yaml")
	put(t, bad, `sites: {shop: {names: [shop.example.com], origins: {main: {address: 127.0.0.1}}, standby: {address: 198.51.100.7}}}
databases: {shop: {kind: postgres, dsn_file: shop.dsn, tables: [orders]}}
`)
	put(t, filepath.Join(filepath.Dir(bad), "shop.dsn"), "postgres://boat:hunter2@127.0.0.1:1/shop\n")
	if got := command(t, "data", "doctor", "--config", good, "--grants"); got.code != 0 || !strings.Contains(got.out, "shop (sqlite") || !strings.Contains(got.out, "setfacl") {
		t.Errorf("%+v", got)
	}
	got := command(t, "data", "doctor", "--config", bad)
	if got.code != 1 || !strings.Contains(got.out, "can't sign in") || !strings.Contains(got.out, "GRANT SELECT, INSERT, UPDATE, DELETE ON \"public\".\"orders\"") || strings.Contains(got.out+got.err, "hunter2") {
		t.Errorf("%+v", got)
	}
	if got := command(t, "data", "doctor", "--config", bad, "--json"); got.code != 1 || !strings.Contains(got.out, `"ok": false`) {
		t.Errorf("%+v", got)
	}
}

// TestTheSamplesConfigurationIsNamed: a newcomer asks where the sample site's data folder
// lies, and there is no file of theirs.
func TestTheSamplesConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing, sample := filepath.Join(dir, "lifeboat.yaml"), filepath.Join(dir, "lifeboat-data", "lifeboat.yaml")
	commands := [][]string{{"data", "doctor", "--config", missing}, {"data", "find", "--config", missing}, {"features", "export", "--config", missing}, {"config", "check", missing}}
	for _, args := range commands {
		if r := command(t, args...); r.code != exitFailed || strings.Contains(r.err, sample) || !strings.Contains(r.err, "lifeboat config show >") {
			t.Errorf("%q without a sample: exit %d, %s", args, r.code, r.err)
		}
	}
	if err := os.Mkdir(filepath.Dir(sample), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, sample, "sites: {}")
	for _, args := range commands {
		if r := command(t, args...); r.code != exitFailed || !strings.Contains(r.err, "name the sample site's, "+sample) {
			t.Errorf("%q beside a sample: exit %d, %s", args, r.code, r.err)
		}
	}
}
