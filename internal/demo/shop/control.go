package shop

import (
	"encoding/json"
	"errors"
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

// Condition is what State tells of a shop.
type Condition struct {
	Name    string `json:"name"`    // as in Options
	Harm    Harm   `json:"harm"`    // None when all is well
	Address string `json:"address"` // of the public port
	PID     int    `json:"pid"`
	Held    int64  `json:"held"` // requests that wait without an answer while it hangs
}

// newControl is the local control: it breaks and repairs the shop.
func newControl(name, address string, h *harm) http.Handler {
	mux := http.NewServeMux()
	tell := func(w http.ResponseWriter, status int) {
		current, _ := h.now()
		c := Condition{Name: name, Harm: current, Address: address, PID: os.Getpid(), Held: h.held.Load()}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(c) // a caller that left needs nothing more
	}
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) {
		tell(w, http.StatusOK)
	})
	mux.HandleFunc("POST /repair", func(w http.ResponseWriter, r *http.Request) {
		h.set(None)
		tell(w, http.StatusOK)
	})
	mux.HandleFunc("POST /break/{how}", func(w http.ResponseWriter, r *http.Request) {
		how, err := ParseHarm(r.PathValue("how"))
		if err != nil {
			writeProblem(w, http.StatusNotFound, "No such way to break the shop", err.Error())
			return
		}
		h.set(how)
		if how != Kill {
			tell(w, http.StatusOK)
			return
		}
		// The answer is begun and never ended: its reader sees the end of the process.
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush()
		h.exit(exitKilled)
	})
	return mux
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
