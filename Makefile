# Everything is built in the release profile, so that the targets share one build.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test campaign check smoke fuzz alerts mutants clean

export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))

# $(1): further arguments of `cargo test`. Compiled first, so that no server waits for the compiler.
define test_with_servers
	scripts/prerequisites.sh test
	$(MAKE) --no-print-directory mutants
	cargo test --release --workspace --no-run
	LUNARIA_KAFKA_LIBS="$$(scripts/kafka.sh)" && LUNARIA_POSTGRES_NEWER="$$(scripts/postgres.sh)" && \
	  export LUNARIA_KAFKA_LIBS LUNARIA_POSTGRES_NEWER && LUNARIA_MUTANTS_BIN=$(TARGET)/mutants/lunaria \
	  $(TARGET)/release/with-servers --kafka -- cargo test --release --workspace --no-fail-fast $(1)
endef

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: ## the whole platform with demo data, in one process: make run [ARGS=…]
	scripts/prerequisites.sh run
	cargo build --release -p lunaria
	exec $(TARGET)/release/lunaria dev $(ARGS)

test: ## all tests, against a PostgreSQL cluster and a Kafka broker of their own: make test [ARGS=filter]
	$(call test_with_servers,$(ARGS))

campaign: export LUNARIA_KILLS := 100
campaign: export LUNARIA_BULK := 10000
campaign: ## the crash tests with 100 kills on each transport, ten thousand corrections in bulk, a million events through two relays, a power cut: some twenty minutes
	$(call test_with_servers,-- crash:: bulk_corrections::)
	LUNARIA_KAFKA_LIBS="$$(scripts/kafka.sh)" $(TARGET)/release/lunaria-chaos --events 1000000 --relay-kills 60 \
	  --postmaster-kills 20 --broker-kills 20 --proxy-cuts 20 --relay-pauses 2 --history $(TARGET)/chaos-history.jsonl
	@[ "$$(id -u)" = 0 ] || { echo "the power cut needs root: sudo make campaign"; exit 1; }
	export LUNARIA_KAFKA_LIBS="$$(scripts/kafka.sh)"; $(TARGET)/release/lunaria-chaos --power-cut && \
	  ! $(TARGET)/release/lunaria-chaos --power-cut --without-fsync

check: ## formatting and lints
	scripts/prerequisites.sh build
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings

smoke: export LUNARIA_TOKEN := $(or $(TOKEN),$(LUNARIA_TOKEN))
smoke: ## proves a running deployment from outside: make smoke URL=http://host:8080 TOKEN=…
	@[ -n "$(URL)" ] || { echo "usage: make smoke URL=http://host:8080 TOKEN=…" >&2; exit 64; }
	scripts/prerequisites.sh build
	cargo build --release -p lunaria
	$(TARGET)/release/lunaria smoke "$(URL)"

fuzz: ## the decoder against hostile bytes, for SECONDS=60; needs nightly Rust and cargo-fuzz
	mkdir -p fuzz/corpus/decode
	cargo +nightly fuzz run decode fuzz/corpus/decode crates/pgoutput/samples -- -max_total_time=$(or $(SECONDS),60)

alerts: ## the alert rules against their cases; needs promtool (Debian: prometheus)
	cd deploy/prometheus && promtool check rules alerts.yml && promtool test rules alerts_test.yml

# The binary with seeded faults, which the checkers have to catch; kept apart from the one that users run.
mutants:
	cargo build --release -p lunaria --features lunaria/mutants
	mkdir -p $(TARGET)/mutants
	cp $(TARGET)/release/lunaria $(TARGET)/mutants/lunaria

clean: ## removes what was built
	cargo clean
