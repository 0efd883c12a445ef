package feature

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// version is a semantic version (semver.org 2.0.0) without its build.
type version struct {
	major, minor, patch uint64
	pre                 []string
}

// semVerOperators compare two versions.
var semVerOperators = map[string]func(a, b version) bool{
	"=":  func(a, b version) bool { return a.compare(b) == 0 },
	"!=": func(a, b version) bool { return a.compare(b) != 0 },
	"<":  func(a, b version) bool { return a.compare(b) < 0 },
	"<=": func(a, b version) bool { return a.compare(b) <= 0 },
	">=": func(a, b version) bool { return a.compare(b) >= 0 },
	">":  func(a, b version) bool { return a.compare(b) > 0 },
	"^":  func(a, b version) bool { return a.major == b.major },
	"~":  func(a, b version) bool { return a.major == b.major && a.minor == b.minor },
}

const semVerHint = "one of = != < <= >= > ^ ~"

func checkSemVer(args []expr) (why, hint string, i int) {
	if len(args) != 3 {
		return "", "", 0
	}
	if e := args[1]; e.op == nil {
		if _, known := semVerOperators[text(e.literal)]; e.isList || !known {
			return "sem_ver does not know how to compare by this", semVerHint, 1
		}
	}
	for _, i := range []int{0, 2} {
		if e := args[i]; e.op == nil && !e.isList {
			if _, ok := readVersion(text(e.literal)); !ok {
				return "this is not a version", "for example 1.2.3 or v2.0", i
			}
		}
	}
	return "", "", 0
}

// semVer gives nil where something is not a version.
func semVer(args []any) any {
	if len(args) != 3 {
		return nil
	}
	a, aOK := readVersion(text(args[0]))
	b, bOK := readVersion(text(args[2]))
	holds, known := semVerOperators[text(args[1])]
	if !aOK || !bOK || !known {
		return nil
	}
	return holds(a, b)
}

// readVersion reads 1.2.3, and as flagd does v1.2.3, 1 and 1.2.
func readVersion(s string) (v version, ok bool) {
	s = strings.TrimSpace(s)
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		s = s[1:]
	}
	if len(s) > 256 {
		return v, false
	}
	s, build, hasBuild := strings.Cut(s, "+")
	core, pre, hasPre := strings.Cut(s, "-")
	numbers := strings.Split(core, ".")
	if len(numbers) > 3 || len(numbers) < 3 && (hasPre || hasBuild) {
		return v, false
	}
	for i, to := range []*uint64{&v.major, &v.minor, &v.patch} {
		if i == len(numbers) {
			break
		}
		n, fine := versionNumber(numbers[i])
		if !fine {
			return v, false
		}
		*to = n
	}
	if hasPre {
		v.pre = strings.Split(pre, ".")
	}
	for _, id := range v.pre {
		if !identifier(id) || digits(id) && len(id) > 1 && id[0] == '0' {
			return v, false
		}
	}
	if hasBuild {
		for id := range strings.SplitSeq(build, ".") {
			if !identifier(id) {
				return v, false
			}
		}
	}
	return v, true
}

func versionNumber(s string) (uint64, bool) {
	if !digits(s) || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= 1<<53-1
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func identifier(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// compare is the order of semver.org, section 11.
func (v version) compare(w version) int {
	if c := cmp.Or(cmp.Compare(v.major, w.major), cmp.Compare(v.minor, w.minor), cmp.Compare(v.patch, w.patch)); c != 0 {
		return c
	}
	switch {
	case len(v.pre) == 0 && len(w.pre) == 0:
		return 0
	case len(v.pre) == 0:
		return 1
	case len(w.pre) == 0:
		return -1
	}
	for i := range min(len(v.pre), len(w.pre)) {
		if c := comparePre(v.pre[i], w.pre[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(v.pre), len(w.pre))
}

func comparePre(a, b string) int {
	switch aNumber, bNumber := digits(a), digits(b); {
	case aNumber && bNumber:
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	case aNumber:
		return -1
	case bNumber:
		return 1
	}
	return cmp.Compare(a, b)
}

// bucket is one share of a fractional.
type bucket struct {
	variant any
	weight  uint64
}

const bucketHint = `for example {"fractional": [["on", 90], ["off", 10]]}`

func checkFractional(args []expr) (why, hint string, i int) {
	total := 0.0
	for i, a := range args {
		if !a.isList {
			if i == 0 && (a.op != nil || isText(a.literal)) {
				continue // what is split by
			}
			if a.op != nil {
				return "", "", 0 // it may give a list
			}
			return "a share of fractional is a list of a variant and its weight", bucketHint, i
		}
		if len(a.list) == 0 || len(a.list) > 2 {
			return "a share of fractional is a list of a variant and its weight", bucketHint, i
		}
		if len(a.list) == 2 && a.list[1].op == nil {
			n, is := a.list[1].literal.(float64)
			if !is || n != math.Trunc(n) || n < 0 {
				return "the weight of a share is not a whole number", bucketHint, i
			}
			total += n
		}
	}
	if total > math.MaxInt32 {
		return "the weights add up to more than 2147483647", "use smaller ones", -1
	}
	return "", "", 0
}

func isText(v any) bool { _, is := v.(string); return is }

// fractional puts who asks into one of the shares, the same for the same key for
// ever: flagd's hash, over the flag's key and targetingKey unless another is said.
func (x *run) fractional(args []any, _ any) any {
	if len(args) == 0 {
		return nil
	}
	by, said := args[0].(string)
	if said {
		args = args[1:]
	} else {
		key := x.c.key()
		if key == "" {
			x.noKey = true
			return nil
		}
		by = x.flag + key
	}
	if !x.spend(len(args) + len(by)/256) {
		return nil
	}
	shares, total, ok := buckets(args)
	if !ok || total > math.MaxInt32 {
		return nil
	}
	at, sum := uint64(murmur3(by))*total>>32, uint64(0)
	for _, s := range shares {
		if sum += s.weight; sum > at {
			return s.variant
		}
	}
	return nil
}

func buckets(args []any) (shares []bucket, total uint64, ok bool) {
	for _, a := range args {
		list, is := a.([]any)
		if !is || len(list) == 0 || len(list) > 2 {
			return nil, 0, false
		}
		switch list[0].(type) {
		case nil, string, float64, bool:
		default:
			return nil, 0, false
		}
		weight := 1.0
		if len(list) == 2 {
			weight, is = list[1].(float64)
			if !is || weight != math.Trunc(weight) || weight > math.MaxInt32 {
				return nil, 0, false
			}
			weight = max(0, weight)
		}
		shares = append(shares, bucket{list[0], uint64(weight)})
		total += uint64(weight)
	}
	return shares, total, true
}

// murmur3 is MurmurHash3 x86 32 with seed 0, over the text as UTF-8.
func murmur3(s string) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	var h uint32
	mix := func(k uint32) uint32 {
		k *= c1
		k = k<<15 | k>>17
		return k * c2
	}
	i := 0
	for ; i+4 <= len(s); i += 4 {
		h ^= mix(uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24)
		h = h<<13 | h>>19
		h = h*5 + 0xe6546b64
	}
	var k uint32
	for j := len(s) - 1; j >= i; j-- {
		k = k<<8 | uint32(s[j])
	}
	if k != 0 {
		h ^= mix(k)
	}
	h ^= uint32(len(s))
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}
