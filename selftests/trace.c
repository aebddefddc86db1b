// SPDX-License-Identifier: GPL-2.0
/* The tracepoints minivmm:*: each fires, and its fields say what happened. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define TRACING		"/sys/kernel/tracing"
/* A trace buffer of our own */
#define INSTANCE	TRACING "/instances/minivmm-selftest"

static char text[256 * 1024];
static bool user_stacks;	/* with each event */

static void write_file(const char *path, const char *value)
{
	int fd = ASSERT_OK(open(path, O_WRONLY));

	ASSERT_EQ(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

static void read_file(const char *path)
{
	int fd = ASSERT_OK(open(path, O_RDONLY));
	size_t used = 0;
	ssize_t len;

	while ((len = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += len;
	text[used] = '\0';
	close(fd);
}

/*
 * Run a guest in a process of its own, so that tracing ends however that does:
 * events left on would be in the way of unloading the module.
 */
static void trace(void (*run)(void))
{
	int status;
	pid_t pid;

	if (!dev_is_minivmm())
		SKIP("stock KVM has tracepoints of its own");
	if (access(TRACING "/events/minivmm", F_OK))
		SKIP("no " TRACING "/events/minivmm: is tracefs mounted?");
	rmdir(INSTANCE);
	ASSERT_OK(mkdir(INSTANCE, 0700));
	if (user_stacks)
		write_file(INSTANCE "/options/userstacktrace", "1");
	write_file(INSTANCE "/events/minivmm/enable", "1");
	pid = fork();
	if (!pid) {
		run();
		test_exit();
	}
	waitpid(pid, &status, 0);
	write_file(INSTANCE "/events/minivmm/enable", "0");
	read_file(INSTANCE "/trace");
	rmdir(INSTANCE);
	ASSERT_EQ(status, 0);
}

/* What @event printed when it fired for the @nth time, from 0 on, or "" */
static const char *fired(const char *event, int nth)
{
	static char line[256];
	const char *found = text;
	char name[40];

	snprintf(name, sizeof(name), " %s: ", event);
	for (;; nth--) {
		found = strstr(found, name);
		if (!found)
			return "";
		found += strlen(name);
		if (!nth)
			break;
	}
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(found, "\n"), found);
	return line;
}

static void expect_text(int line, const char *event, int nth,
			const char *expected)
{
	const char *got = fired(event, nth);

	if (strcmp(got, expected))
		test_fail(__FILE__, line, "%s #%d: \"%s\", expected \"%s\"",
			  event, nth, got, expected);
}

#define EXPECT_EVENT(event, nth, expected) \
	expect_text(__LINE__, event, nth, expected)

/* ------------------------------------------------------------------------ */

static const struct {
	const char *event;
	const char *fields[8];
} formats[] = {
	{ "entry", { "vcpu_id", "rip" } },
	{ "exit", { "exit_reason", "guest_rip", "info1", "intr_info",
		    "vcpu_id" } },
	{ "page_fault", { "vcpu_id", "guest_rip", "fault_address",
			  "error_code" } },
	{ "pio", { "rw", "port", "size", "count", "val" } },
	{ "mmio", { "type", "len", "gpa", "val" } },
	{ "msr", { "write", "ecx", "data", "exception" } },
	{ "cpuid", { "function", "index", "rax", "rbx", "rcx", "rdx",
		     "found" } },
	{ "inj_virq", { "vector", "soft" } },
	{ "inj_exception", { "exception", "has_error", "error_code",
			     "reinjected" } },
};

static void no_guest(void)
{
}

/* Scripts for KVM's tracepoints find the fields under the same names. */
TEST(field_names)
{
	char path[160], field[40];
	int i, j;

	trace(no_guest);
	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		snprintf(path, sizeof(path),
			 TRACING "/events/minivmm/minivmm_%s/format",
			 formats[i].event);
		read_file(path);
		for (j = 0; j < 8 && formats[i].fields[j]; j++) {
			snprintf(field, sizeof(field), " %s;",
				 formats[i].fields[j]);
			if (!strstr(text, field))
				test_fail(__FILE__, __LINE__,
					  "%s has no field%s", path, field);
		}
	}
}

/* ------------------------------------------------------------------------ */

static void run_blob(const struct blob *blob, int runs)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_real(vcpu, blob);
	while (runs--)
		ASSERT_GE(vcpu_run(vcpu), 0);
	vm_free(vcpu->vm);
}

guest_code16(halt, "nop; hlt");

static void run_halt(void)
{
	run_blob(&halt, 1);
}

TEST(entry_and_exit)
{
	int i, found;
	u32 reason;
	u64 rip;

	trace(run_halt);
	EXPECT_EVENT("minivmm_entry", 0, "vcpu 0, rip 0x1000");
	/* EPT violations first, perhaps an interrupt of the host */
	for (i = 0; *fired("minivmm_exit", i); i++)
		if (strstr(fired("minivmm_exit", i), " HLT "))
			break;
	found = sscanf(fired("minivmm_exit", i),
		       "vcpu 0 reason %u HLT rip 0x%llx", &reason, &rip);
	ASSERT_EQ(found, 2);
	EXPECT_EQ(reason, 12);	/* SDM volume 3, appendix C */
	EXPECT_EQ(rip, BLOB_GPA + 1);
}

guest_code32(touch, "movb %al, 0x300123; hlt");

static void run_touch(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_prot32(vcpu, &touch);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
}

TEST(page_fault)
{
	u64 rip = 0, address = 0, error = 0;
	int i, found;

	trace(run_touch);
	for (i = 0; address != DATA_GPA + 0x123; i++) {
		found = sscanf(fired("minivmm_page_fault", i),
			       "vcpu 0 rip 0x%llx address 0x%llx error_code 0x%llx",
			       &rip, &address, &error);
		ASSERT_EQ(found, 3);
	}
	EXPECT_EQ(rip, BLOB_GPA);
	/* SDM volume 3, table 28-7: a write */
	EXPECT_EQ(error & 7, 2);
}

guest_code16(ports,
	     "movl $0x12345678, %eax\n"
	     "outb %al, $0x10\n"
	     "outl %eax, $0x11\n"
	     "inw $0x12, %ax\n"
	     "movl $1f, %esi\n"
	     "subl $blob_start_ports - 0x1000, %esi\n"
	     "movw $0x13, %dx\n"
	     "movw $3, %cx\n"
	     "rep outsb\n"
	     "hlt\n"
	     "1: .byte 1, 2, 3");

static void run_ports(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_real(vcpu, &ports);
	ASSERT_OUT(vcpu, 0x10, 0x78);
	ASSERT_OUT(vcpu, 0x11, 0x12345678);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	*(u16 *)vcpu_io_data(vcpu) = 0xabcd;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
}

TEST(pio)
{
	trace(run_ports);
	EXPECT_EVENT("minivmm_pio", 0,
		     "pio_write at 0x10 size 1 count 1 val 0x78");
	EXPECT_EVENT("minivmm_pio", 1,
		     "pio_write at 0x11 size 4 count 1 val 0x12345678");
	EXPECT_EVENT("minivmm_pio", 2,
		     "pio_read at 0x12 size 2 count 1 val 0xabcd");
	EXPECT_EVENT("minivmm_pio", 3,
		     "pio_write at 0x13 size 1 count 3 val 0x1");
	EXPECT_EVENT("minivmm_pio", 4, "");
}

guest_code32(device,
	     "movl $0x12345678, %eax\n"
	     "movw %ax, 0xd0000010\n"
	     "movl 0xd0000020, %eax\n"
	     "hlt");

static void run_mmio(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_prot32(vcpu, &device);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	*(u32 *)vcpu->run->mmio.data = 0xcafe;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
}

TEST(mmio)
{
	trace(run_mmio);
	EXPECT_EVENT("minivmm_mmio", 0,
		     "mmio write len 2 gpa 0xd0000010 val 0x5678");
	EXPECT_EVENT("minivmm_mmio", 1,
		     "mmio read len 4 gpa 0xd0000020 val 0xcafe");
	EXPECT_EVENT("minivmm_mmio", 2, "");
}

/* ------------------------------------------------------------------------ */

static void guest_msrs(void)
{
	u64 value;

	wrmsr(MSR_IA32_SYSENTER_ESP, 0);
	wrmsr(MSR_IA32_PAT, 0x0007040600070406);
	GUEST_ASSERT_EQ(rdmsr(MSR_IA32_PAT), 0x0007040600070406);
	GUEST_ASSERT_EQ(rdmsr_safe(0x12345678, &value), GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_IA32_PAT, ~0), GP_VECTOR);
}

/* The guest has its IDT in a page of its own, which it has not touched yet. */
static void run_msrs(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	void *idt = vm_gpa(vcpu->vm, IDT_GPA);

	vcpu_setup_long(vcpu, guest_msrs, 0);
	/* not in a huge page, which it would share with what is touched */
	ASSERT_OK(mprotect(idt, PAGE_SIZE, PROT_READ));
	ASSERT_OK(mprotect(idt, PAGE_SIZE, PROT_READ | PROT_WRITE));
	ASSERT_DONE(vcpu);
}

static void expect_some(int line, const char *event, const char *expected)
{
	int i;

	for (i = 0; *fired(event, i); i++)
		if (!strcmp(fired(event, i), expected))
			return;
	test_fail(__FILE__, line, "%s never said \"%s\"", event, expected);
}

#define EXPECT_SOME(event, expected) \
	expect_some(__LINE__, event, expected)

TEST(msr)
{
	trace(run_msrs);
	EXPECT_SOME("minivmm_msr", "msr_write 277 = 0x7040600070406");
	EXPECT_SOME("minivmm_msr", "msr_read 277 = 0x7040600070406");
	EXPECT_SOME("minivmm_msr", "msr_read 12345678 = 0x0 (#GP)");
	EXPECT_SOME("minivmm_msr",
		    "msr_write 277 = 0xffffffffffffffff (#GP)");
	/* What the guest got for it */
	EXPECT_EVENT("minivmm_inj_exception", 0, "vector 13 error 0x0");
	/* The first finds the IDT unmapped: it goes in twice. */
	EXPECT_EVENT("minivmm_inj_exception", 1,
		     "vector 13 error 0x0 [reinjected]");
	EXPECT_SOME("minivmm_inj_exception", "vector 13 error 0x0");
}

static void guest_cpuid(void)
{
	u32 regs[4];

	cpuid(0, 7, regs);
	cpuid(0x40001234, 0, regs);
}

static void run_cpuid(void)
{
	run_guest(guest_cpuid);
}

TEST(cpuid)
{
	const struct minivmm_cpuid_entry2 *e =
		cpuid_entry(supported_cpuid(), 0, 0);
	char expected[160];
	const char *got;

	ASSERT(e);
	trace(run_cpuid);
	snprintf(expected, sizeof(expected),
		 "func 0 idx 7 rax %x rbx %x rcx %x rdx %x, cpuid entry found",
		 e->eax, e->ebx, e->ecx, e->edx);
	EXPECT_EVENT("minivmm_cpuid", 0, expected);
	got = fired("minivmm_cpuid", 1);
	EXPECT(!strncmp(got, "func 40001234 idx 0 ", 20));
	EXPECT(strstr(got, "cpuid entry not found"));
	EXPECT_EVENT("minivmm_cpuid", 2, "");
}

/* ------------------------------------------------------------------------ */

#define VECTOR	0x41

static void guest_interrupted(void)
{
	guest_handlers[VECTOR] = count_event;
	guest_sync(1, 0);
	asm volatile("sti; nop; nop; cli" : : : "memory");
	GUEST_ASSERT_EQ(event_counts[VECTOR], 1);
}

static void run_interrupted(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_interrupt irq = { VECTOR };

	vcpu_setup_long(vcpu, guest_interrupted, 0);
	ASSERT_SYNC(vcpu, 1);
	vcpu->run->request_interrupt_window = 1;
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IRQ_WINDOW_OPEN);
	vcpu->run->request_interrupt_window = 0;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq));
	ASSERT_DONE(vcpu);
}

TEST(inj_virq)
{
	trace(run_interrupted);
	/* again if the guest's IDT or stack was not there yet */
	EXPECT_EVENT("minivmm_inj_virq", 0, "IRQ 0x41");
}

static void run_exception(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_vcpu_events events;

	vcpu_setup_real(vcpu, &halt);
	*(u32 *)vm_gpa(vcpu->vm, 4 * BP_VECTOR) = BLOB_GPA;
	events = vcpu_events(vcpu);
	events.exception.injected = 1;
	events.exception.nr = BP_VECTOR;
	vcpu_set_events(vcpu, &events);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
}

TEST(inj_exception)
{
	trace(run_exception);
	EXPECT(strstr(fired("minivmm_inj_exception", 0), "vector 3"));
}

/* ------------------------------------------------------------------------ */
/* Who traces may make the host fault where it has the guest's CR2           */

static volatile u64 faults, fault_address;

static void guest_on_page_fault(struct guest_regs *regs)
{
	(void)regs;
	faults++;
	fault_address = read_cr2();
	*guest_pte(DATA_GPA) = DATA_GPA | PTE_P | PTE_RW | PTE_US;
}

/* An EPT violation, of a stack never used before, cuts the delivery short. */
static void guest_faults_on_cold_stack(void)
{
	guest_handlers[PF_VECTOR] = guest_on_page_fault;
	*guest_pte(DATA_GPA) = 0;
	invlpg(DATA_GPA);
	asm volatile("movq %%rsp, %%rbx\n"
		     "movq %0, %%rsp\n"
		     "movb $1, 0x123(%1)\n"
		     "movq %%rbx, %%rsp\n"
		     : : "r"(STACK_GPA + 12 * STACK_SIZE), "r"(DATA_GPA)
		     : "rbx", "memory");
	GUEST_ASSERT_EQ(faults, 1);
	GUEST_ASSERT_EQ(fault_address, DATA_GPA + 0x123);
}

/* RUN with a frame pointer that whoever walks the stack faults on */
static int run_without_frame(struct vcpu *vcpu)
{
	long ret;

	asm volatile("pushq %%rbp\n"
		     "movl $0x1000, %%ebp\n"
		     "syscall\n"
		     "popq %%rbp\n"
		     : "=a"(ret)
		     : "a"((long)SYS_ioctl), "D"((long)vcpu->fd),
		       "S"((long)MINIVMM_RUN), "d"(0L)
		     : "rcx", "r11", "memory");
	return ret ? ret : vcpu->run->exit_reason;
}

static void run_faults_on_cold_stack(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	int reason;

	vcpu_setup_long(vcpu, guest_faults_on_cold_stack, 0);
	reason = run_without_frame(vcpu);
	ASSERT_EQ(vcpu_guest_call(vcpu, reason, NULL), GUEST_DONE);
}

TEST(cr2_survives_stack_walks)
{
	user_stacks = true;
	trace(run_faults_on_cold_stack);
	EXPECT(strstr(text, "<user stack trace>"));
}
