package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"lifeboat/internal/demo/shop"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/supervise"
)

// logName is where the children, and serve itself, write in the demo folder.
const logName = "demo.log"

// boat is a running demo: two shops, and lifeboat around them.
type boat struct {
	o    Options
	set  settings
	log  *os.File
	at   supervise.Addresses // valid once launched
	main *origin
	back *origin

	stock    shop.Stock // what the shops ask how much is left
	stockURL string
	panel    string   // where the page is that breaks the shop
	people   []Person // who can sign in; valid once opened

	acting sync.Mutex // held over an act on the shop

	end    context.CancelFunc // ends lifeboat and the socket
	ended  chan struct{}      // closed when lifeboat has ended
	failed error              // valid after ended: why, when nobody asked it to
	helper sync.WaitGroup
}

// launch starts everything and returns when lifeboat is ready. What it started is
// stopped again when something fails.
func launch(ctx context.Context, o Options) (b *boat, err error) {
	if o.Data, err = filepath.Abs(o.Data); err != nil {
		return nil, fmt.Errorf("find the demo folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(o.Data, "shop"), 0o700); err != nil {
		return nil, fault.New(fault.Unavailable, "make the demo folder").At("--data " + o.Data).Because(err)
	}
	socket, err := openSocket(o.Data)
	if err != nil {
		return nil, err
	}
	b = &boat{o: o, ended: make(chan struct{}), end: func() {}}
	g, err := b.prepare()
	if err != nil {
		return nil, errors.Join(err, socket.Close(), os.Remove(socket.Addr().String()))
	}
	inner, end := context.WithCancel(context.WithoutCancel(ctx))
	b.end = end
	if err := b.openShops(ctx, inner, g); err != nil {
		g.close()
		close(b.ended)
		return nil, errors.Join(err, b.stop(), socket.Close(), os.Remove(socket.Addr().String()))
	}
	b.helper.Go(func() { b.obey(inner, socket) }) // ends with stop
	if err := b.openLifeboat(ctx, inner, g); err != nil {
		_ = b.stop() // the error is the same, or told already
		return nil, errors.Join(err, g.panel.Close())
	}
	b.helper.Go(func() { b.openPanel(inner, g.panel) }) // ends with stop
	return b, nil
}

// prepare opens the log and every address, and writes the configuration.
func (b *boat) prepare() (*ground, error) {
	before, err := readKept(b.o.Data)
	if err != nil {
		return nil, err
	}
	g, err := openGround(b.o, before)
	if err != nil {
		return nil, err
	}
	b.panel = g.panel.Addr().String()
	b.set = g.settings
	b.set.Binary, b.set.Data = b.o.Binary, b.o.Data
	if !g.joining {
		if err := before.write(b.o.Data, b.set); err != nil {
			g.close()
			return nil, err
		}
	}
	b.log, err = os.OpenFile(filepath.Join(b.o.Data, logName), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		g.close()
		return nil, fmt.Errorf("open the demo's log: %w", err)
	}
	return g, nil
}

// openShops starts both origins; they share their books, and what a demo before has
// broken in them is put right.
func (b *boat) openShops(ctx, inner context.Context, g *ground) error {
	var err error
	if b.stockURL, err = b.openStock(inner); err != nil {
		return err
	}
	folder := filepath.Join(b.o.Data, "shop")
	place := func(name, ip string) *origin {
		return &origin{
			binary: b.o.Binary, name: name, ip: ip, port: g.Port, ofrep: "http://" + g.ofrep, log: b.log,
			dataFile: booksFile(b.o.Data), control: filepath.Join(folder, name+".sock"),
			stock: b.stockURL, shopLog: shopLog(b.o.Data, name),
		}
	}
	b.main, b.back = place("main", mainIP), place("backup", backupIP)
	if err := b.main.start(ctx, g.main); err != nil {
		return err
	}
	if err := b.back.start(ctx, g.backup); err != nil {
		return err
	}
	return shop.Repair(ctx, b.main.control)
}

// openLifeboat starts control and answer and waits until both are ready.
func (b *boat) openLifeboat(ctx, inner context.Context, g *ground) error {
	o := supervise.Options{
		Binary: b.o.Binary, Data: b.o.Data, Config: filepath.Join(b.o.Data, configName),
		HTTP: g.http, DNS: g.DNS, OFREP: g.ofrep, StandbyHTTP: net.JoinHostPort(b.o.standbyIP, strconv.Itoa(g.Port)),
		ControlArgs: []string{"--note", b.note()}, Stderr: b.log, Now: b.o.Now,
		Logger: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	if !g.joining {
		o.Sockets = g.sockets
	}
	ready := make(chan supervise.Addresses, 1)
	o.OnReady = func(at supervise.Addresses) { ready <- at }
	b.helper.Go(func() { // ends with stop
		defer close(b.ended)
		b.failed = supervise.Run(inner, o)
		_ = o.Sockets.Close() // what it could not take over
	})
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("it was not ready after %s", readyTime))
	defer cancel()
	select {
	case b.at = <-ready:
		return nil
	case <-b.ended:
		return errors.Join(b.failed, b.asked())
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "lifeboat did not start").Because(context.Cause(ctx)).WithHint("see why in %s", b.log.Name())
	}
}

// asked is the error for an end before the start was over.
func (b *boat) asked() error {
	if b.failed != nil {
		return nil
	}
	return fault.New(fault.Unavailable, "it was told to end before it was ready")
}

// note tells on the page how to break the shop.
func (b *boat) note() string {
	return fmt.Sprintf("This is a demo. Break the sample shop at http://%s/ or with: %s – and repair it with: %s", b.panel, b.typed("demo break kill"), b.typed("demo repair"))
}

// typed is a command as a person types it here.
func (b *boat) typed(command string) string {
	line := b.o.Command + " " + command
	if usual, err := filepath.Abs(UsualData); (err != nil || usual != b.o.Data) && strings.HasPrefix(command, "demo ") {
		line += " --data " + near(b.o.Data)
	}
	return line
}

// stop ends lifeboat, then the shops, and waits for all of it. The error is why
// lifeboat ended, nil when it was told to. It may be called again.
func (b *boat) stop() error {
	b.end()
	<-b.ended
	for _, s := range []*origin{b.main, b.back} {
		if s != nil {
			s.stop()
		}
	}
	b.helper.Wait()
	_ = b.log.Close() // at worst it is closed already
	if b.o.ReadyFile != "" {
		_ = os.Remove(b.o.ReadyFile) // it may never have been written
	}
	return b.failed
}

// writeReady writes the ready file.
func (b *boat) writeReady() error {
	if b.o.ReadyFile == "" {
		return nil
	}
	text, err := json.MarshalIndent(place{
		Addresses: b.at, TokenFile: b.tokenFile(), Config: filepath.Join(b.o.Data, configName), Log: b.log.Name(),
		Names: []string{Host, wwwHost}, Port: b.set.Port, Main: mainIP, Backup: backupIP, Standby: standbyIP, Panel: b.panel,
		People: b.people,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the ready file: %w", err)
	}
	return snapshot.WriteFile(b.o.ReadyFile, append(text, '\n'))
}

// firstLine is a file's first line without what surrounds it.
func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return strings.TrimSpace(line)
}
