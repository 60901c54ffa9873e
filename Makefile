# glrl: build, try, test. `make` lists the targets.

TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
# One static binary, so that it runs on a node whose C library is older than this machine's.
BINARY := target/$(TARGET)/release/glrl
STATIC := RUSTFLAGS="-C target-feature=+crt-static"

# A test's error says where it comes from; behind a backtrace it is not found.
export RUST_BACKTRACE := 0

.PHONY: help
help:
	@sed -n 's/^## //p' Makefile

## make build         the static release binary
.PHONY: build
build:
	$(STATIC) cargo build --release --target $(TARGET) --bin glrl
	@echo $(BINARY)

# Loop devices, and processes of other users, are root's.
NO_DEVICES := $(shell [ "$$(id -u)" = 0 ] || echo --skip devices:: --skip adversary::)

## make check         the quick part of the tests: fmt, clippy, unit, laws, cases, command line
.PHONY: check
check: tools
	git ls-files "*.rs" | xargs rustfmt --edition 2024 --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace --lib
	cargo test --test main -- --skip node:: $(NO_DEVICES)

## make test          all of the tests but make test-long and make test-vagrant; as root. Says at the end how long each part took
.PHONY: test
test:
	@MAKE='$(MAKE)' tests/timed.sh check database docs deny vagrant-files node

## make node          the tests on real machines (QEMU); NODE=pattern for some of them
NODE := node::
.PHONY: node
node: lab-tools build
	cargo run -q -p glrl-lab -- images --release bookworm
	GLRL_BINARY=$(BINARY) cargo test --test main -- $(NODE) --test-threads=2 --nocapture

## make test-long     what takes too long for make test: all hard texts as secrets; a local user against root in ROUNDS rounds; the law of
##                    backups on 50 databases of each server (GLRL_SEED=); each fuzz target for a minute; the roles on Ubuntu 24.04, where a
##                    mirror of it answers; reboots
ROUNDS := 2000
.PHONY: test-long
test-long: lab-tools build tools
	@tests/servers.sh
	cargo test --test main -- --ignored --nocapture leaks::
	GLRL_ROUNDS=$(ROUNDS) GLRL_BINARY=$(CURDIR)/$(BINARY) cargo test --test main -- --nocapture adversary::nothing
	GLRL_DATABASES=50 $(IN_MEMORY) 'exec cargo test --workspace --lib tests::law -- --ignored --nocapture'
	SECONDS_EACH=60 fuzz/run.sh 100000
	cargo run -q -p glrl-lab -- images
	GLRL_BINARY=$(BINARY) cargo test --test main -- --ignored --nocapture --test-threads=1 node::spine node::moved node::reboots node::packages

## make fuzz          RUNS inputs for each fuzz target, or for those in TARGETS; what breaks a contract is kept in fuzz/artifacts
RUNS := 1000000
.PHONY: fuzz
fuzz:
	fuzz/run.sh $(RUNS) $(TARGETS)

# Backup, verification and restore against real servers, which they start for themselves: MariaDB of this machine, and the releases
# of MariaDB and MySQL that tests/servers.sh brings from mirrors of Debian and Ubuntu the first time. As root. Their data is in memory: on a
# disk the tests wait for it twice as long as they compute.
MEMORY := 6g
# A directory of its own: whatever another would hide, the clone may lie below it.
IN := /run/glrl-tests
IN_MEMORY = mkdir -p $(IN) && TMPDIR=$(IN) unshare --mount sh -c 'mount -t tmpfs -o size=$(MEMORY),mode=1777 tests $(IN) && exec sh -c "$$0"'
.PHONY: database
database: tools
	@tests/servers.sh
	$(IN_MEMORY) 'exec cargo test --workspace --lib -- --ignored'

.PHONY: deny
deny:
	tests/deny.sh

.PHONY: docs
docs:
	tests/add-a-kind.sh
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --lib

.PHONY: vagrant-files
vagrant-files:
	vagrant/test/quick.sh

## make test-vagrant  a real `vagrant up` of backup and mysql with libvirt; takes long
.PHONY: test-vagrant
test-vagrant: build
	GLRL_BINARY=$(CURDIR)/$(BINARY) vagrant/test/up.sh

## make demo          two real machines converge, back up, verify; KEEP=1 leaves them up
.PHONY: demo
demo: lab-tools build
	GLRL_BINARY=$(BINARY) KEEP=$(KEEP) lab/demo.sh

## make bench         no-op and first converge against a floor measured in the same run
.PHONY: bench
bench: build
	GLRL_BINARY=$(BINARY) cargo bench --bench converge

## make bench-backup  the archiver against tar, zstd and mariadb-backup, in 12 GiB of memory; ROWS=, ROUNDS=, PART=archive|restore|lock|verify
.PHONY: bench-backup
bench-backup: MEMORY := 12g
bench-backup: tools
	@tests/install-packages.sh mariadb-backup mariadb-client-core sysbench zstd
	$(IN_MEMORY) 'exec cargo bench --bench backup'

## make bench-locks   on a real machine: how long writers wait for each tool; GLRL_ROUNDS=
.PHONY: bench-locks
bench-locks: lab-tools build
	GLRL_BINARY=$(BINARY) cargo test --test main -- --ignored --nocapture node::backups::locks

## make backups       on a real machine: COUNT backups in a row under load, each verified
COUNT := 50
.PHONY: backups
backups: lab-tools build
	GLRL_BACKUPS=$(COUNT) GLRL_BINARY=$(BINARY) cargo test --test main -- --nocapture node::backups::in_a_row

# What the tests and the demo need from the distribution; does nothing when all is there.
.PHONY: tools lab-tools
tools: lab-tools
	@tests/install-packages.sh
lab-tools:
	@lab/install-packages.sh
