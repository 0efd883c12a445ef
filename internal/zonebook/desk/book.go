package desk

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonebook"
	"lifeboat/internal/zonediff"
)

// The keys of the store.
const (
	keyHead     = "zonebook/head/"     // APEX → Head
	keyRevision = "zonebook/revision/" // APEX/NUMBER → zonebook.Revision
	keyText     = "zonebook/text/"     // APEX/NUMBER/PIECE → a piece of the text, compressed
	keyOutcome  = "zonebook/outcome/"  // APEX/NUMBER → Outcome
	keyDraft    = "zonebook/draft/"    // APEX/WHO → zonebook.Draft
)

// Limits of what is kept.
const (
	maxPiece = 512 << 10 // octets of a value of the store
	maxTexts = 500       // of a zone: of older revisions only the words are kept
)

// Head is where a zone's book stands.
type Head struct {
	Number int    `json:"number"` // of the revision in force
	Hash   string `json:"hash"`   // of its text
	File   string `json:"file"`   // hash of the configuration's text when a person last saw the two side by side
}

// Standing says how the records in force and those of the configuration stand to each
// other.
type Standing struct {
	State   State    `json:"state"`
	Changed []string `json:"changed,omitempty" doc:"what the records in force have and those of the configuration have not, and the other way round, in words"`
	Problem string   `json:"problem,omitempty" doc:"why the revision can't be in force"`
}

// State is one way in which they can stand.
type State string

// The states.
const (
	AsFile State = "as the file" // the same records
	Ahead  State = "ahead"       // more was published than the file has
	Parted State = "parted"      // the file has changed since, too
	Unfit  State = "unfit"       // what was published does not fit the configuration any more, and the file is served
)

// Book knows which revision of each zone is in force.
type Book struct {
	mu       sync.Mutex // guards all below
	files    map[string]zone.Source
	heads    map[string]Head
	revs     map[string]store.Revision // of the heads' keys
	standing map[string]Standing
}

// Open reads which records of each zone are in force: the newest revision's, or those of
// the configuration where there is none. What comes back is the configuration's zones
// with these texts. A revision that does not fit the configuration any more is left out,
// and its Standing says so: a lifeboat that does not start helps nobody.
func Open(ctx context.Context, s store.Store, zones []zone.Source, sites map[string]zone.Positions) (*Book, []zone.Source, error) {
	b := &Book{files: map[string]zone.Source{}, heads: map[string]Head{}, revs: map[string]store.Revision{}, standing: map[string]Standing{}}
	kvs, _, err := s.List(ctx, keyHead)
	if err != nil {
		return nil, nil, err
	}
	for _, kv := range kvs {
		var h Head
		if err := json.Unmarshal(kv.Value, &h); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
		apex := kv.Key[len(keyHead):]
		b.heads[apex], b.revs[apex] = h, kv.Modified
	}
	out := make([]zone.Source, len(zones))
	copy(out, zones)
	for i, src := range zones {
		b.files[src.Apex] = src
		h, has := b.heads[src.Apex]
		if !has || h.Hash == zonebook.TextOf(src).Hash() {
			b.standing[src.Apex] = Standing{State: AsFile}
			continue
		}
		text, err := readText(ctx, s, src.Apex, h.Number)
		if err != nil {
			return nil, nil, err
		}
		out[i] = text.In(src)
		if err := fits(out, sites); err != nil {
			b.standing[src.Apex] = Standing{State: Unfit, Problem: err.Error(), Changed: differs(src, text.In(src))}
			out[i] = src
			continue
		}
		b.standing[src.Apex] = compare(src, out[i], h)
	}
	return b, out, nil
}

// fits says whether the zones can be served together.
func fits(zones []zone.Source, sites map[string]zone.Positions) error {
	_, _, err := zone.Readable(zones, sites)
	return err
}

// compare says how the records in force stand to the file's.
func compare(file, force zone.Source, h Head) Standing {
	said := differs(file, force)
	switch {
	case len(said) == 0:
		return Standing{State: AsFile}
	case h.File == zonebook.TextOf(file).Hash():
		return Standing{State: Ahead, Changed: said}
	}
	return Standing{State: Parted, Changed: said}
}

// differs says in words what two versions of a zone differ in; nothing where their
// records are the same.
func differs(file, force zone.Source) (out []string) {
	a, errA := zone.Parse(file)
	b, errB := zone.Parse(force)
	if errA != nil || errB != nil {
		return []string{"one of the two can't be read"}
	}
	diff, err := zonediff.Compare(a, b)
	if err != nil {
		return []string{err.Error()}
	}
	for i, c := range diff.Changes {
		if i == maxDiffers {
			return append(out, fmt.Sprintf("and %d more", len(diff.Changes)-maxDiffers))
		}
		out = append(out, zonebook.Versus(c))
	}
	return out
}

const maxDiffers = 50

// Head is where a zone's book stands; the zero Head before its first revision.
func (b *Book) Head(apex string) Head {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.heads[apex]
}

// Standing is how a zone's records in force stand to the configuration's.
func (b *Book) Standing(apex string) Standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.standing[apex]
}

// file is where the configuration's records of a zone are.
func (b *Book) file(apex string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return filepath.Base(b.files[apex].File)
}

// source is the zone as the configuration has it.
func (b *Book) source(apex string) zone.Source {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.files[apex]
}

// cond is that the head of a zone is still the one that is known here.
func (b *Book) cond(apex string) store.Cond {
	b.mu.Lock()
	defer b.mu.Unlock()
	return store.Cond{Key: keyHead + apex, Modified: b.revs[apex]}
}

// put takes a new head.
func (b *Book) put(ctx context.Context, s store.Store, apex string, h Head, force zone.Source) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	kv, err := s.Get(ctx, keyHead+apex)
	if err != nil {
		return err
	}
	b.heads[apex], b.revs[apex] = h, kv.Modified
	b.standing[apex] = compare(b.files[apex], force, h)
	return nil
}

func numbered(prefix, apex string, n int) string { return fmt.Sprintf("%s%s/%08d", prefix, apex, n) }

// revision reads one revision.
func (d *Desk) revision(ctx context.Context, apex string, n int) (zonebook.Revision, error) {
	var r zonebook.Revision
	if n == 0 && d.o.Book.Head(apex).Number == 0 {
		src := d.o.Book.source(apex)
		return zonebook.Revision{Kind: zonebook.FromFile, Hash: zonebook.TextOf(src).Hash(), Summary: "As the configuration has it."}, nil
	}
	kv, err := d.o.Store.Get(ctx, numbered(keyRevision, apex, n))
	if fault.KindOf(err) == fault.NotFound {
		return r, fault.New(fault.NotFound, "zone %s has no revision %d", apex, n).WithHint("see them with: lifeboat zone history %s", apex)
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(kv.Value, &r)
}

// textWrites keep a text in pieces.
func textWrites(apex string, n int, t zonebook.Text) []store.Write {
	b, _ := json.Marshal(t) // texts
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(b) // into memory
	_ = z.Close()
	var out []store.Write
	for i, rest := 0, packed.Bytes(); len(rest) > 0; i++ {
		piece := rest[:min(len(rest), maxPiece)]
		out = append(out, store.Write{Key: fmt.Sprintf("%s/%04d", numbered(keyText, apex, n), i), Value: piece})
		rest = rest[len(piece):]
	}
	return out
}

// readText reads a revision's text.
func readText(ctx context.Context, s store.Store, apex string, n int) (zonebook.Text, error) {
	var t zonebook.Text
	kvs, _, err := s.List(ctx, numbered(keyText, apex, n)+"/")
	if err != nil {
		return t, err
	}
	if len(kvs) == 0 {
		return t, fault.New(fault.NotFound, "the text of revision %d of %s is kept no more", n, apex).WithHint("the words of it are: lifeboat zone history %s", apex)
	}
	var packed bytes.Buffer
	for _, kv := range kvs {
		packed.Write(kv.Value)
	}
	z, err := gzip.NewReader(&packed)
	if err != nil {
		return t, fmt.Errorf("read the text of revision %d of %s: %w", n, apex, err)
	}
	b, err := io.ReadAll(io.LimitReader(z, 4*zonebook.MaxText))
	return t, errors.Join(err, json.Unmarshal(b, &t))
}

// written is a value as the store keeps it.
func written(key string, v any) store.Write {
	b, _ := json.Marshal(v) // our own types
	return store.Write{Key: key, Value: b}
}

// Outcome is what was seen after a revision was published.
type Outcome struct {
	At      time.Time `json:"at"`
	Took    int64     `json:"took_ms" doc:"until the last of them answered by it"`
	Servers []Seen    `json:"servers"`
	Words   string    `json:"words" example:"Answered by 3 of 3 name servers after 12 ms."`
}

// Seen is what one name server answered.
type Seen struct {
	Server string `json:"server"`
	New    bool   `json:"new" doc:"it answers by the new revision"`
	Detail string `json:"detail,omitempty"`
}
