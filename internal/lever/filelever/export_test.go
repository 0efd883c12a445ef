package filelever

import "encoding/json"

// Ends are the ends of a plan with this Config, so that a test can forge one.
func Ends(config string) (before, after json.RawMessage, ok bool) {
	var f frozen
	if json.Unmarshal([]byte(config), &f) != nil {
		return nil, nil, false
	}
	was, will := f.ends()
	before, _ = json.Marshal(was)
	after, _ = json.Marshal(will)
	return before, after, true
}
