package replica

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/ofrep"
)

// Where the upstream is asked.
const (
	copyPath   = "/lifeboat/v1/features"
	streamPath = "/ofrep/v1/streams"
)

// errStreamEnded is a stream that ended after it had begun: the upstream restarts, or
// something in between cuts long answers.
var errStreamEnded = errors.New("the stream has ended")

// busyError is an upstream that asks to come later.
type busyError struct {
	status string
	wait   time.Duration
}

func (e *busyError) Error() string { return "the upstream answered " + e.status }

// longestBusy is the longest that an upstream may ask us to wait.
const longestBusy = time.Minute

// round takes the flags, then listens until the stream ends.
func (r *Replica) round(ctx context.Context) error {
	if err := r.fetch(ctx); err != nil {
		return err
	}
	return r.listen(ctx)
}

// request makes a question to the upstream.
func (r *Replica) request(ctx context.Context, path string) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("make a question to the upstream: %w", err)
	}
	q.Header.Set("Authorization", "Bearer "+r.o.Key)
	q.Header.Set("User-Agent", "lifeboat")
	return q, nil
}

// fetch takes the flags, if they are others than those that are known.
func (r *Replica) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.o.Waits.Question, errors.New("the upstream did not answer in time"))
	defer cancel()
	q, err := r.request(ctx, copyPath)
	if err != nil {
		return err
	}
	if tag := r.etag(); tag != "" {
		q.Header.Set("If-None-Match", tag)
	}
	resp, err := r.client.Do(q)
	if err != nil {
		return fault.New(fault.Unavailable, "ask the upstream for its features").Because(err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
		return r.take(resp)
	case http.StatusNotModified:
		r.revise(resp.Header.Get(ofrep.RevisionHeader))
		r.hear()
		return nil
	}
	return refused(resp)
}

// refused says why there are no flags.
func refused(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.New(fault.Denied, "the upstream answered %s", resp.Status).WithHint("it needs this key under ofrep.keys, with for: copies")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return &busyError{resp.Status, min(max(0, time.Duration(seconds))*time.Second, longestBusy)}
	case http.StatusNotFound:
		return fault.New(fault.NotSupported, "the upstream answered %s", resp.Status).WithHint("say the address of its --ofrep; an older lifeboat hands out no features")
	}
	return fault.New(fault.Unavailable, "the upstream answered %s", resp.Status)
}

// take puts in force what came, and has it kept. What can't be read leaves everything as it
// is.
func (r *Replica) take(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, ofrep.MaxCopy+1))
	if err != nil {
		return fault.New(fault.Unavailable, "read the upstream's features").Because(err)
	}
	k := known{ETag: resp.Header.Get("ETag"), Revision: resp.Header.Get(ofrep.RevisionHeader), Taken: r.o.Now().UTC()}
	if len(body) > ofrep.MaxCopy || json.Unmarshal(body, &k.Copy) != nil {
		return fault.New(fault.Invalid, "what the upstream handed out can't be read").WithHint("say the address of its --ofrep")
	}
	if k.Copy.Format != ofrep.CopyFormat {
		return fault.New(fault.NotSupported, "the upstream hands out features in format %d, this version reads %d", k.Copy.Format, ofrep.CopyFormat).WithHint("run the same version here")
	}
	r.mu.Lock()
	r.known, r.stale = &k, false
	r.enforce()
	r.mu.Unlock()
	r.hear()
	select {
	case r.fresh <- struct{}{}:
	default:
	}
	return nil
}

// revise notes that the same flags are true for a later manifest.
func (r *Replica) revise(revision string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || revision == "" || revision == r.known.Revision {
		return
	}
	k := *r.known
	k.Revision = revision
	r.known = &k
	r.enforce()
}

func (r *Replica) etag() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		return ""
	}
	return r.known.ETag
}

// listen hears of changes until the stream ends or is silent for too long, and takes
// the flags at each.
func (r *Replica) listen(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	q, err := r.request(ctx, streamPath)
	if err != nil {
		return err
	}
	q.Header.Set("Accept", "text/event-stream")
	q.Header.Set("Last-Event-ID", strings.Trim(r.etag(), `"`)) // only what is new is told
	resp, err := r.client.Do(q)
	if err != nil {
		return fault.New(fault.Unavailable, "open the upstream's stream").Because(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	silent := time.AfterFunc(r.o.Waits.Question, func() { cancel(errors.New("the upstream's stream is silent")) }) // it says something at once
	defer silent.Stop()
	lines := bufio.NewScanner(resp.Body)
	begun := false
	for lines.Scan() {
		silent.Reset(r.o.Waits.Silence)
		begun = true
		r.hear()
		if !bytes.HasPrefix(lines.Bytes(), []byte("data:")) {
			continue
		}
		if err := r.fetch(ctx); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if begun {
		return errStreamEnded
	}
	return fault.New(fault.Unavailable, "the upstream's stream did not begin").Because(lines.Err())
}
