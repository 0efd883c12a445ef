// Command coredns is CoreDNS with the plugins that the benchmark of the name server
// measures, and no others. It is a module of its own, so that what CoreDNS needs is
// not what lifeboat needs.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/file"
)

func main() {
	dnsserver.Directives = []string{"bind", "cache", "file"}
	coremain.Run()
}
