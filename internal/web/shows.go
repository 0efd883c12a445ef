package web

// Showing says where people meet a rule: on which page, by which words.
type Showing struct {
	Rule   string // R1 ... R22, U1 ... U12
	Moment string // the page, by the name that its test has
	Says   string // words that stand there
}

// Shows are the rules that people meet on a page. What only binds a machine (U4 and
// U5: how often something moves by itself) shows in the timeline alone. A test renders
// each of them.
var Shows = []Showing{
	{"R1", "refused-pull", "is not armed. It was never rehearsed. Rule R1"},
	{"R2", "refused-standby", "The status page does not answer as it should: connection refused. Rule R2"},
	{"R3", "refused-place", "The place it sends visitors to, backup, is down too. Rule R3"},
	{"R4", "refused-stay", "Rule R4"},
	{"R5", "refused-cancel", "The checks do not all pass: the site is seen down. Rule R5"},
	{"R6", "touch", "There is no confirmed cause yet. A quick fix now may break a second thing. Rule R6"},
	{"R7", "one-guess", "Only 1 possible cause was considered. Rule R7"},
	{"R8", "no-promise", "Rule R8"},
	{"R9", "fix-waits", "Nobody else has read it yet."},
	{"R9", "fix-alone", "You are alone, so there is a pause."},
	{"R9", "unread", "Rule R9"},
	{"R10", "second-fix", "Rule R10"},
	{"R11", "thrash", "Rule R11"},
	{"R12", "doubted", "Rule R12"},
	{"R13", "return", "“home” has passed 1 of 2 times"},
	{"R13", "refused-advance", "Rule R13"},
	{"R14", "return", "The real site is asked directly, 2 times in a row, before visitors return."},
	{"R15", "park", "The rest goes back; this one stays"},
	{"R16", "return", "Go back to safety"},
	{"R17", "watch", "It is measured again with everybody back, before the watch ends."},
	{"R17", "end-watch", "Rule R17"},
	{"R18", "unfinished", "Rule R18"},
	{"R19", "owed", "Rule R19"},
	{"R20", "no-process", "Rule R20"},
	{"R21", "untold", "Rule R21"},
	{"R22", "refused-return", "Rule R22"},
	{"U1", "refused-put-back", "that is the return. Rule U1"},
	{"U2", "overdue", "Visitors have been kept away from shop"},
	{"U3", "auto-held", "Nothing moves by itself: a person took an automatic move back."},
	{"U6", "disconnected", "a lever can be pulled on its machine with: lifeboat answer pull LEVER"},
	{"U7", "drifted", "We show it and do not fight it."},
	{"U8", "overridden", "Rule R6 was passed by Ada"},
	{"U9", "touch", "Keep looking: confirm a possible cause. Go on anyway, because …"},
	{"U10", "drill", "DRILL nothing here is real"},
	{"U11", "interrupted", "The fix was interrupted."},
	{"U12", "fix-waits", "After 10 min without an answer"},
}
