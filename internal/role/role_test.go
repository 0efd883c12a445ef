package role_test

import (
	"strings"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

func TestOrder(t *testing.T) {
	t.Parallel()
	rising := []role.Role{role.Viewer, role.Reporter, role.Operator, role.Commander, role.Admin}
	for i, r := range rising {
		for j, least := range rising {
			if got := r.AtLeast(least); got != (i >= j) {
				t.Errorf("%s.AtLeast(%s) = %v", r, least, got)
			}
		}
		for _, none := range []role.Role{"", "owner", "Viewer"} {
			if r.AtLeast(none) || none.AtLeast(r) || none.AtLeast(none) {
				t.Errorf("%q, which is no role, may something beside %s", none, r)
			}
		}
	}
	if len(role.Roles) != len(rising) {
		t.Errorf("Roles: %v", role.Roles)
	}
}

func TestParseRole(t *testing.T) {
	t.Parallel()
	for _, r := range role.Roles {
		if got, err := role.ParseRole(string(r)); err != nil || got != r {
			t.Errorf("ParseRole(%s) = %q, %v", r, got, err)
		}
	}
	for _, wrong := range []string{"", "Admin", "admin ", "root", strings.Repeat("x", 1<<20)} {
		_, err := role.ParseRole(wrong)
		if fault.KindOf(err) != fault.Invalid || len(err.Error()) > 300 || !strings.Contains(err.Error(), "reporter") {
			t.Errorf("ParseRole(%.20q): %.400v; want a short error that names the roles", wrong, err)
		}
	}
}

func TestEveryRoleHasItsWords(t *testing.T) {
	t.Parallel()
	for _, r := range role.Roles {
		if s := r.May(); !strings.HasSuffix(s, ".") {
			t.Errorf("%s may: %q", r, s)
		}
	}
	if s := role.Role("").May(); s != "" {
		t.Errorf("no role may: %q", s)
	}
}
