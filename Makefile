# The front door: `make run` and `make check` are all that a fresh Debian machine needs. The build
# itself is Meson's; see meson.build.
BUILD ?= build
PREFIX ?= /usr/local
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
HOLM := $(SUDO) $(BUILD)/holm
C_FILES := $(wildcard src/*.c src/*/*.[ch] src/*/*/*.[ch] tests/unit/*.c tests/cpu/*.c tests/device/*.[ch] tests/fuzz/*.c)

build:
	@tools/deps build
	@mkdir -p $(BUILD)
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) > $(BUILD)/make.log || { cat $(BUILD)/make.log; exit 1; }
	@ninja -C $(BUILD) --quiet > $(BUILD)/make.log || { cat $(BUILD)/make.log; exit 1; }

run: build
	@tools/deps run
	@$(HOLM) image inspect debian:12 > /dev/null 2>&1 || $(HOLM) image bootstrap debian:12
	$(HOLM) run --rm debian:12 sh -c '. /etc/os-release; echo "Hello from $$PRETTY_NAME: process $$$$ of $$(hostname)"'

check: build
	@tools/deps check
	@$(SUDO) tools/check $(BUILD)

# The suites that matter there, in an emulated Debian 12 with its own kernel and pure cgroup v2.
check-v2: build
	@tools/deps vm
	@$(SUDO) tests/vm/run $(BUILD)

# A full Debian 12 from its disk in a machine of holm's on the software CPU.
check-machine: build
	@tools/deps machine
	@$(SUDO) tests/machine/run $(BUILD)/holm

# What others made, on the software CPU: memtest86+ for a pass, Debian's installer to its first dialog.
conformance-machine: build
	@tools/deps machine
	@$(SUDO) tests/machine/others $(BUILD)/holm

asan:
	@tools/deps build check
	@[ -f build-asan/build.ninja ] || meson setup build-asan -Db_sanitize=address,undefined > /dev/null
	@ninja -C build-asan --quiet > build-asan/make.log || { cat build-asan/make.log; exit 1; }
	@$(SUDO) env EVENTUALLY=60 tools/check build-asan

lint: build
	@tools/deps lint
	@tools/lint $(BUILD)

format:
	@tools/deps lint
	clang-format -i $(C_FILES)

install: build
	install -D -m 755 $(BUILD)/holm $(DESTDIR)$(PREFIX)/bin/holm
	ln -sf holm $(DESTDIR)$(PREFIX)/bin/holm-oci
	$(BUILD)/holm man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local|$(PREFIX)|g' tools/holm.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/holm.service
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/site-functions fish/vendor_completions.d)
	$(BUILD)/holm completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/holm
	$(BUILD)/holm completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_holm
	$(BUILD)/holm completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/holm.fish

# What others have written to judge us by.
conformance: conformance-cpu conformance-oci
# The software CPU's decoder against Zydis, and the interpreter against this machine's processor: minutes.
conformance-cpu: build
	nice $(BUILD)/tests/unit/test-decode 100000000
	nice $(BUILD)/tests/cpu/test-host 10000000

# What the README's figures come from; how many minutes fuzzing and soaking take is up to you.
bench: build
	@$(SUDO) bench/run $(BUILD)/holm
fuzz:
	@tools/deps build lint
	@tests/fuzz/run $(or $(SECONDS),60)
soak: build
	@tools/deps run check
	@$(SUDO) tests/soak/run $(BUILD)/holm $(or $(ROUNDS),300) $(or $(SECONDS),300)

# runc's own suite, from Debian's source package, against `holm oci`.
conformance-oci: build
	@tools/deps run check conformance
	@$(SUDO) tests/conformance/run $(BUILD)/holm

# The corpus of Dockerfiles, compared with what Debian's buildah makes of them.
conformance-build: build
	@tools/deps run check conformance-build
	@$(SUDO) env HOLM=$(abspath $(BUILD))/holm tests/build/run --buildah

clean:
	rm -rf build build-asan build-clang build-fuzz

.PHONY: build run check conformance conformance-cpu conformance-oci conformance-build conformance-machine check-v2 check-machine asan lint format install bench fuzz soak clean
