package desk

import "lifeboat/internal/board"

// Preview gives what answer would be handed if a command were done now, and what would
// come of it; nothing is kept, and nobody is told. An id in it is not the one that the
// thing gets when it is done.
func (d *Desk) Preview(who board.Who, c board.Command) (board.Sheet, board.Change, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change, err := board.Decide(c, d.given(who))
	if err != nil {
		return board.Sheet{}, change, err
	}
	return d.sheet(change.On(d.records)), change, nil
}
