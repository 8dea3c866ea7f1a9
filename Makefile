# Visor from a checkout. Each target fetches and builds what it needs first; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PREFIX ?= /usr
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
# A soak's length in seconds (the tests take 30), and how many cameras at how many analyses a second.
SOAK_SECONDS ?= 300
SOAK_CAMERAS ?= 10
SOAK_FPS ?= 5

# A folder with models and media beside the checkout is used where there is one; see VISOR_ASSETS in the README.
ifeq ($(VISOR_ASSETS),)
ifneq ($(wildcard ../shared/assets/manifest.json),)
export VISOR_ASSETS := $(abspath ../shared/assets)
endif
endif

.PHONY: help setup demo test lint bench soak install

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## fetch and build what the others need
	scripts/setup --release

demo: ## a complete system on this machine; SECONDS=N ends it by itself, SOURCE=URI shows a camera of yours
	scripts/setup --release
	target/release/visor demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SOURCE),--source '$(SOURCE)')

# a scenario is several processes that must keep up with live video
# and these hold live video against clocks, with nothing beside them
TIMED := people_live restream_players
TESTS_AT_ONCE := $(shell echo $$((($$(nproc) * 3 + 3) / 4)))

test: ## everything that is checked for each change
	scripts/setup --tests packages library
	scripts/lint
	scripts/setup build models sample checker axe embedder
	RUST_TEST_THREADS=$(TESTS_AT_ONCE) cargo test --locked -- $(addprefix --skip ,$(TIMED))
	cargo test --locked --test scenarios -- --test-threads 1 $(TIMED)

lint: ## form, lints, documentation, dependencies, scripts
	scripts/setup --tests packages
	scripts/lint

bench: ## each stage against the bare decoder and runtime, as ratios
	scripts/setup --release
	target/release/visor bench

soak: ## the long runs; SOAK_SECONDS=N changes how long each is, SOAK_CAMERAS=N and SOAK_FPS=N how much there is to do
	scripts/setup --release --tests
	VISOR_SOAK_SECONDS=$(SOAK_SECONDS) VISOR_SOAK_CAMERAS=$(SOAK_CAMERAS) VISOR_SOAK_FPS=$(SOAK_FPS) \
		cargo test --locked --release --test scenarios soak -- --nocapture --test-threads 1

install: ## into DESTDIR and PREFIX; build first with `make setup`
	scripts/install '$(DESTDIR)' '$(PREFIX)' '$(SYSCONFDIR)' '$(UNITDIR)'
