# Every target says what it does; `make help` lists them.
#
# Needed: Go. `make test` also wants a resolver, dig, a browser, unshare and Node, and
# installs them from Debian's packages (`make deps`); lifeboat itself needs none.

GO       ?= go
FUZZTIME ?= 5s
BENCH    ?= .
SOAKTIME ?= 2h

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

.DEFAULT_GOAL := build
.PHONY: help build run test deps lint screenshots race bench bench-dns bench-ofrep bench-quarantine bench-standby fuzz soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build ./bin/lifeboat, one static binary
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/lifeboat ./cmd/lifeboat

run: build ## build, and start lifeboat around the sample shop
	./bin/lifeboat demo

deps: ## install what the tests need (Debian: unbound, dig, chromium, unshare, node; npm: OpenFeature clients; Go: an S3 server)
	@scripts/deps

test: build ## vet and run every test, and say in a few lines how it went
	@scripts/deps || test "$$CI" != true
	@GO='$(GO)' scripts/test

race: ## run every test with the race detector (needs a C compiler)
	@GO='$(GO)' scripts/test -race

screenshots: build ## take a picture of every moment and room, phone and desk, light and dark, into ./screens
	$(GO) run ./scripts/screenshots -out screens

lint: ## gofmt, go vet, staticcheck
	@GO='$(GO)' scripts/lint

bench: build ## measure: the packages' benchmarks, then the whole
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./internal/...
	@if ls test/bench/*.go >/dev/null 2>&1; then $(GO) run ./test/bench; fi

bench-ofrep: ## measure the kill switches beside a bare handler
	$(GO) run ./test/bench-ofrep

bench-dns: build ## measure the name server beside its peers (BENCH_DNS='-rounds 3'; scripts/deps-bench installs them)
	@if [ -f test/bench/coredns/go.mod ]; then $(GO) -C test/bench/coredns build -o ../../../bin/bench-coredns . || echo 'bench-dns: CoreDNS could not be built'; fi
	$(GO) run ./test/bench/dns $(BENCH_DNS)

bench-standby: build ## measure the standby beside nginx and Caddy (BENCH_STANDBY='-rounds 3 -each 500ms'; scripts/deps-bench installs them)
	$(GO) build -o bin/bench-standby ./test/bench/standby
	taskset -c 1 ./bin/bench-standby $(BENCH_STANDBY)

bench-quarantine: ## measure taking rows away beside a script and pt-archiver (BENCH_QUARANTINE='-rounds 3'; scripts/deps, scripts/deps-bench)
	$(GO) run ./test/bench/quarantine $(BENCH_QUARANTINE)

fuzz: ## run each fuzz test for FUZZTIME (5s)
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' scripts/fuzz

soak: build ## run the long tests, up to SOAKTIME (2h)
	LIFEBOAT_SOAK=1 $(GO) test -count=1 -timeout '$(SOAKTIME)' ./...

clean: ## remove what was built
	rm -rf bin
