package control

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/certs"
	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// certificates holds the certificates of the sites that visitors come to by https; nil
// where the configuration has none.
func certificates(o Options, eng *engine.Engine) (*certs.Keeper, error) {
	cfg := o.Config.Certificates
	if cfg == nil {
		return nil, nil
	}
	roots, err := trustedRoots(o.Config)
	if err != nil {
		return nil, err
	}
	authority, err := authorityOf(cfg, roots)
	if err != nil {
		return nil, err
	}
	ask := worldAsk(o.Config)
	opts := certs.Options{
		Dir: filepath.Join(o.Dir, "certs"), Wanted: wantedNames(o.Config), Authority: authority, Roots: roots,
		Solvers: []certs.Solver{&certs.DNS01{Zones: ourZones{eng}, Servers: func(owner string) []netip.AddrPort { return serversOf(o.Config, owner) }, Ask: ask}},
		Publish: func(all []snapshot.Certificate) {
			if err := eng.SetCertificates(all); err != nil {
				o.Logger.Error("certificates could not be put into the snapshot", "cause", err)
			}
		},
		Look: certs.World{Ask: ask, Roots: roots, Now: o.Now}, Places: func() []certs.Place { return places(o, eng) },
		Page:  func(name, text string) { eng.Notify("certificate", "The certificate of "+name, text) },
		Ready: eng.Listening, Now: o.Now, Logger: o.Logger,
	}
	for _, f := range cfg.Files {
		opts.Files = append(opts.Files, certs.File{ID: f.Name, Certificate: f.Certificate, Key: f.Key})
	}
	return certs.New(opts)
}

// maxRoots is the longest file of roots that is read, in bytes.
const maxRoots = 1 << 20

// trustedRoots are the machine's own with those of the configuration.
func trustedRoots(cfg *config.Config) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, s := range cfg.Sites {
		for _, der := range s.Trust {
			if c, err := x509.ParseCertificate(der); err == nil { // the configuration has read it
				pool.AddCert(c)
			}
		}
	}
	if path := cfg.Certificates.RootsFile; path != "" {
		text, err := readMost(path, maxRoots)
		if err != nil || !pool.AppendCertsFromPEM(text) {
			return nil, fault.New(fault.Invalid, "the roots of the authority can't be read").At(path).Because(err).WithHint("name a PEM file with their certificates under certificates: roots_file:")
		}
	}
	return pool, nil
}

// authorityOf is whom certificates are asked of; nil: nobody.
func authorityOf(cfg *config.Certificates, roots *x509.CertPool) (*certs.Authority, error) {
	if cfg.Directory == "" {
		return nil, nil
	}
	a := &certs.Authority{Directory: cfg.Directory, Roots: roots, Email: cfg.Email, KeyID: cfg.KeyID, Profile: cfg.Profile, Keys: cfg.Keys, CAA: cfg.CAA}
	if cfg.KeyID == "" {
		return a, nil
	}
	text, err := secret(cfg.MACKeyFile)
	if err != nil {
		return nil, err
	}
	a.MACKey = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(string(bytes.TrimSpace(text))), "=")
	if b, err := base64.RawURLEncoding.DecodeString(a.MACKey); err != nil || len(b) < 16 { // its text would hold the key
		return nil, fault.New(fault.Invalid, "the file does not hold the key of an account at an authority").At(cfg.MACKeyFile).WithHint("write what the authority gave you, Base64, into it")
	}
	return a, nil
}

func readMost(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > most) {
		return nil, fault.New(fault.Invalid, "it is no regular file of at most %d bytes", most)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// wantedNames are a set for each site that visitors come to by https: all its names and
// the status page's own.
func wantedNames(cfg *config.Config) (out []certs.Wanted) {
	for _, s := range cfg.Sites {
		if s.Scheme != "https" {
			continue
		}
		names := slices.Clone(s.Names)
		if s.StatusName != "" && !slices.Contains(names, s.StatusName) {
			names = append(names, s.StatusName)
		}
		out = append(out, certs.Wanted{ID: s.ID, Names: names})
	}
	if name := cfg.AskedConsole(); name != "" {
		out = append(out, certs.Wanted{ID: consoleSet, Names: []string{name}, Here: true})
	}
	return out
}

// consoleSet is what the console's certificate is called; no site has such a name.
const consoleSet = "console_page"

// ourZones puts proofs into the zones that we serve.
type ourZones struct{ eng *engine.Engine }

func (z ourZones) ChallengeAt(name string) (string, error) { return z.eng.ChallengeAt(name) }

func (z ourZones) PutChallenge(ctx context.Context, owner, value string, ttl time.Duration) error {
	_, err := z.eng.PutChallenge(ctx, owner, []string{value}, ttl)
	return err
}

func (z ourZones) DropChallenge(ctx context.Context, owner, value string) error {
	return z.eng.DropChallenge(ctx, owner, []string{value})
}

// zoneOf is the deepest zone of ours that a name lies in; "" where none is.
func zoneOf(cfg *config.Config, name string) (apex string, ns []string) {
	name = strings.TrimSuffix(strings.ToLower(name), ".") + "."
	for _, z := range cfg.Zones {
		if (name == z.Apex || strings.HasSuffix(name, "."+z.Apex)) && len(z.Apex) > len(apex) {
			apex, ns = z.Apex, z.NS
		}
	}
	return apex, ns
}

// serversOf are the name servers of a name's zone, at the addresses that they are asked
// at.
func serversOf(cfg *config.Config, name string) (out []netip.AddrPort) {
	_, ns := zoneOf(cfg, name)
	for _, n := range cfg.Nameservers {
		if (len(ns) == 0 || slices.Contains(ns, n.Name)) && !slices.Contains(out, n.Address) {
			out = append(out, n.Address)
		}
	}
	return out
}

// worldAsk asks for names of ours at our name servers, and for others at the resolvers
// of the configuration, or at the machine's own.
func worldAsk(cfg *config.Config) certs.Ask {
	var others []netip.AddrPort
	for _, r := range cfg.Resolvers {
		others = append(others, r.Address)
	}
	if len(others) == 0 {
		others = systemResolvers("/etc/resolv.conf")
	}
	follow := certs.Servers(true, others...)
	return func(ctx context.Context, name string, typ uint16) (certs.Answer, error) {
		if apex, _ := zoneOf(cfg, name); apex != "" {
			return certs.Servers(false, serversOf(cfg, name)...)(ctx, name, typ)
		}
		return follow(ctx, name, typ)
	}
}

// systemResolvers are those that the machine asks (resolv.conf(5)).
func systemResolvers(path string) (out []netip.AddrPort) {
	text, err := readMost(path, 64<<10)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "nameserver" && len(out) < 3 {
			if a, err := netip.ParseAddr(f[1]); err == nil {
				out = append(out, netip.AddrPortFrom(a, 53))
			}
		}
	}
	return out
}

// places are what the daily look asks of each name.
func places(o Options, eng *engine.Engine) (out []certs.Place) {
	here := ownListener(o.StandbyHTTPS)
	rehearsed := rehearsals(eng)
	for _, s := range o.Config.Sites {
		if s.Scheme != "https" {
			continue
		}
		port := uint16(s.Port)
		base := certs.Place{Site: s.ID, Port: s.Port, Here: here, Rehearsed: rehearsed[s.ID]}
		for _, a := range s.Standby {
			base.Standby = append(base.Standby, netip.AddrPortFrom(a, port))
		}
		base.Why = fromHereOnly(s.Standby)
		for _, x := range s.Origins {
			if x.Name == s.Home {
				for _, a := range x.Addresses {
					base.Origins = append(base.Origins, netip.AddrPortFrom(a, port))
				}
			}
		}
		for _, name := range s.Names {
			p := base
			p.Name, p.Below = name, below(o.Config, name)
			out = append(out, p)
		}
		if s.StatusName != "" && !slices.Contains(s.Names, s.StatusName) {
			p := base
			p.Name, p.Own, p.Origins = s.StatusName, true, nil
			out = append(out, p)
		}
	}
	return out
}

// ownListener is where this machine reaches a listener of its own.
func ownListener(addr string) netip.AddrPort {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.AddrPort{}
	}
	if a.Addr().IsUnspecified() {
		loop := netip.IPv6Loopback()
		if a.Addr().Is4() {
			loop = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		return netip.AddrPortFrom(loop, a.Port())
	}
	return a
}

// fromHereOnly says why asking the standby says nothing about the outside: its addresses
// are this machine's, and there is no second place to ask from.
func fromHereOnly(standby []netip.Addr) string {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return "this machine's addresses can't be listed"
	}
	for _, a := range standby {
		ours := a.IsLoopback() || slices.ContainsFunc(own, func(x net.Addr) bool {
			n, is := x.(*net.IPNet)
			return is && n.IP.Equal(net.IP(a.AsSlice()))
		})
		if ours {
			return "the standby's address is this machine's, and this version asks from no other place"
		}
	}
	return ""
}

// below are the names of our zones below a name that follow a site.
func below(cfg *config.Config, name string) (out []string) {
	for _, z := range cfg.Zones {
		for owner := range z.Follow {
			if n := strings.TrimSuffix(owner, "."); strings.HasSuffix(n, "."+name) {
				out = append(out, n)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// rehearsals says of each site whether a lever to the standby was ever rehearsed well.
func rehearsals(eng *engine.Engine) map[string]certs.Glance {
	out := map[string]certs.Glance{}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	v, err := eng.Overview(ctx)
	if err != nil {
		return out
	}
	for _, s := range v.Sites {
		out[s.ID] = certs.Glance{Seen: certs.Bad}
		for _, l := range s.Levers {
			if l.To == snapshot.Standby && l.Drill.OK {
				out[s.ID] = certs.Glance{Seen: certs.Good}
			}
		}
	}
	return out
}

// certificateFindings are what is wrong with certificates, for the check and the pages:
// what is only not known is left to lifeboat certs.
func certificateFindings(k *certs.Keeper) []engine.Finding {
	const code, title = "certificate", "Certificates"
	if k == nil {
		return nil
	}
	v := k.View()
	var out []engine.Finding
	for _, p := range v.Problems {
		out = append(out, engine.Finding{Severity: engine.SeverityProblem, Code: code, About: p.About, Title: title, Text: sentence(p.Text), Next: p.Next})
	}
	for _, n := range v.Names {
		whole := true
		for _, f := range n.Findings {
			if f.Severity == certs.Note {
				continue
			}
			whole = false
			severity := engine.SeverityWarning
			if f.Severity == certs.ProblemFound {
				severity = engine.SeverityProblem
			}
			out = append(out, engine.Finding{Severity: severity, Code: cmp.Or(code+"-"+f.Code, code), About: n.Name, Title: title, Text: f.Text, Next: f.Next})
		}
		if whole {
			out = append(out, engine.Finding{Severity: engine.SeverityOK, Code: code, About: n.Name, Title: title,
				Text: fmt.Sprintf("The certificate is good for %d days more; readiness %d of 100.", n.Days, n.Score)})
		}
	}
	return out
}

// httpsView is how ready the names are; nil where none is to have a certificate.
func httpsView(k *certs.Keeper) *engine.HTTPSView {
	if k == nil {
		return nil
	}
	v := k.View()
	if len(v.Names) == 0 {
		return nil
	}
	out := &engine.HTTPSView{Names: len(v.Names), Ready: v.Names[0].Score, Least: v.Names[0].Name, Until: v.Names[0].Until}
	for _, n := range v.Names[1:] {
		if n.Score < out.Ready {
			out.Ready, out.Least = n.Score, n.Name
		}
		if n.Until.Before(out.Until) { // that of a name without one is zero
			out.Until = n.Until
		}
	}
	return out
}

// sentence ends what an error says.
func sentence(text string) string {
	return strings.ToUpper(text[:min(1, len(text))]) + text[min(1, len(text)):] + "."
}
