# Everything a developer runs. `make` alone lists the targets.
# Go and make are enough for run, build, test; what more a target needs, it says.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# The version comes by -ldflags; a clone of another user's must build as well.
export GOFLAGS ?= -buildvcs=false

BIN      := bin
CACHE    := .cache/bin
SERVICES := router sender projector admin aftercall
MODULES   = $(patsubst $(CURDIR)/%,%,$(shell go list -m -f '{{.Dir}}'))
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BUILD     = go build -trimpath -ldflags "-s -w -X github.com/aftercall/aftercall/pkg/telemetry.version=$(VERSION)"

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##
run: ## Start the one-process edition (more flags: make run ARGS="--calls 0")
	@$(BUILD) -o $(BIN)/aftercall ./services/aftercall/cmd/aftercall
	@exec $(BIN)/aftercall dev $(ARGS)

build: ## Build every binary into bin/
	@for s in $(SERVICES); do $(BUILD) -o $(BIN)/$$s ./services/$$s/cmd/$$s || exit 1; done

test: ## Run the tests of all modules (what needs a real Kafka, PostgreSQL or browser is listed at the end)
	@tools/test.sh $(ARGS)

test-real: real-up ## Run the tests with a real Kafka and PostgreSQL as well (needs Java 17, Maven, PostgreSQL)
	@set -a; . .cache/real/env; set +a; tools/test.sh -count=1 $(ARGS)

proof: real-up ## Run the long proofs too (build tag proof), and write docs/reliability.md: before a release, about an hour
	@tools/build.sh reliability
	@set -a; . .cache/real/env; set +a; rm -f .cache/proofs.jsonl; \
	 AFTERCALL_TEST_PROOF_RESULTS=$(CURDIR)/.cache/proofs.jsonl tools/test.sh -count=1 -tags synctests,proof -timeout 120m $(ARGS); status=$$?; \
	 [ ! -s .cache/proofs.jsonl ] || $(CACHE)/reliability .cache/proofs.jsonl docs/reliability.md || status=1; exit $$status

fuzz: ## Run every fuzz target for a minute (FUZZTIME=10m make fuzz)
	@tools/fuzz.sh

check: ## Everything that is checked without running tests: format, lint, generated files, modules
	@tools/check.sh

fmt: ## Format all Go files
	@git ls-files -co --exclude-standard '*.go' | xargs gofmt -w

lint: $(CACHE)/golangci-lint ## Run the linters alone
	@$(CACHE)/golangci-lint run $(MODULES:%=./%/...)

generate: $(CACHE)/buf ## Generate code and documents again (protobuf, go generate)
	@cd proto && GOWORK=off ../$(CACHE)/buf generate
	@go generate work

baseline: $(CACHE)/buf ## At a release: keep the protobuf as it is for later versions to be compared with
	@cd proto && GOWORK=off ../$(CACHE)/buf breaking --against baseline.binpb
	@cd proto && GOWORK=off ../$(CACHE)/buf build --exclude-source-info -o baseline.binpb

##
pictures: ## Take the console's pictures anew (docs/images; needs chromium and pngquant)
	@go test -tags synctests,pictures -count=1 -run '^TestPicturesOfTheConsole$$' ./services/aftercall/internal/e2e
	@cd docs/images && for f in *-light.png *-dark.png; do pngquant --force --skip-if-larger --quality 60-95 --output $$f $$f; chmod 644 $$f; done

bench: ## Compare the bare POST loop with one process, and with real Kafka + PostgreSQL after make real-up
	@$(BUILD) -o $(BIN)/aftercall ./services/aftercall/cmd/aftercall
	@if [ ! -s .cache/real/env ]; then exec $(BIN)/aftercall bench $(ARGS); fi; \
	 . .cache/real/env; \
	 if command -v flock >/dev/null; then exec 9>"$${TMPDIR:-/tmp}/aftercall-test-kafka.lock"; flock 9; fi; \
	 exec $(BIN)/aftercall bench --brokers "$$AFTERCALL_TEST_KAFKA" --database "$$AFTERCALL_TEST_DATABASE_URL" --reset $(ARGS)

bench-go: ## Run the Go benchmarks
	@go test -run '^$$' -bench . -benchmem $(ARGS) work

##
real-up: ## Start a real Kafka and PostgreSQL on free loopback ports, without containers
	@deployments/real/up.sh

real-down: ## Stop them and delete their data
	@deployments/real/down.sh

tidy: ## Give all modules one version of each dependency, and tidy them
	@go work sync
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy) || exit 1; done
	@go work sync

clean: ## Delete what was built; not ./data, not a running real Kafka
	@rm -rf $(BIN) $(CACHE) .cache/test.json

$(CACHE)/golangci-lint: tools/lint/go.mod
	@tools/build.sh golangci-lint
$(CACHE)/buf: tools/go.mod
	@tools/build.sh buf

.PHONY: help run build test test-real proof fuzz check fmt lint generate baseline pictures bench bench-go real-up real-down tidy clean
