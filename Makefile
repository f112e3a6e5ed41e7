# The commands for people and CI. `make` alone lists them.

TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
BIN    := target/release
PREFIX ?= /usr/local

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

build: ## Build the three programs, optimized, into target/release
	cargo build --release -p cibad -p ciba-server
	RUSTFLAGS="$(STATIC)" cargo build --profile client -p ciba --target $(TARGET)
	install -m 755 target/$(TARGET)/client/ciba $(BIN)/ciba

# A static client starts in half the time. With glibc it must be asked for, and needs glibc's static library (libc.a).
STATIC := $(if $(findstring linux-gnu,$(TARGET)),-C target-feature=+crt-static)

# What tools run is ciba under another name. `keyring` is not among them: a person may have another one.
LINKS := $(addsuffix -credential-ciba,git docker cargo kube bazel)

install: build ## Install the three programs (PREFIX=/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BIN)/ciba $(BIN)/cibad $(BIN)/ciba-server $(DESTDIR)$(PREFIX)/bin/
	for link in $(LINKS); do ln -sf ciba $(DESTDIR)$(PREFIX)/bin/$$link; done
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,man/man1 bash-completion/completions zsh/site-functions fish/vendor_completions.d)
	install -m 644 cli/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 cli/completions/ciba.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ciba
	install -m 644 cli/completions/_ciba $(DESTDIR)$(PREFIX)/share/zsh/site-functions/
	install -m 644 cli/completions/ciba.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/

demo: ## Show the main job from end to end (without a display it installs Chromium with apt; BROWSER=1: you sign in)
	BROWSER="$(BROWSER)" tests/demo.sh

test: ## Install what the tests need (with apt and npm), then run all tests; CI runs this
	tests/setup.sh
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features ciba-tests/real,cibad/real,ciba-server/real,ciba/real --locked -- -D warnings
	cargo test --workspace --features ciba-tests/real,cibad/real,ciba-server/real,ciba/real --locked

lint: ## Licences, bans, sources, unused dependencies (installs cargo-deny and cargo-machete)
	@command -v cargo-deny > /dev/null || cargo install --locked cargo-deny
	@command -v cargo-machete > /dev/null || cargo install --locked cargo-machete
	cargo deny check licenses bans sources
	cargo machete

check-macos: ## Type-check the programs for macOS, on Debian (downloads a second Rust, 130 MB, into target/macos)
	tests/check-macos.sh

fuzz: ## Fuzz every parser for a minute each (SECONDS=60)
	fuzz/run.sh $(or $(SECONDS),60)

bench: build ## Measure speed and size, as ratios against other programs in the same run
	tests/setup.sh
	cargo build --release -p ciba-bench
	CIBA_BIN_DIR=$(CURDIR)/$(BIN) $(BIN)/ciba-bench all

.PHONY: help build install demo test lint check-macos fuzz bench
