# Everything here needs Go, git and make; see CONTRIBUTING.md.
#
#   make rehearse                     the whole deployment, without a cloud
#   make test                         every test
#   make build LOWMEM=1               build in less than 2.5 GB of memory
#   make test PULUMI=/usr/bin/pulumi  use an installed Pulumi CLI (3.255 or later)

.DEFAULT_GOAL := help
SHELL := /bin/sh

# The programs are static, and one setting for all commands means that they share
# one build cache.
export CGO_ENABLED = 0

# Build flags must be the same for build, test and lint, or the cloud SDKs are
# compiled again for each. Linker flags are free to differ.
BUILDFLAGS =
LDFLAGS = -s -w
# Three test programs at a time: each links the cloud SDKs, and those that start a
# Kubernetes mostly wait. These come first, for the others to compile and compute
# meanwhile.
TESTPARALLEL = 3
TESTFIRST = ./tests/journal ./tests/kubernetes/... ./tests/thread
TESTFLAGS =
ARGS =

# The packages whose compilation needs 2 GB and more when optimised.
HEAVY = \
	github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/container \
	github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1

ifneq ($(LOWMEM),)
# One package at a time, the heavy ones without optimisation, and a garbage
# collector that would rather work than grow.
export GOMEMLIMIT = 1GiB
export GOGC = 25
BUILDFLAGS += -p 1 $(foreach package,$(HEAVY),'-gcflags=$(package)=-N -l')
TESTPARALLEL = 1
export TOOLFLAGS = -p 1
endif

# An installed CLI, if PULUMI names one, is checked and used; deepgram-stack
# reads the variable too.
ifneq ($(PULUMI),)
override PULUMI := $(or $(shell command -v '$(PULUMI)'),$(PULUMI))
override PULUMI := $(if $(findstring /,$(PULUMI)),$(abspath $(PULUMI)),$(PULUMI))
export PULUMI
endif

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: pulumi stack ops policy-pack ## Build deepgram-stack, deepgram-ops, deepgram-policy and the pinned pulumi into bin/ (LOWMEM=1: in 2.5 GB)

.PHONY: pulumi
pulumi: ## Put the pinned Pulumi CLI into bin/, or check the one that PULUMI=… names
ifneq ($(PULUMI),)
	@tools/check-pulumi '$(PULUMI)'
else
	@tools/install pulumi
endif

.PHONY: stack ops policy-pack golangci-lint
stack:
	@tools/progress 'deepgram-stack' go build -v $(BUILDFLAGS) -ldflags '$(LDFLAGS)' -o bin/deepgram-stack ./cmd/deepgram-stack
ops:
	@tools/progress 'deepgram-ops' go build -v $(BUILDFLAGS) -ldflags '$(LDFLAGS)' -o bin/deepgram-ops ./cmd/deepgram-ops
	@ln -sf deepgram-ops bin/deepgram-postrender # its other name, for Helm
policy-pack:
	@tools/progress 'deepgram-policy' go build -v $(BUILDFLAGS) -ldflags '$(LDFLAGS)' -o bin/deepgram-policy ./policy
golangci-lint:
	@tools/install golangci-lint

.PHONY: rehearse
rehearse: pulumi stack policy-pack ## Deploy prod-omi on the real engine without a cloud (ARGS='--stack dev --destroy')
	@bin/deepgram-stack rehearse $(ARGS)

.PHONY: kubernetes
kubernetes: ## Build the Kubernetes that tests start, for Linux only (about 10 minutes the first time)
	@tools/install kubernetes
	@tools/install kwok

# The tests that start a Kubernetes skip where it is not built.
KUBERNETES = $(if $(filter Linux,$(shell uname -s)),kubernetes)

.PHONY: test
test: build $(KUBERNETES) ## Run every test (TESTFLAGS='-run Name -v')
	go test $(BUILDFLAGS) -p $(TESTPARALLEL) -timeout 30m $(TESTFLAGS) $(TESTFIRST) ./...

.PHONY: race
race: ## Run the tests that link no cloud SDK with the race detector (needs a C compiler)
	@packages=$$(tools/packages-without-cloud) && \
	set -x && CGO_ENABLED=1 go test -race -timeout 30m $(TESTFLAGS) $$packages

.PHONY: cross
cross: ## Build deepgram-ops for macOS, where many run it by hand
	GOOS=darwin GOARCH=arm64 go build $(BUILDFLAGS) -o /dev/null ./cmd/deepgram-ops

.PHONY: soak
soak: build $(KUBERNETES) ## Run the long tests too, every fault at every call, then everything with the race detector
	SOAK=1 go test $(BUILDFLAGS) -p $(TESTPARALLEL) -count=1 -timeout 12h $(TESTFLAGS) ./...
	CGO_ENABLED=1 go test -race $(BUILDFLAGS) -p 1 -timeout 4h $(TESTFLAGS) ./...

.PHONY: bench
bench: build $(KUBERNETES) bench-build ## Measure: the cold build, and every Go benchmark
	go test $(BUILDFLAGS) -p 1 -timeout 2h -run '^$$' -bench . -benchmem $(TESTFLAGS) ./...

.PHONY: bench-build
bench-build: ## Measure the cold build of deepgram-stack against a plain program (about 20 minutes, 8 GB)
	@go run ./tests/bench/build -heavy '$(strip $(HEAVY))' $(ARGS)

.PHONY: lint
lint: golangci-lint ## Check style and imports
	bin/golangci-lint run ./...

.PHONY: fmt
fmt: golangci-lint ## Format the Go files
	bin/golangci-lint fmt ./...

.PHONY: docs
docs: ## Write the generated documents and schemas again
	go run ./internal/gendocs

.PHONY: verify
verify: ## Check everything that CI checks: format, lint, generated documents, tests
	@failed=; for target in lint verify-docs test; do \
		$(MAKE) --no-print-directory $$target || failed="$$failed $$target"; \
	done; \
	if [ -n "$$failed" ]; then echo "make verify: failed:$$failed (make update fixes what can be fixed)" >&2; exit 1; fi

.PHONY: verify-docs
verify-docs:
	go run ./internal/gendocs -check

.PHONY: update
update: fmt docs build ## Fix what verify finds: format, documents, golden files
	@for package in $$(grep -rl --include='*_test.go' 'Bool("update"' . | xargs -n 1 dirname | sort -u); do \
		go test $(BUILDFLAGS) "$$package" -update || exit 1; \
	done

.PHONY: record-upgrade
record-upgrade: pulumi ## Record the states that VERSION=v1.2.3 leaves behind, for the test of later upgrades
	@test -n '$(VERSION)' || { echo 'name the version: make record-upgrade VERSION=v1.2.3' >&2; exit 2; }
	go test $(BUILDFLAGS) ./tests/upgrade -run TestRecord -count=1 -args -record '$(VERSION)'

.PHONY: clean
clean: ## Remove bin/; the programs built under tools/ stay in the cache directory
	rm -rf bin
