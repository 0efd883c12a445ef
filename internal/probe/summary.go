package probe

// View is what one check sees of a place, as Summarise needs it.
type View struct {
	Gate bool
	Seen Seen
}

// Summarise is what several checks at one place come to: Down when any check that
// decides is Down, Up when all that decide are Up, else Unknown. The gate checks
// decide; where no check is a gate, all do. No checks at all come to Unknown.
func Summarise(views []View) Seen {
	gated := false
	for _, v := range views {
		gated = gated || v.Gate
	}
	result, decided := Up, false
	for _, v := range views {
		if gated && !v.Gate {
			continue
		}
		decided = true
		switch v.Seen {
		case Down:
			return Down
		case Up:
		default:
			result = Unknown
		}
	}
	if !decided {
		return Unknown
	}
	return result
}
