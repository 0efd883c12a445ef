package zone

// SerialNewer says whether serial a is newer than b by the arithmetic of RFC 1982
// section 3.2. Two serials that lie exactly 2^31 apart are newer in neither
// direction.
func SerialNewer(a, b uint32) bool {
	return a != b && a-b < 1<<31
}

// NextSerial gives the serial after s. It skips 0, which some secondaries take
// as "no serial yet".
func NextSerial(s uint32) uint32 {
	if s++; s == 0 {
		return 1
	}
	return s
}
