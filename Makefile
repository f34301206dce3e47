# Carasso's commands. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export MAP
GO      ?= go
BIN     := bin
DATA    ?= carasso-data
LISTEN  ?= 127.0.0.1:8080
FLEET   ?= 2000
# MAP is the map to run on. The demo's comes with a dependency's test data: © OpenStreetMap contributors, ODbL.
MAP     ?=
demo_map = "$${MAP:-$$($(GO) list -m -f '{{.Dir}}' github.com/paulmach/osm)/testdata/andorra-latest.osm.bz2}"

GOLANGCI_LINT := v2.12.0
GOTESTSUM     := v1.13.0
TESTFLAGS     ?=

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build bin/carasso
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/carasso ./cmd/carasso

.PHONY: run
run: ## Start everything on this machine, with a simulated fleet on real roads
	@.ci/setup postgres
	@$(GO) mod download github.com/paulmach/osm
	@$(MAKE) --no-print-directory build
	@exec $(BIN)/carasso up --data "$(DATA)" --listen "$(LISTEN)" --map $(demo_map) --fleet "$(FLEET)"

.PHONY: test
test: ## Install what the tests need, then run every test (race detector, PostgreSQL, LocalStack, browser)
	@.ci/setup postgres browser localstack
	@$(MAKE) --no-print-directory $(BIN)/gotestsum build
	@.ci/with-localstack $(BIN)/gotestsum --format pkgname-and-test-fails -- -race -timeout 20m $(TESTFLAGS) ./...

.PHONY: lint
# The linter's cache remembers paths, so each checkout has its own.
lint: export GOLANGCI_LINT_CACHE = $(CURDIR)/$(BIN)/lint-cache
lint: $(BIN)/golangci-lint ## Check formatting, lint rules and the import table
	$(BIN)/golangci-lint fmt --diff
	$(BIN)/golangci-lint run ./...
	cd infra && $(CURDIR)/$(BIN)/golangci-lint run ./...

.PHONY: bench
bench: build ## Measure the pipeline end to end and print the table
	@.ci/setup postgres localstack
	@$(GO) mod download github.com/paulmach/osm
	@.ci/with-localstack $(BIN)/carasso bench --map $(demo_map) $(BENCHFLAGS)

.PHONY: eval
# DATA_SETS holds the sets with ground truth, a folder each; they are not part of this repository.
eval: DATA_SETS ?= ../shared/data
eval: build ## Score what is learned against ground truth: outside data sets and the simulated fleet
	@$(GO) mod download github.com/paulmach/osm
	$(BIN)/carasso eval all "$(DATA_SETS)" --fleet-map $(demo_map) --pictures eval-pictures $(EVALFLAGS)

.PHONY: microbench
microbench: ## Run the Go benchmarks of the hot paths
	$(GO) test -run '^$$' -bench . -benchmem ./telemetry ./receiver ./mapdata/... ./worker

.PHONY: localstack
localstack: ## Run the whole stack on LocalStack, drive the fleet, verify
	@localstack/run

.PHONY: infra-test
infra-test: ## Check the infrastructure on AWS without an account: drift, assertions, mutations, linters, an emulator
	@.ci/setup infra
	@infra/verify

.PHONY: infra-templates
infra-templates: ## Synthesize infra/templates anew
	@cd infra && $(GO) test -run TestTemplates . -update

.PHONY: generate
generate: ## Regenerate the protobuf code (needs protoc)
	$(GO) generate ./telemetry/... ./mapdata/tile/tilepb

.PHONY: clean
clean: ## Remove what was built (keeps the data folder)
	rm -rf $(BIN)

$(BIN)/golangci-lint:
	@mkdir -p $(BIN)
	GOBIN=$(CURDIR)/$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)

$(BIN)/gotestsum:
	@mkdir -p $(BIN)
	GOBIN=$(CURDIR)/$(BIN) $(GO) install gotest.tools/gotestsum@$(GOTESTSUM)
