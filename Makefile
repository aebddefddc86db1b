# SPDX-License-Identifier: GPL-2.0
#
# make run      boot an unmodified Linux under minivmm
# make qemu     the same under Debian's QEMU, on machines of several kinds
# make test     lint, unit tests, selftests
# make kvm-selftests   KVM's own selftests, on stock KVM and on minivmm
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
# Only these of QEMU's machines ("make qemu CASES='pc-off q35-on-4'"); empty: all.
CASES		?=
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

qemu:
	@testbed/qemu --kernel $(KERNEL) --guest-kernel $(GUEST_KERNEL) \
		--dev $(DEV) --host-smp $(HOST_SMP) $(CASES)

test:
	@testbed/test --kernel $(KERNEL) $(TESTS)

kvm-selftests:
	@testbed/kvm-selftests --kernel $(KERNEL) $(TESTS)

kvm-selftests-nightly:
	@testbed/kvm-selftests --kernel $(KERNEL) --nightly $(TESTS)

bench:
	@testbed/bench --kernel $(KERNEL)

bench-growth:
	@testbed/bench-growth --kernel $(KERNEL)

# The guest of "make run", in the midst of its work.
migrate snapshot:
	@testbed/boot-guest --kernel $(KERNEL) --guest-kernel $(GUEST_KERNEL) \
		--mem $(GUEST_MEM) --cpus $(GUEST_CPUS) --irqchip "$(IRQCHIP)" \
		--dev $(DEV) --host-smp $(HOST_SMP) --move $@ </dev/null

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
	@echo "make qemu            Debian's QEMU boots Linux on minivmm, machine by machine"
	@echo "make test            lint, unit tests and the selftests in the testbed"
	@echo "make kvm-selftests   KVM's own selftests, on stock KVM and on minivmm"
	@echo "make kvm-selftests-nightly   the same with those that take long"
	@echo "make bench           instructions per operation, stock KVM and minivmm"
	@echo "make bench-growth    what memory costs by its size and its slots: table and plot"
	@echo "make migrate         boot the guest of make run, migrate it to another launcher"
	@echo "make snapshot        boot it, save and restore it while it works"
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

.PHONY: all modules migrate snapshot modules-all tools launcher selftests unit run qemu test bench \
	bench-growth diff kvm-selftests kvm-selftests-nightly lint clean help
