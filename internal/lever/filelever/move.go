package filelever

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// Manifest stands beside the files that are kept aside, so that a person without
// lifeboat can put them back, too.
type Manifest struct {
	Lever    string    `json:"lever"`
	Plan     string    `json:"plan"`
	Pull     string    `json:"pull"`
	Incident string    `json:"incident"`
	By       string    `json:"by"`
	Revision uint64    `json:"revision"` // of the newest order: an older one is refused
	At       time.Time `json:"at"`
	Back     bool      `json:"back"`  // all were put back
	Files    []File    `json:"files"` // the N'th is kept as N
}

// maxManifest is the most that is read of one.
const maxManifest = 64 << 20

// move is a plan's step, ready to be done.
type move struct {
	plan  lever.Plan
	sec   Section
	files []File
	held  string // the folder inside root
	still bool   // nothing to do: the files were kept aside before the plan was made
}

func open(p lever.Plan, step int) (move, error) {
	m := move{plan: p}
	if step != 0 || len(p.Steps) != 1 {
		return m, fault.New(fault.Invalid, "the plan has no step %d", step)
	}
	var err error
	if m.sec, err = read(p.Config); err != nil {
		return m, err
	}
	again := func() (move, error) {
		return m, fault.New(fault.Invalid, "the plan is not whole, or not as it was made").WithHint("make it again")
	}
	var f frozen
	var was, will string
	if json.Unmarshal(p.Config, &f) != nil || json.Unmarshal(p.Steps[0].Before, &was) != nil || json.Unmarshal(p.Steps[0].After, &will) != nil {
		return again()
	}
	f.Section = m.sec
	if before, after := f.ends(); was != before || will != after || !plain(f.Held) || !in(f.Held, m.sec.Aside) || f.Held == m.sec.Aside {
		return again()
	}
	for _, file := range f.Files {
		if !plain(file.Path) {
			return again()
		}
	}
	m.files, m.held, m.still = f.Files, f.Held, f.Still
	return m, nil
}

func (m move) kept(i int) string { return path.Join(m.held, fmt.Sprint(i)) }

func (m move) manifest(root *os.Root) (Manifest, error) {
	var man Manifest
	f, err := root.Open(path.Join(m.held, "manifest.json"))
	if err != nil {
		return man, err
	}
	defer func() { _ = f.Close() }()
	return man, json.NewDecoder(io.LimitReader(f, maxManifest)).Decode(&man)
}

// write puts the manifest in place, whole and on disk, before anything is moved.
func (m move) write(root *os.Root, t lever.Token, back bool, now time.Time) error {
	b, err := json.MarshalIndent(Manifest{
		Lever: m.plan.Lever, Plan: m.plan.Hash, Pull: t.Pull, Incident: t.Incident, By: t.By, Revision: t.Revision, At: now, Back: back, Files: m.files,
	}, "", "  ")
	if err != nil {
		return err
	}
	name := path.Join(m.held, "manifest.json")
	f, err := root.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return errors.Join(root.Rename(name+".new", name), syncFolder(root, m.held))
}

func syncFolder(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// where one file is, seen from both of its places.
func (m move) where(ctx context.Context, root *os.Root, i int) (lever.World, string) {
	want := m.files[i]
	here, errHere := measure(ctx, root, want.Path)
	there, errThere := measure(ctx, root, m.kept(i))
	there.Path = want.Path
	gone := func(err error) bool { return errors.Is(err, fs.ErrNotExist) }
	odd := func(err error) bool { return fault.KindOf(err) == fault.Invalid }
	switch {
	case errHere == nil && gone(errThere):
		if here.same(want) {
			return lever.Before, ""
		}
		return lever.Foreign, want.Path + " has changed since the plan"
	case gone(errHere) && errThere == nil:
		if there.same(want) {
			return lever.After, ""
		}
		return lever.Foreign, "the copy of " + want.Path + " that is kept has been changed"
	case errHere == nil && errThere == nil:
		return lever.Foreign, "something new is at " + want.Path
	case gone(errHere) && gone(errThere) && m.plan.Drill:
		return lever.Before, "" // the stand-in is made when it is moved
	case gone(errHere) && gone(errThere):
		return lever.Foreign, want.Path + " is gone from both places"
	case odd(errHere), odd(errThere):
		return lever.Foreign, "something that is no plain file is at " + want.Path
	}
	return lever.Unknown, errors.Join(errHere, errThere).Error()
}

// look weighs what is seen of all files.
func (m move) look(ctx context.Context, root *os.Root) lever.Sighted {
	if m.still {
		return lever.Sighted{World: lever.Before, Value: "the files are kept in " + m.held + ", as they were before the plan"}
	}
	seen := make([]lever.Sighted, 0, len(m.files))
	count, why := map[lever.World]int{}, ""
	for i := range m.files {
		w, reason := m.where(ctx, root, i)
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
		s.Value = many(len(seen)) + " kept in " + m.held
	case lever.Partial:
		s.Value = fmt.Sprintf("%d files are in their places and %d are kept in %s", count[lever.Before], count[lever.After], m.held)
	default:
		s.Value = why
	}
	return s
}

// takeAway compares all files with the plan, then moves each.
func (m move) takeAway(ctx context.Context, root *os.Root, t lever.Token, now time.Time) error {
	if m.still {
		return nil
	}
	todo, err := m.todo(ctx, root, lever.Before)
	if err != nil {
		return err
	}
	if err := root.MkdirAll(m.held, 0o700); err != nil {
		return m.failed("make the folder that files are kept in", err)
	}
	if err := m.write(root, t, false, now); err != nil {
		return m.failed("write the manifest", err)
	}
	for _, i := range todo {
		if err := ctx.Err(); err != nil {
			return m.failed("move all files in time; run again, it goes on where it stopped", err)
		}
		if err := rename(root, m.files[i].Path, m.kept(i)); err != nil {
			return m.failed("move "+m.files[i].Path, err)
		}
	}
	return m.settle(root, todo)
}

// putBack moves each file to where it was, over nothing.
func (m move) putBack(ctx context.Context, root *os.Root, t lever.Token, now time.Time) error {
	if m.still {
		return nil
	}
	todo, err := m.todo(ctx, root, lever.After)
	if err != nil || len(todo) == 0 {
		return err
	}
	for _, i := range todo {
		if err := root.MkdirAll(path.Dir(m.files[i].Path), 0o755); err != nil {
			return m.failed("make the folder of "+m.files[i].Path, err)
		}
		if err := rename(root, m.kept(i), m.files[i].Path); err != nil {
			return m.failed("put back "+m.files[i].Path, err)
		}
	}
	if err := m.settle(root, todo); err != nil {
		return err
	}
	return m.write(root, t, true, now)
}

// todo is which files are at one end; one that is at neither stops everything.
func (m move) todo(ctx context.Context, root *os.Root, from lever.World) ([]int, error) {
	var out []int
	for i := range m.files {
		w, why := m.where(ctx, root, i)
		switch w {
		case lever.Foreign:
			return nil, fault.New(fault.Conflict, "the plan is stale: %s", why).At(m.sec.Root).WithHint("make the plan again; nothing was moved")
		case lever.Before, lever.After:
			if w == from {
				out = append(out, i)
			}
		default:
			return nil, fault.New(fault.Unavailable, "can't read the files: %s", why).At(m.sec.Root).WithHint("nothing was moved; see that the folder can be read")
		}
	}
	return out, nil
}

// settle makes renames last through a loss of power.
func (m move) settle(root *os.Root, moved []int) error {
	folders := map[string]bool{m.held: true}
	for _, i := range moved {
		folders[path.Dir(m.files[i].Path)] = true
	}
	for f := range folders {
		if err := syncFolder(root, f); err != nil {
			return m.failed("write the folder to disk", err)
		}
	}
	return nil
}

func (m move) failed(what string, err error) error {
	f := fault.New(fault.Unavailable, "can't %s", what).At(m.sec.Root).Because(err)
	switch {
	case errors.Is(err, errOtherDevice):
		return f.WithHint("the file lies on another file system than the root: make a lever with that folder as its root")
	case errors.Is(err, fs.ErrExist):
		f.Kind = fault.Conflict
		return f.WithHint("something has taken its place meanwhile; look at both, nothing was overwritten")
	case errors.Is(err, fs.ErrPermission):
		return f.WithHint("give lifeboat's user the right to write in this folder")
	}
	return f.WithHint("look at the folder, then try again: it goes on where it stopped")
}

// dispose removes the manifest and the empty folder.
func (m move) dispose(ctx context.Context, root *os.Root) error {
	if m.still {
		return nil
	}
	if m.plan.Drill {
		for _, name := range []string{m.files[0].Path, m.kept(0)} {
			if f, err := measure(ctx, root, name); err == nil && f.SHA256 == m.files[0].SHA256 {
				_ = root.Remove(name) // our own stand-in
			}
		}
	}
	for i := range m.files {
		if _, err := root.Lstat(m.kept(i)); err == nil {
			return fault.New(fault.Conflict, "%s still kept in %s", many(len(m.files)), m.held).At(m.sec.Root).
				WithHint("put them back first; lifeboat never deletes a file that it keeps")
		}
	}
	for _, name := range []string{path.Join(m.held, "manifest.json.new"), path.Join(m.held, "manifest.json"), m.held} {
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return m.failed("remove "+name, err)
		}
	}
	return nil
}
