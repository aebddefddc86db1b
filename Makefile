# SPDX-License-Identifier: GPL-2.0
#
# make run      boot an unmodified Linux under minivmm
# make test     lint, unit tests, selftests
# make help     the other targets and the variables

# Kernel of the testbed's host: 6.1, 6.12 or 7.3.
KERNEL		?= 6.1
KERNELS		:= 6.1 6.12 7.3
# Where the testbed's host runs; empty: testbed/run chooses.
PLATFORM	?= $(MINIVMM_PLATFORM)
HOST_SMP	?= 1
# The guest of "make run": its kernel, memory, CPUs, whose its interrupt chips are
# (empty: the launcher chooses), the device that runs it.
GUEST_KERNEL	?= 6.1
GUEST_MEM	?= 256M
GUEST_CPUS	?= 1
IRQCHIP		?=
DEV		?= /dev/minivmm
# Only these selftests ("make test TESTS='exits msr'"); empty: all.
TESTS		?=
# "make diff": how many random programs, from which seed on.
COUNT		?= 100000
SEED		?= 1

export MINIVMM_PLATFORM := $(PLATFORM)
MAKEFLAGS	+= --no-print-directory

all: modules launcher selftests

modules:
	testbed/build-modules $(KERNEL)

modules-all: $(KERNELS:%=modules-%)

modules-%:
	testbed/build-modules $*

tools:
	testbed/fetch build

launcher: tools
	$(MAKE) -C userspace

selftests: tools
	$(MAKE) -C selftests

unit: tools
	$(MAKE) -C selftests unit

run:
	@testbed/boot-guest --kernel $(KERNEL) --guest-kernel $(GUEST_KERNEL) \
		--mem $(GUEST_MEM) --cpus $(GUEST_CPUS) --irqchip "$(IRQCHIP)" \
		--dev $(DEV) --host-smp $(HOST_SMP)

test:
	@testbed/test --kernel $(KERNEL) $(TESTS)

bench:
	@testbed/bench --kernel $(KERNEL)

# COUNT programs, shared out among the modes of the CPU
diff:
	@testbed/diff --kernel $(KERNEL) --seed $(SEED) --count $$((($(COUNT) + 7) / 8))

lint:
	testbed/lint

clean:
	rm -rf build

help:
	@echo "make                 modules, launcher and selftests"
	@echo "make run             boot an unmodified Linux under minivmm, to its shell"
	@echo "make test            lint, unit tests and the selftests in the testbed"
	@echo "make bench           instructions per operation, stock KVM and minivmm"
	@echo "make diff            random guest programs on stock KVM and minivmm, compared"
	@echo "make lint            checkpatch, sparse, W=1 on all kernels, shellcheck"
	@echo "make modules         minivmm.ko, minivmm-intel.ko under build/KERNEL"
	@echo "make modules-all     the same for every kernel: $(KERNELS)"
	@echo "make launcher        the launcher, under build/userspace"
	@echo "make selftests       the selftests, under build/selftests"
	@echo "make unit            the tests that need no testbed"
	@echo "make clean           remove build"
	@echo
	@echo "KERNEL=$(KERNEL)           the testbed host's kernel: $(KERNELS)"
	@echo "PLATFORM=            bochs, qemu or host; empty: what fits this machine"
	@echo "HOST_SMP=$(HOST_SMP)           make run: CPUs of the testbed's host"
	@echo "GUEST_KERNEL=$(GUEST_KERNEL)     make run: the guest's kernel, one of the above"
	@echo "GUEST_MEM=$(GUEST_MEM)       make run: the guest's memory"
	@echo "GUEST_CPUS=$(GUEST_CPUS)         make run: the guest's CPUs"
	@echo "IRQCHIP=             make run: interrupt chips: kernel, split or user; empty: kernel,"
	@echo "                     if the device has them"
	@echo "DEV=$(DEV)    make run: or /dev/kvm, stock KVM"
	@echo "TESTS=               make test: only the selftests of these names"
	@echo "COUNT=$(COUNT) SEED=$(SEED) make diff: how many programs, from which seed on"
	@echo "MINIVMM_CACHE=       the testbed's parts; empty: ~/.cache/minivmm"
	@echo
	@echo "Any other command in a host with minivmm loaded: testbed/run --help"

.PHONY: all modules modules-all tools launcher selftests unit run test bench \
	diff lint clean help
