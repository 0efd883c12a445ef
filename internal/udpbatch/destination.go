package udpbatch

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// oobSize holds the control messages of both families, which an IPv6 socket gives
// for an IPv4 packet.
const oobSize = 128

// AskForDestination makes the kernel tell which address each packet was sent to. A
// listener calls it before the socket is bound: a packet that comes in earlier would
// not tell.
func AskForDestination(raw syscall.RawConn) error {
	var v4, v6 error
	err := raw.Control(func(fd uintptr) {
		v4 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		v6 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	})
	if err != nil {
		return err
	}
	if v4 != nil && v6 != nil { // one of them fails on a socket of the other family
		return fmt.Errorf("ask for packet destinations: %w", v4)
	}
	return nil
}

// fromDestination turns what the kernel told of a received packet into what it is
// told of the answer: sent from the address that was asked, by any interface. It
// changes the control messages in place; nil when none of them says it.
func fromDestination(oob []byte) []byte {
	for rest := oob; len(rest) > 0; {
		hdr, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return nil
		}
		if turn(hdr, data) {
			return rest[:len(rest)-len(next)]
		}
		rest = next
	}
	return nil
}

func turn(hdr unix.Cmsghdr, data []byte) bool {
	switch {
	case hdr.Level == unix.IPPROTO_IP && hdr.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		copy(data[4:8], data[8:12]) // ipi_addr, the packet's destination, → ipi_spec_dst
		clear(data[:4])
	case hdr.Level == unix.IPPROTO_IPV6 && hdr.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		if data[0] != 0xfe || data[1]&0xc0 != 0x80 { // a link-local address keeps its interface
			clear(data[16:20])
		}
	default:
		return false
	}
	return true
}
