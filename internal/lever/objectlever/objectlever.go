// Package objectlever is the lever that takes objects which do harm out of an
// S3-compatible bucket, and puts them back byte for byte.
//
// Planning freezes keys or a prefix into a list with sizes, ETags and hashes.
// Pulling copies each object to a prefix of the lever's own in the same bucket,
// compares the copy's hash, and deletes the object if its ETag is still the one
// compared. Putting back copies it to its key if nothing is there, compares again,
// and only then gives the copy up.
//
// It is no general client of object storage: it knows the six requests that it
// needs. It never writes over an object, and never deletes what it has not seen
// copied.
//
// Concurrency: a Driver may be used from any goroutine.
package objectlever

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// Kind is this driver's kind.
const Kind = "objects"

// The most that one lever takes. S3 copies objects of up to 5 GB in one request.
const (
	MaxObjects = 1000
	MaxObject  = 5_000_000_000 // bytes
	MaxBytes   = 64 << 30
)

// lookFor is how long a look at the bucket may take.
const lookFor = 5 * time.Second

// Section is the driver's configuration. It holds no secret.
type Section struct {
	Endpoint    string   `json:"endpoint"` // https://s3.eu-central-1.amazonaws.com
	Region      string   `json:"region"`   // us-east-1 unless said
	Bucket      string   `json:"bucket"`
	Credentials string   `json:"credentials_file"` // access key id and secret, one a line
	Keys        []string `json:"keys,omitempty"`
	Prefix      string   `json:"prefix,omitempty"` // or all objects below it, resolved once, when the plan is made
	Aside       string   `json:"aside,omitempty"`  // where they are kept in the bucket: lifeboat-aside
}

// Options of a Driver. Now and Secret MUST be set.
type Options struct {
	Now    func() time.Time
	Secret func(file string) (Credentials, error) // ReadCredentials
	Lead   func(ctx context.Context) error        // asked before each write; a process that lost its lease says no. nil: always
}

// Driver moves objects aside.
type Driver struct{ o Options }

// New makes a Driver.
func New(o Options) *Driver {
	if o.Lead == nil {
		o.Lead = func(context.Context) error { return nil }
	}
	return &Driver{o}
}

// Kind is "objects".
func (d *Driver) Kind() string { return Kind }

// Capabilities says that the move is exact unless somebody writes there meanwhile.
func (d *Driver) Capabilities() lever.Capabilities {
	return lever.Capabilities{
		Class: lever.R2, Latency: time.Second,
		Rights:      []string{"s3:ListBucket on the bucket", "s3:GetObject, s3:PutObject and s3:DeleteObject on its objects"},
		SideEffects: []string{"Whoever asks for one of these objects gets an error.", "Caches and CDNs may hold it until it expires there."},
	}
}

// Preflight checks that the bucket answers and that the list can be made.
func (d *Driver) Preflight(ctx context.Context, c lever.Card) (lever.Readiness, error) {
	sec, err := read(c.Config)
	if err != nil {
		return lever.Readiness{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	s, err := d.store(sec)
	if err == nil {
		_, err = s.list(ctx, sec.Prefix, 1)
	}
	if err != nil {
		return lever.Readiness{Problems: []string{"The bucket " + sec.Bucket + " can't be read: " + err.Error() + "."}}, nil
	}
	return lever.Readiness{Ready: true}, nil
}

func (d *Driver) store(sec Section) (*bucket, error) {
	secret, err := d.o.Secret(sec.Credentials)
	if err != nil {
		return nil, err
	}
	return newBucket(sec, secret, d.o.Now), nil
}

// frozen is a plan's Config: the section, and what it came to when the plan was made.
type frozen struct {
	Section
	Objects []Object `json:"objects"`
	Held    string   `json:"held"`            // the prefix that the objects go to
	Still   bool     `json:"still,omitempty"` // an earlier pull of this lever holds them there already
}

// ends are the words of a plan's Before and After. The first holds the hash of the
// frozen list, so that the plan's own hash, which people approve, binds it.
func (f frozen) ends() (before, after string) {
	if f.Still {
		return "kept in " + f.Held, "still kept in " + f.Held
	}
	return fmt.Sprintf("in place: %s, list %s", many(len(f.Objects)), digest(f.Objects)[:32]), "kept in " + f.Held
}

// Plan freezes the list of objects. Each is read once, for its hash.
func (d *Driver) Plan(ctx context.Context, r lever.Request) (lever.Plan, error) {
	sec, err := read(r.Card.Config)
	if err != nil {
		return lever.Plan{}, err
	}
	f, target := frozen{Section: sec}, sec.Bucket
	if r.Drill {
		f.Objects, target = []Object{standIn(sec, r.Card.Name)}, sec.Bucket+"#drill"
	} else {
		s, err := d.store(sec)
		if err != nil {
			return lever.Plan{}, err
		}
		if f.Objects, err = freeze(ctx, s, sec); err != nil {
			return lever.Plan{}, err
		}
		if len(f.Objects) == 0 {
			if f.Held, err = heldBy(ctx, s, sec, r.Card.Name); err != nil {
				return lever.Plan{}, err
			}
			f.Still = f.Held != ""
		}
	}
	if len(f.Objects) == 0 && !f.Still {
		return lever.Plan{}, fault.New(fault.NotFound, "no object is there to be moved aside").At(sec.Bucket).WithHint("see that the keys or the prefix are right")
	}
	says := "nothing: the objects are already kept in " + f.Held
	if !f.Still {
		f.Held = path.Join(sec.Aside, nameOf(r.Card.Name)+digest(f.Objects)[:16])
		says = fmt.Sprintf("move %s of the bucket %s to %s", many(len(f.Objects)), sec.Bucket, f.Held)
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return lever.Plan{}, fmt.Errorf("encode the list: %w", err)
	}
	r.Card.Config = raw
	was, will := f.ends()
	return lever.NewPlan(r, target, says, was, will)
}

func many(n int) string {
	if n == 1 {
		return "1 object"
	}
	return fmt.Sprintf("%d objects", n)
}

// open reads a stored plan.
func (d *Driver) open(p lever.Plan, step int) (move, error) {
	m := move{plan: p}
	if step != 0 || len(p.Steps) != 1 {
		return m, fault.New(fault.Invalid, "the plan has no step %d", step)
	}
	sec, err := read(p.Config)
	if err != nil {
		return m, err
	}
	var f frozen
	var was, will string
	bad := json.Unmarshal(p.Config, &f) != nil || json.Unmarshal(p.Steps[0].Before, &was) != nil || json.Unmarshal(p.Steps[0].After, &will) != nil
	f.Section = sec
	before, after := f.ends()
	bad = bad || was != before || will != after || !plain(f.Held) || !strings.HasPrefix(f.Held, sec.Aside+"/")
	for _, o := range f.Objects {
		bad = bad || !plain(o.Key)
	}
	if bad {
		return m, fault.New(fault.Invalid, "the plan is not whole, or not as it was made").WithHint("make it again")
	}
	m.frozen = f
	m.s, err = d.store(sec)
	return m, err
}

// Apply moves the objects of the plan aside. Run again after a crash it moves what
// is left.
func (d *Driver) Apply(ctx context.Context, p lever.Plan, step int, t lever.Token) error {
	m, err := d.permitted(ctx, p, step, t)
	if err != nil {
		return err
	}
	if p.Drill {
		if err := m.makeStandIn(ctx); err != nil {
			return err
		}
	}
	return m.takeAway(ctx, t, d.o.Now().UTC())
}

// permitted opens a plan for a write: not with a token older than the manifest's,
// and not by a process without its lease.
func (d *Driver) permitted(ctx context.Context, p lever.Plan, step int, t lever.Token) (move, error) {
	m, err := d.open(p, step)
	if err != nil {
		return m, err
	}
	if err := ctx.Err(); err != nil {
		return m, fault.New(fault.Unavailable, "the time was over before any object was moved").At(m.Bucket).Because(err)
	}
	man, err := m.manifest(ctx)
	if err != nil {
		return m, err
	}
	if man.Revision > t.Revision {
		return m, fault.New(fault.Conflict, "a newer order has moved these objects since").At(m.Bucket).WithHint("look at the lever again")
	}
	return m, d.o.Lead(ctx)
}

// Observe looks at both places of every object.
func (d *Driver) Observe(ctx context.Context, p lever.Plan, step int) (lever.Observation, error) {
	m, err := d.open(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	s := m.look(ctx)
	s.Witness = m.Endpoint + "/" + m.Bucket
	return lever.Observation{World: s.World, Detail: s.Value, Seen: []lever.Sighted{s}, At: d.o.Now().UTC()}, nil
}

// Verify is Observe: whether visitors are better off is for the checks to say.
func (d *Driver) Verify(ctx context.Context, p lever.Plan, _ lever.Direction) (lever.Observation, error) {
	return d.Observe(ctx, p, 0)
}

// Revert puts the objects back, if each is as the plan left it and nothing has taken
// its place.
func (d *Driver) Revert(ctx context.Context, p lever.Plan, step int, t lever.Token) (lever.Observation, error) {
	obs, err := d.Observe(ctx, p, step)
	if err != nil || obs.World == lever.Foreign {
		return obs, err
	}
	m, err := d.permitted(ctx, p, step, t)
	if err != nil {
		return obs, err
	}
	return obs, m.putBack(ctx, t, d.o.Now().UTC())
}

// Dispose removes the manifest of a lever that was put back. Objects that are still
// kept aside are never deleted here.
func (d *Driver) Dispose(ctx context.Context, p lever.Plan) error {
	m, err := d.open(p, 0)
	if err != nil {
		return err
	}
	return m.dispose(ctx)
}

// read checks a lever's section.
func read(raw json.RawMessage) (Section, error) {
	var sec Section
	bad := func(format string, args ...any) (Section, error) {
		return sec, fault.New(fault.Invalid, format, args...).
			WithHint(`for example objects: {endpoint: "https://s3.example.net", bucket: shop, credentials_file: s3.secret, keys: [img/banner.jpg]}`)
	}
	if err := json.Unmarshal(raw, &sec); err != nil {
		return bad("the lever's section can't be read")
	}
	if sec.Region == "" {
		sec.Region = "us-east-1"
	}
	if sec.Aside == "" {
		sec.Aside = "lifeboat-aside"
	}
	u, err := url.Parse(sec.Endpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return bad("the endpoint is no address of a server")
	case !plain(sec.Bucket) || strings.Contains(sec.Bucket, "/") || len(sec.Bucket) > 255:
		return bad("%q is no name of a bucket", clip(sec.Bucket))
	case !plain(sec.Aside):
		return bad("the place %q to keep objects in is no plain prefix", clip(sec.Aside))
	case (len(sec.Keys) > 0) == (sec.Prefix != ""):
		return bad("the lever needs keys or a prefix, one of the two")
	case len(sec.Keys) > MaxObjects:
		return bad("%d keys are too many, %d fit", len(sec.Keys), MaxObjects)
	case sec.Prefix != "" && (!plain(strings.TrimSuffix(sec.Prefix, "/")) || kept(sec, sec.Prefix)):
		return bad("the prefix %q can't be used, or is where objects are kept", clip(sec.Prefix))
	}
	sec.Endpoint = u.Scheme + "://" + u.Host
	for _, k := range sec.Keys {
		if !plain(k) || kept(sec, k) {
			return bad("the key %q can't be used, or is where objects are kept", clip(k))
		}
	}
	return sec, nil
}

func kept(sec Section, key string) bool { return strings.HasPrefix(key+"/", sec.Aside+"/") }

// plain says whether a key survives every proxy on its way: no empty parts, no dots
// that lead up, no control characters.
func plain(key string) bool {
	return key != "" && key != "." && len(key) <= 1000 && path.Clean("/"+key) == "/"+key && !strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\ufffd' })
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
