// Package filelever is the lever that takes files which do harm out of a folder,
// and puts them back byte for byte.
//
// Planning freezes the paths or the pattern into a list with sizes, modes and
// hashes. Pulling renames exactly those files into a folder of the lever's own
// inside the same root (dot-named, mode 0700), beside a manifest that is written
// first. Putting back renames them to where they were and never over anything.
//
// It is not a backup and copies nothing: the files stay on the same file system.
// It never leaves the configured root (os.Root), refuses symbolic links, and
// never deletes a file.
//
// Concurrency: a Driver may be used from any goroutine; two pulls of one root are
// kept apart by the engine (one lever a resource).
package filelever

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// Kind is this driver's kind.
const Kind = "files"

// The most that one lever takes.
const (
	MaxFiles = 10_000
	MaxBytes = 64 << 30
)

// lookFor is how long a look at the folder may take: a file system that hangs is
// one that can't be asked.
const lookFor = 5 * time.Second

// Section is the driver's configuration.
type Section struct {
	Root  string   `json:"root"`            // absolute; nothing outside of it is touched
	Paths []string `json:"paths,omitempty"` // inside root, with slashes
	Glob  string   `json:"glob,omitempty"`  // or a pattern of path.Match, resolved once, when the plan is made
	Aside string   `json:"aside,omitempty"` // the folder inside root that files are kept in: .lifeboat
}

// Options of a Driver. Now MUST be set.
type Options struct {
	Now  func() time.Time
	Open func(root string) (*os.Root, error) // os.OpenRoot unless said
	Lead func(ctx context.Context) error     // asked before each write; a process that lost its lease says no. nil: always
}

// Driver moves files aside.
type Driver struct {
	o    Options
	busy chan struct{} // one for each look or move under way
}

// New makes a Driver.
func New(o Options) *Driver {
	if o.Open == nil {
		o.Open = os.OpenRoot
	}
	if o.Lead == nil {
		o.Lead = func(context.Context) error { return nil }
	}
	return &Driver{o, make(chan struct{}, 4)}
}

// Kind is "files".
func (d *Driver) Kind() string { return Kind }

// Capabilities says that the move is exact unless somebody writes there meanwhile.
func (d *Driver) Capabilities() lever.Capabilities {
	return lever.Capabilities{
		Class: lever.R2, Latency: 10 * time.Millisecond,
		Rights:      []string{"rename in the folders of the files, and in the folder they are kept in"},
		SideEffects: []string{"Whoever asks for one of these files gets an error.", "A program that has one of them open goes on using it."},
	}
}

// Preflight checks that the root can be read and that the list can be made.
func (d *Driver) Preflight(ctx context.Context, c lever.Card) (lever.Readiness, error) {
	sec, err := read(c.Config)
	if err != nil {
		return lever.Readiness{}, err
	}
	var list []File
	err = d.inside(ctx, sec.Root, func(ctx context.Context, root *os.Root) error {
		list, err = freeze(ctx, root, sec)
		return err
	})
	switch {
	case fault.KindOf(err) == fault.Invalid:
		return lever.Readiness{}, err
	case err != nil:
		return lever.Readiness{Problems: []string{"The files in " + sec.Root + " can't be listed: " + err.Error() + "."}}, nil
	case len(list) == 0 && len(sec.Paths) > 0:
		return lever.Readiness{Problems: []string{"None of the files is in " + sec.Root + ": see that the paths are right."}}, nil
	}
	return lever.Readiness{Ready: true}, nil
}

// frozen is a plan's Config: the section, and what it came to when the plan was made.
type frozen struct {
	Section
	Files []File `json:"files"`
	Held  string `json:"held"`            // the folder inside root that the files go to
	Still bool   `json:"still,omitempty"` // an earlier pull of this lever holds them there already
}

// ends are the words of a plan's Before and After. The first holds the hash of the
// frozen list, so that the plan's own hash, which people approve, binds it.
func (f frozen) ends() (before, after string) {
	if f.Still {
		return "kept in " + f.Held, "still kept in " + f.Held
	}
	var size int64
	for _, file := range f.Files {
		size += file.Size
	}
	return fmt.Sprintf("in place: %s, %s, list %s", many(len(f.Files)), sizeWords(size), digest(f.Files)[:32]), "kept in " + f.Held
}

// Plan freezes the list of files.
func (d *Driver) Plan(ctx context.Context, r lever.Request) (lever.Plan, error) {
	sec, err := read(r.Card.Config)
	if err != nil {
		return lever.Plan{}, err
	}
	f := frozen{Section: sec}
	if r.Drill {
		f.Files = []File{standIn(sec, r.Card.Name)}
		return plan(r, sec.Root+"#drill", f)
	}
	err = d.inside(ctx, sec.Root, func(ctx context.Context, root *os.Root) error {
		if f.Files, err = freeze(ctx, root, sec); err != nil || len(f.Files) > 0 {
			return err
		}
		f.Held = heldBy(root, sec, r.Card.Name)
		f.Still = f.Held != ""
		return nil
	})
	if err != nil {
		return lever.Plan{}, err
	}
	if len(f.Files) == 0 && !f.Still {
		return lever.Plan{}, fault.New(fault.NotFound, "no file is there to be moved aside").At(sec.Root).WithHint("see that the paths or the pattern are right")
	}
	return plan(r, sec.Root, f)
}

func plan(r lever.Request, target string, f frozen) (lever.Plan, error) {
	if !f.Still {
		f.Held = path.Join(f.Aside, prefixOf(r.Card.Name)+digest(f.Files)[:16])
	}
	says := fmt.Sprintf("move %s out of %s, to %s", many(len(f.Files)), f.Root, f.Held)
	if f.Still {
		says = "nothing: the files are already kept in " + f.Held
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return lever.Plan{}, fmt.Errorf("encode the list: %w", err)
	}
	r.Card.Config = raw
	was, will := f.ends()
	return lever.NewPlan(r, target, says, was, will)
}

func many(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

func sizeWords(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// Apply moves the files of the plan aside: all are compared with the plan first,
// then each is renamed. Run again after a crash it moves what is left.
func (d *Driver) Apply(ctx context.Context, p lever.Plan, step int, t lever.Token) error {
	m, err := open(p, step)
	if err != nil {
		return err
	}
	return d.act(ctx, m, func(ctx context.Context, root *os.Root) error {
		if err := d.permit(ctx, root, m, t); err != nil {
			return err
		}
		if p.Drill {
			if err := m.makeStandIn(root); err != nil {
				return err
			}
		}
		return m.takeAway(ctx, root, t, d.o.Now().UTC())
	})
}

// Observe looks at both places of every file, and at what is in them.
func (d *Driver) Observe(ctx context.Context, p lever.Plan, step int) (lever.Observation, error) {
	m, err := open(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	var s lever.Sighted
	err = d.inside(ctx, m.sec.Root, func(ctx context.Context, root *os.Root) error {
		s = m.look(ctx, root)
		return nil
	})
	if err != nil {
		s = lever.Sighted{World: lever.Unknown, Value: err.Error()}
	}
	s.Witness = m.sec.Root
	return lever.Observation{World: s.World, Detail: s.Value, Seen: []lever.Sighted{s}, At: d.o.Now().UTC()}, nil
}

// Verify is Observe: whether visitors are better off is for the checks to say.
func (d *Driver) Verify(ctx context.Context, p lever.Plan, _ lever.Direction) (lever.Observation, error) {
	return d.Observe(ctx, p, 0)
}

// Revert puts the files back, if each is as the plan left it and nothing has taken
// its place.
func (d *Driver) Revert(ctx context.Context, p lever.Plan, step int, t lever.Token) (lever.Observation, error) {
	m, err := open(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	obs, err := d.Observe(ctx, p, step)
	if err != nil || obs.World == lever.Foreign {
		return obs, err
	}
	return obs, d.act(ctx, m, func(ctx context.Context, root *os.Root) error {
		if err := d.permit(ctx, root, m, t); err != nil {
			return err
		}
		return m.putBack(ctx, root, t, d.o.Now().UTC())
	})
}

// Dispose removes the empty folder of a lever that was put back. Files that are
// still kept aside are never deleted here.
func (d *Driver) Dispose(ctx context.Context, p lever.Plan) error {
	m, err := open(p, 0)
	if err != nil {
		return err
	}
	return d.act(ctx, m, m.dispose)
}

// act opens the root for a write.
func (d *Driver) act(ctx context.Context, m move, f func(context.Context, *os.Root) error) error {
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Unavailable, "the time was over before any file was moved").At(m.sec.Root).Because(err)
	}
	return d.run(ctx, m.sec.Root, f)
}

// permit refuses a token older than the manifest's, and a process without its lease.
func (d *Driver) permit(ctx context.Context, root *os.Root, m move, t lever.Token) error {
	if man, err := m.manifest(root); err == nil && man.Revision > t.Revision {
		return fault.New(fault.Conflict, "a newer order has moved these files since").At(m.sec.Root).WithHint("look at the lever again")
	}
	return d.o.Lead(ctx)
}

// inside looks into a root, but not for long.
func (d *Driver) inside(ctx context.Context, dir string, f func(context.Context, *os.Root) error) error {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	return d.run(ctx, dir, f)
}

// run opens a root for f and does not wait for a file system that hangs: then what
// f came to is unknown, and Observe has to tell.
func (d *Driver) run(ctx context.Context, dir string, f func(context.Context, *os.Root) error) error {
	hangs := fault.New(fault.Unavailable, "the file system does not answer").At(dir).WithHint("look at the machine's disks and mounts")
	select {
	case d.busy <- struct{}{}:
	case <-ctx.Done():
		return hangs
	}
	done := make(chan error, 1)
	go func() { // ends when the file system answers; busy bounds how many wait
		defer func() { <-d.busy }()
		root, err := d.o.Open(dir)
		if err == nil {
			err = f(ctx, root)
			_ = root.Close()
		}
		done <- err
	}()
	select {
	case err := <-done:
		if f := (*fault.Error)(nil); err != nil && !errors.As(err, &f) {
			err = fault.New(fault.Unavailable, "can't look into the folder").At(dir).Because(err).WithHint("see that it is there and mounted")
		}
		return err
	case <-ctx.Done():
		return hangs
	}
}

// read checks a lever's section.
func read(raw json.RawMessage) (Section, error) {
	var sec Section
	const sample = `files: {root: /srv/shop/uploads, paths: [2026/banner.jpg]}`
	bad := func(format string, args ...any) (Section, error) {
		return sec, fault.New(fault.Invalid, format, args...).WithHint("for example %s", sample)
	}
	if err := json.Unmarshal(raw, &sec); err != nil {
		return bad("the lever's section can't be read")
	}
	if sec.Aside == "" {
		sec.Aside = ".lifeboat"
	}
	switch {
	case !filepath.IsAbs(sec.Root) || filepath.Clean(sec.Root) != sec.Root || sec.Root == "/":
		return bad("the root %q is no absolute path of a folder", clip(sec.Root))
	case (len(sec.Paths) > 0) == (sec.Glob != ""):
		return bad("the lever needs paths or a glob, one of the two")
	case len(sec.Paths) > MaxFiles:
		return bad("%d paths are too many, %d fit", len(sec.Paths), MaxFiles)
	case !plain(sec.Aside) || strings.Contains(sec.Aside, "/"):
		return bad("the folder %q to keep files in is no plain name", clip(sec.Aside))
	}
	for _, p := range sec.Paths {
		if !plain(p) || in(p, sec.Aside) {
			return bad("the path %q does not stay inside the root, or is where files are kept", clip(p))
		}
	}
	if sec.Glob == "" {
		return sec, nil
	}
	if _, err := path.Match(sec.Glob, ""); err != nil || !plain(sec.Glob) || strings.Contains(sec.Glob, "**") {
		return bad("the glob %q can't be read: * stands for a part of one name, and ** is not known", clip(sec.Glob))
	}
	if strings.Trim(sec.Glob, "*?/") == "" {
		return bad("the glob %q would take everything", clip(sec.Glob))
	}
	return sec, nil
}

// plain says whether a path stays where it is: relative, clean, without dots that
// lead up and without what a terminal would notice.
func plain(p string) bool {
	return p != "" && p != "." && len(p) <= 4096 && path.Clean(p) == p && filepath.IsLocal(p) && !strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' })
}

func in(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
