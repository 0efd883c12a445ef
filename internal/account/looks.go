package account

import (
	"strings"
	"unicode"
)

// looksLike are letters that people take for others, each with the one it is taken for
// (a small part of Unicode Technical Standard 39, section 4). Letters are lower case.
var looksLike = func() map[rune]rune {
	m := map[rune]rune{}
	for _, pair := range []struct{ from, to string }{
		{"аеорсухіјѕԁһӏвкмнтгѵԛԝ", "aeopcyxijsdhlbkmhtrvqw"}, // Cyrillic
		{"αεορυχικνβητγω", "aeopuxiknbhtyw"},                 // Greek
		{"01|ıℓ", "ollil"},
	} {
		to := []rune(pair.to)
		for i, r := range []rune(pair.from) {
			m[r] = to[i]
		}
	}
	for r := 'a'; r <= 'z'; r++ {
		m[r-'a'+'ａ'] = r // full width
	}
	return m
}()

// looks gives what people see of a title at a glance: two accounts whose titles look alike
// could be taken for one another in a timeline. It is compared and never shown.
func looks(title string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unseen(r) {
			return -1
		}
		r = unicode.ToLower(r)
		if other, known := looksLike[r]; known {
			return other
		}
		return r
	}, title)), " ")
}

// unseen says whether a character can be printed and yet not be seen: marks that join or
// vary their neighbours, accents that stand alone, and fillers.
func unseen(r rune) bool {
	return unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || r >= 0x300 && r <= 0x36f || r == '\u2800'
}
