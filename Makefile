# SPDX-License-Identifier: Apache-2.0
#
# Thin: each line can be run by hand. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

SPINDLE := .build/release/spindle
# Debian packages that building, testing and measuring need.
PACKAGES := libnuma-dev python3 gcc libc6-dev procps util-linux
ARGS ?=

.PHONY: help setup build test bench bench-floor tidy format lint docs static numa-vm examples check-command check-bench check-report check-counts bench-peers tuning-doc tsan asan sim fuzz ci clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## Install what is missing (Debian packages); does nothing when all is there
	@tools/setup $(PACKAGES)

build: setup ## Build the release products
	swift build -c release --product spindle

test: setup ## Run every test
	swift test --no-parallel

bench: build ## How fast is an echo server on this machine's cores?
	$(SPINDLE) bench echo $(ARGS)

bench-floor: setup ## Every promised figure beside raw C, in turn (half an hour; keep the machine quiet)
	@tools/setup valgrind strace binutils
	Benchmarks/bench-floor $(ARGS)

bench-peers: setup ## Spindle beside other engines, in turn (ARGS=--quick: 3 minutes; keep the machine quiet)
	Benchmarks/bench-peers $(ARGS)

check-counts: setup ## Instructions and allocations of what the engine does often, against thresholds
	@tools/setup valgrind binutils
	Benchmarks/check-counts $(ARGS)

tidy: ## Check the house rules
	tools/tidy

format: ## Format the sources in place
	swift format --in-place --recursive Package.swift Sources Tests

lint: ## Check the format
	swift format lint --strict --recursive Package.swift Sources Tests

docs: setup ## Build the documentation; a warning is an error
	tools/docs

static: setup ## The command for deployment: Swift's libraries linked in
	swift build -c release --product spindle --static-swift-stdlib --build-path .build/static
	@echo "built .build/static/release/spindle"

numa-vm: static ## Run a command in a small NUMA machine: make numa-vm ARGS='-- spindle topology'
	@tools/setup qemu-system-x86 busybox-static
	tools/numa-vm --program .build/static/release/spindle $(ARGS)

examples: build ## Build and run every example
	swift build -c release
	tools/run-examples

check-command: build ## The command as people use it: exit codes, flags, signals, a full disk
	tools/check-command
	@tools/setup netcat-openbsd socat
	tools/check-servers

tuning-doc: build ## Make docs/tuning.md from the table of options
	$(SPINDLE) tune --document > docs/tuning.md

check-report: build ## The page of `bench --report` in a browser
	@tools/setup chromium
	tools/check-report

check-bench: build ## A two-second benchmark, for truth and not for speed
	$(SPINDLE) bench echo --duration 2s --json > /dev/null
	$(SPINDLE) bench echo --duration 1s --size 16KiB --depth 4 --connections 8
	$(SPINDLE) bench echo --duration 1s --rate 2k --size 1..4KiB
	$(SPINDLE) bench stream --duration 1s
	$(SPINDLE) bench connect --duration 1s

tsan: setup ## The concurrency tests under ThreadSanitizer; the contract's run on one thread
	SPINDLE_ENGINE_ONLY=1 swift test --no-parallel --sanitize=thread --build-path .build/tsan \
		--filter 'SpindleReactorTests|SpindleTests|SpindleDeferredTests|SimulationsTests/again|ConnectionLimit|ConnectionPool' \
		--skip 'SpindleReactorTests.Contract'

sim: setup ## Hunt for violations in simulated runs: make sim SEED=0 REACTORS=64 MINUTES=5 (or SEEDS=200)
	swift build -c release --product SimulationHunt
	.build/release/SimulationHunt $(if $(SEED),--seed $(SEED)) $(if $(REACTORS),--reactors $(REACTORS)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEEDS),--seeds $(SEEDS))

asan: setup ## Parsers, buffers, rings and the contract under AddressSanitizer
	SPINDLE_ENGINE_ONLY=1 SPINDLE_CONTRACT=1 ASAN_OPTIONS=detect_leaks=0 swift test --no-parallel --sanitize=address \
		--build-path .build/asan \
		--filter 'SpindleCoreTests|SpindleSystemTests|SpindleTopologyTests|SpindleReactorTests|EngineOption|PluginTests|ProxyTests|FramedProtocol|Forwarder|FrameReader|Adopting|UnixSockets|Passing'

# For each parser so many seconds.
FUZZ_SECONDS ?= 20
FUZZERS := FuzzFraming FuzzProxyHeader FuzzPluginText
# The optimizer on and assertions, too; gold can't link what the fuzzer's instrumentation leaves.
FUZZ_FLAGS := $(addprefix -Xswiftc ,-sanitize=fuzzer,address -parse-as-library -assert-config Debug -use-ld=lld)

fuzz: setup ## Fuzz the parsers that peers feed: make fuzz FUZZ_SECONDS=600
	for fuzzer in $(FUZZERS); do \
		swift build -c release --package-path Tests/Fuzz --product $$fuzzer $(FUZZ_FLAGS) && \
		Tests/Fuzz/.build/release/$$fuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=96 -verbosity=0 || exit 1; \
	done

ci: test lint tidy tsan asan fuzz sim docs examples check-command check-bench check-report check-counts ## Everything that CI runs

clean: ## Remove what was built
	rm -rf .build Benchmarks/Floor/build
