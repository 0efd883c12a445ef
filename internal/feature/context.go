package feature

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// The steps that rules may take: for one flag, and for all flags of one context.
const (
	stepsPerFlag    = 20_000
	stepsPerContext = 500_000
)

// Context is what a rule is asked about: who asks, and what is known of them. It
// belongs to one goroutine.
type Context struct {
	values map[string]any
	now    int64 // seconds
	left   int   // steps that are left for all flags
}

// What is wrong with a context.
var (
	ErrContextShape = errors.New("the context is not an object")
	ErrContextKey   = errors.New("targetingKey is not text")
)

// ReadContext reads a context, a JSON object or nothing.
func ReadContext(raw []byte, now time.Time) (*Context, error) {
	c := &Context{now: now.Unix(), left: stepsPerContext}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
		return c, nil
	}
	if json.Unmarshal(raw, &c.values) != nil {
		return nil, ErrContextShape
	}
	if key, has := c.values["targetingKey"]; has && key != nil {
		if _, is := key.(string); !is {
			return nil, ErrContextKey
		}
	}
	return c, nil
}

// key is the targetingKey, "" when there is none.
func (c *Context) key() string {
	key, _ := c.values["targetingKey"].(string)
	return key
}

// run follows the rule; name is nil when it comes to no variant.
func (r *rule) run(flag string, c *Context) (name *string, noKey bool, problem string) {
	x := &run{c: c, flag: flag, left: min(stepsPerFlag, c.left)}
	before := x.left
	v := x.eval(&r.root, c)
	c.left -= before - max(x.left, 0)
	switch {
	case x.problem != "":
		return nil, false, x.problem
	case x.noKey:
		return nil, true, ""
	case v == nil:
		return nil, false, ""
	}
	s := text(v)
	return &s, false, ""
}

// run is one evaluation of one rule.
type run struct {
	c       *Context
	flag    string
	left    int // steps
	noKey   bool
	problem string
}

// fail ends the evaluation: nothing is evaluated any more.
func (x *run) fail(why string) any {
	if x.problem == "" {
		x.problem = why
	}
	return nil
}

// spend takes steps; it says false when none are left or the rule has failed.
func (x *run) spend(steps int) bool {
	x.left -= steps
	if x.left < 0 {
		x.fail("the rule takes too many steps")
	}
	return x.problem == ""
}

// eval evaluates an expression; data is what var reads: the context, or what an
// operator over a list is at. Once the rule has failed it gives nil.
func (x *run) eval(e *expr, data any) any {
	if !x.spend(1) {
		return nil
	}
	switch {
	case e.isList:
		return x.list(e.list, data)
	case e.op == nil:
		return e.literal
	case e.op.lazy:
		return e.op.run(x, e, data)
	}
	args := x.list(e.args, data)
	if e.spread && len(args) == 1 {
		if list, is := args[0].([]any); is && !e.op.unary {
			args = list
		}
	}
	if x.problem != "" {
		return nil
	}
	return e.op.eager(x, args, data)
}

func (x *run) list(list []expr, data any) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = x.eval(&list[i], data)
	}
	return out
}
