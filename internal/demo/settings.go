package demo

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"text/template"

	"lifeboat/internal/config"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// configName is the configuration's file in the demo folder.
const configName = "lifeboat.yaml"

//go:embed lifeboat.yaml.tmpl
var configText string

var configTemplate = template.Must(template.New(configName).Option("missingkey=error").Funcs(template.FuncMap{"quote": quote}).Parse(configText))

// quote writes a text as YAML takes it whatever is in it: JSON is a part of YAML.
func quote(text string) (string, error) {
	b, err := json.Marshal(text)
	return string(b), err
}

// settings are what differs from one demo's configuration to another's.
type settings struct {
	DNS    string // where the name server is asked, with a port that is not 0
	Port   int    // of the shop and of the standby
	Binary string // absolute path of the program that the prepared acts call
	Data   string // absolute path of the demo folder
}

// render writes the configuration.
func (s settings) render() ([]byte, error) {
	var b bytes.Buffer
	err := configTemplate.Execute(&b, map[string]any{
		"Host": Host, "DNS": s.DNS, "Port": s.Port, "Main": mainIP, "Backup": backupIP, "Standby": standbyIP,
		"Binary": s.Binary, "Data": s.Data, "MainLog": shopLog(s.Data, "main"), "BackupLog": shopLog(s.Data, "backup"), "Books": booksFile(s.Data),
	})
	return b.Bytes(), err
}

// shopLog is where a shop writes a line for each request that failed.
func shopLog(data, name string) string { return filepath.Join(data, "shop-"+name+".log") }

// booksFile is the database that both shops share.
func booksFile(data string) string { return filepath.Join(data, "shop", "shop.db") }

// kept is a configuration that was found in the demo folder.
type kept struct {
	settings
	edited bool // somebody changed the file: it is theirs
}

// readKept reads the demo's configuration; nil when there is none yet.
func readKept(data string) (*kept, error) {
	path := filepath.Join(data, configName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the demo's configuration can't be read").At(path).Because(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(cfg.Sites, func(s config.Site) bool { return s.ID == siteID })
	if i < 0 || len(cfg.Nameservers) == 0 || len(cfg.Sites[i].Standby) == 0 {
		return nil, fault.New(fault.Invalid, "this is not a configuration of the demo's any more").At(path).
			WithHint("it needs the site %s with a standby, and nameservers; delete the file, and a fresh one is written", siteID)
	}
	k := &kept{settings: settings{DNS: cfg.Nameservers[0].Address.String(), Port: cfg.Sites[i].Port}}
	k.Binary, k.Data = caller(cfg)
	fresh, err := k.render()
	k.edited = !bytes.Equal(fresh, text)
	return k, err
}

// caller gives what the prepared acts of a file call: this program, where it was when
// the file was written, and its folder.
func caller(cfg *config.Config) (binary, data string) {
	for _, a := range cfg.Actions {
		if n := len(a.Exec); n > 2 && a.Exec[n-2] == "--data" {
			return a.Exec[0], a.Exec[n-1]
		}
	}
	return "", ""
}

// agree says whether a kept file that a person edited fits what is wanted now.
func (k *kept) agree(data string, now settings) error {
	if !k.edited || k.DNS == now.DNS && k.Port == now.Port {
		return nil
	}
	path := filepath.Join(data, configName)
	if k.DNS != now.DNS {
		return fault.New(fault.Conflict, "this file asks a name server at %s, and the demo's would be at %s", k.DNS, now.DNS).At(path).
			WithHint("start with --dns %s, or change the file", k.DNS)
	}
	return fault.New(fault.Unavailable, "port %d, which this file gives the shop, is taken by another program", k.Port).At(path).
		WithHint("change port: in the file, or see who has it with: ss -lntp 'sport = :%d'", k.Port)
}

// write puts the configuration in its place, unless a person's own is there.
func (k *kept) write(data string, now settings) error {
	if k != nil && k.edited {
		return k.agree(data, now)
	}
	text, err := now.render()
	if err != nil {
		return err
	}
	return snapshot.WriteFile(filepath.Join(data, configName), text)
}
