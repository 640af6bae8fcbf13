# make demo | test | check | bench | soak. One set of build flags for all, so that the build cache serves them all.
SHELL := /bin/bash
GO ?= go
export CGO_ENABLED = 0
export GOFLAGS = -buildvcs=false

LINT = $(GO) tool -modfile=tools/go.mod golangci-lint

.PHONY: demo build test check lint fuzz bench soak release clean

demo: bin/leitplanke ## the demo on http://localhost:8088
	./bin/leitplanke demo

build: bin/leitplanke

bin/leitplanke: FORCE
	@mkdir -p bin
	@[ -n "$$($(GO) list -export -f '{{if .Stale}}x{{end}}' modernc.org/sqlite 2>/dev/null)" ] && echo "First build: this takes two to three minutes; packages appear as they are done." && V=-v; \
	$(GO) build $$V -o bin/leitplanke ./cmd/leitplanke
FORCE:

check: lint ## format, linters, architecture, unit and story tests; the long ones are in make test
	$(GO) vet ./...
	$(GO) test -short -timeout 10m . ./bundle/... ./cmd/... ./internal/...

lint:
	$(LINT) run ./...

test: ## everything, with PostgreSQL and Chromium; prints what ran and what was skipped
	@bash tools/test.sh

fuzz: ## each decoder for a while
	@bash tools/fuzz.sh $${FUZZTIME:-20s}

bench: ## log append, verification, and the gate against the pass-through floor in one run
	$(GO) test -timeout 20m -run '^$$' -bench . -benchtime 3s ./internal/audit ./bundle ./internal/guard ./internal/rawjson
	@bash tools/bench/run.sh

soak: ## the long harnesses: 1,000 kills, every bit, a million executions of each fuzzer
	LEITPLANKE_SOAK=1 LEITPLANKE_SOAK_KILLS_SQLITE=1000 LEITPLANKE_SOAK_FLIPS=all bash tools/test.sh -timeout 6h
	@bash tools/fuzz.sh 1000000x

release: ## the same bytes wherever it is built
	$(GO) build -trimpath -ldflags "-s -w -buildid= -X github.com/leitplanke/leitplanke/internal/cli.version=$(VERSION)" -o dist/leitplanke ./cmd/leitplanke

clean:
	rm -rf bin dist
