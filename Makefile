# Two commands do everything from nothing: `make demo` and `make test`. The rest is for daily work.
SHELL := /bin/bash
# What is made here is run and read by other users, too, whatever the umask of who makes it.
.SHELLFLAGS := -c 'umask 022; eval "$$0"'
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
SEEDS ?= 2000
# What the daemon needs from Debian, and what makes its microVMs' disks.
PACKAGES := python3-venv containerd runc busybox-static util-linux iproute2 nftables e2fsprogs pigz erofs-utils squashfs-tools qemu-system-x86 lz4
# What only its tests and its benchmarks work with, on top. Some of them bring services, which run from then on.
TESTERS := xfsprogs docker-registry skopeo podman buildah zsh fish systemd-container
# What builds the operating system's image and boots it.
BUILDERS := mmdebstrap squashfs-tools mtools dosfstools fdisk grub-efi-amd64-bin grub-common zstd kmod ovmf qemu-system-x86 qemu-utils
# What looks at the page of `capsulectl ui`: its tests, its pictures, its figure.
BROWSER := chromium
# What the benchmarks compare with, on top.
PEERS := crun sqlite3 qemu-guest-agent

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 14

.PHONY: demo
demo: venv packages ## the tour: a daemon, an image, a container, its history
	$(PYTHON) -m tools.demo

.PHONY: up
up: venv packages guest-image ## start a daemon that stays, with its state in ./var
	$(PYTHON) -m tools.hosted up

.PHONY: down
down: venv ## stop that daemon and everything it runs; the state stays
	$(PYTHON) -m tools.hosted down

.PHONY: install
install: venv packages guest-image ## a hosted capsule as a service of this machine's systemd; again: a later release
	$(PYTHON) -m tools.service install

.PHONY: uninstall
uninstall: venv ## end it and take it away; PURGE=yes: with its state
	$(PYTHON) -m tools.service uninstall $(if $(filter yes,$(PURGE)),--purge)

.PHONY: test
test: venv packages testers builders browser guest-image ## every check and every test but those that boot the built disk
	$(PYTHON) -m tools.check
	$(PYTHON) -m pytest -m "not boot" --numprocesses=3 --dist=loadfile --no-loadscope-reorder

.PHONY: test-boot
test-boot: venv packages testers builders guest-image ## build the disk and boot it, as an operator does; takes long
	$(PYTHON) -m pytest -m boot

.PHONY: guest-image
guest-image: venv packages build/guest/manifest ## build what a microVM boots: kernel, agent, root file system

build/guest/manifest: requirements.lock journal/release.py $(wildcard guest/*.py guest/*/*.py channel/*.py copies/*.py sandbox/*.py gen/capsule/guest/*/*.py)
	$(PYTHON) -m guest.image

.PHONY: check
check: venv ## formatter, linter, types, import contracts, stubs, docs
	$(PYTHON) -m tools.check

.PHONY: sim
sim: venv ## simulate SEEDS seeds (default 2000); SEED=n replays one with its trace
	$(PYTHON) -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

.PHONY: mutants
mutants: venv ## plant each of the catalogue's bugs, and say after how many seeds the simulation finds it
	$(PYTHON) -m tests.mutants

# Coverage is of nobody's environment but this target's, so that what is built from the other lock stays as it is.
build/coverage/ready: tools/coverage.lock .venv/ready
	.venv/bin/pip install --quiet --disable-pip-version-check --upgrade --require-hashes --target build/coverage -r tools/coverage.lock
	@touch $@

.PHONY: coverage
coverage: venv build/coverage/ready ## which branches of the pure core its unit tests take: at least 99 of 100, or it fails
	PYTHONPATH=build/coverage $(PYTHON) -m coverage run -m pytest -q -p no:cacheprovider \
		tests/unit/projections tests/unit/effects tests/unit/journal tests/histories
	PYTHONPATH=build/coverage $(PYTHON) -m coverage report

.PHONY: fuzz
fuzz: venv ## 100,000 calls of random and mutated bytes on every method, 5,000 connections to the port, 10,000 hostile archives and guests
	$(PYTHON) -m tests.fuzz $(if $(SEED),--seed $(SEED))
	$(PYTHON) -m tests.fuzz.trees 10000 $(or $(SEED),1)
	$(PYTHON) -m tests.fuzz.channel 10000 $(SEED)

.PHONY: bench
bench: venv packages testers builders peers browser guest-image ## every figure, as ratios in one run; also in build/bench.json
	$(PYTHON) -m bench

.PHONY: bench-faults
bench-faults: venv packages testers builders guest-image ## kills under load, power cuts, storms: 500, 300 and 900; updates of the built disk: 150 power cuts, 35 bad releases
	$(PYTHON) -m bench.faults
	$(PYTHON) -m bench.update_faults

.PHONY: soak
soak: venv packages testers builders guest-image ## an hour (MINUTES) of operations and faults of every kind on a hosted capsule, or with KIND=booted on the built disk; SEED=n
	$(PYTHON) -m bench.soak $(or $(KIND),hosted) --minutes $(or $(MINUTES),60) --seed $(or $(SEED),1)

.PHONY: image
image: venv builders $(if $(filter no,$(MICROVMS)),,guest-image) ## the bootable disk: build/disk.raw and build/update.tar (SLOT_SIZE_MIB, DISK_SIZE_MIB, FIRMWARE="package ...", MICROVMS=no, UPDATE_KEY, UPDATE_EXPIRES=YYYY-MM-DD)
	$(PYTHON) -m image $(if $(filter no,$(MICROVMS)),--without-microvms) $(if $(SLOT_SIZE_MIB),--slot-size-mib $(SLOT_SIZE_MIB)) $(if $(DISK_SIZE_MIB),--disk-size-mib $(DISK_SIZE_MIB)) \
		$(foreach package,$(FIRMWARE),--firmware $(package)) $(if $(UPDATE_KEY),--update-key $(UPDATE_KEY)) $(if $(UPDATE_EXPIRES),--update-expires $(UPDATE_EXPIRES))

.PHONY: qemu
qemu: venv builders ## boot it in a virtual machine on this terminal; its API is at 127.0.0.1:PORT (50000)
	$(PYTHON) -m tools.qemu $(if $(PORT),--port $(PORT)) $(if $(FRESH),--fresh)

.PHONY: stubs
stubs: venv ## generate gen/ from proto/
	$(PYTHON) -m tools.stubs

.PHONY: docs
docs: venv ## generate the event catalogue and the CLI reference
	$(PYTHON) -m tools.docs

.PHONY: pictures
pictures: venv packages testers browser ## make the pictures of docs/ anew
	$(PYTHON) -m tools.pictures

.PHONY: lock
lock: venv ## resolve requirements.lock anew
	.venv/bin/pip-compile -q --upgrade --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-header \
		--strip-extras --allow-unsafe --extra daemon --extra dev -o requirements.lock pyproject.toml
	echo coverage | .venv/bin/pip-compile -q --upgrade --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-header \
		--no-emit-find-links --strip-extras -o tools/coverage.lock -

.PHONY: clean
clean: ## remove what was built; never ./var
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: venv
venv: .venv/ready

.venv/ready: requirements.lock pyproject.toml tools/place.py
	@/usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || tools/packages python3-venv
	/usr/bin/python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	.venv/bin/python tools/place.py
	@touch $@

.PHONY: packages
packages:
	@tools/packages $(PACKAGES)

.PHONY: testers
testers:
	@tools/packages $(TESTERS)

.PHONY: builders
builders:
	@tools/packages $(BUILDERS)

.PHONY: browser
browser:
	@tools/packages $(BROWSER)

.PHONY: peers
peers:
	@tools/packages $(PEERS)
