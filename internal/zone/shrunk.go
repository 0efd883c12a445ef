package zone

import "lifeboat/internal/fault"

// fewRecords is the size below which a zone may change as it likes.
const fewRecords = 10

// Shrunk refuses a zone that has lost more than half of its records since it was served
// last: a generator that failed, or a file that was cut short, looks like that.
func Shrunk(z *Zone, before int) error {
	if before < fewRecords || 2*z.Size() >= before {
		return nil
	}
	return fault.New(fault.Refused, "zone %s has %d records, and had %d when it was served last", z.Apex(), z.Size(), before).At(z.file())
}
