package action

import (
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// tail keeps the last MaxText bytes of what is written to it.
//
// Concurrency: any goroutine; a program that can't be stopped may go on writing.
type tail struct {
	mu   sync.Mutex // guards all below
	kept []byte
	lost bool
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := p[max(0, len(p)-MaxText):]
	drop := max(0, len(t.kept)+len(last)-MaxText)
	t.lost = t.lost || drop > 0 || len(last) < len(p)
	t.kept = append(t.kept[:copy(t.kept, t.kept[drop:])], last...)
	return len(p), nil
}

func (t *tail) text() (said string, truncated bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return text(t.kept, t.lost, true)
}

// text makes text of any bytes, at most MaxText of it, the last part if lastPart is
// set: what is no letter, sign, blank or line end is written as an escape, so that
// no page or terminal obeys it.
func text(said []byte, lost, lastPart bool) (visible string, truncated bool) {
	if lost && lastPart {
		said = wholeRunes(said)
	}
	var b strings.Builder
	for rest := strings.ReplaceAll(string(said), "\r\n", "\n"); rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(rest[0])|0x100, 16)[1:])
		case r == '\n' || r == '\t' || strconv.IsGraphic(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		rest = rest[size:]
	}
	return cut(b.String(), lost, lastPart)
}

// cut shortens text to MaxText, at a border between runes.
func cut(whole string, lost, lastPart bool) (part string, truncated bool) {
	if len(whole) <= MaxText {
		return whole, lost
	}
	if lastPart {
		return string(wholeRunes([]byte(whole[len(whole)-MaxText:]))), true
	}
	end := MaxText
	for !utf8.RuneStart(whole[end]) {
		end--
	}
	return whole[:end], true
}

// wholeRunes drops the rest of a rune that was cut off at the beginning.
func wholeRunes(b []byte) []byte {
	for i := 0; i < len(b) && i < utf8.UTFMax; i++ {
		if utf8.RuneStart(b[i]) {
			return b[i:]
		}
	}
	return b
}
