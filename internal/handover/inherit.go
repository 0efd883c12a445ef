package handover

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
)

// The environment of a process that sockets are handed down to. The first is
// ours; the others are systemd's (sd_listen_fds(3)).
const (
	envNames        = "LIFEBOAT_LISTEN_FDNAMES" // one name for each socket from descriptor 3 on, by colons
	envSystemdPID   = "LISTEN_PID"
	envSystemdCount = "LISTEN_FDS"
	envSystemdNames = "LISTEN_FDNAMES"
	envStarterUID   = "LIFEBOAT_STARTER_UID"
	envFeedUID      = "LIFEBOAT_FEED_UID"
)

const (
	firstFD    = 3   // after standard input, output and error
	maxSockets = 253 // what Linux passes in one message (SCM_MAX_FD)
	unnamed    = "unknown"
)

// Environ takes what belongs to handing down out of an environment, so that it
// does not reach a process that it is not meant for.
func Environ(env []string) []string {
	var out []string
	for _, v := range env {
		switch name, _, _ := strings.Cut(v, "="); name {
		case envNames, envSystemdPID, envSystemdCount, envSystemdNames, envStarterUID, envFeedUID:
		default:
			out = append(out, v)
		}
	}
	return out
}

// Env is the variable that tells a child the names of its ExtraFiles.
func (s Sockets) Env() string { return envNames + "=" + strings.Join(s.names(), ":") }

// ExtraFiles are the sockets in the order of Env, for exec.Cmd: they become the
// descriptors from 3 on. They stay this process's too.
func (s Sockets) ExtraFiles() []*os.File {
	var out []*os.File
	used := map[string]int{}
	for _, name := range s.names() {
		out = append(out, s[name][used[name]])
		used[name]++
	}
	return out
}

// StarterEnv is the variable that tells a child who started lifeboat.
func StarterEnv(uid int) string { return envStarterUID + "=" + strconv.Itoa(uid) }

// StarterUID is the account that started lifeboat, -1 when nobody said.
func StarterUID() int { return uidFrom(os.Getenv(envStarterUID)) }

// FeedEnv is the variable that tells control the account of answer, which dials
// its feed.
func FeedEnv(uid int) string { return envFeedUID + "=" + strconv.Itoa(uid) }

// FeedUID is the account that may dial feed.sock, -1 when nobody said.
func FeedUID() int { return uidFrom(os.Getenv(envFeedUID)) }

func uidFrom(s string) int {
	uid, err := strconv.Atoi(s)
	if err != nil || uid < 0 {
		return -1
	}
	return uid
}

// Inherited takes over the sockets that systemd or our own parent handed down,
// and removes the variables that named them. None handed down is an empty
// Sockets. Call it once, early in main, before anything else opens descriptors;
// names and descriptors that don't fit are a fault.Invalid.
func Inherited() (Sockets, error) {
	names, err := inheritedNames(os.Getenv, os.Getpid())
	for _, v := range []string{envNames, envSystemdPID, envSystemdCount, envSystemdNames} {
		if err := os.Unsetenv(v); err != nil {
			return nil, fmt.Errorf("forget handed-down sockets: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	return adopt(firstFD, names)
}

// inheritedNames reads the names from the environment; ours come before systemd's.
func inheritedNames(getenv func(string) string, pid int) ([]string, error) {
	if ours := getenv(envNames); ours != "" {
		return splitNames(ours)
	}
	if getenv(envSystemdPID) != strconv.Itoa(pid) {
		return nil, nil // meant for another process, or nothing
	}
	n, err := strconv.Atoi(getenv(envSystemdCount))
	if err != nil || n < 0 || n > maxSockets {
		return nil, fault.New(fault.Invalid, "%q is no number of sockets", getenv(envSystemdCount)).At(envSystemdCount)
	}
	if getenv(envSystemdNames) == "" {
		names := make([]string, n)
		for i := range names {
			names[i] = unnamed
		}
		return names, nil
	}
	names, err := splitNames(getenv(envSystemdNames))
	if err == nil && len(names) != n {
		err = fault.New(fault.Invalid, "%d names for %d sockets", len(names), n).At(envSystemdNames)
	}
	return names, err
}

func splitNames(s string) ([]string, error) {
	names := strings.Split(s, ":")
	return names, checkNames(names)
}

func checkNames(names []string) error {
	if len(names) > maxSockets {
		return fault.New(fault.Invalid, "%d sockets; at most %d can be handed over", len(names), maxSockets)
	}
	for _, name := range names {
		if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == ':' || r > '~' }) {
			return fault.New(fault.Invalid, "%q is no name of a socket", name)
		}
	}
	return nil
}

// adopt holds the descriptors from first on under the names and closes the
// originals. Only sockets are touched: a wrong environment must not close a
// descriptor of the runtime's.
func adopt(first int, names []string) (Sockets, error) {
	for i, name := range names {
		if !isSocket(first + i) {
			return nil, fault.New(fault.Invalid, "descriptor %d, named %q, is no socket", first+i, name).
				WithHint("unset %s, or start through lifeboat serve or systemd", envNames)
		}
	}
	s := Sockets{}
	for i, name := range names {
		fd := first + i
		unix.CloseOnExec(fd)
		f, err := unwatched(fd, name)
		if err != nil {
			_ = s.Close()
			return nil, fmt.Errorf("take over socket %q: %w", name, err)
		}
		s[name] = append(s[name], f)
		if err := unix.Close(fd); err != nil {
			return nil, fmt.Errorf("close descriptor %d: %w", fd, err)
		}
	}
	return s, nil
}

func isSocket(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}
