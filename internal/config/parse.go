package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"lifeboat/internal/fault"
)

// The most that is read of the file and of a zone's own file.
const (
	maxFileBytes = 1 << 20
	maxZoneBytes = 64 << 20
)

// Load reads the file at path, and the zone files that it names in its own
// folder. The error is a *fault.Error when the file can't be read and *Problems
// when it says something wrong.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "there is no configuration file here").At(path).
			WithHint("lifeboat config show > lifeboat.yaml writes a commented sample")
	case err != nil:
		return nil, fault.New(fault.Invalid, "can't read the configuration file").At(path).Because(err).
			WithHint("look at the file's rights and size")
	}
	root, err := os.OpenRoot(filepath.Dir(path)) // nothing outside of it is read, links included
	if err != nil {
		return nil, fault.New(fault.Invalid, "can't open the folder of the configuration file").At(path).Because(err).
			WithHint("look at the folder's rights")
	}
	defer root.Close()
	return parse(path, data, root.FS())
}

// Parse reads the text of a file; file is its name for messages. Zones that name
// a file of their own are refused: there is no folder to read it from.
func Parse(file string, data []byte) (*Config, error) { return parse(file, data, nil) }

// errTooLarge is told with the limit.
type errTooLarge int64

func (e errTooLarge) Error() string { return fmt.Sprintf("larger than %d bytes", int64(e)) }

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readMost(f, maxFileBytes)
}

// readInside reads a file of a folder.
func readInside(folder fs.FS, name string) ([]byte, error) {
	// Opening a pipe would wait for its writer.
	if info, err := fs.Stat(folder, name); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readMost(f, maxZoneBytes)
}

func readMost(f io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = errTooLarge(most)
	}
	return data, err
}

// builder reads the tree into a Config, one section after another.
type builder struct {
	*report
	root   *node
	folder fs.FS // that a zone's file is read from; nil: there is none
	c      *Config

	zoneKeys []string // the zones of c as the file writes them, for places
	hooks    []hook   // the webhooks of c, for places

	consoleAt position // of the console's URL
}

func parse(file string, data []byte, folder fs.FS) (*Config, error) {
	r := &report{file: file}
	if len(data) > maxFileBytes {
		r.invalid(position{1, 1}, "this file is too large: %d bytes, %d are taken", len(data), maxFileBytes).
			WithHint("move zone records into files of their own with file:")
		return nil, r.err()
	}
	root := r.readTree(data)
	if root == nil {
		return nil, r.err()
	}
	b := &builder{report: r, root: root, folder: folder, c: &Config{File: file}}
	b.build()
	if err := r.err(); err != nil {
		return nil, err
	}
	b.c.warnings = r.lines()
	return b.c, nil
}

func (b *builder) build() {
	top, ok := b.section(b.root, "the file", topKeys)
	if !ok {
		return
	}
	b.console(top)
	b.signIn(top)
	b.dns(top)
	b.nameservers(top)
	b.outside(top)
	b.resolvers(top)
	b.contacts(top)
	b.features(top)
	b.ofrep(top)
	b.sites(top)
	b.zones(top)
	b.levers(top)
	b.actions(top)
	b.channels(top)
	b.databases(top)
	b.certificates(top)
	b.status(top)
	b.cross()
}

// nameservers reads whom to ask what is really answered.
func (b *builder) nameservers(top section) {
	seen := map[string]bool{}
	for _, e := range b.named(top.n.get("nameservers"), "nameservers", "nameservers: {ns1.example.net.: 127.0.0.1:5354}") {
		name := b.absolute(e.at, "a name server's name", e.key)
		address, ok := b.addrPort(e.value, "address of name server "+clip(e.key))
		if name == "" || !ok {
			continue
		}
		if seen[name] {
			b.invalid(e.at, "name server %s is written twice", name).WithHint("keep one of them")
			continue
		}
		seen[name] = true
		b.c.Nameservers = append(b.c.Nameservers, Nameserver{name, address})
	}
}

// maxResolvers is how many resolvers are asked: each of them for each name.
const maxResolvers = 10

// resolvers reads whose cached answers are captured as evidence.
func (b *builder) resolvers(top section) {
	for _, e := range b.atMost(maxResolvers, top.n.get("resolvers"), "resolvers", "resolvers: {quad9: 9.9.9.9}") {
		b.id(e.at, "resolver", e.key)
		address, ok := b.addrPort(e.value, "address of resolver "+clip(e.key))
		if !ok {
			continue
		}
		if i := slices.IndexFunc(b.c.Resolvers, func(r Nameserver) bool { return r.Address == address }); i >= 0 {
			b.invalid(e.value.at, "resolvers %s and %s are at the same address, %s", b.c.Resolvers[i].Name, clip(e.key), address).WithHint("remove one")
			continue
		}
		b.c.Resolvers = append(b.c.Resolvers, Nameserver{e.key, address})
	}
}

// at gives the place of something in the file, or of what holds it.
func (b *builder) at(path ...string) position { return b.root.find(path...) }

// keyAt gives the place of a key itself.
func (b *builder) keyAt(path ...string) position {
	n := b.root
	for _, key := range path[:len(path)-1] {
		if n = n.get(key); n == nil {
			return b.at(path...)
		}
	}
	if i, ok := n.index[path[len(path)-1]]; ok {
		return n.entries[i].at
	}
	return b.at(path...)
}

// raw gives a value as JSON. What is encoded here are flat structs and booleans,
// which always can be.
func (b *builder) raw(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		b.problem(fault.Internal, position{1, 1}, "encode a value").Because(err)
	}
	return data
}

func index(i int) string { return strconv.Itoa(i) }
