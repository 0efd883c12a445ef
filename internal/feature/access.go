package feature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Whom a key is for.
const (
	ForServers = "servers" // programs of ours: they see every flag
	ForPages   = "pages"   // pages in browsers, whose keys everybody can read: they see public flags only
	ForCopies  = "copies"  // lifeboats beside an application that answer in our place: they are handed the flags themselves, rules and all
)

// Access says who may ask for flags. Without keys, but for those of copies, everybody
// who reaches the endpoint may: pages see public flags, whoever asks for one flag sees
// it. To take a copy always needs a key.
type Access struct {
	Keys    []Key    `json:"keys,omitempty"`
	Origins []string `json:"origins,omitempty"` // whose pages may ask from a browser; none: all
}

// Key is one key, of which only the hash is known.
type Key struct {
	Name      string `json:"name"`
	SHA256    string `json:"sha256"` // of the key, hex
	For       string `json:"for"`    // ForServers, ForPages or ForCopies
	PerSecond int    `json:"per_second,omitempty"`
}

// Closed says whether a key is needed to ask for a flag.
func (a Access) Closed() bool {
	return slices.ContainsFunc(a.Keys, func(k Key) bool { return k.For != ForCopies })
}

// Own is the key with which lifeboat asks itself, to read back what a lever did: ""
// where no keys are asked for. It changes with the keys.
func (a Access) Own() string { return a.derive("read back") }

// Stream is what the address of a key's event stream holds instead of the key:
// browsers send no header there, and addresses end up in logs.
func (a Access) Stream(k Key) string {
	sum, err := hex.DecodeString(k.SHA256)
	if err != nil {
		return ""
	}
	m := hmac.New(sha256.New, sum)
	m.Write([]byte("lifeboat event stream " + k.Name))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

func (a Access) derive(what string) string {
	if !a.Closed() {
		return ""
	}
	all := sha256.New()
	for _, k := range a.Keys {
		all.Write([]byte(k.Name + " " + k.SHA256 + "\n"))
	}
	m := hmac.New(sha256.New, all.Sum(nil))
	m.Write([]byte("lifeboat " + what))
	return "lifeboat-" + hex.EncodeToString(m.Sum(nil))
}
