package probe

// minUnclear is the least number of inconclusive askings in a row after which
// nothing is known any more, however quick a check is to see a target down.
const minUnclear = 3

// Judge turns verdicts into what is seen, with thresholds both ways: one failed
// asking is not an outage, and one passed asking is not a recovery, not even at
// the start.
//
//   - DownAfter fails in a row: Down. UpAfter passes in a row: Up.
//   - An inconclusive asking is no evidence: it neither adds to a row nor breaks it.
//   - max(DownAfter, 3) inconclusive askings in a row: Unknown, and the rows begin
//     anew, since what they counted is too old to build on.
//
// The zero value sees Unknown and believes the first conclusive verdict; use
// NewJudge.
type Judge struct {
	seen                   Seen
	downAfter, upAfter     int
	passes, fails, unclear int // rows that are running
}

// NewJudge is a judge that has seen nothing yet, with the check's thresholds.
func NewJudge(c Check) Judge {
	c = c.WithDefaults()
	return Judge{seen: Unknown, downAfter: c.DownAfter, upAfter: c.UpAfter}
}

// Seen is what the verdicts so far come to.
func (j Judge) Seen() Seen { return or(j.seen, Unknown) }

// Next is the judge after one more verdict, and whether what is seen has changed
// by it. A verdict that this version doesn't know counts as inconclusive.
func (j Judge) Next(v Verdict) (next Judge, changed bool) {
	before := j.Seen()
	switch v {
	case Pass:
		j.passes, j.fails, j.unclear = j.passes+1, 0, 0
		if j.passes >= j.upAfter {
			j.seen = Up
		}
	case Fail:
		j.passes, j.fails, j.unclear = 0, j.fails+1, 0
		if j.fails >= j.downAfter {
			j.seen = Down
		}
	default:
		j.unclear++
		if j.unclear >= max(j.downAfter, minUnclear) {
			j.passes, j.fails, j.seen = 0, 0, Unknown
		}
	}
	return j, j.Seen() != before
}
