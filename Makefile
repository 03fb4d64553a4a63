# What people and CI run. `make test` prepares everything it needs.

SWIFT ?= swift
JOBS ?= $(shell nproc)

.PHONY: all setup build release test test-boot test-long test-crash test-sanitize soak fuzz fuzz-planted attacks guard \
    guard-update test-static static guest lint licences docs man deb test-deb test-service bench demo clean-lab

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

# One after the other: tests that compute take the threads that those with sockets and children wait
# on, and a guest under emulation wants a processor of its own.
test: guest
	$(SWIFT) build --build-tests -j $(JOBS)
	$(SWIFT) test --skip-build --skip "$(SOCKETS)|$(NETWORKS)|IntegrationTests"
	$(SWIFT) test --skip-build --filter "$(SOCKETS)"
	$(SWIFT) test --skip-build --no-parallel --filter "$(NETWORKS)"
	$(SWIFT) test --skip-build --filter IntegrationTests $(if $(ROWFS_LONG),,$(SLOW))

# Networks of many nodes, which do not form on a machine that is busy with other tests, and what is said of how long
# servers take: one at a time.
NETWORKS = ^(CatalogueTests|DoctorTests)\.

SOCKETS = ^(ConsoleTests|NFSClientTests|NetbootTests|ROWProxyTests|ROWRemoteTests|ROWStatusTests|SupervisionTests)\.

# Real clients at work for many minutes: `make test-long` runs them too.
SLOW = --skip LongTests/theSizeOfReads --skip LongTests/restartsDuring --skip LargeListingTests \
    --skip MemoryTests --skip SelfMountTests --skip WideAreaTests/aLargeTree --skip SystemdBootTests \
    --skip SoakTests --skip CacheTests/aLimitOf64MiB

# All tests, with more rounds of the random ones, which look at ROWFS_LONG, and those of the packages.
test-long:
	ROWFS_LONG=1 $(MAKE) test
	$(MAKE) test-deb

# Writers whose proxy or shadow server is killed 200 times; `make test` does it 10 times.
test-crash: guest
	$(SWIFT) build --build-tests -j $(JOBS)
	ROWFS_LONG=1 $(SWIFT) test --skip-build --filter CrashTests

# A session at work for ten minutes, or as long as ROWFS_SOAK_SECONDS says.
soak: guest
	$(SWIFT) build --build-tests -j $(JOBS)
	ROWFS_SOAK_SECONDS=$${ROWFS_SOAK_SECONDS:-600} $(SWIFT) test --skip-build --filter SoakTests

# The tests below AddressSanitizer and ThreadSanitizer: half an hour.
test-sanitize: setup
	SWIFT=$(SWIFT) JOBS=$(JOBS) SOCKETS="$(SOCKETS)" NETWORKS="$(NETWORKS)" scripts/sanitize address thread

# Counts what calls cost, in instructions and allocations, and fails when that is above its bound.
guard: setup
	$(SWIFT) build -c release --product Benchmarks -j $(JOBS)
	.build/release/Benchmarks guard

# Makes what calls cost now their bounds: for a commit that says why they cost more, or that they cost less.
guard-update: setup
	$(SWIFT) build -c release --product Benchmarks -j $(JOBS)
	.build/release/Benchmarks guard --update

# Machines with Debian boot by PXE from an image, and go on whatever happens to what serves them.
test-boot: setup
	$(SWIFT) build --build-tests -j $(JOBS)
	$(SWIFT) test --skip-build --filter SystemdBootTests

# Bytes that libFuzzer makes up, for every parser and the whole of a server; FUZZ_SECONDS for each.
fuzz: setup
	SWIFT=$(SWIFT) JOBS=$(JOBS) scripts/fuzz --seconds $${FUZZ_SECONDS:-3600} $(FUZZ)

# Whether libFuzzer finds faults that are put into a copy of the source.
fuzz-planted: setup
	SWIFT=$(SWIFT) JOBS=$(JOBS) scripts/fuzz-planted

# Hostile clients, and what others notice of them.
attacks: setup
	$(SWIFT) build -c release --product Benchmarks -j $(JOBS)
	.build/release/Benchmarks attacks

# What the README has users build; tests run the debug build.
release: setup
	$(SWIFT) build -c release --product rowctl -j $(JOBS)
	$(SWIFT) build -c release --product rowctl-dht -j $(JOBS)

lint: setup
	scripts/lint

# rowctl without any shared library: .build-static/release/rowctl runs on any Linux.
static: setup
	ROWFS_STATIC=1 $(SWIFT) build -c release --product rowctl --scratch-path .build-static \
	    -j $(JOBS) -Xswiftc -static-executable --static-swift-stdlib

# The tests of `rowctl mount` and of the README with that program.
test-static: guest static
	$(SWIFT) build --build-tests -j $(JOBS)
	ROWFS_ROWCTL=$(CURDIR)/.build-static/release/rowctl \
	    $(SWIFT) test --skip-build --filter "MountVerbTests|ReadmeTests"

# Manual pages of rowctl and its verbs, from their help texts: .build/man/rowctl.1 and others.
man: setup
	scripts/man

# Debian packages for machines without Swift: .build/deb/rowfs_*.deb and rowfs-dht_*.deb.
deb: setup
	SWIFT=$(SWIFT) scripts/deb

# Both in a clean Debian, with a real client, and then as test-service; as root.
test-deb: deb guest
	scripts/test-deb
	scripts/test-service

# The service under systemd, and under load by the kernel's client: restarts, kills, upgrades. As root.
test-service: deb guest
	scripts/test-service

# The list of what is linked, and under which licences: docs/DEPENDENCIES.md.
licences: setup
	$(SWIFT) package resolve
	scripts/licences

# DocC archives of the library targets; warnings are errors.
docs: setup
	SWIFT=$(SWIFT) scripts/docs

# All of it, with all peers; a quarter of an hour.
bench: setup
	$(SWIFT) run -c release -j $(JOBS) Benchmarks --install \
	    --peers ganesha,kernel-overlayfs,fuse-overlayfs,qcow2 --charts .build/charts

demo:
	scripts/demo

# Guest, kernel and whatever killed runs left behind.
clean-lab:
	rm -rf .lab
