package objectlever

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// Object is one object of a frozen list.
type Object struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"` // bytes
	ETag   string `json:"etag"`
	SHA256 string `json:"sha256"`
}

// digest names a frozen list by its contents.
func digest(list []Object) string {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(list) // flat values: they always can be
	return hex.EncodeToString(h.Sum(nil))
}

// freeze resolves a section into the list of objects that are there now, sorted.
// Keys that are not there are left out only when all of them are.
func freeze(ctx context.Context, s *bucket, sec Section) ([]Object, error) {
	keys := slices.Clone(sec.Keys)
	if sec.Prefix != "" {
		var err error
		if keys, err = s.list(ctx, sec.Prefix, MaxObjects+1); err != nil {
			return nil, err
		}
		keys = slices.DeleteFunc(keys, func(k string) bool { return kept(sec, k) })
	}
	if len(keys) > MaxObjects {
		return nil, fault.New(fault.Invalid, "more than %d objects are below the prefix", MaxObjects).At(sec.Bucket).WithHint("write a longer prefix")
	}
	slices.Sort(keys)
	var list []Object
	var missing []string
	var bytes int64
	for _, k := range slices.Compact(keys) {
		if !plain(k) {
			return nil, fault.New(fault.Invalid, "the key %q can't be moved: it would not survive every way to the bucket", clip(k)).At(sec.Bucket).WithHint("move it by hand")
		}
		size, _, err := s.head(ctx, k)
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, k)
			continue
		}
		if err != nil {
			return nil, err
		}
		if bytes += size; size > MaxObject || bytes > MaxBytes {
			return nil, fault.New(fault.Invalid, "%s is too large to be copied at once, or all are together", clip(k)).At(sec.Bucket).WithHint("take fewer; objects of more than 5 GB are moved by hand")
		}
		sum, size, etag, err := s.hash(ctx, k)
		if err != nil {
			return nil, err
		}
		list = append(list, Object{k, size, etag, sum})
	}
	if len(list) > 0 && len(missing) > 0 {
		return nil, fault.New(fault.NotFound, "%d of the objects are not there, %s among them", len(missing), clip(missing[0])).At(sec.Bucket).WithHint("take them out of the lever's keys")
	}
	return list, nil
}

// nameOf begins a lever's prefixes.
func nameOf(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '_'
	}, name) + "."
}

// heldBy finds where a lever holds objects already, "" when nowhere.
func heldBy(ctx context.Context, s *bucket, sec Section, name string) (string, error) {
	keys, err := s.list(ctx, sec.Aside+"/"+nameOf(name), MaxObjects)
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if path.Base(k) != manifestName {
			continue
		}
		m := move{s: s, frozen: frozen{Held: path.Dir(k)}}
		if man, err := m.manifest(ctx); err != nil {
			return "", err
		} else if man.Lever == name && !man.Back {
			return path.Dir(k), nil
		}
	}
	return "", nil
}

const manifestName = "manifest.json"

// Manifest lies beside the objects that are kept aside, so that a person without
// lifeboat can put them back, too.
type Manifest struct {
	Lever    string    `json:"lever"`
	Plan     string    `json:"plan"`
	Pull     string    `json:"pull"`
	Incident string    `json:"incident"`
	By       string    `json:"by"`
	Revision uint64    `json:"revision"` // of the newest order: an older one is refused
	At       time.Time `json:"at"`
	Back     bool      `json:"back"`    // all were put back
	Objects  []Object  `json:"objects"` // the N'th is kept as N
}

// move is a plan's step, ready to be done.
type move struct {
	frozen
	plan lever.Plan
	s    *bucket
}

func (m move) kept(i int) string { return path.Join(m.Held, fmt.Sprint(i)) }

// manifest gives an empty one where there is none.
func (m move) manifest(ctx context.Context) (Manifest, error) {
	var man Manifest
	b, err := m.s.get(ctx, path.Join(m.Held, manifestName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return man, nil
	case err != nil:
		return man, err
	}
	if err := json.Unmarshal(b, &man); err != nil {
		return man, fault.New(fault.Conflict, "the manifest in %s can't be read", m.Held).At(m.Bucket).WithHint("look at it; nothing was moved")
	}
	return man, nil
}

func (m move) write(ctx context.Context, t lever.Token, back bool, now time.Time) error {
	b, err := json.MarshalIndent(Manifest{
		Lever: m.plan.Lever, Plan: m.plan.Hash, Pull: t.Pull, Incident: t.Incident, By: t.By, Revision: t.Revision, At: now, Back: back, Objects: m.Objects,
	}, "", "  ")
	if err != nil {
		return err
	}
	return m.s.put(ctx, path.Join(m.Held, manifestName), b)
}

// at compares what is at a key with an object: by ETag, or by its whole contents
// where a copy has got another ETag.
func (m move) at(ctx context.Context, key string, want Object) (there, same bool, etag string, err error) {
	size, etag, err := m.s.head(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, false, "", nil
	case err != nil:
		return false, false, "", err
	case size != want.Size:
		return true, false, etag, nil
	case etag == want.ETag && etag != "":
		return true, true, etag, nil
	}
	sum, _, etag, err := m.s.hash(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, "", nil
	}
	return err == nil, sum == want.SHA256, etag, err
}

// where one object is. A copy beside an object that is still in its place is the
// trace of a move that was interrupted: visitors get what they got before.
func (m move) where(ctx context.Context, i int) (lever.World, string) {
	want := m.Objects[i]
	here, sameHere, _, err := m.at(ctx, want.Key, want)
	if err != nil {
		return lever.Unknown, err.Error()
	}
	if here && sameHere {
		return lever.Before, ""
	}
	there, sameThere, _, err := m.at(ctx, m.kept(i), want)
	switch {
	case err != nil:
		return lever.Unknown, err.Error()
	case here && there:
		return lever.Foreign, "something new is at " + want.Key
	case here:
		return lever.Foreign, want.Key + " has changed since the plan"
	case there && sameThere:
		return lever.After, ""
	case there:
		return lever.Foreign, "the copy of " + want.Key + " that is kept has been changed"
	case m.plan.Drill:
		return lever.Before, "" // the stand-in is made when it is moved
	}
	// Where nothing is found, a HEAD does not say why; a list does.
	if _, err := m.s.list(ctx, m.Held+"/", 1); err != nil {
		return lever.Unknown, err.Error()
	}
	return lever.Foreign, want.Key + " is gone from both places"
}

// look weighs what is seen of all objects.
func (m move) look(ctx context.Context) lever.Sighted {
	if m.Still {
		if _, err := m.manifest(ctx); err != nil {
			return lever.Sighted{World: lever.Unknown, Value: err.Error()}
		}
		return lever.Sighted{World: lever.Before, Value: "the objects are kept in " + m.Held + ", as they were before the plan"}
	}
	seen := make([]lever.Sighted, 0, len(m.Objects))
	count, why := map[lever.World]int{}, ""
	for i := range m.Objects {
		w, reason := m.where(ctx, i)
		seen = append(seen, lever.Sighted{World: w})
		count[w]++
		if reason != "" && (why == "" || w == lever.Foreign) {
			why = reason
		}
	}
	s := lever.Sighted{World: lever.Weigh(seen)}
	switch s.World {
	case lever.Before:
		s.Value = many(len(seen)) + " in place"
	case lever.After:
		s.Value = many(len(seen)) + " kept in " + m.Held
	case lever.Partial:
		s.Value = fmt.Sprintf("%d objects are in their places and %d are kept in %s", count[lever.Before], count[lever.After], m.Held)
	default:
		s.Value = why
	}
	return s
}

// todo is which objects are at one end; one that is at neither stops everything.
func (m move) todo(ctx context.Context, from lever.World) ([]int, error) {
	var out []int
	for i := range m.Objects {
		w, why := m.where(ctx, i)
		switch w {
		case lever.Foreign:
			return nil, fault.New(fault.Conflict, "the plan is stale: %s", why).At(m.Bucket).WithHint("make the plan again; nothing was moved")
		case lever.Before, lever.After:
			if w == from {
				out = append(out, i)
			}
		default:
			return nil, fault.New(fault.Unavailable, "can't look at the objects: %s", why).At(m.Bucket).WithHint("nothing was moved; try again")
		}
	}
	return out, nil
}

// takeAway compares all objects with the plan, then moves each.
func (m move) takeAway(ctx context.Context, t lever.Token, now time.Time) error {
	if m.Still {
		return nil
	}
	todo, err := m.todo(ctx, lever.Before)
	if err != nil {
		return err
	}
	if err := m.write(ctx, t, false, now); err != nil {
		return err
	}
	for _, i := range todo {
		if err := m.carry(ctx, m.Objects[i].Key, m.kept(i), m.Objects[i]); err != nil {
			return err
		}
	}
	return nil
}

// putBack moves each object to where it was, over nothing.
func (m move) putBack(ctx context.Context, t lever.Token, now time.Time) error {
	if m.Still {
		return nil
	}
	todo, err := m.todo(ctx, lever.After)
	if err != nil || len(todo) == 0 {
		return err
	}
	if err := m.write(ctx, t, false, now); err != nil { // the newer token
		return err
	}
	for _, i := range todo {
		if err := m.carry(ctx, m.kept(i), m.Objects[i].Key, m.Objects[i]); err != nil {
			return err
		}
	}
	return m.write(ctx, t, true, now)
}

// carry copies, compares, and only then deletes. A copy that an interrupted move
// left is taken as it is when it is the same.
func (m move) carry(ctx context.Context, from, to string, want Object) error {
	there, same, etag, err := m.at(ctx, from, want)
	if err != nil {
		return err
	}
	if !there || !same {
		return m.clash(want.Key)
	}
	already, same, _, err := m.at(ctx, to, want)
	switch {
	case err != nil:
		return err
	case already && !same:
		return m.clash(want.Key)
	case !already:
		if err := m.s.copy(ctx, from, etag, to); errors.Is(err, errChanged) {
			return m.clash(want.Key)
		} else if err != nil {
			return err
		}
	}
	sum, _, _, err := m.s.hash(ctx, to)
	if err != nil {
		return err
	}
	if sum != want.SHA256 {
		return m.clash(want.Key)
	}
	if err := m.s.delete(ctx, from, etag); errors.Is(err, errChanged) {
		return m.clash(want.Key)
	} else if err != nil {
		return err
	}
	return nil
}

func (m move) clash(key string) error {
	return fault.New(fault.Conflict, "%s was changed while it was moved", clip(key)).At(m.Bucket).WithHint("look at it; nothing was overwritten")
}

// dispose removes the manifest.
func (m move) dispose(ctx context.Context) error {
	if m.Still {
		return nil
	}
	for i, o := range m.Objects {
		if m.plan.Drill { // our own stand-in
			for _, key := range []string{o.Key, m.kept(i)} {
				if there, same, etag, err := m.at(ctx, key, o); err == nil && there && same {
					_ = m.s.delete(ctx, key, etag)
				}
			}
		}
		there, same, etag, err := m.at(ctx, m.kept(i), o)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		// A copy beside its object was left by an interrupted move.
		if here, sameHere, _, err := m.at(ctx, o.Key, o); err == nil && here && sameHere && same {
			if err := m.s.delete(ctx, m.kept(i), etag); err != nil {
				return err
			}
			continue
		}
		return fault.New(fault.Conflict, "objects are still kept in %s", m.Held).At(m.Bucket).WithHint("put them back first; lifeboat never deletes an object that it keeps")
	}
	name := path.Join(m.Held, manifestName)
	_, etag, err := m.s.head(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return m.s.delete(ctx, name, etag)
}

const standInText = "A drill of lifeboat's moves this object there and back.\n"

// standIn is the object that a drill moves.
func standIn(sec Section, name string) Object {
	sum := sha256.Sum256([]byte(standInText))
	return Object{Key: path.Join(sec.Aside, "drill", nameOf(name)+"txt"), Size: int64(len(standInText)), SHA256: hex.EncodeToString(sum[:])}
}

// makeStandIn makes the drill's object where there is none yet.
func (m move) makeStandIn(ctx context.Context) error {
	for _, key := range []string{m.Objects[0].Key, m.kept(0)} {
		if there, _, _, err := m.at(ctx, key, m.Objects[0]); err != nil || there {
			return err
		}
	}
	return m.s.put(ctx, m.Objects[0].Key, []byte(standInText))
}
