package shop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"lifeboat/internal/fault"
)

// maxSocketPath is what every Unix takes as a socket's path, in bytes.
const maxSocketPath = 100

// Condition is what State tells of a shop: looked up, never remembered.
type Condition struct {
	Name     string `json:"name"`    // as in Options
	Release  string `json:"release"` // as in Options
	Harms    []Harm `json:"harms"`   // what is wrong with the shop itself; empty when nothing is
	Address  string `json:"address"` // of the public port
	PID      int    `json:"pid"`
	Held     int64  `json:"held"`            // requests that wait without an answer while it hangs
	InUse    int    `json:"pool_in_use"`     // workers at work, or lost
	Workers  int    `json:"pool_size"`       // workers there are
	DiskFree int64  `json:"disk_free_bytes"` // for the books
}

// reply is what the control answers.
type reply struct {
	Condition
	Said string `json:"said,omitempty"` // what came of an act
}

// control breaks and repairs the shop.
type control struct {
	site    *site
	address string
	exit    func(int)
}

// newControl is the handler of the control socket.
func newControl(s *site, address string, exit func(int)) http.Handler {
	c := &control{site: s, address: address, exit: exit}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) { c.tell(w, r, "", nil) })
	mux.HandleFunc("POST /repair", func(w http.ResponseWriter, r *http.Request) { c.tell(w, r, "", c.repair(r.Context())) })
	mux.HandleFunc("POST /do/{act}", func(w http.ResponseWriter, r *http.Request) {
		said, err := c.do(r.Context(), Act(r.PathValue("act")))
		c.tell(w, r, said, err)
	})
	mux.HandleFunc("POST /break/{how}", c.hurt)
	return mux
}

// tell answers with the shop's condition, or with what went wrong.
func (c *control) tell(w http.ResponseWriter, r *http.Request, said string, err error) {
	now, errState := c.condition(r.Context())
	switch err = errors.Join(err, errState); {
	case fault.KindOf(err) == fault.Invalid:
		writeProblem(w, http.StatusNotFound, "No such thing", err.Error())
	case err != nil:
		writeProblem(w, http.StatusServiceUnavailable, "That did not work", err.Error())
	default:
		writeJSON(w, http.StatusOK, "application/json", reply{now, said})
	}
}

func (c *control) hurt(w http.ResponseWriter, r *http.Request) {
	b, err := ParseBreakage(joinSetting(r.PathValue("how"), r.URL.RawQuery))
	if err == nil && b.How == Kill {
		// The answer is begun and never ended: its reader sees the end of the process.
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush()
		c.exit(exitKilled)
		return
	}
	if err == nil {
		err = c.inflict(r.Context(), b)
	}
	c.tell(w, r, "", err)
}

func joinSetting(name, setting string) string {
	if setting == "" {
		return name
	}
	return name + "?" + setting
}

// inflict does to the shop what a shop can do to itself.
func (c *control) inflict(ctx context.Context, b Breakage) error {
	d := c.site.data
	switch b.How {
	case Hang:
		c.site.hang.set(true)
		return nil
	case PoisonRow:
		return d.poison(ctx)
	case FullDisk:
		return d.fill(ctx)
	case Flaky:
		return d.seize(ctx, b.For)
	}
	return notOurs(string(b.How))
}

func notOurs(what string) error {
	return fault.New(fault.Invalid, "a shop can't do this to itself: %q", what).
		WithHint("ask the demo that runs the shop")
}

func (c *control) do(ctx context.Context, act Act) (said string, err error) {
	var rows int64
	switch act {
	case RepairRow:
		if rows, err = c.site.data.repairRow(ctx); err == nil && rows == 0 {
			return "Every product can be read; nothing was changed.", nil
		}
		return fmt.Sprintf("Products taken out because they could not be read: %d.", rows), err
	case FreeDisk:
		if rows, err = c.site.data.freeDisk(ctx); err == nil && rows == 0 {
			return "There was nothing to delete.", nil
		}
		return "The export that filled the disk is deleted.", err
	}
	return "", notOurs(string(act))
}

// repair ends whatever a shop can do to itself, but its own death.
func (c *control) repair(ctx context.Context) error {
	c.site.hang.set(false)
	c.site.data.job.end()
	_, errDisk := c.site.data.freeDisk(ctx)
	_, errRow := c.site.data.repairRow(ctx)
	return errors.Join(errDisk, errRow)
}

// condition looks at everything.
func (c *control) condition(ctx context.Context) (Condition, error) {
	s := c.site
	now := Condition{
		Name: s.name, Release: s.release, Harms: []Harm{}, Address: c.address, PID: os.Getpid(),
		Held: s.hang.held.Load(), InUse: s.pool.inUse(), Workers: workers,
	}
	poisoned, errRow := s.data.poisoned(ctx)
	free, errDisk := s.data.free(ctx)
	if err := errors.Join(errRow, errDisk); err != nil {
		return now, err
	}
	now.DiskFree = free
	hangs, _ := s.hang.now()
	for _, h := range []struct {
		how Harm
		now bool
	}{
		{Hang, hangs}, {BadRelease, s.release == badRelease}, {LeakyRelease, s.release == leakRelease},
		{PoisonRow, poisoned}, {FullDisk, free == 0}, {Flaky, s.data.job.runs()},
	} {
		if h.now {
			now.Harms = append(now.Harms, h.how)
		}
	}
	return now, nil
}

// listenSocket listens on a socket that only the owner may use from its first
// moment on: it is made in a folder of its own and moved to its place.
func listenSocket(path string) (net.Listener, error) {
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	nest, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, socketFault(path, err)
	}
	defer os.RemoveAll(nest)
	hatchling := filepath.Join(nest, "s")
	if len(path) > maxSocketPath || len(hatchling) > maxSocketPath {
		return nil, fault.New(fault.Invalid, "path of the control socket is too long").At(path).
			WithHint("use a path of at most %d bytes", maxSocketPath-16)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: hatchling, Net: "unix"})
	if err != nil {
		return nil, socketFault(path, err)
	}
	l.SetUnlinkOnClose(false) // it will have moved by then; Run removes it
	err = errors.Join(os.Chmod(hatchling, 0o600), os.Rename(hatchling, path))
	if err != nil {
		return nil, errors.Join(socketFault(path, err), l.Close())
	}
	return l, nil
}

// clearSocket removes the socket of a shop that was killed, and nothing else.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return socketFault(path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fault.New(fault.Invalid, "not a socket").At(path).
			WithHint("move this file away or choose another path")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return fault.New(fault.Conflict, "another shop listens on this control socket").At(path).
			WithHint("stop it first or choose another path")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return socketFault(path, err)
	}
	return os.Remove(path)
}

func socketFault(path string, err error) error {
	return fault.New(fault.Unavailable, "open control socket").At(path).Because(err).
		WithHint("does its folder exist, and may this account write there?")
}
