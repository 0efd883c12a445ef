package xfr

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Waits of NOTIFY and of the questions after it. A secondary that is not heard within
// all of these looks by itself, when its refresh time is over.
var (
	notifyWaits = []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, 2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second}
	askWaits    = []time.Duration{20 * time.Millisecond, 80 * time.Millisecond, 400 * time.Millisecond, 1500 * time.Millisecond, 5 * time.Second, 20 * time.Second}
)

const (
	lookEvery = time.Minute // how often what could not be told is told again, and every serial is asked for
	askLimit  = time.Second // for one answer
)

// pair is a zone and a secondary of it.
type pair struct {
	apex string
	to   netip.AddrPort
}

// Standing is how far a secondary has come with a zone.
type Standing struct {
	Zone    string         `json:"zone"`
	Address netip.AddrPort `json:"address"`
	Ours    uint32         `json:"ours"`              // the serial that is in force here
	Serial  uint32         `json:"serial"`            // the one that it answered last; 0 when it has not
	At      time.Time      `json:"at,omitzero"`       // when it answered
	Told    uint32         `json:"told,omitempty"`    // the last serial whose NOTIFY it has acknowledged
	Problem string         `json:"problem,omitempty"` // why it could not be told or asked; "" when it could
}

// Standings are how far every secondary has come, by zone and address.
func (s *Server) Standings() []Standing {
	st := s.state.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Standing
	for apex, h := range st.zones {
		for _, p := range st.peers[apex] {
			now := s.seen[pair{apex, p.Address}]
			now.Zone, now.Address, now.Ours = apex, p.Address, h.now.serial
			out = append(out, now)
		}
	}
	slices.SortFunc(out, func(a, b Standing) int { return cmp.Or(cmp.Compare(a.Zone, b.Zone), a.Address.Compare(b.Address)) })
	return out
}

func (s *Server) note(p pair, change func(*Standing)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.seen[p]
	change(&now)
	s.seen[p] = now
}

// call is a secondary being told, of one serial.
type call struct {
	serial uint32
	stop   context.CancelFunc
	ended  chan struct{}
}

// tellAll begins to tell every secondary that has not heard of the serial in force, in
// place of whatever it was being told before.
func (s *Server) tellAll(ctx context.Context, calls map[pair]call, all *sync.WaitGroup) {
	st := s.state.Load()
	for apex, h := range st.zones {
		for _, peer := range st.peers[apex] {
			p := pair{apex, peer.Address}
			if c, is := calls[p]; is {
				if c.serial == h.now.serial && !over(c.ended) {
					continue
				}
				c.stop()
			}
			if !s.due(p, h.now.serial) {
				continue
			}
			key := st.keys[peer.Key]
			mine, stop := context.WithCancel(ctx)
			c := call{h.now.serial, stop, make(chan struct{})}
			calls[p] = c
			soa := h.now.soa()
			all.Go(func() { // ended by its last try, by a newer call, or by ctx
				defer close(c.ended)
				defer stop()
				s.tell(mine, p, soa, c.serial, key)
			})
		}
	}
}

func over(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// due says whether a secondary has to be told of a serial, or asked for its own again.
func (s *Server) due(p pair, serial uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen[p]
	return seen.Told != serial || seen.Serial != serial || s.o.Now().Sub(seen.At) >= lookEvery
}

// tell sends NOTIFY until it is acknowledged, and then asks until the secondary answers
// with the serial.
func (s *Server) tell(ctx context.Context, p pair, soa zone.Record, serial uint32, key snapshot.TSIGKey) {
	s.mu.Lock()
	told := s.seen[p].Told == serial
	s.mu.Unlock()
	if !told && !s.notify(ctx, p, soa, serial, key) {
		return
	}
	for _, wait := range askWaits {
		has, err := s.askSerial(ctx, p)
		if ctx.Err() != nil {
			return
		}
		s.note(p, func(n *Standing) {
			n.Problem = ""
			if err != nil {
				n.Problem = err.Error()
				return
			}
			n.Serial, n.At = has, s.o.Now().UTC()
		})
		if err == nil && has == serial || !pause(ctx, wait) {
			return
		}
	}
}

// notify sends NOTIFY until it is acknowledged.
func (s *Server) notify(ctx context.Context, p pair, soa zone.Record, serial uint32, key snapshot.TSIGKey) bool {
	var err error
	for _, wait := range notifyWaits {
		began := s.o.Now()
		if err = s.exchange(ctx, p.to, notifyMessage(p.apex, soa), key, wait); err == nil {
			s.count(func(c *Counts) { c.Told++ })
			s.note(p, func(n *Standing) { n.Told, n.Problem = serial, "" })
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.note(p, func(n *Standing) { n.Problem = err.Error() })
		if !pause(ctx, wait-s.o.Now().Sub(began)) { // a refusal comes at once
			return false
		}
	}
	s.count(func(c *Counts) { c.Untold++ })
	s.o.Logger.Warn("a secondary could not be told of a change; it will see for itself later", "component", "xfr", "zone", p.apex, "secondary", p.to, "cause", err)
	return false
}

// pause waits; false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// notifyMessage is a NOTIFY with the new SOA as a hint (RFC 1996 section 3.7).
func notifyMessage(apex string, soa zone.Record) []byte {
	b := ask(apex, dns.TypeSOA)
	b[2] = dns.OpcodeNotify<<3 | 0x04
	b[7] = 1
	return appendData(append(b, 0xC0, headerSize), soa)
}

// ask begins a message with a question, under an id that nobody can guess.
func ask(apex string, typ uint16) []byte {
	b := make([]byte, headerSize, 512)
	_, _ = rand.Read(b[:2]) // never fails
	b[5] = 1
	b = append(b, wireName(apex)...)
	return append(b, byte(typ>>8), byte(typ), 0, dns.ClassINET)
}

// askSerial asks a secondary which serial it has.
func (s *Server) askSerial(ctx context.Context, p pair) (uint32, error) {
	var serial uint32
	err := s.converse(ctx, p.to, ask(p.apex, dns.TypeSOA), snapshot.TSIGKey{}, askLimit, func(reply []byte) error {
		m := new(dns.Msg)
		if err := m.Unpack(reply); err != nil {
			return errors.New("its answer can't be read")
		}
		for _, rr := range m.Answer {
			if soa, is := rr.(*dns.SOA); is && m.Rcode == dns.RcodeSuccess && apexOf(soa.Hdr.Name) == p.apex {
				serial = soa.Serial
				return nil
			}
		}
		return fmt.Errorf("it does not answer for the zone: %s", rcode(m.Rcode))
	})
	return serial, err
}

// exchange sends a NOTIFY and waits for its acknowledgement.
func (s *Server) exchange(ctx context.Context, to netip.AddrPort, msg []byte, key snapshot.TSIGKey, limit time.Duration) error {
	return s.converse(ctx, to, msg, key, limit, func(reply []byte) error {
		if code := int(reply[3] & 15); code != dns.RcodeSuccess {
			return fmt.Errorf("it does not take our NOTIFY: %s; let it allow this address, with the same key", rcode(code))
		}
		return nil
	})
}

// converse sends a message over UDP and hands over the answer to it. What else comes is
// passed over until the time is up.
func (s *Server) converse(ctx context.Context, to netip.AddrPort, msg []byte, key snapshot.TSIGKey, limit time.Duration, take func([]byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := s.o.dial(ctx, "udp", to.String())
	if err != nil {
		return fmt.Errorf("it can't be reached: %w", err)
	}
	defer func() { _ = conn.Close() }()                         // what matters has been read
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // the limit ends the waiting
	check := &verifier{key: key, now: s.o.Now}
	if key.Name != "" {
		sign := &signer{key: key, now: s.o.Now}
		msg = sign.sign(msg)
		check.before = sign.before
	}
	if _, err := conn.Write(msg); err != nil {
		return fmt.Errorf("it can't be reached: %w", err)
	}
	buf := make([]byte, maxMessage)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			if ctx.Err() != nil {
				return errors.New("it does not answer")
			}
			return fmt.Errorf("it does not answer: %w", err)
		}
		reply := buf[:n]
		if n < headerSize || binary.BigEndian.Uint16(reply) != binary.BigEndian.Uint16(msg) || reply[2]&0x80 == 0 || reply[2]&0x78 != msg[2]&0x78 {
			continue
		}
		if key.Name != "" && reply[3]&15 == dns.RcodeSuccess {
			if reply, _, err = check.take(reply); err != nil {
				return err
			}
		}
		return take(reply)
	}
}

func (o Options) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if o.Dial != nil {
		return o.Dial(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}
