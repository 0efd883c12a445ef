package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"lifeboat/internal/fault"
)

// minReason is how many characters a reason has at least: one that says nothing passes
// no guard rail.
const minReason = 3

// saysEnough refuses a reason that no guard rail takes, before it is sent.
func saysEnough(reason string) error {
	if n := utf8.RuneCountInString(strings.TrimSpace(reason)); reason != "" && n < minReason {
		return fault.New(fault.Invalid, "a reason needs at least %d characters", minReason).At("--reason").WithHint("say in a sentence why, for whoever reads it next week")
	}
	return nil
}

// maxTyped is the longest line that is read from somebody, in bytes.
const maxTyped = 16 << 10

// ask puts a question on a terminal and gives the line that is typed.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	a.tell("%s: ", question)
	if a.lines == nil {
		a.lines = bufio.NewReaderSize(a.o.In, maxTyped)
	}
	type typed struct {
		line []byte
		err  error
	}
	got := make(chan typed, 1)
	go func() { // ends with the line, or with the process: a terminal can't be read with a deadline
		line, err := a.lines.ReadSlice('\n')
		got <- typed{bytes.Clone(line), err}
	}()
	select {
	case <-ctx.Done():
		a.tell("\n")
		return "", ctx.Err()
	case t := <-got:
		if t.err != nil && (!errors.Is(t.err, io.EOF) || len(t.line) == 0) {
			return "", usage("no answer: %v", t.err)
		}
		return strings.TrimSpace(string(t.line)), nil
	}
}

// maxPassword is how much is read in search of a password, in bytes.
const maxPassword = 2048

// password reads a new password: from standard input where fromStdin says so, else twice
// from the terminal, which does not show it.
func (a *app) password(fromStdin bool) (string, error) {
	if fromStdin {
		return a.passwordLine()
	}
	if a.o.Secret == nil {
		return "", usage("a password is typed on a terminal; elsewhere give it on standard input, with --password-stdin")
	}
	var typed [2]string
	for i, question := range []string{"New password", "Once more"} {
		a.tell("%s: ", question)
		b, err := a.o.Secret()
		a.tell("\n")
		if err != nil {
			return "", failed{fmt.Errorf("lifeboat: read the password: %w", err)}
		}
		typed[i] = string(b)
	}
	if typed[0] != typed[1] {
		return "", fault.New(fault.Invalid, "the two are not the same").At("password").WithHint("type it again")
	}
	return typed[0], nil
}

// passwordLine is the first line of standard input.
func (a *app) passwordLine() (string, error) {
	b, err := io.ReadAll(io.LimitReader(a.o.In, maxPassword+1))
	if err != nil {
		return "", failed{fmt.Errorf("lifeboat: read the password: %w", err)}
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case line == "":
		return "", usage("--password-stdin: standard input is empty")
	case len(line) > maxPassword:
		return "", usage("--password-stdin: the first line has more than %d bytes", maxPassword)
	}
	return line, nil
}
