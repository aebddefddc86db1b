// SPDX-License-Identifier: GPL-2.0
/* VMs and vCPUs for tests; see vm.h. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "vm.h"

/* The whole program, from the linker */
extern const char __executable_start[], _end[];

/* lib/guest_entry.S */
extern const char guest_vectors[], guest_start[], guest_user_return[];

#define GUEST_USER_RETURN_VECTOR	0xf0
#define GATE_SIZE			16	/* of an entry in guest_vectors */

int dev_open(void)
{
	return ASSERT_OK(open(dev_path(), O_RDWR | O_CLOEXEC));
}

/* ------------------------------------------------------------------------ */
/* Memory                                                                    */

int vm_set_slot(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 size,
		void *hva)
{
	struct minivmm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm->fd, MINIVMM_SET_USER_MEMORY_REGION, &region);
}

void *vm_gpa(struct vm *vm, u64 gpa)
{
	if (gpa >= VM_MEM_SIZE)
		FAIL("guest-physical 0x%llx is outside slot 0", gpa);
	return (char *)vm->mem + gpa;
}

/* SDM volume 3, 3.4.5: the 8 bytes of a code or data segment descriptor */
static u64 flat_segment(u64 access, u64 flags)
{
	return 0xffffULL | access << 40 | 0xfULL << 48 | flags << 52;
}

static void write_gdt(struct vm *vm)
{
	u64 *gdt = vm_gpa(vm, GDT_GPA);

	gdt[SEL_CODE64 / 8] = flat_segment(0x9b, 0xa);
	gdt[SEL_DATA / 8] = flat_segment(0x93, 0xc);
	gdt[SEL_CODE32 / 8] = flat_segment(0x9b, 0xc);
	gdt[SEL_CODE16 / 8] = flat_segment(0x9b, 0x0);
	gdt[SEL_DATA16 / 8] = flat_segment(0x93, 0x0);
	gdt[SEL_UCODE32 / 8] = flat_segment(0xfb, 0xc);
	gdt[SEL_UDATA / 8] = flat_segment(0xf3, 0xc);
	gdt[SEL_UCODE64 / 8] = flat_segment(0xfb, 0xa);
	/* A busy 64-bit TSS of vCPU 0, an LDT of 4 KiB; both at low bases. */
	gdt[SEL_TSS / 8] = 0x67ULL | TSS_GPA << 16 | 0x8bULL << 40;
	gdt[SEL_LDT / 8] = 0xfffULL | 0x50000ULL << 16 | 0x82ULL << 40;
}

static void write_page_tables(struct vm *vm)
{
	const u64 table = PTE_P | PTE_RW | PTE_US;
	u64 *pml4 = vm_gpa(vm, PML4_GPA), *pdpt = vm_gpa(vm, PDPT_GPA);
	u64 *pd = vm_gpa(vm, PD_GPA), *pt = vm_gpa(vm, PT_GPA);
	u64 *pae = vm_gpa(vm, PDPT_PAE_GPA);
	u32 *pgdir = vm_gpa(vm, PGDIR32_GPA), *pt32 = vm_gpa(vm, PT32_GPA);
	u64 i;

	pml4[0] = PDPT_GPA | table;
	for (i = 0; i < 4; i++) {
		pdpt[i] = (PD_GPA + i * PAGE_SIZE) | table;
		pae[i] = (PD_GPA + i * PAGE_SIZE) | PTE_P;
	}
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | PTE_PS | table;
	for (i = 0; i < VM_MEM_SIZE >> 21; i++)
		pd[i] = (PT_GPA + i * PAGE_SIZE) | table;
	for (i = 0; i < VM_MEM_SIZE / PAGE_SIZE; i++) {
		pt[i] = i * PAGE_SIZE | table;
		pt32[i] = i * PAGE_SIZE | table;
	}
	for (i = 0; i < 1024; i++)
		pgdir[i] = i << 22 | PTE_PS | table;
	for (i = 0; i < VM_MEM_SIZE >> 22; i++)
		pgdir[i] = (PT32_GPA + i * PAGE_SIZE) | table;
}

u64 *vm_pte(struct vm *vm, u64 gva)
{
	return (u64 *)vm_gpa(vm, PT_GPA) + gva / PAGE_SIZE;
}

static void write_gate(struct vm *vm, int vector, u64 target, int dpl)
{
	u64 *gate = (u64 *)vm_gpa(vm, IDT_GPA) + 2 * vector;

	/* SDM volume 3, 6.14.1: a present 64-bit interrupt gate */
	gate[0] = (target & 0xffff) | (u64)SEL_CODE64 << 16 |
		  (0x8eULL | (u64)dpl << 5) << 40 |
		  (target >> 16 & 0xffff) << 48;
	gate[1] = target >> 32;
}

void vm_load_image(struct vm *vm)
{
	u64 size = _end - __executable_start;
	int i;

	if (vm->image_loaded)
		return;
	if ((uintptr_t)__executable_start != IMAGE_GPA ||
	    IMAGE_GPA + size > VM_MEM_SIZE)
		FAIL("the program was not linked at 0x%lx", IMAGE_GPA);
	memcpy(vm_gpa(vm, IMAGE_GPA), __executable_start, size);
	for (i = 0; i < 256; i++)
		write_gate(vm, i, (uintptr_t)guest_vectors + i * GATE_SIZE,
			   i == BP_VECTOR || i == OF_VECTOR ? 3 : 0);
	write_gate(vm, GUEST_USER_RETURN_VECTOR, (uintptr_t)guest_user_return,
		   3);
	vm->image_loaded = true;
}

/* ------------------------------------------------------------------------ */
/* VMs                                                                       */

struct vm *vm_create_bare(void)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	vm->dev_fd = dev_open();
	vm->fd = ASSERT_OK(ioctl(vm->dev_fd, MINIVMM_CREATE_VM, 0));
	return vm;
}

struct vm *vm_create(void)
{
	struct vm *vm = vm_create_bare();

	vm->mem = mmap(NULL, VM_MEM_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT(vm->mem != MAP_FAILED);
	write_gdt(vm);
	write_page_tables(vm);
	ASSERT_OK(vm_set_slot(vm, 0, 0, 0, VM_MEM_SIZE, vm->mem));
	return vm;
}

int vm_enable_cap(struct vm *vm, u32 cap, u64 arg)
{
	struct minivmm_enable_cap enable = { .cap = cap, .args = { arg } };

	return ioctl(vm->fd, MINIVMM_ENABLE_CAP, &enable);
}

/* I/O APIC at 0xfec00000, local APIC at 0xfee00000: two entries of 2 MiB */
static void uncache_apics(struct vm *vm)
{
	u64 *pd = vm_gpa(vm, PD_GPA);

	pd[0xfec00000UL >> 21] |= PTE_PCD | PTE_PWT;
	pd[0xfee00000UL >> 21] |= PTE_PCD | PTE_PWT;
}

struct vm *vm_create_irqchip(void)
{
	struct vm *vm = vm_create();

	uncache_apics(vm);
	ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_IRQCHIP, 0));
	return vm;
}

struct vm *vm_create_split(void)
{
	struct vm *vm = vm_create();

	uncache_apics(vm);
	ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_SPLIT_IRQCHIP,
				MINIVMM_IOAPIC_NUM_PINS));
	return vm;
}

void vm_free(struct vm *vm)
{
	struct vcpu *vcpu;
	int i;

	for (i = 0; i < VM_MAX_VCPUS; i++) {
		vcpu = vm->vcpus[i];
		if (!vcpu)
			continue;
		munmap(vcpu->run, vcpu->run_size);
		close(vcpu->fd);
		free(vcpu);
	}
	close(vm->fd);
	close(vm->dev_fd);
	if (vm->mem)
		munmap(vm->mem, VM_MEM_SIZE);
	free(vm);
}

/* ------------------------------------------------------------------------ */
/* vCPUs                                                                     */

struct minivmm_cpuid2 *supported_cpuid(void)
{
	static struct minivmm_cpuid2 *cpuid;
	const int max = 256;
	int fd;

	if (cpuid)
		return cpuid;
	cpuid = calloc(1, sizeof(*cpuid) + max * sizeof(cpuid->entries[0]));
	cpuid->nent = max;
	fd = dev_open();
	ASSERT_OK(ioctl(fd, MINIVMM_GET_SUPPORTED_CPUID, cpuid));
	close(fd);
	return cpuid;
}

struct minivmm_cpuid_entry2 *cpuid_entry(struct minivmm_cpuid2 *cpuid,
					 u32 function, u32 index)
{
	u32 i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function &&
		    cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	return NULL;
}

struct vcpu *vcpu_create_bare(struct vm *vm, int id)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));

	ASSERT(id < VM_MAX_VCPUS);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->fd = ASSERT_OK(ioctl(vm->fd, MINIVMM_CREATE_VCPU, id));
	vcpu->run_size = ASSERT_OK(ioctl(vm->dev_fd,
					 MINIVMM_GET_VCPU_MMAP_SIZE, 0));
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED, vcpu->fd, 0);
	ASSERT(vcpu->run != MAP_FAILED);
	vm->vcpus[id] = vcpu;
	return vcpu;
}

struct vcpu *vcpu_create(struct vm *vm, int id)
{
	struct vcpu *vcpu = vcpu_create_bare(vm, id);

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, supported_cpuid()));
	return vcpu;
}

struct minivmm_regs vcpu_regs(struct vcpu *vcpu)
{
	struct minivmm_regs value;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_REGS, &value));
	return value;
}

void vcpu_set_regs(struct vcpu *vcpu, const struct minivmm_regs *value)
{
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_REGS, value));
}

struct minivmm_sregs vcpu_sregs(struct vcpu *vcpu)
{
	struct minivmm_sregs value;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_SREGS, &value));
	return value;
}

void vcpu_set_sregs(struct vcpu *vcpu, const struct minivmm_sregs *value)
{
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_SREGS, value));
}

struct minivmm_vcpu_events vcpu_events(struct vcpu *vcpu)
{
	struct minivmm_vcpu_events value;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_VCPU_EVENTS, &value));
	return value;
}

void vcpu_set_events(struct vcpu *vcpu, const struct minivmm_vcpu_events *value)
{
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, value));
}

struct minivmm_lapic_state vcpu_lapic(struct vcpu *vcpu)
{
	struct minivmm_lapic_state value;

	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_LAPIC, &value));
	return value;
}

void vcpu_set_lapic(struct vcpu *vcpu, const struct minivmm_lapic_state *value)
{
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_LAPIC, value));
}

struct one_msr {
	struct minivmm_msrs header;
	struct minivmm_msr_entry entry;
};

bool vcpu_get_msr(struct vcpu *vcpu, u32 index, u64 *data)
{
	struct one_msr msr = { .header.nmsrs = 1, .entry.index = index };
	int done = ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_MSRS, &msr));

	*data = msr.entry.data;
	return done == 1;
}

bool vcpu_set_msr(struct vcpu *vcpu, u32 index, u64 data)
{
	struct one_msr msr = {
		.header.nmsrs = 1,
		.entry = { .index = index, .data = data },
	};

	return ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_MSRS, &msr)) == 1;
}

/* ------------------------------------------------------------------------ */
/* Set-up                                                                    */

static struct minivmm_segment segment(u16 selector, u8 type, u8 dpl)
{
	struct minivmm_segment seg = {
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.dpl = dpl,
		.s = 1,
		.g = 1,
	};

	return seg;
}

static struct minivmm_segment real_segment(u8 type)
{
	struct minivmm_segment seg = {
		.limit = 0xffff, .type = type, .present = 1, .s = 1,
	};

	return seg;
}

static void set_data_segments(struct minivmm_sregs *sregs,
			      struct minivmm_segment seg)
{
	sregs->ds = seg;
	sregs->es = seg;
	sregs->fs = seg;
	sregs->gs = seg;
	sregs->ss = seg;
}

static void set_protected(struct vcpu *vcpu, struct minivmm_sregs *sregs)
{
	struct minivmm_segment data = segment(SEL_DATA, 3, 0);
	u64 tss = TSS_GPA + vcpu->id * PAGE_SIZE;

	data.db = 1;
	set_data_segments(sregs, data);
	sregs->cs = segment(SEL_CODE32, 11, 0);
	sregs->cs.db = 1;
	sregs->gdt.base = GDT_GPA;
	sregs->gdt.limit = GDT_LIMIT;
	sregs->idt.base = IDT_GPA;
	sregs->idt.limit = IDT_LIMIT;
	/* Busy, as VM entry requires; type 11 is 32- or 64-bit by mode. */
	sregs->tr = (struct minivmm_segment) {
		.base = tss, .limit = 0x67, .selector = SEL_TSS,
		.type = 11, .present = 1,
	};
	sregs->ldt = (struct minivmm_segment) { .unusable = 1 };
	sregs->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE;
	sregs->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	sregs->efer = 0;
}

static void set_long(struct vcpu *vcpu, struct minivmm_sregs *sregs)
{
	set_protected(vcpu, sregs);
	sregs->cs.selector = SEL_CODE64;
	sregs->cs.l = 1;
	sregs->cs.db = 0;
	sregs->cr0 |= CR0_PG | CR0_WP;
	sregs->cr4 |= CR4_PAE;
	sregs->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	sregs->cr3 = PML4_GPA;
	*(u64 *)((char *)vm_gpa(vcpu->vm, sregs->tr.base) + 4) =
		STACK_TOP_RSP0(vcpu->id);
}

static void load_blob(struct vcpu *vcpu, const struct blob *blob, u64 rsp)
{
	struct minivmm_regs regs = {
		.rip = BLOB_GPA, .rsp = rsp, .rflags = RFLAGS_FIXED,
	};
	size_t size = (const char *)blob->end - (const char *)blob->start;

	ASSERT(BLOB_GPA + size <= GDT_GPA);
	memcpy(vm_gpa(vcpu->vm, BLOB_GPA), blob->start, size);
	vcpu_set_regs(vcpu, &regs);
}

void vcpu_setup_real(struct vcpu *vcpu, const struct blob *blob)
{
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);

	sregs.cs = real_segment(11);
	set_data_segments(&sregs, real_segment(3));
	sregs.cr0 = CR0_ET;
	vcpu_set_sregs(vcpu, &sregs);
	load_blob(vcpu, blob, 0xfff0);
}

void vcpu_setup_prot32(struct vcpu *vcpu, const struct blob *blob)
{
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);

	set_protected(vcpu, &sregs);
	vcpu_set_sregs(vcpu, &sregs);
	load_blob(vcpu, blob, STACK_TOP(vcpu->id));
}

void vcpu_setup_paging32(struct vcpu *vcpu, const struct blob *blob)
{
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);

	set_protected(vcpu, &sregs);
	sregs.cr0 |= CR0_PG | CR0_WP;
	sregs.cr4 |= CR4_PSE;
	sregs.cr3 = PGDIR32_GPA;
	vcpu_set_sregs(vcpu, &sregs);
	load_blob(vcpu, blob, STACK_TOP(vcpu->id));
}

void vcpu_setup_pae(struct vcpu *vcpu, const struct blob *blob)
{
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);

	set_protected(vcpu, &sregs);
	sregs.cr0 |= CR0_PG | CR0_WP;
	sregs.cr4 |= CR4_PAE;
	sregs.cr3 = PDPT_PAE_GPA;
	vcpu_set_sregs(vcpu, &sregs);
	load_blob(vcpu, blob, STACK_TOP(vcpu->id));
}

void vcpu_setup_blob64(struct vcpu *vcpu, const struct blob *blob)
{
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);

	set_long(vcpu, &sregs);
	vcpu_set_sregs(vcpu, &sregs);
	load_blob(vcpu, blob, STACK_TOP(vcpu->id));
}

void vcpu_setup_long(struct vcpu *vcpu, void *fn, u64 arg)
{
	struct minivmm_sregs sregs = vcpu_sregs(vcpu);
	struct minivmm_regs regs = {
		.rip = (uintptr_t)guest_start,
		.rdi = (uintptr_t)fn,
		.rsi = arg,

		.rsp = STACK_TOP(vcpu->id) - 16,
		.rflags = RFLAGS_FIXED,
	};

	vm_load_image(vcpu->vm);
	set_long(vcpu, &sregs);
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_set_regs(vcpu, &regs);
}

/* ------------------------------------------------------------------------ */
/* Running                                                                   */

const char *exit_name(int reason)
{
	static const char * const names[] = {
		[MINIVMM_EXIT_UNKNOWN] = "UNKNOWN",
		[MINIVMM_EXIT_IO] = "IO",
		[MINIVMM_EXIT_HLT] = "HLT",
		[MINIVMM_EXIT_MMIO] = "MMIO",
		[MINIVMM_EXIT_IRQ_WINDOW_OPEN] = "IRQ_WINDOW_OPEN",
		[MINIVMM_EXIT_SHUTDOWN] = "SHUTDOWN",
		[MINIVMM_EXIT_FAIL_ENTRY] = "FAIL_ENTRY",
		[MINIVMM_EXIT_INTR] = "INTR",
		[MINIVMM_EXIT_SET_TPR] = "SET_TPR",
		[MINIVMM_EXIT_INTERNAL_ERROR] = "INTERNAL_ERROR",
		[MINIVMM_EXIT_IOAPIC_EOI] = "IOAPIC_EOI",
	};

	if (reason < 0)
		return strerror(-reason);
	if (reason < (int)ARRAY_SIZE(names) && names[reason])
		return names[reason];
	return "(not in the ABI)";
}

int vcpu_run(struct vcpu *vcpu)
{
	if (ioctl(vcpu->fd, MINIVMM_RUN, 0))
		return -errno;
	return vcpu->run->exit_reason;
}

void assert_exit(const char *file, int line, struct vcpu *vcpu, int expected)
{
	int reason = vcpu_run(vcpu);

	if (reason == expected)
		return;
	vcpu_describe_exit(vcpu, reason);
	test_fail(file, line, "exit reason %s, expected %s", exit_name(reason),
		  exit_name(expected));
	test_exit();
}

void assert_out(const char *file, int line, struct vcpu *vcpu, u16 port,
		u32 value)
{
	struct minivmm_run *run = vcpu->run;
	u32 data = 0;

	assert_exit(file, line, vcpu, MINIVMM_EXIT_IO);
	if (run->io.size <= sizeof(data))
		memcpy(&data, vcpu_io_data(vcpu), run->io.size);
	if (run->io.direction == MINIVMM_EXIT_IO_OUT && run->io.port == port &&
	    data == value)
		return;
	vcpu_describe_exit(vcpu, MINIVMM_EXIT_IO);
	test_fail(file, line, "data 0x%x, expected an OUT of 0x%x to port 0x%x",
		  data, value, port);
	test_exit();
}

void *vcpu_io_data(struct vcpu *vcpu)
{
	return (char *)vcpu->run + vcpu->run->io.data_offset;
}

void vcpu_describe_exit(struct vcpu *vcpu, int reason)
{
	struct minivmm_run *run = vcpu->run;
	struct minivmm_regs regs = vcpu_regs(vcpu);
	u32 i;

	ksft_print_msg("vcpu %d: %s at rip 0x%llx rsp 0x%llx rflags 0x%llx rax 0x%llx\n",
		       vcpu->id, exit_name(reason), regs.rip, regs.rsp,
		       regs.rflags, regs.rax);
	switch (reason) {
	case MINIVMM_EXIT_IO:
		ksft_print_msg("io: %s port 0x%x size %u count %u\n",
			       run->io.direction ? "out" : "in", run->io.port,
			       run->io.size, run->io.count);
		break;
	case MINIVMM_EXIT_MMIO:
		ksft_print_msg("mmio: %s 0x%llx len %u\n",
			       run->mmio.is_write ? "write" : "read",
			       run->mmio.phys_addr, run->mmio.len);
		break;
	case MINIVMM_EXIT_FAIL_ENTRY:
		ksft_print_msg("fail_entry: reason 0x%llx\n",
			       run->fail_entry.hardware_entry_failure_reason);
		break;
	case MINIVMM_EXIT_INTERNAL_ERROR:
		ksft_print_msg("internal error: suberror %u\n",
			       run->internal.suberror);
		for (i = 0; i < run->internal.ndata && i < 16; i++)
			ksft_print_msg("  data[%u] 0x%llx\n", i,
				       run->internal.data[i]);
		break;
	}
}

/* A string of the guest's image: its copy is where ours is. */
static const char *guest_string(u64 address)
{
	return (const char *)(uintptr_t)address;
}

int vcpu_guest_call(struct vcpu *vcpu, int reason, struct guest_call *call)
{
	struct minivmm_run *run = vcpu->run;
	struct guest_call copy;

	if (reason != MINIVMM_EXIT_IO || run->io.port != GUEST_CALL_PORT ||
	    run->io.direction != MINIVMM_EXIT_IO_OUT || run->io.size != 4)
		return 0;
	copy = *(struct guest_call *)vm_gpa(vcpu->vm,
					    *(u32 *)vcpu_io_data(vcpu));
	switch (copy.type) {
	case GUEST_SYNC:
	case GUEST_DONE:
		if (call)
			*call = copy;
		return copy.type;
	case GUEST_ABORT:
		test_fail(guest_string(copy.file), copy.line,
			  "in the guest: %s (0x%llx, 0x%llx)",
			  guest_string(copy.text), copy.args[0], copy.args[1]);
		test_exit();
	case GUEST_EXCEPTION:
		FAIL("in the guest: exception %llu, error code 0x%llx, rip 0x%llx, cr2 0x%llx",
		     copy.args[0], copy.args[1], copy.args[2], copy.args[3]);
	default:
		FAIL("a guest call of unknown type %u", copy.type);
	}
}

int vcpu_run_guest(struct vcpu *vcpu, struct guest_call *call)
{
	int reason = vcpu_run(vcpu);
	int type = vcpu_guest_call(vcpu, reason, call);

	if (!type) {
		vcpu_describe_exit(vcpu, reason);
		FAIL("exit %s instead of a guest call", exit_name(reason));
	}
	return type;
}

void run_guest(void *fn)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_setup_long(vcpu, fn, 0);
	ASSERT_DONE(vcpu);
	vm_free(vm);
}
