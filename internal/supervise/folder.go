package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
)

// The data folder's parts; the local sockets lie beside them.
const (
	controlFolder = "control" // 0700, control's account
	answerFolder  = "answer"  // 0700, answer's account
	lockFile      = "serve.lock"
	stateFile     = "serve.json"
)

// account is who a child runs as; the zero account is "as this process".
type account struct {
	named    bool
	uid, gid int
}

type accounts struct{ control, answer account }

// apart says whether a child runs as another account than this process, and so
// must pass through a folder that is not its own.
func (a accounts) apart() bool {
	return a.control.uid != os.Geteuid() || a.answer.uid != os.Geteuid()
}

func findAccounts(control, answer string) (a accounts, err error) {
	if a.control, err = findAccount("--control-user", control); err != nil {
		return a, err
	}
	a.answer, err = findAccount("--answer-user", answer)
	return a, err
}

func findAccount(flag, name string) (account, error) {
	if name == "" {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	if os.Geteuid() != 0 {
		return account{}, fault.New(fault.Invalid, "only root can start a child as another account").At(flag).
			WithHint("start serve as root, or leave %s out", flag)
	}
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, fault.New(fault.Invalid, "no account %q", name).At(flag).Because(err).
			WithHint("make it with: useradd --system %s", name)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return account{}, fmt.Errorf("read user id of %s: %w", name, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return account{}, fmt.Errorf("read group id of %s: %w", name, err)
	}
	return account{named: true, uid: uid, gid: gid}, nil
}

// makeFolders makes the data folder and each child's own.
func makeFolders(data string, a accounts, log *slog.Logger) error {
	mode := fs.FileMode(0o700)
	if a.apart() {
		mode = 0o711
	}
	if err := os.MkdirAll(data, mode); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	switch ours, err := isOurs(data); {
	case err != nil:
		return err
	case ours:
		if err := os.Chmod(data, mode); err != nil {
			return fmt.Errorf("close data folder to others: %w", err)
		}
	default: // somebody's folder with other things in it: its mode is theirs to choose
		log.Warn("the data folder held other things before; its mode is left as it was", "path", data)
	}
	if err := makeFolder(filepath.Join(data, controlFolder), a.control); err != nil {
		return err
	}
	return makeFolder(filepath.Join(data, answerFolder), a.answer)
}

// isOurs says whether the data folder is new, or made by an earlier serve.
func isOurs(data string) (bool, error) {
	entries, err := os.ReadDir(data)
	if err != nil {
		return false, fmt.Errorf("read data folder: %w", err)
	}
	if len(entries) == 0 {
		return true, nil
	}
	for _, e := range entries {
		if e.Name() == lockFile {
			return true, nil
		}
	}
	return false, nil
}

func makeFolder(path string, a account) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	return give(path, 0o700, a)
}

// give makes a file or folder a child's own, with a mode. What is a link, has a
// second name or belongs to a third account is refused: a child that was broken
// into must not be able to have root give it something else.
func give(path string, mode fs.FileMode, a account) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("give %s: %w", filepath.Base(path), err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("give %s: %w", filepath.Base(path), err)
	}
	folder := st.Mode&unix.S_IFMT == unix.S_IFDIR
	theirs := int(st.Uid) == a.uid && a.named
	if (int(st.Uid) != os.Geteuid() && !theirs) || (!folder && st.Nlink != 1) {
		return fault.New(fault.Conflict, "it belongs to account %d", st.Uid).At(path).
			WithHint("name that account with --control-user or --answer-user, or give the folder to this one with: chown -R")
	}
	if err := f.Chmod(mode); err != nil {
		return fmt.Errorf("give %s: %w", filepath.Base(path), err)
	}
	if a.named && !theirs {
		if err := f.Chown(a.uid, a.gid); err != nil {
			return fmt.Errorf("give %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// lockFolder makes this the only serve on the folder until the file is closed. The
// children don't inherit it: a killed serve leaves no lock behind.
func lockFolder(data string) (*os.File, error) {
	path := filepath.Join(data, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		_ = f.Close()
		return nil, fault.New(fault.Conflict, "another lifeboat serve works on this data folder").At("--data " + data).
			WithHint("stop that one first, or choose another folder with --data")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock data folder: %w", err), f.Close())
	}
	return f, nil
}
