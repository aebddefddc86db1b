// SPDX-License-Identifier: GPL-2.0
/*
 * ioctl_errno - what a client may do wrong, on stock KVM and on minivmm.
 *
 * Every call, on every kind of file descriptor and at every stage of a VM's
 * life, with pointers to nothing, structures of zeros and of ones, and valid
 * ones with each word changed. Both devices must return the same value and
 * errno, but for the differences in differences[], which Documentation/abi.md
 * has the reasons for.
 *
 * The two never have a VM at the same time: stock KVM owns VT-x then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/minivmm.h>

#include "lib/kselftest.h"
#include "lib/x86.h"

typedef __u32 u32;
typedef __u64 u64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_RESULTS	60000
#define BUFFER		0x3000

static const char * const paths[] = { "/dev/kvm", "/dev/minivmm" };

enum on { DEVICE, VM, VCPU };

/**
 * struct request - a call
 * @on: the file descriptor that it is for
 * @get: the call that yields a valid argument, if there is one
 * @skip: not with argument 0: it is fine, and runs or waits, or its result is
 *	the machine's own
 */
struct request {
	const char *name;
	unsigned long number;
	enum on on;
	unsigned long get;
	bool skip;
};

#define R(name, ...)	{ #name, MINIVMM_##name, __VA_ARGS__ }

static const struct request requests[] = {
	R(GET_API_VERSION, DEVICE), R(CREATE_VM, DEVICE),
	R(GET_MSR_INDEX_LIST, DEVICE, .skip = true),
	R(GET_VCPU_MMAP_SIZE, DEVICE, .skip = true),
	R(GET_SUPPORTED_CPUID, DEVICE, .skip = true),
	R(CREATE_VCPU, VM), R(SET_USER_MEMORY_REGION, VM),
	R(SET_TSS_ADDR, VM), R(SET_IDENTITY_MAP_ADDR, VM),
	R(CREATE_IRQCHIP, VM), R(IRQ_LINE, VM), R(IRQ_LINE_STATUS, VM),
	R(GET_IRQCHIP, VM), R(SET_IRQCHIP, VM), R(CREATE_PIT, VM),
	R(SET_GSI_ROUTING, VM), R(IRQFD, VM), R(CREATE_PIT2, VM),
	R(IOEVENTFD, VM), R(SET_CLOCK, VM, MINIVMM_GET_CLOCK),
	R(GET_CLOCK, VM), R(GET_PIT2, VM),
	R(SET_PIT2, VM, MINIVMM_GET_PIT2), R(ENABLE_CAP, VM),
	R(SIGNAL_MSI, VM),
	R(RUN, VCPU, .skip = true),
	R(GET_REGS, VCPU), R(SET_REGS, VCPU, MINIVMM_GET_REGS),
	R(GET_SREGS, VCPU), R(SET_SREGS, VCPU, MINIVMM_GET_SREGS),
	R(TRANSLATE, VCPU), R(INTERRUPT, VCPU), R(GET_MSRS, VCPU),
	R(SET_MSRS, VCPU), R(SET_SIGNAL_MASK, VCPU), R(GET_FPU, VCPU),
	R(SET_FPU, VCPU, MINIVMM_GET_FPU), R(GET_LAPIC, VCPU),
	R(SET_LAPIC, VCPU, MINIVMM_GET_LAPIC), R(SET_CPUID2, VCPU),
	R(GET_CPUID2, VCPU), R(GET_MP_STATE, VCPU),
	R(SET_MP_STATE, VCPU, MINIVMM_GET_MP_STATE), R(NMI, VCPU),
	R(GET_VCPU_EVENTS, VCPU),
	R(SET_VCPU_EVENTS, VCPU, MINIVMM_GET_VCPU_EVENTS),
	R(GET_DEBUGREGS, VCPU),
	R(SET_DEBUGREGS, VCPU, MINIVMM_GET_DEBUGREGS),
	R(SET_TSC_KHZ, VCPU), R(GET_TSC_KHZ, VCPU, .skip = true),
	R(GET_XSAVE, VCPU), R(SET_XSAVE, VCPU, MINIVMM_GET_XSAVE),
	R(GET_XCRS, VCPU), R(SET_XCRS, VCPU, MINIVMM_GET_XCRS),
};

/* The stages of a VM's life */
static const struct stage {
	const char *name;
	bool chips, split, vcpu, pit, cpuid;
} stages[] = {
	{ "new" },
	{ "vcpu", .vcpu = true, .cpuid = true },
	{ "chips", .chips = true, .pit = true },
	{ "chips+vcpu", .chips = true, .pit = true, .vcpu = true,
	  .cpuid = true },
	{ "split+vcpu", .split = true, .vcpu = true, .cpuid = true },
	{ "bare vcpu", .vcpu = true },
};

struct result {
	char label[60];
	short ret, error;
};

static struct result results[2][MAX_RESULTS];
static unsigned int nr_results[2];
static int device;			/* 0: stock KVM */
static struct minivmm_cpuid2 *cpuid;

/* ---- one call -------------------------------------------------------------- */

/* What a call gives that makes a file descriptor is closed at once. */
static bool makes_fd(unsigned long number)
{
	return number == MINIVMM_CREATE_VM || number == MINIVMM_CREATE_VCPU;
}

static void call(int fd, const struct request *r, const char *label, void *arg)
{
	struct result *res = &results[device][nr_results[device]++];
	int ret;

	if (nr_results[device] == MAX_RESULTS) {
		printf("Bail out! too many results\n");
		exit(KSFT_FAIL);
	}
	snprintf(res->label, sizeof(res->label), "%s", label);
	errno = 0;
	ret = ioctl(fd, r->number, arg);
	if (ret >= 0 && makes_fd(r->number)) {
		close(ret);
		ret = 0;
	}
	res->ret = ret < 0 ? -1 : ret;
	res->error = ret < 0 ? errno : 0;
}

/* ---- arguments --------------------------------------------------------------- */

static char *buffer, *straddle;

static void wrong_pointers(int fd, const struct request *r, const char *where)
{
	static const struct {
		const char *name;
		u64 value;
	} pointers[] = {
		{ "0", 0 }, { "1", 1 }, { "unmapped", 0x1000 },
		{ "kernel", 0xffff888000000000 }, { "non-canonical", 1UL << 63 },
		{ "-1", ~0UL }, { "4096", 4096 }, { "int min", 0x80000000 },
	};
	char label[60];
	unsigned int i;

	for (i = r->skip; i < ARRAY_SIZE(pointers); i++) {
		snprintf(label, sizeof(label), "%s %s %s", where, r->name,
			 pointers[i].name);
		call(fd, r, label, (void *)pointers[i].value);
	}
	snprintf(label, sizeof(label), "%s %s straddle", where, r->name);
	call(fd, r, label, straddle);
}

static void whole_structures(int fd, const struct request *r, const char *where)
{
	static const unsigned char fills[] = { 0, 0xff, 1 };
	char label[60];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fills); i++) {
		memset(buffer, fills[i], BUFFER);
		snprintf(label, sizeof(label), "%s %s all %02x", where, r->name,
			 fills[i]);
		call(fd, r, label, buffer);
	}
}

/* A valid argument, or zeros, with each of its words changed in turn */
static void words(int fd, const struct request *r, const char *where)
{
	static const u32 values[] = { ~0U, 1, 0x80000000 };
	u32 size = _IOC_SIZE(r->number), i, k;
	static char valid[BUFFER];
	char label[60];

	if (_IOC_DIR(r->number) == _IOC_READ || size > 512)
		size = size > 512 ? 512 : 0;
	memset(valid, 0, sizeof(valid));
	if (r->get && ioctl(fd, r->get, valid))
		return;
	if (r->number == MINIVMM_SET_CLOCK)
		memset(valid, 0, size);
	for (i = 0; i + 4 <= size; i += 4) {
		for (k = 0; k < ARRAY_SIZE(values); k++) {
			memcpy(buffer, valid, BUFFER);
			memcpy(buffer + i, &values[k], 4);
			snprintf(label, sizeof(label), "%s %s word %x=%x", where,
				 r->name, i, values[k]);
			call(fd, r, label, buffer);
		}
		if (r->get) {
			memcpy(buffer, valid, BUFFER);
			ioctl(fd, r->number, buffer);
		}
	}
}

/* ---- file descriptors ----------------------------------------------------------- */

struct fds {
	int dev, vm, vcpu;
};

static int must(int ret, const char *what)
{
	if (ret < 0) {
		printf("Bail out! %s: %s: %s\n", paths[device], what,
		       strerror(errno));
		exit(KSFT_FAIL);
	}
	return ret;
}

static struct fds open_stage(const struct stage *stage)
{
	struct minivmm_enable_cap split = {
		.cap = MINIVMM_CAP_SPLIT_IRQCHIP, .args = { 24 },
	};
	struct minivmm_pit_config pit = { 0 };
	struct fds fds = { .vcpu = -1 };

	fds.dev = must(open(paths[device], O_RDWR | O_CLOEXEC), "open");
	fds.vm = must(ioctl(fds.dev, MINIVMM_CREATE_VM, 0), "CREATE_VM");
	if (stage->chips)
		must(ioctl(fds.vm, MINIVMM_CREATE_IRQCHIP, 0), "chips");
	if (stage->pit)
		must(ioctl(fds.vm, MINIVMM_CREATE_PIT2, &pit), "timer");
	if (stage->split)
		must(ioctl(fds.vm, MINIVMM_ENABLE_CAP, &split), "split");
	if (stage->vcpu)
		fds.vcpu = must(ioctl(fds.vm, MINIVMM_CREATE_VCPU, 0), "vCPU");
	if (stage->cpuid)
		must(ioctl(fds.vcpu, MINIVMM_SET_CPUID2, cpuid), "CPUID");
	return fds;
}

static void close_stage(const struct fds *fds)
{
	if (fds->vcpu >= 0)
		close(fds->vcpu);
	close(fds->vm);
	close(fds->dev);
}

/* On the descriptor it is for */
static void right_fd(const struct request *r, const struct stage *stage)
{
	struct fds fds = open_stage(stage);
	int fd = r->on == DEVICE ? fds.dev : r->on == VM ? fds.vm : fds.vcpu;

	if (fd >= 0) {
		wrong_pointers(fd, r, stage->name);
		if (_IOC_SIZE(r->number) && !r->skip) {
			whole_structures(fd, r, stage->name);
			words(fd, r, stage->name);
		}
	}
	close_stage(&fds);
}

/* On the two that it is not for; some numbers mean something there, too. */
static void wrong_fds(const struct request *r)
{
	struct fds fds = open_stage(&stages[1]);
	const int on[] = { fds.dev, fds.vm, fds.vcpu };
	static const char * const names[] = { "device", "vm", "vcpu" };
	char label[60];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(on); i++) {
		if (i == r->on)
			continue;
		snprintf(label, sizeof(label), "%s! %s", names[i], r->name);
		call(on[i], r, label, (void *)1);
		memset(buffer, 0xff, BUFFER);
		call(on[i], r, label, buffer);
	}
	close_stage(&fds);
}

static void run_device(int which)
{
	unsigned int i, k;

	device = which;
	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		for (k = 0; k < ARRAY_SIZE(stages); k++)
			right_fd(&requests[i], &stages[k]);
		wrong_fds(&requests[i]);
	}
}

/* ---- comparing --------------------------------------------------------------------- */

/* A line of what is known to differ: a prefix of the label, and both answers */
struct difference {
	const char *prefix;
	int kvm, ours;		/* errno, 0: success */
	const char *why;
};

static const struct difference differences[] = {
	/* what we refuse and KVM ignores */
	{ "SET_CLOCK", 0, EINVAL, "pad0, pad[]" },
	{ "SET_SREGS", 0, EINVAL, "impossible values" },
	{ "SET_XCRS word 8=", 0, EINVAL, "an XCR that does not exist" },
	{ "SET_XSAVE", 0, EINVAL, "reserved bits of MXCSR" },
	{ "SET_FPU", 0, EINVAL, "reserved bits of MXCSR" },
	{ "SET_LAPIC", 0, EINVAL, "an ID that is not the vCPU's number" },
	{ "SET_PIT2", 0, EINVAL, "flags" },
	{ "IOEVENTFD all ff", EBADF, EINVAL, "flags of a deassignment" },
	{ "SIGNAL_MSI word c=1", 0, EINVAL, "a device ID, which x86 has not" },
	{ "SIGNAL_MSI word c=1", EPERM, EINVAL, "the same" },
	{ "CREATE_PIT2", EEXIST, EINVAL, "KVM 6.1 ignores flags" },
	/* Older KVM makes a timer without an 8259 to connect it to. */
	{ "CREATE_PIT", 0, ENOENT, "no 8259" },
	{ "CREATE_PIT", EEXIST, ENOENT, "no 8259" },
	/* what exists on other descriptors of KVM's, too */
	{ "vm! GET_TSC_KHZ", 0, ENOTTY, "on vCPUs only" },
	{ "vm! SET_TSC_KHZ", 0, ENOTTY, "on vCPUs only" },
	{ "vm! SET_TSC_KHZ", EINVAL, ENOTTY, "on vCPUs only" },
	{ "vcpu! ENABLE_CAP", EFAULT, EINVAL, "on VMs only" },
	{ "device! GET_MSRS", E2BIG, EINVAL, "on vCPUs only" },
	{ "SET_MSRS word 0=1", 0, 0, "KVM cannot write 0 to MSR 0, which is 0" },
	{ "device! GET_MSRS", EFAULT, EINVAL, "on vCPUs only" },
	{ NULL }
};

static const char *explained(const struct result *kvm, const struct result *our)
{
	const struct difference *d;

	for (d = differences; d->prefix; d++)
		if (strstr(kvm->label, d->prefix) && kvm->error == d->kvm &&
		    our->error == d->ours)
			return d->why;
	return NULL;
}

static unsigned int compare_all(void)
{
	unsigned int i, different = 0;

	for (i = 0; i < nr_results[0] && i < nr_results[1]; i++) {
		const struct result *a = &results[0][i], *b = &results[1][i];

		if (a->ret == b->ret && a->error == b->error)
			continue;
		if (explained(a, b))
			continue;
		different++;
		printf("# %s: kvm %d %s, minivmm %d %s\n", a->label, a->ret,
		       a->error ? strerrorname_np(a->error) : "",
		       b->ret, b->error ? strerrorname_np(b->error) : "");
	}
	return different;
}

int main(void)
{
	unsigned int i, different;

	ksft_print_header();
	for (i = 0; i < ARRAY_SIZE(paths); i++)
		if (access(paths[i], R_OK | W_OK))
			ksft_exit_skip("no %s\n", paths[i]);
	ksft_set_plan(1);
	cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
	cpuid->nent = 256;
	device = 1;
	i = must(open(paths[1], O_RDWR), "open");
	must(ioctl(i, MINIVMM_GET_SUPPORTED_CPUID, cpuid), "CPUID");
	close(i);
	buffer = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	straddle = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED || straddle == MAP_FAILED)
		return KSFT_FAIL;
	mprotect(straddle + PAGE_SIZE, PAGE_SIZE, PROT_NONE);
	straddle += PAGE_SIZE - 2;
	run_device(1);
	run_device(0);
	different = compare_all();
	printf("# %u calls on each, %u differ\n", nr_results[0], different);
	ksft_test_result(!different && nr_results[0] == nr_results[1],
			 "same errors\n");
	ksft_finished();
}
