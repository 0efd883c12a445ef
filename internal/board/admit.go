package board

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// Admit makes a token that lets whoever holds it in until a time, for one purpose. It
// says nothing of who that is.
func Admit(key []byte, purpose string, until time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(b, admitMAC(key, purpose, b)...))
}

// Admits says whether a token is one of Admit's for the purpose and still holds. The
// comparison takes as long for all tokens.
func Admits(key []byte, purpose, token string, now time.Time) bool {
	const size = 8 + sha256.Size
	if len(key) == 0 || len(token) > 2*size {
		return false
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != size {
		return false
	}
	return hmac.Equal(b[8:], admitMAC(key, purpose, b[:8])) && now.Unix() < int64(binary.BigEndian.Uint64(b))
}

func admitMAC(key []byte, purpose string, until []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("lifeboat status page\x00" + purpose + "\x00"))
	mac.Write(until)
	return mac.Sum(nil)
}
