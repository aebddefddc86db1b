// SPDX-License-Identifier: GPL-2.0
/*
 * bench - what one operation costs, on one device or on two side by side.
 *
 * The cost is a difference of the host's time-stamp counter.  In Bochs that
 * counts instructions, the guest's own included; those of the measuring loop
 * are subtracted.  It goes on while the host idles, so what waits (creating
 * and destroying, booting) includes the wait.
 *
 * What the counter does not see, how often VMX is touched, comes from
 * minivmm's own counters, in a run of their own since counting costs too.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PARAMETER	"/sys/module/minivmm_intel/parameters/count_vmx"
#define COUNTERS	"/sys/kernel/debug/minivmm"

/*
 * Of the guest that linux_boot boots: it ends where user space begins.  It
 * clears memory by plain stores, since Bochs counts every byte of a REP STOSB.
 * On stock KVM it does so anyway: there IA32_MISC_ENABLE starts as 0, which
 * says that fast strings are off.
 */
#define BOOT_PARAMS	"quiet nokaslr mitigations=off tsc=reliable "	\
	"tsc_early_khz=100000 cryptomgr.notests random.trust_cpu=on "	\
	"initcall_blacklist=load_system_certificate_list "		\
	"clearcpuid=erms,fsrm,rep_good rdinit=/bin/busybox -- poweroff -f"

static const char * const counters[NR_COUNTERS] = {
	"vmread", "vmwrite", "wrmsr",
};

static const char *device = "/dev/minivmm";
static const char *launcher, *boot_kernel, *boot_initrd;
static bool counting, smp_only, growth;

/* ------------------------------------------------------------------------ */
/* What lib/vm.c wants of a test: here a failure ends the program.           */

const char *dev_path(void)
{
	return device;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "bench: %s: %s:%d: ", device, file, line);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

void test_exit(void)
{
	exit(KSFT_FAIL);
}

/* ------------------------------------------------------------------------ */
/* Instructions, and minivmm's own counters                                  */

static u64 counter(const char *name)
{
	char path[80], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), COUNTERS "/%s", name);
	fd = ASSERT_OK(open(path, O_RDONLY));
	ASSERT_OK(read(fd, text, sizeof(text) - 1));
	close(fd);
	return strtoull(text, NULL, 0);
}

static void set_counting(bool on)
{
	int fd = ASSERT_OK(open(PARAMETER, O_WRONLY));

	ASSERT_EQ(write(fd, on ? "1" : "0", 1), 1);
	close(fd);
	counting = on;
}

void begin(struct sample *sample)
{
	int i;

	for (i = 0; counting && i < NR_COUNTERS; i++)
		sample->counts[i] -= counter(counters[i]);
	sample->ticks -= __builtin_ia32_rdtsc();
}

void end(struct sample *sample)
{
	int i;

	sample->ticks += __builtin_ia32_rdtsc();
	for (i = 0; counting && i < NR_COUNTERS; i++)
		sample->counts[i] += counter(counters[i]);
}

/* ------------------------------------------------------------------------ */
/* Guests that repeat one operation                                          */

void run_to(struct vcpu *vcpu, u32 reason)
{
	if (!ioctl(vcpu->fd, MINIVMM_RUN, 0) &&
	    vcpu->run->exit_reason == reason)
		return;
	vcpu_describe_exit(vcpu, vcpu->run->exit_reason);
	FAIL("the guest stopped with %s, expected %s",
	     exit_name(vcpu->run->exit_reason), exit_name(reason));
}

#define OPS_PER_RUN	1000

/* Handled in the kernel: the guest calls after so many. */
#define COUNTED_LOOP(name, insns)					\
	guest_code16(name,						\
		     "1: movl $1000, %esi\n"				\
		     "2: " insns "\n"					\
		     "decl %esi\n"					\
		     "jnz 2b\n"						\
		     "outb %al, $0x10\n"				\
		     "jmp 1b")

COUNTED_LOOP(cpuid_loop, "xorl %eax, %eax; cpuid");
COUNTED_LOOP(rdmsr_loop, "movl $0x277, %ecx; rdmsr");	/* IA32_PAT */

/* Handled by the host's user space: one each time it runs the vCPU */
guest_code16(pio_out_loop, "1: outb %al, $0x10; jmp 1b");
guest_code16(pio_in_loop, "1: inb $0x10, %al; jmp 1b");
/* measure_loop() puts FS where no memory is. */
guest_code16(mmio_write_loop, "1: movl %eax, %fs:0; jmp 1b");
guest_code16(mmio_read_loop, "1: movl %fs:0, %eax; jmp 1b");

static struct vcpu *real_mode_vcpu(const struct blob *guest)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_sregs sregs;

	vcpu_setup_real(vcpu, guest);
	sregs = vcpu_sregs(vcpu);
	sregs.fs.base = MMIO_GPA;
	vcpu_set_sregs(vcpu, &sregs);
	return vcpu;
}

static struct sample measure_loop(const struct op *op)
{
	struct vcpu *vcpu = real_mode_vcpu(op->guest);
	struct sample sample = { .ops = op->runs * op->ops_per_run };
	u32 i;

	for (i = 0; i < op->runs / 4 + 1; i++)
		run_to(vcpu, op->exit_reason);
	begin(&sample);
	for (i = 0; i < op->runs; i++)
		run_to(vcpu, op->exit_reason);
	end(&sample);
	sample.ticks -= sample.ops * op->loop_insns;
	vm_free(vcpu->vm);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* HLT, and the interrupt that ends it                                       */

#define IRQ_VECTOR	0x20

#define HANDLER		4	/* offset of IRETW */

guest_code16(hlt_loop, "sti; 1: hlt; jmp 1b; iretw");

static struct sample measure_hlt(const struct op *op)
{
	struct minivmm_interrupt irq = { IRQ_VECTOR };
	struct vcpu *vcpu = real_mode_vcpu(op->guest);
	struct sample sample = { .ops = op->runs };
	u32 i;

	*(u32 *)vm_gpa(vcpu->vm, IRQ_VECTOR * 4) = BLOB_GPA + HANDLER;
	run_to(vcpu, MINIVMM_EXIT_HLT);
	for (i = 0; i < op->runs + op->runs / 4; i++) {
		if (i == op->runs / 4)
			begin(&sample);
		ASSERT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq));
		run_to(vcpu, MINIVMM_EXIT_HLT);
	}
	end(&sample);
	sample.ticks -= sample.ops * op->loop_insns;
	vm_free(vcpu->vm);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* First touch of a page that the host has                                   */

#define TOUCH_GPA	0x10000000UL
#define TOUCH_PAGES	2048UL
#define TOUCH_SIZE	(TOUCH_PAGES * PAGE_SIZE)

/* EDI, ECX: first page, number of pages */
guest_code32(touch_loop,
	     "1: movb %al, (%edi)\n"
	     "addl $0x1000, %edi\n"
	     "decl %ecx\n"
	     "jnz 1b\n"
	     "outb %al, $0x10");

static void touch(struct vcpu *vcpu, u64 first, u64 pages)
{
	struct minivmm_regs regs = vcpu_regs(vcpu);

	regs.rip = BLOB_GPA;
	regs.rdi = TOUCH_GPA + first * PAGE_SIZE;
	regs.rcx = pages;
	vcpu_set_regs(vcpu, &regs);
	run_to(vcpu, MINIVMM_EXIT_IO);
}

static struct sample measure_touch(const struct op *op)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct sample sample = { .ops = TOUCH_PAGES - TOUCH_PAGES / 4 };
	int fd = ASSERT_OK(memfd_create("bench", 0));
	void *pages;

	ASSERT_OK(ftruncate(fd, TOUCH_SIZE));
	pages = mmap(NULL, TOUCH_SIZE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, fd, 0);
	ASSERT(pages != MAP_FAILED);
	ASSERT_OK(vm_set_slot(vcpu->vm, 1, 0, TOUCH_GPA, TOUCH_SIZE, pages));
	vcpu_setup_prot32(vcpu, op->guest);
	touch(vcpu, 0, TOUCH_PAGES - sample.ops);
	begin(&sample);
	touch(vcpu, TOUCH_PAGES - sample.ops, sample.ops);
	end(&sample);
	sample.ticks -= sample.ops * op->loop_insns;
	vm_free(vcpu->vm);
	munmap(pages, TOUCH_SIZE);
	close(fd);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* Creating and destroying                                                   */

static struct sample measure_vm(const struct op *op)
{
	struct sample sample = { .ops = op->runs };
	int fd = dev_open();
	u32 i;

	for (i = 0; i < op->runs + 2; i++) {
		if (i == 2)
			begin(&sample);
		close(ASSERT_OK(ioctl(fd, MINIVMM_CREATE_VM, 0)));
	}
	end(&sample);
	close(fd);
	return sample;
}

static struct sample measure_vcpu(const struct op *op)
{
	struct sample sample = { .ops = op->runs };
	struct vm *vm = vm_create_bare();
	int fds[op->runs + 1];
	u32 i;

	for (i = 0; i < op->runs + 1; i++) {
		if (i == 1)
			begin(&sample);
		fds[i] = ioctl(vm->fd, MINIVMM_CREATE_VCPU, i);
	}
	end(&sample);
	for (i = 0; i < op->runs + 1; i++)
		ASSERT_OK(close(fds[i]));
	vm_free(vm);
	return sample;
}

/* ------------------------------------------------------------------------ */
/* An unmodified Linux, from the launcher's start to its own /init           */

static void launch(int output)
{
	int null = open("/dev/null", O_RDONLY);

	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	execl(launcher, launcher, "run", "--dev", device, "-k", boot_kernel,
	      "-i", boot_initrd, "-p", BOOT_PARAMS, NULL);
	_exit(127);
}

static void show_output(int fd)
{
	char text[4096];
	ssize_t len = pread(fd, text, sizeof(text), 0);

	if (len > 0)
		fwrite(text, 1, len, stderr);
}

static struct sample measure_boot(const struct op *op)
{
	struct sample sample = { .ops = op->runs };
	int output = ASSERT_OK(memfd_create("output", MFD_CLOEXEC));
	int status;
	pid_t pid;

	begin(&sample);
	pid = ASSERT_OK(fork());
	if (!pid)
		launch(output);
	ASSERT_OK(waitpid(pid, &status, 0));
	end(&sample);
	if (status) {
		show_output(output);
		FAIL("%s ended with status 0x%x", launcher, status);
	}
	close(output);
	return sample;
}

/* ------------------------------------------------------------------------ */

static const struct op ops[] = {
	{
		.name = "cpuid", .measure = measure_loop,
		.guest = &cpuid_loop, .exit_reason = MINIVMM_EXIT_IO,
		.ops_per_run = OPS_PER_RUN, .runs = 10, .loop_insns = 3,
	}, {
		.name = "rdmsr", .measure = measure_loop,
		.guest = &rdmsr_loop, .exit_reason = MINIVMM_EXIT_IO,
		.ops_per_run = OPS_PER_RUN, .runs = 10, .loop_insns = 3,
	}, {
		.name = "pio_out", .measure = measure_loop,
		.guest = &pio_out_loop, .exit_reason = MINIVMM_EXIT_IO,
		.ops_per_run = 1, .runs = 4000, .loop_insns = 1,
	}, {
		.name = "pio_in", .measure = measure_loop,
		.guest = &pio_in_loop, .exit_reason = MINIVMM_EXIT_IO,
		.ops_per_run = 1, .runs = 4000, .loop_insns = 1,
	}, {
		.name = "mmio_write", .measure = measure_loop,
		.guest = &mmio_write_loop, .exit_reason = MINIVMM_EXIT_MMIO,
		.ops_per_run = 1, .runs = 4000, .loop_insns = 1,
	}, {
		.name = "mmio_read", .measure = measure_loop,
		.guest = &mmio_read_loop, .exit_reason = MINIVMM_EXIT_MMIO,
		.ops_per_run = 1, .runs = 4000, .loop_insns = 1,
	}, {
		.name = "ept_violation", .measure = measure_touch,
		.guest = &touch_loop, .loop_insns = 3,
	}, {
		.name = "hlt_interrupt", .measure = measure_hlt,
		.guest = &hlt_loop, .runs = 4000, .loop_insns = 2,
	}, {
		.name = "vm_create_destroy", .measure = measure_vm, .runs = 50,
	}, {
		.name = "vcpu_create", .measure = measure_vcpu, .runs = 50,
	}, {
		.name = "linux_boot", .measure = measure_boot, .runs = 1,
	},
};

/* The rows of this file, then those of the others */
static const struct op *op_at(u32 i)
{
	if (i < ARRAY_SIZE(ops))
		return &ops[i];
	i -= ARRAY_SIZE(ops);
	if (i < nr_apic_ops)
		return &apic_ops[i];
	i -= nr_apic_ops;
	if (i < nr_eventfd_ops)
		return &eventfd_ops[i];
	i -= nr_eventfd_ops;
	if (i < nr_memory_ops)
		return &memory_ops[i];
	i -= nr_memory_ops;
	return i < nr_host_ops ? &host_ops[i] : NULL;
}

static int extension(int fd, u32 cap)
{
	return ASSERT_OK(ioctl(fd, MINIVMM_CHECK_EXTENSION, cap));
}

/* Does the device offer all that the row takes? */
static bool offered(const struct op *op)
{
	int fd = dev_open();
	bool yes = op->vcpus <= extension(fd, MINIVMM_CAP_MAX_VCPUS);
	u32 i;

	for (i = 0; i < MAX_CAPS && op->caps[i]; i++)
		yes = yes && extension(fd, op->caps[i] - 1);
	close(fd);
	return yes;
}

/* No operations: the device cannot do it. */
static struct sample measure(const struct op *op, const char *path)
{
	struct sample none = {};

	device = path;
	return offered(op) ? op->measure(op) : none;
}

static s64 cost(const struct sample *sample)
{
	s64 ops = sample->ops;

	return (sample->ticks + ops / 2) / ops;
}

static void print_cost(const char *label, const struct sample *sample)
{
	if (sample->ops)
		printf(" %s%lld", label, cost(sample));
	else
		printf(" %sn/a", label);
}

static void print_tenths(const char *label, s64 count, s64 ops)
{
	s64 tenths = count * 10 / ops;

	printf(" %s=%s%lld.%lld", label, tenths < 0 ? "-" : "",
	       llabs(tenths) / 10, llabs(tenths) % 10);
}

static void print_gaps(const struct op *op, const char *label,
		       const struct sample *sample)
{
	if (op->shows_gaps && sample->ops)
		print_tenths(label, sample->gaps, sample->ops);
}

static void print_counts(const struct op *op, const char *path)
{
	struct sample sample;
	int i;

	set_counting(true);
	sample = measure(op, path);
	set_counting(false);
	for (i = 0; i < NR_COUNTERS; i++)
		print_tenths(counters[i], sample.counts[i], sample.ops);
}

static void print_ratio(const struct sample *theirs, const struct sample *ours)
{
	s64 percent;

	if (!theirs->ops || !ours->ops || cost(theirs) <= 0 ||
	    cost(ours) < 0) {
		printf(" ratio=n/a");
		return;
	}
	percent = (cost(ours) * 100 + cost(theirs) / 2) / cost(theirs);
	printf(" ratio=%lld.%02lld", percent / 100, percent % 100);
}

/* The second is minivmm; its ratio to the first is what matters. */
static void compare(const struct op *op, const char *kvm, const char *minivmm)
{
	struct sample theirs = measure(op, kvm);
	struct sample ours = measure(op, minivmm);

	printf("%-20s", op->name);
	print_cost("kvm=", &theirs);
	print_cost("minivmm=", &ours);
	print_ratio(&theirs, &ours);
	print_gaps(op, "kvm_gaps", &theirs);
	print_gaps(op, "minivmm_gaps", &ours);
	if (ours.ops && !op->in_bytes && !access(PARAMETER, W_OK))
		print_counts(op, minivmm);
	putchar('\n');
}

static void show(const struct op *op, const char *path)
{
	struct sample sample = measure(op, path);

	printf("%-20s", op->name);
	print_cost("", &sample);
	print_gaps(op, "gaps", &sample);
	putchar('\n');
}

/* Can this host do it, on any device? */
static bool possible(const struct op *op)
{
	if (op->measure == measure_boot &&
	    (!launcher || !boot_kernel || !boot_initrd))
		return false;
	return op->cpus <= sysconf(_SC_NPROCESSORS_ONLN);
}

static void report(const struct op *op, const char *path, const char *other)
{
	if (other)
		compare(op, path, other);
	else
		show(op, path);
}

/* testbed/plot-growth reads these lines. */
static void report_point(const struct op *op, const char *path,
			 const char *other)
{
	struct sample sample = measure(op, path);

	printf("growth %s %u", op->name, op->len);
	print_cost("", &sample);
	if (other) {
		sample = measure(op, other);
		print_cost("", &sample);
	}
	putchar('\n');
}

static void report_growth(const char *path, const char *other)
{
	u32 curve, point;
	struct op op;

	for (curve = 0; growth_point(curve, 0, &op); curve++)
		for (point = 0; growth_point(curve, point, &op) && op.measure;
		     point++)
			report_point(&op, path, other);
}

static void usage(void)
{
	const struct op *op;
	u32 i;

	fprintf(stderr,
		"usage: bench [--dev DEVICE | --compare KVM MINIVMM]\n"
		"             [--launcher FILE --kernel FILE --initrd FILE]\n"
		"             [--smp-only | --growth | OPERATION...]\n"
		"Prints instructions per operation; linux_boot needs all three files.\n"
		"--smp-only: those that want a host with two CPUs, and no others\n"
		"--growth: the cost of memory by the guest's size, and by its slots\n"
		"Operations:");
	for (i = 0; (op = op_at(i)); i++)
		fprintf(stderr, " %s", op->name);
	fputc('\n', stderr);
	exit(2);
}

static const struct op *find_op(const char *name)
{
	const struct op *op;
	u32 i;

	for (i = 0; (op = op_at(i)); i++)
		if (!strcmp(op->name, name))
			return op;
	fprintf(stderr, "bench: no operation '%s'\n", name);
	usage();
	return NULL;
}

static void report_all(const char *path, const char *other)
{
	const struct op *op;
	u32 i;

	for (i = 0; (op = op_at(i)); i++)
		if (possible(op) && (op->cpus > 1 || !smp_only))
			report(op, path, other);
}

static void report_named(char **names, const char *path, const char *other)
{
	u32 i;

	for (i = 0; names[i]; i++)
		if (!possible(find_op(names[i])))
			fprintf(stderr, "bench: %s: not on this host\n",
				names[i]);
	for (i = 0; names[i]; i++)
		if (possible(find_op(names[i])))
			report(find_op(names[i]), path, other);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dev", required_argument, NULL, 'd' },
		{ "compare", required_argument, NULL, 'c' },
		{ "launcher", required_argument, NULL, 'l' },
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "smp-only", no_argument, NULL, 's' },
		{ "growth", no_argument, NULL, 'g' },
		{ }
	};
	const char *path = device, *other = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			path = optarg;
			break;
		case 'c':
			if (optind == argc)
				usage();
			path = optarg;
			other = argv[optind++];
			break;
		case 'l':
			launcher = optarg;
			break;
		case 'k':
			boot_kernel = optarg;
			break;
		case 'i':
			boot_initrd = optarg;
			break;
		case 's':
			smp_only = true;
			break;
		case 'g':
			growth = true;
			break;
		default:
			usage();
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (growth)
		report_growth(path, other);
	else if (optind == argc)
		report_all(path, other);
	else
		report_named(argv + optind, path, other);
	return 0;
}
