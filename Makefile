# Everything is built in the release profile, so that the targets share one build.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test campaign check mutants clean

export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))

# $(1): further arguments of `cargo test`. Compiled first, so that no server waits for the compiler.
define test_with_servers
	scripts/prerequisites.sh test
	$(MAKE) --no-print-directory mutants
	cargo test --release --workspace --no-run
	export LUNARIA_KAFKA_LIBS="$$(scripts/kafka.sh)" && LUNARIA_MUTANTS_BIN=$(TARGET)/mutants/lunaria \
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
campaign: ## the crash tests with 100 kills on each transport: some ten minutes
	$(call test_with_servers,crash::)

check: ## formatting and lints
	scripts/prerequisites.sh build
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings

# The binary with seeded faults, which the checkers have to catch; kept apart from the one that users run.
mutants:
	cargo build --release -p lunaria --features lunaria/mutants
	mkdir -p $(TARGET)/mutants
	cp $(TARGET)/release/lunaria $(TARGET)/mutants/lunaria

clean: ## removes what was built
	cargo clean
