// Package feed is the wire between control and answer: snapshots and orders to
// capture evidence one way, reports and the evidence the other, over one stream
// socket.
//
// It holds only messages and frames; package publish is control's end, package
// follow is answer's. A message of a type that an end does not know is passed over,
// so that versions can differ. Answer dials, so that an answer elsewhere works the same
// way. Neither end ever waits for the other without a bound: answer sends at most
// Window reports ahead of their acknowledgement and a status only when asked. A snapshot
// that is large is sent ahead of its manifest, in pieces between which anything else
// finds its way, and made ready at answer before the manifest comes: what an order waits
// for is small, however large the zones are.
//
// Concurrency: a Conn may be written from several goroutines and read from one.
package feed

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

// Limits of the wire.
const (
	MaxFrame  = 64 << 20 // bytes
	MaxPiece  = 1 << 20  // bytes of a part in one Piece: what else is sent meanwhile waits for no more than that
	MaxStaged = 2 << 30  // bytes of all parts that are sent ahead at one time
	Window    = 256      // reports on their way without acknowledgement
)

// Hello is the first message of answer: what it serves now.
type Hello struct {
	Formats   []int                    `json:"formats"`
	Epoch     uint64                   `json:"epoch"`
	Revision  uint64                   `json:"revision"`
	Positions map[string]string        `json:"positions"` // in force, by site
	Flags     map[string]feature.Order `json:"flags"`     // in force

	Shares map[string]*snapshot.Share `json:"shares,omitempty"` // in force, by site, as the manifest orders them

	Serials  map[string]uint32    `json:"serials"`        // served, by apex
	Keys     map[string][]uint16  `json:"keys,omitempty"` // tags of the keys of signed zones that are served, by apex
	Orders   []snapshot.Order     `json:"orders"`         // local ones, not taken over yet
	LastAuto map[string]time.Time `json:"last_auto,omitempty"`
	Parts    []string             `json:"parts"` // hashes held
	PID      int                  `json:"pid"`
	Version  string               `json:"version"`
	Life     string               `json:"life,omitempty"`     // of the process: Report.Seq counts within it
	Captures bool                 `json:"captures,omitempty"` // it can be asked for evidence
	Stages   bool                 `json:"stages,omitempty"`   // it takes parts ahead of their snapshot, in pieces
}

// Publish is a snapshot for answer; parts it holds already are left out.
type Publish struct {
	Signed snapshot.Signed   `json:"signed"`
	Parts  map[string][]byte `json:"parts,omitempty"`
	Ahead  []string          `json:"ahead,omitempty"` // hashes of parts that have come in pieces before it
}

// Piece is some of a part that is sent ahead. The pieces of a part follow each other.
type Piece struct {
	SHA256 string `json:"sha256"`
	Size   int    `json:"size"` // of the whole part, in bytes
	Offset int    `json:"offset"`
	Data   []byte `json:"data"`
}

// Stage asks answer to make the parts of a coming snapshot ready, beside all else. It
// holds them already, or they have come in pieces.
type Stage struct {
	ID    uint64                  `json:"id"` // counts within a connection
	Parts map[string]snapshot.Ref `json:"parts"`
}

// Staged is answer's word on a Stage: ready, or why not.
type Staged struct {
	ID   uint64     `json:"id"`
	Kind fault.Kind `json:"kind,omitempty"` // of the refusal
	Err  string     `json:"err,omitempty"`
}

// Ack is answer's word on a Publish: in force, or why not.
type Ack struct {
	Epoch    uint64            `json:"epoch"`
	Revision uint64            `json:"revision"`
	Kind     fault.Kind        `json:"kind,omitempty"` // of the refusal
	Err      string            `json:"err,omitempty"`
	Kept     string            `json:"kept,omitempty"` // why it is in force but not on disk
	Serials  map[string]uint32 `json:"serials,omitempty"`
}

// Report is one thing that answer saw or did, with its own time. Exactly one of
// Transition, Order and Gap is set.
type Report struct {
	Seq        uint64            `json:"seq"`
	At         time.Time         `json:"at"`
	Transition *probe.Transition `json:"transition,omitempty"`
	Order      *snapshot.Order   `json:"order,omitempty"`
	Gap        int               `json:"gap,omitempty"` // this many were lost before the next
}

// Sight is what answer sees of one check at one target now.
type Sight struct {
	Site   string        `json:"site"`
	Place  string        `json:"place"`
	Check  string        `json:"check"`
	Gate   bool          `json:"gate"`
	Every  time.Duration `json:"every"` // how often it is asked
	Seen   probe.Seen    `json:"seen"`
	Since  time.Time     `json:"since"`
	Last   probe.Result  `json:"last"`
	Target string        `json:"target"` // address and port
}

// Visits counts who came to the standby.
type Visits struct {
	Failover uint64 `json:"failover"`
	Late     uint64 `json:"late"`
	Waiting  uint64 `json:"waiting,omitempty"` // questions of open pages whether they may come back
	Checks   uint64 `json:"checks"`
}

// Status is answer's state now; control asks for it each second.
type Status struct {
	At       time.Time         `json:"at"`
	Epoch    uint64            `json:"epoch"`
	Revision uint64            `json:"revision"`
	Sights   []Sight           `json:"sights"`
	Visits   map[string]Visits `json:"visits"` // by site
	Counters map[string]uint64 `json:"counters"`
	Gaps     uint64            `json:"gaps"` // reports lost since start
	Waiting  int               `json:"waiting"`
	Heard    feature.Heard     `json:"heard"`             // who has heard of the kill switches as they are
	Problem  string            `json:"problem,omitempty"` // why not all is well with answer itself
}

// The types of messages.
const (
	TypeHello   = "hello"
	TypePublish = "publish"
	TypeAck     = "ack"
	TypeReports = "reports"
	TypeSeen    = "reports_seen"
	TypeAsk     = "ask"
	TypeStatus  = "status"

	TypePiece  = "piece"  // to answer: a Piece
	TypeStage  = "stage"  // to answer: a Stage
	TypeStaged = "staged" // from answer: a Staged, once for each Stage

	TypeSubscribe  = "subscribe"  // from answer: a Subscribe
	TypeSubscribed = "subscribed" // to answer: a Subscribed, at the most once for each Subscribe

	TypeCapture     = "capture"      // to answer: a capture.Job
	TypeCaptured    = "captured"     // from answer: a capture.Item
	TypeCaptureDone = "capture_done" // from answer: a capture.Done, once for each job, after its items
)

// Conn frames messages: four bytes of length, then JSON.
type Conn struct {
	net.Conn
	mu sync.Mutex // orders writes
}

type message struct {
	Type string          `json:"type"`
	Body json.RawMessage `json:"body"`
}

// Send writes one message.
func (c *Conn) Send(kind string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", kind, err)
	}
	frame, err := json.Marshal(message{kind, b})
	if err != nil {
		return fmt.Errorf("encode %s: %w", kind, err)
	}
	if len(frame) > MaxFrame {
		return fault.New(fault.Invalid, "a message of %d bytes is too large for the feed", len(frame))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(frame)), uint32(len(frame))), frame...))
	return err
}

// Receive reads one message.
func (c *Conn) Receive() (kind string, body json.RawMessage, err error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return "", nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxFrame {
		return "", nil, fault.New(fault.Invalid, "a message of %d bytes is too large for the feed", n)
	}
	b, err := readN(c, int(n))
	if err != nil {
		return "", nil, err
	}
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		return "", nil, fault.New(fault.Invalid, "a message of the feed can't be read").Because(err)
	}
	return m.Type, m.Body, nil
}

// readN reads n bytes and takes memory only as they arrive.
func readN(r io.Reader, n int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(b) < n {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}
