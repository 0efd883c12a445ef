// Package demo is `lifeboat demo`: a sample shop in processes of its own, with a
// whole lifeboat around it, ready to be broken; and the same as plays of whole crises,
// each with a crew of its own, that measure what a visitor would have met.
//
// It is not a test bench for lifeboat's insides: once everything runs, a play
// speaks only the public API, DNS and HTTP, as anybody outside would. It decides
// nothing about sites and holds nothing of a lifeboat but its processes. Only the
// command line runs it; package demo/shop is the shop itself. What a case tells is in
// the files case_*.go, who does it in crew.go, and where it happens in scene.go.
//
// Invariants: the shops never outlive the process that started them; whatever
// address can't be had is refused at the start, with the flag that changes it; a
// file of the demo's that a person has edited is never written over; every wait
// has an end.
//
// Concurrency: Run and Play may each be called once a data folder at a time. Break,
// Do, Repair and State speak to a demo in another process.
package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/probe"
	"lifeboat/internal/supervise"
)

// The sample site: its names, its places, and the card of levers.
const (
	siteID     = "shop"
	Host       = "shop.lifeboat.test" // what visitors type; so is www before it
	wwwHost    = "www." + Host
	statusHost = "status." + Host

	mainIP    = "127.0.0.2"
	backupIP  = "127.0.0.3"
	standbyIP = "127.0.0.4"

	toStandby     = "to-standby"
	toBackup      = "to-backup"
	closeCheckout = "close-checkout"
	checkout      = "checkout"
)

// readyTime is how long lifeboat may take to start; the shops have as long.
const readyTime = 30 * time.Second

// Options are what a demo is started with. Data and the three addresses are needed.
type Options struct {
	Binary  string // what to start the children from; this program if empty
	Command string // how the program is called, for what to type; "lifeboat" if empty
	Data    string // the demo folder: kept, and used again

	HTTP, DNS, OFREP string // addresses; port 0 chooses a free one
	Panel            string // loopback address of the page that breaks the shop; one of the demo's choice if empty
	ReadyFile        string // where everything is, as JSON, once the levers are rehearsed

	Out    io.Writer // the first screen; this program's standard output if nil
	Logger *slog.Logger
	Now    func() time.Time // time.Now if nil

	standbyIP string // where the standby listens, against the configuration; tests only
}

func (o Options) withDefaults() (Options, error) {
	var err error
	if o.Data == "" {
		return o, fault.New(fault.Invalid, "no folder is named").At("--data")
	}
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return o, fmt.Errorf("find this program: %w", err)
		}
	}
	if o.Binary, err = filepath.Abs(o.Binary); err != nil { // the prepared acts are not called from here
		return o, fmt.Errorf("find this program: %w", err)
	}
	if o.Command == "" {
		o.Command = "lifeboat"
	}
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.standbyIP == "" {
		o.standbyIP = standbyIP
	}
	return o, nil
}

// Run keeps the sample site and its lifeboat going until ctx ends or a signal says
// so. The error tells what kept it from starting.
func Run(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	b, err := launch(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = b.stop() }() // told by the other one
	if err := b.open(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-b.ended: // a signal, or what it can't go on with
	}
	return b.stop()
}

// open rehearses the levers, makes the accounts, and tells where everything is.
func (b *boat) open(ctx context.Context) error {
	c, err := b.client()
	if err != nil {
		return err
	}
	shopsSeen(ctx, c)
	drills, err := rehearse(ctx, c)
	if err != nil {
		return err
	}
	if b.people, err = openAccounts(ctx, c, b.o.Data); err != nil {
		return err
	}
	if err := tellPast(ctx, c, b.o.Now()); err != nil {
		return err
	}
	if _, err := io.WriteString(b.o.Out, b.screen(drills)); err != nil {
		return err
	}
	return b.writeReady()
}

// settles is more than it takes until shops that have started are seen.
const settles = 10 * time.Second

// shopsSeen waits until nothing is seen down: who joins a lifeboat that goes on has just
// started the shops again, and it may not have looked since. If something is, the rehearsal
// tells.
func shopsSeen(ctx context.Context, c *apiclient.Client) {
	short, cancel := context.WithTimeout(ctx, settles)
	defer cancel()
	_ = await(short, c, func(s api.SiteView) (bool, string) {
		for _, v := range s.Seen {
			if v.Seen == probe.Down {
				return false, ""
			}
		}
		return true, ""
	})
}

// client speaks to the API with the first token.
func (b *boat) client() (*apiclient.Client, error) {
	raw, err := os.ReadFile(b.tokenFile())
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the first token can't be read").At(b.tokenFile()).Because(err).
			WithHint("delete the demo folder and start again")
	}
	return apiclient.New(apiclient.Options{Server: "http://" + b.at.HTTP, Token: firstLine(raw)})
}

func (b *boat) tokenFile() string { return filepath.Join(b.o.Data, "control", "admin.token") }

// drill is what the rehearsal of one lever came to.
type drill struct {
	Lever   string `json:"lever"`
	ThereMS int64  `json:"there_ms"`
	BackMS  int64  `json:"back_ms"`
}

// rehearse drills every lever on the card, so that one press needs no more.
func rehearse(ctx context.Context, c *apiclient.Client) ([]drill, error) {
	card, err := c.Levers(ctx)
	if err != nil {
		return nil, err
	}
	var out []drill
	for _, l := range card {
		rec, err := c.Drill(ctx, l.Name)
		if err != nil {
			return out, fmt.Errorf("rehearse %s: %w", l.Name, err)
		}
		if !rec.OK {
			return out, fault.New(fault.Unavailable, "the rehearsal of %s failed: %s", l.Name, rec.Detail)
		}
		out = append(out, drill{Lever: l.Name, ThereMS: rec.ThereMS, BackMS: rec.BackMS})
	}
	return out, nil
}

// place is where everything is: the ready file.
type place struct {
	supervise.Addresses
	TokenFile string   `json:"token_file"`
	Config    string   `json:"config"`
	Log       string   `json:"log"`
	Names     []string `json:"names"`
	Port      int      `json:"port"` // of the shop and of the standby
	Main      string   `json:"main"`
	Backup    string   `json:"backup"`
	Standby   string   `json:"standby"`
	Panel     string   `json:"panel"`  // where the page is that breaks the shop
	People    []Person `json:"people"` // who can sign in, with their passwords
}
