# What people and CI run. `make test` prepares everything it needs.

SWIFT ?= swift
JOBS ?= $(shell nproc)

.PHONY: all setup build test test-long guest lint bench demo clean-lab

all: build

# Debian packages for building and testing; does nothing when they are there.
setup:
	@scripts/setup

build:
	@scripts/setup build
	$(SWIFT) build -j $(JOBS)

# The Linux guest that the integration tests boot; built once per kernel version, under .lab.
guest: setup
	@scripts/lab/build-guest >/dev/null

test: guest
	$(SWIFT) test -j $(JOBS)

# The same tests with more rounds, for the random and crash tests that look at ROWFS_LONG.
test-long: guest
	ROWFS_LONG=1 $(SWIFT) test -j $(JOBS)

lint:
	scripts/lint

bench: setup
	$(SWIFT) run -c release -j $(JOBS) Benchmarks

demo:
	scripts/demo

# Guest, kernel and whatever killed runs left behind.
clean-lab:
	rm -rf .lab
