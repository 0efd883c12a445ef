// Command lifeboat carries a site through a crisis: fail over, diagnose, fix, fail
// back. Package cli has its commands.
package main

import (
	"os"

	"lifeboat/internal/cli"
)

// version is set when a release is built.
var version = "dev"

func main() { os.Exit(cli.Main(version)) }
