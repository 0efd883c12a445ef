package handover

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
)

// maxLine bounds the line of names that travels with the descriptors, in bytes.
const maxLine = 64 << 10

// parcel is the line that travels with the descriptors, or why there are none.
type parcel struct {
	Sockets []string `json:"sockets,omitempty"` // one name for each descriptor
	Error   string   `json:"error,omitempty"`
}

// Send passes the sockets to the process at the other end (SCM_RIGHTS, unix(7))
// with one JSON line that names them. They stay this process's too.
func Send(conn *net.UnixConn, s Sockets) error {
	names := s.names()
	if err := checkNames(names); err != nil {
		return err
	}
	line, err := json.Marshal(parcel{Sockets: names})
	if err != nil {
		return fmt.Errorf("encode socket names: %w", err)
	}
	line = append(line, '\n')
	var rights []byte
	if len(names) > 0 {
		var fds []int
		for _, f := range s.ExtraFiles() {
			fds = append(fds, int(f.Fd()))
		}
		rights = unix.UnixRights(fds...)
	}
	n, _, err := conn.WriteMsgUnix(line, rights, nil)
	if err == nil && n < len(line) {
		_, err = conn.Write(line[n:])
	}
	runtime.KeepAlive(s)
	if err != nil {
		return fmt.Errorf("send sockets: %w", err)
	}
	return nil
}

// Receive takes the sockets that Send passed. The caller sets the connection's
// deadline and has read nothing of the message. A line {"error": …} in its place
// is a fault.Unavailable.
func Receive(conn *net.UnixConn) (Sockets, error) {
	line, fds, err := receive(conn)
	defer closeAll(fds) // what is kept has been duplicated
	if err != nil {
		return nil, fmt.Errorf("receive sockets: %w", err)
	}
	names, err := parseParcel(line)
	if err != nil {
		return nil, err
	}
	if len(names) != len(fds) {
		return nil, fault.New(fault.Invalid, "%d sockets came with %d names", len(fds), len(names))
	}
	s := Sockets{}
	for i, name := range names {
		f, err := unwatched(fds[i], name)
		if err != nil {
			_ = s.Close()
			return nil, fmt.Errorf("take over socket %q: %w", name, err)
		}
		s[name] = append(s[name], f)
	}
	return s, nil
}

func parseParcel(line []byte) ([]string, error) {
	var p parcel
	if err := json.Unmarshal(line, &p); err != nil {
		return nil, fault.New(fault.Invalid, "the names of the sockets can't be read").Because(err)
	}
	if p.Error != "" {
		return nil, fault.New(fault.Unavailable, "no sockets were handed over").Because(errors.New(p.Error))
	}
	return p.Sockets, checkNames(p.Sockets)
}

// receive reads one line and the descriptors that came with any part of it.
func receive(conn *net.UnixConn) (line []byte, fds []int, err error) {
	data := make([]byte, 4<<10)
	control := make([]byte, unix.CmsgSpace(4*maxSockets))
	for len(line) <= maxLine {
		n, controls, flags, _, err := conn.ReadMsgUnix(data, control) // descriptors come close-on-exec
		if err != nil {
			return nil, fds, err
		}
		more, err := rights(control[:controls])
		fds = append(fds, more...)
		if err != nil {
			return nil, fds, err
		}
		if flags&unix.MSG_CTRUNC != 0 {
			return nil, fds, errors.New("not all descriptors could be taken")
		}
		if n == 0 {
			return nil, fds, io.ErrUnexpectedEOF
		}
		line = append(line, data[:n]...)
		if before, _, whole := bytes.Cut(line, []byte{'\n'}); whole {
			return before, fds, nil
		}
	}
	return nil, fds, fmt.Errorf("the line of names is longer than %d bytes", maxLine)
}

// rights finds the descriptors in control messages.
func rights(control []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("parse control message: %w", err)
	}
	var fds []int
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		more, err := unix.ParseUnixRights(&m)
		if err != nil {
			return fds, fmt.Errorf("parse descriptors: %w", err)
		}
		fds = append(fds, more...)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
