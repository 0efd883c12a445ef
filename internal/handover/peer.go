package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
)

// PeerUID is the account of the process that dialled a local socket, as the
// kernel noted it then (SO_PEERCRED, unix(7)).
func PeerUID(conn net.Conn) (int, error) {
	local, is := conn.(syscall.Conn)
	if !is {
		return -1, fmt.Errorf("ask who dialled: %T has no descriptor", conn)
	}
	raw, err := local.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("ask who dialled: %w", err)
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, failed); err != nil {
		return -1, fmt.Errorf("ask who dialled: %w", err)
	}
	if peer.Pid == 0 && peer.Uid == ^uint32(0) {
		return -1, errors.New("ask who dialled: this is no local socket")
	}
	return int(peer.Uid), nil
}

// Admit lets in whoever may use a local socket: root, the account of this
// process, and the accounts named (StarterUID, FeedUID; -1 names nobody).
// Everybody else is a fault.Denied, and so is one that can't be told.
func Admit(conn net.Conn, also ...int) error {
	uid, err := PeerUID(conn)
	if err != nil {
		return fault.New(fault.Denied, "can't tell who is asking").Because(err)
	}
	if uid == 0 || uid == os.Geteuid() || (uid > 0 && slices.Contains(also, uid)) {
		return nil
	}
	return fault.New(fault.Denied, "account %d may not use this socket", uid).
		WithHint("use it as root or as the account that started lifeboat")
}
