// Command bench-ofrep measures the kill switches: the processor time of an answer
// beside that of a bare net/http handler with constant bytes, in the same run, how long
// an answer takes at half load, how long a flip takes to a changed answer and to a
// thousand open streams, and what ten thousand idle ones need.
//
// Each server is a process of its own with one processor; what it used is read from
// the kernel. Machines are shared and noisy: rounds take turns, and ratios are medians
// of ratios within a round.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"lifeboat/internal/feature"
	"lifeboat/internal/ofrep"
)

func main() {
	serve := flag.String("serve", "", "be a server: bare or ofrep")
	rounds := flag.Int("rounds", 7, "rounds; each asks every kind of question")
	requests := flag.Int("requests", 20_000, "questions of a kind in a round")
	streams := flag.Int("streams", 1000, "open streams")
	flips := flag.Int("flips", 30, "flips to time")
	idle := flag.Int("idle", 10_000, "streams that are open and idle")
	flag.Parse()
	var err error
	if *serve != "" {
		err = beServer(*serve)
	} else {
		err = measure(*rounds, *requests, *streams, *flips, *idle)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// flags are fifty of each kind of value; with is a rule for the first.
func flags(with string) []feature.Flag {
	out := make([]feature.Flag, 0, 50)
	for i := range 50 {
		f := feature.Flag{Key: "feature-" + strconv.Itoa(i), Value: json.RawMessage("true"), Off: json.RawMessage("false"), Public: true}
		if i%3 == 1 {
			f.Value, f.Off = json.RawMessage(`"full"`), json.RawMessage(`"none"`)
		}
		if i == 0 && with != "" {
			f.Targeting = json.RawMessage(with)
		}
		out = append(out, f)
	}
	return out
}

const rule = `{"if":[{"in":[{"var":"country"},["DE","AT","CH"]]},{"fractional":[["on",90],["off",10]]},"on"]}`

// beServer serves until its standard input ends; a line there is a flip, of which it
// writes the time.
func beServer(kind string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := ofrep.New(ofrep.Options{})
	with := ""
	if kind == "ruled" {
		with = rule
	}
	s.Set(ofrep.Compile(flags(with), nil).At(1, 1))
	go func() { // ends with the process
		if kind != "bare" {
			_ = s.Serve(ctx, ln)
			return
		}
		body := []byte(`{"key":"feature-0","value":true,"reason":"STATIC","variant":"on","metadata":{}}`)
		length := strconv.Itoa(len(body))
		srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", length)
			_, _ = w.Write(body)
		})}
		_ = srv.Serve(ln)
	}()
	fmt.Println(ln.Addr())
	n := uint64(1)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		n++
		orders := map[string]feature.Order{}
		if n%2 == 0 {
			orders["feature-0"] = feature.Order{Value: json.RawMessage("false"), Lever: "close"}
		}
		at := time.Now()
		s.Set(ofrep.Compile(flags(with), orders).At(1, n))
		fmt.Println(at.UnixNano())
	}
	return nil
}

// server is a process of our own that serves.
type server struct {
	cmd  *exec.Cmd
	addr string
	in   io.WriteCloser
	out  *bufio.Scanner
}

func start(kind string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-serve", kind)
	cmd.Env = append(cmd.Environ(), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, in: in, out: bufio.NewScanner(out)}
	if !s.out.Scan() {
		return nil, fmt.Errorf("the server %s did not start", kind)
	}
	s.addr = s.out.Text()
	return s, nil
}

func (s *server) stop() {
	_ = s.in.Close()
	_ = s.cmd.Wait()
}

// used is the processor time that the process used, by the kernel's account in
// nanoseconds (proc_pid_schedstat), of all its threads.
func (s *server) used() (time.Duration, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	sum := time.Duration(0)
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", s.cmd.Process.Pid, task.Name()))
		if err != nil {
			continue // it has ended
		}
		var ns int64
		if _, err := fmt.Sscan(string(b), &ns); err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// question is one kind of request.
type question struct {
	name    string
	server  string
	path    string
	context string
	headers string
	goal    string
}

func (q question) bytes(host string) []byte {
	body := `{"context":` + q.context + `}`
	return []byte("POST " + q.path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nUser-Agent: bench\r\n" + q.headers + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

const (
	single = "/ofrep/v1/evaluate/flags/feature-0"
	bulk   = "/ofrep/v1/evaluate/flags"
	who    = `{"targetingKey":"user-4711","country":"DE","plan":"pro"}`
)

func measure(rounds, requests, streams, flips, idle int) error {
	servers := map[string]*server{}
	for _, kind := range []string{"bare", "ofrep", "ruled"} {
		s, err := start(kind)
		if err != nil {
			return err
		}
		defer s.stop()
		servers[kind] = s
	}
	tags := map[string]string{}
	for _, kind := range []string{"ofrep", "ruled"} {
		tag, err := etag(servers[kind].addr)
		if err != nil {
			return err
		}
		tags[kind] = "If-None-Match: " + tag + "\r\n"
	}
	kinds := []question{
		{"bare net/http, constant bytes", "bare", single, who, "", ""},
		{"one feature", "ofrep", single, who, "", "1.25 × bare"},
		{"one feature with a rule", "ruled", single, who, "", ""},
		{"all 50", "ofrep", bulk, who, "", "1.3 × one"},
		{"all 50, not modified", "ofrep", bulk, who, tags["ofrep"], "1.3 × one"},
		{"all 50, one with a rule", "ruled", bulk, who, "", ""},
		{"the same, not modified", "ruled", bulk, who, tags["ruled"], ""},
	}
	cost := make([][]float64, len(kinds)) // µs, by kind and round
	for round := range rounds + 1 {       // the first warms up
		for i, q := range kinds {
			us, err := price(servers[q.server], q, requests)
			if err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			if round > 0 {
				cost[i] = append(cost[i], us)
			}
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "question\tµs of processor\t× bare\t× one feature\twanted")
	for i, q := range kinds {
		_, _ = fmt.Fprintf(w, "%s\t%.1f\t%.2f\t%.2f\t%s\n", q.name, median(cost[i]), median(ratios(cost[i], cost[0])), median(ratios(cost[i], cost[1])), q.goal)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := halfLoad(servers, kinds[:4], requests); err != nil {
		return err
	}
	answered, err := flipAsked(servers["ofrep"], flips)
	if err != nil {
		return err
	}
	fmt.Printf("\nflip to a changed answer, %d flips: median %.2f ms, last %.2f ms (wanted: 10 ms at most)\n", flips, at(answered, 0.5), at(answered, 1))
	took, err := flipAll(servers["ofrep"], streams, flips)
	if err != nil {
		return err
	}
	fmt.Printf("flip to %d open streams, %d flips: median %.1f ms, p99 %.1f ms, last %.1f ms (wanted: p99 100 ms at most)\n", streams, flips, at(took, 0.5), at(took, 0.99), at(took, 1))
	before, after, err := idleStreams(idle)
	if err != nil {
		return err
	}
	fmt.Printf("%d idle streams: the server has %.0f MB in memory, %.0f MB before (wanted: 300 MB at most)\n", idle, after, before)
	return nil
}

// at is the value below which a share p of them lies.
func at(of []float64, p float64) float64 {
	s := slices.Clone(of)
	slices.Sort(s)
	return s[min(len(s)-1, int(p*float64(len(s))))]
}

// halfLoad asks half as often as the server can answer, on eight connections and by the
// clock: an answer that comes late makes the next ones wait, and that counts.
func halfLoad(servers map[string]*server, kinds []question, requests int) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nat half load\tquestions a second\tmedian ms\tp99 ms")
	for _, q := range kinds {
		began := time.Now()
		if _, err := price(servers[q.server], q, requests); err != nil {
			return err
		}
		rate := float64(requests) / time.Since(began).Seconds() / 2
		took, err := paced(servers[q.server].addr, q, requests, rate)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.2f\n", q.name, rate, at(took, 0.5), at(took, 0.99))
	}
	return w.Flush()
}

// paced asks so many questions a second and gives the ms that each took from when it
// was due.
func paced(addr string, q question, requests int, rate float64) ([]float64, error) {
	const conns = 8
	gap := time.Duration(float64(time.Second) * conns / rate)
	var group sync.WaitGroup
	took, errs := make([][]float64, conns), make([]error, conns)
	start := time.Now()
	for i := range conns {
		group.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				errs[i] = err
				return
			}
			defer func() { _ = c.Close() }()
			in, ask := bufio.NewReaderSize(c, 64<<10), q.bytes(addr)
			due := start.Add(gap * time.Duration(i) / conns)
			for range requests / conns {
				due = due.Add(gap)
				time.Sleep(time.Until(due))
				if _, errs[i] = c.Write(ask); errs[i] == nil {
					errs[i] = answer(in)
				}
				if errs[i] != nil {
					return
				}
				took[i] = append(took[i], float64(time.Since(due).Nanoseconds())/1e6)
			}
		})
	}
	group.Wait()
	return slices.Concat(took...), errors.Join(errs...)
}

// flipAsked asks one question again and again, and gives the ms from each flip to the
// first answer that differs.
func flipAsked(s *server, flips int) ([]float64, error) {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	in, ask := bufio.NewReader(c), question{path: single, context: who}.bytes(s.addr)
	var took []float64
	last := ""
	for i := -1; i < flips; i++ {
		flipped := make(chan int64, 1)
		if i >= 0 {
			go func() { at, _ := s.flip(); flipped <- at }() // ends with the flip
		}
		for {
			if _, err := c.Write(ask); err != nil {
				return nil, err
			}
			body, err := bodyOf(in)
			if err != nil {
				return nil, err
			}
			now := time.Now().UnixNano()
			if body != last {
				last = body
				if i >= 0 {
					took = append(took, float64(now-<-flipped)/1e6)
				}
				break
			}
		}
	}
	return took, nil
}

// bodyOf reads one answer.
func bodyOf(in *bufio.Reader) (string, error) {
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// flip makes the server flip, and gives when it did.
func (s *server) flip() (ns int64, err error) {
	if _, err := io.WriteString(s.in, "flip\n"); err != nil {
		return 0, err
	}
	if !s.out.Scan() {
		return 0, fmt.Errorf("the server ended")
	}
	return strconv.ParseInt(s.out.Text(), 10, 64)
}

// idleStreams opens streams at a server of their own and gives its memory in MB, before
// and after.
func idleStreams(streams int) (before, after float64, err error) {
	s, err := start("ofrep")
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	if before, err = s.memory(); err != nil {
		return 0, 0, err
	}
	in := bufio.NewReader(nil)
	for i := range streams {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return 0, 0, fmt.Errorf("stream %d: %w", i, err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET /ofrep/v1/streams HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/event-stream\r\n\r\n"); err != nil {
			return 0, 0, err
		}
		in.Reset(c)
		for line := ""; !strings.HasPrefix(line, "id: "); {
			if line, err = in.ReadString('\n'); err != nil {
				return 0, 0, fmt.Errorf("stream %d: %w", i, err)
			}
		}
	}
	after, err = s.memory()
	return before, after, err
}

// memory is what of the process is in memory, in MB.
func (s *server) memory() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var all, resident int
	_, err = fmt.Sscan(string(b), &all, &resident)
	return float64(resident) * float64(os.Getpagesize()) / 1e6, err
}

func etag(addr string) (string, error) {
	res, err := http.Post("http://"+addr+bulk, "application/json", strings.NewReader(`{"context":`+who+`}`))
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	return res.Header.Get("ETag"), err
}

func median(of []float64) float64 {
	s := slices.Clone(of)
	slices.Sort(s)
	return s[len(s)/2]
}

func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

// price asks on eight connections that stay open, and gives the µs of processor time
// that a question cost the server.
func price(s *server, q question, requests int) (float64, error) {
	const conns = 8
	before, err := s.used()
	if err != nil {
		return 0, err
	}
	var group sync.WaitGroup
	errs := make([]error, conns)
	for i := range conns {
		group.Go(func() { errs[i] = askMany(s.addr, q.bytes(s.addr), requests/conns) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	after, err := s.used()
	return float64((after - before).Nanoseconds()) / 1000 / float64(requests/conns*conns), err
}

// askMany sends the same question again and again.
func askMany(addr string, question []byte, times int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReaderSize(c, 64<<10)
	for range times {
		if _, err := c.Write(question); err != nil {
			return err
		}
		if err := answer(in); err != nil {
			return err
		}
	}
	return nil
}

// answer reads one answer of a status that is expected here.
func answer(in *bufio.Reader) error {
	status, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !strings.Contains(string(status), " 200 ") && !strings.Contains(string(status), " 304 ") {
		return fmt.Errorf("answered %q", status)
	}
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if v, is := strings.CutPrefix(string(line), "Content-Length: "); is {
			if length, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return err
			}
		}
	}
	_, err = in.Discard(length)
	return err
}

// flipAll opens streams, and gives the ms from each flip to each of them.
func flipAll(s *server, streams, flips int) ([]float64, error) {
	told := make(chan time.Time, streams)
	for range streams {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET /ofrep/v1/streams HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return nil, err
		}
		go func() { // ends when c is closed
			for lines := bufio.NewScanner(c); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), "id: ") {
					told <- time.Now()
				}
			}
		}()
	}
	for range streams { // each is told what is in force
		<-told
	}
	var took []float64
	for range flips {
		ns, err := s.flip()
		if err != nil {
			return nil, err
		}
		for range streams {
			took = append(took, float64((<-told).UnixNano()-ns)/1e6)
		}
	}
	return took, nil
}
