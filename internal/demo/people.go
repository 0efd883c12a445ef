package demo

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/snapshot"
)

// peopleName is the file in the demo folder with the passwords of the demo's people.
// It has mode 0600.
const peopleName = "people.json"

// Person is somebody who can sign in to the demo: what one proposes another approves.
type Person struct {
	Name     string    `json:"name"` // for signing in
	Title    string    `json:"title"`
	Role     role.Role `json:"role"`
	Password string    `json:"password,omitempty"` // empty: it was changed by somebody, who knows it
}

// people are those of every demo, without their passwords.
var people = []Person{
	{Name: "ada", Title: "Ada", Role: role.Commander},
	{Name: "bob", Title: "Bob", Role: role.Operator},
	{Name: "eve", Title: "Eve", Role: role.Reporter},
}

// openAccounts makes the accounts that are not there yet, each with a password of
// this folder's own: a demo may be open to a whole network, so none is the same
// everywhere.
func openAccounts(ctx context.Context, c *apiclient.Client, data string) ([]Person, error) {
	have, err := c.Accounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("see who can sign in: %w", err)
	}
	known := map[string]bool{}
	for _, a := range have {
		known[a.Name] = true
	}
	kept, err := readPasswords(data)
	if err != nil {
		return nil, err
	}
	all := make([]Person, 0, len(people))
	for _, p := range people {
		if !known[p.Name] {
			kept[p.Name] = newPassword(p.Name)
		}
		p.Password = kept[p.Name]
		all = append(all, p)
	}
	if err := keepPasswords(data, all); err != nil { // first: nobody is locked out by a crash in between
		return nil, err
	}
	for _, p := range all {
		if known[p.Name] {
			continue
		}
		body := api.AccountBody{Name: p.Name, Title: p.Title, Role: string(p.Role), Password: p.Password}
		if _, err := c.CreateAccount(ctx, body); err != nil {
			return nil, fmt.Errorf("make the account %s: %w", p.Name, err)
		}
	}
	return all, nil
}

// newPassword makes a password of 60 random bits, in groups that can be typed.
func newPassword(name string) string {
	var secret [8]byte
	_, _ = rand.Read(secret[:]) // never fails
	text := strings.ToLower(base32.StdEncoding.EncodeToString(secret[:]))
	return strings.Join([]string{name, text[:4], text[4:8], text[8:12]}, "-")
}

// readPasswords gives the passwords that a demo before has made, by name.
func readPasswords(data string) (map[string]string, error) {
	path := filepath.Join(data, peopleName)
	out := map[string]string{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the passwords of the demo's people can't be read").At(path).Because(err).
			WithHint("delete the file; the accounts keep their passwords, and new ones are set with: lifeboat account password NAME")
	}
	return out, nil
}

func keepPasswords(data string, all []Person) error {
	kept := map[string]string{}
	for _, p := range all {
		if p.Password != "" {
			kept[p.Name] = p.Password
		}
	}
	text, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the passwords: %w", err)
	}
	return snapshot.WriteFile(filepath.Join(data, peopleName), append(text, '\n'))
}
