package control

import (
	"context"
	"encoding/hex"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/dnstrace"
	"lifeboat/internal/engine"
	"lifeboat/internal/signer"
	"lifeboat/internal/zone"
)

// signing is what the engine signs zones with: nil where none is signed.
func signing(o Options) (engine.Signing, error) {
	if !slices.ContainsFunc(o.Config.Zones, func(z zone.Source) bool { return z.DNSSEC }) {
		return nil, nil
	}
	folder, err := signer.OpenFolder(filepath.Join(o.Dir, "dnssec"))
	if err != nil {
		return nil, err
	}
	look := o.Config.Outside
	ds := func(ctx context.Context, apex string) ([][]byte, time.Duration, bool) {
		return lookUpDS(ctx, apex, o.Now, look.From...)
	}
	return signer.New(signer.Options{Folder: folder, Now: o.Now, Logger: o.Logger, DS: ds, AskFirst: look.Every > 0}), nil
}

// lookUpDS asks every server of an apex's parent for the DS records, from the root down
// or from the servers that are given. asked is false unless all that can be asked from
// here tell, and tell the same.
func lookUpDS(ctx context.Context, apex string, now func() time.Time, from ...netip.AddrPort) (ds [][]byte, ttl time.Duration, asked bool) {
	trace, err := dnstrace.Run(ctx, dnstrace.Options{Name: apex, Type: "DS", From: from, Now: now})
	if err != nil || len(trace.Steps) == 0 || trace.Kind != dnstrace.Answer {
		return nil, 0, false
	}
	var first []string
	for _, r := range trace.Steps[len(trace.Steps)-1].Replies {
		switch {
		case r.Kind == dnstrace.NoRoute: // says nothing about the server
			continue
		case r.Kind != dnstrace.Answer || asked && !slices.Equal(r.Records, first):
			return nil, 0, false
		}
		first, asked = r.Records, true
		ttl = max(ttl, time.Duration(r.TTL)*time.Second)
	}
	for _, text := range first {
		if data, ok := dsData(text); ok {
			ds = append(ds, data)
		}
	}
	return ds, ttl, asked
}

// dsData reads a record "DS TAG ALGORITHM DIGEST-TYPE DIGEST".
func dsData(text string) (data []byte, ok bool) {
	f := strings.Fields(text)
	if len(f) < 5 || f[0] != "DS" {
		return nil, false
	}
	for i, bits := range []int{16, 8, 8} {
		n, err := strconv.ParseUint(f[1+i], 10, bits)
		if err != nil {
			return nil, false
		}
		if bits == 16 {
			data = append(data, byte(n>>8))
		}
		data = append(data, byte(n))
	}
	digest, err := hex.DecodeString(strings.Join(f[4:], ""))
	return append(data, digest...), err == nil
}
