package prober

import (
	"context"
	"crypto/x509"
	"sync/atomic"
	"time"

	"lifeboat/internal/probe"
)

// Trust asks each site's checks with the authorities that the site trusts beside the
// machine's own. The zero value trusts those alone.
type Trust struct {
	Now   func() time.Time // time.Now when nil
	pools atomic.Pointer[map[string]*x509.CertPool]
}

// Set says which authorities the sites have (DER), by site. What can't be read is passed
// over: then a check that needed it fails and says why.
func (t *Trust) Set(bySite map[string][][]byte) {
	pools := map[string]*x509.CertPool{}
	for site, authorities := range bySite {
		if len(authorities) == 0 {
			continue
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		for _, der := range authorities {
			if c, err := x509.ParseCertificate(der); err == nil {
				pool.AddCert(c)
			}
		}
		pools[site] = pool
	}
	t.pools.Store(&pools)
}

// Ask asks a check of a target once, as Asker.Ask.
func (t *Trust) Ask(ctx context.Context, target probe.Target, c probe.Check) probe.Result {
	a := Asker{Now: t.Now}
	if pools := t.pools.Load(); pools != nil {
		a.Roots = (*pools)[target.Site]
	}
	return a.Ask(ctx, target, c)
}
