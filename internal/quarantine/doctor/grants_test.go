package doctor

import (
	"strings"
	"testing"
)

func TestGrantLines(t *testing.T) {
	t.Parallel()
	r := rights{}
	for _, line := range []string{
		"GRANT USAGE ON *.* TO `boat`@`localhost`",
		"GRANT SELECT, INSERT, UPDATE (`a`, `b`), DELETE ON `shop`.`li``nes` TO `boat`@`localhost`",
		"GRANT ALL PRIVILEGES ON `shop\\_1`.* TO `boat`@`localhost` WITH GRANT OPTION",
		"GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION",
		"GRANT `admin` TO `boat`@`localhost`",
	} {
		r.add(line)
	}
	for _, tt := range []struct {
		schema, table, missing string
	}{
		{"shop", "li`nes", "UPDATE"}, {"shop_1", "any", ""}, {"shop", "other", "INSERT UPDATE DELETE"},
	} {
		if got := strings.Join(r.missing(tt.schema, tt.table, rowRights), " "); got != tt.missing {
			t.Errorf("%s.%s lacks %q, want %q", tt.schema, tt.table, got, tt.missing)
		}
	}
}

func FuzzGrantLine(f *testing.F) {
	f.Add("GRANT SELECT ON `a`.`b` TO `c`@`d`")
	f.Add("GRANT SELECT (`a,)` ON *.* TO x")
	f.Fuzz(func(_ *testing.T, line string) { rights{}.add(line) })
}
