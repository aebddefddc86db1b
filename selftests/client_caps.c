// SPDX-License-Identifier: GPL-2.0
/*
 * What a client turns on or off by ENABLE_CAP and its like: quirks, the boot CPU,
 * the highest vCPU number, paravirtual features; hypercalls; what it can learn
 * and set without running a guest.
 */
#include "guest.h"

#define LEAF_FEATURES		0x40000001
#define FEATURE_STEAL_TIME	(1U << 5)
#define FEATURE_SCHED_YIELD	(1U << 13)

#define MSR_PLATFORM_INFO	0xce
#define MSR_UCODE_REV		0x8b
#define MSR_MISC_ENABLE		0x1a0
#define MISC_ENABLE_MWAIT	(1UL << 18)
#define MSR_STEAL_TIME		0x4b564d03
#define MSR_APIC_BASE		0x1b
#define APIC_BASE_BSP		(1UL << 8)

#define HC_VAPIC_POLL_IRQ	1
#define HC_SCHED_YIELD		11
#define HC_NONE			0x4711
#define HC_ENOSYS		-1000UL
#define HC_EPERM		-1UL

#define LEAF1_ECX_MONITOR	(1U << 3)

#define QUIRKS	(MINIVMM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | \
		 MINIVMM_X86_QUIRK_FIX_HYPERCALL_INSN | \
		 MINIVMM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)

static long check_extension(struct vm *vm, int cap)
{
	return ioctl(vm->fd, MINIVMM_CHECK_EXTENSION, cap);
}

static int vcpu_enable_cap(struct vcpu *vcpu, u32 number, u32 flags, u64 arg)
{
	struct minivmm_enable_cap cap = {
		.cap = number, .flags = flags, .args = { arg },
	};

	return ioctl(vcpu->fd, MINIVMM_ENABLE_CAP, &cap);
}

/* ------------------------------------------------------------------------ */
/* Quirks                                                                    */

TEST(quirks)
{
	struct vm *vm = vm_create();

	EXPECT_EQ(check_extension(vm, MINIVMM_CAP_DISABLE_QUIRKS), 1);
	EXPECT_EQ(check_extension(vm, MINIVMM_CAP_DISABLE_QUIRKS2) & QUIRKS,
		  QUIRKS);
	EXPECT_ERRNO(vm_enable_cap(vm, MINIVMM_CAP_DISABLE_QUIRKS2, 1UL << 40),
		     EINVAL);
	EXPECT_OK(vm_enable_cap(vm, MINIVMM_CAP_DISABLE_QUIRKS2, QUIRKS));
	EXPECT_OK(vm_enable_cap(vm, MINIVMM_CAP_DISABLE_QUIRKS2, 0));
	/* the older of the two takes anything */
	EXPECT_OK(vm_enable_cap(vm, MINIVMM_CAP_DISABLE_QUIRKS, 1UL << 40));
}

static u64 try_monitor(void)
{
	return guest_try("monitor", "a"(DATA_GPA), "c"(0), "d"(0));
}

static u64 try_mwait(void)
{
	return guest_try("mwait", "a"(0), "c"(0));
}

static u32 monitor_bit(void)
{
	u32 regs[4];

	cpuid(1, 0, regs);
	return regs[2] & LEAF1_ECX_MONITOR;
}

static void guest_mwait(void)
{
	u64 stage;

	for (stage = 0; stage < 3; stage++) {
		u64 expected = stage == 1 ? UD_VECTOR : GUEST_NO_FAULT;

		GUEST_ASSERT_EQ(try_monitor(), expected);
		GUEST_ASSERT_EQ(try_mwait(), expected);
		GUEST_ASSERT_EQ(!!monitor_bit(), stage == 2);
		guest_sync(stage, 0);
	}
	/* The guest may turn it off by itself. */
	wrmsr(MSR_MISC_ENABLE, rdmsr(MSR_MISC_ENABLE) & ~MISC_ENABLE_MWAIT);
	GUEST_ASSERT_EQ(monitor_bit(), 0);
	GUEST_ASSERT_EQ(try_mwait(), UD_VECTOR);
}

/* NOPs as long as the quirk is on; after that they are there if CPUID says so. */
TEST(quirk_mwait)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	u64 misc_enable;

	vcpu_setup_long(vcpu, guest_mwait, 0);
	ASSERT_SYNC(vcpu, 0);
	ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_DISABLE_QUIRKS2, QUIRKS));
	ASSERT_SYNC(vcpu, 1);
	/* CPUID follows the MSR, once that quirk is off */
	ASSERT(vcpu_get_msr(vcpu, MSR_MISC_ENABLE, &misc_enable));
	ASSERT(vcpu_set_msr(vcpu, MSR_MISC_ENABLE,
			    misc_enable | MISC_ENABLE_MWAIT));
	ASSERT_SYNC(vcpu, 2);
	ASSERT_DONE(vcpu);
}

/* ------------------------------------------------------------------------ */
/* Hypercalls                                                                */

static u64 hypercall(u64 number, u64 arg)
{
	struct guest_gprs gprs = { .a = number, .b = arg };

	GUEST_ASSERT_EQ(guest_try_regs("vmcall", gprs), GUEST_NO_FAULT);
	return gprs.a;
}

static void guest_hypercalls(void)
{
	GUEST_ASSERT_EQ(hypercall(HC_NONE, 0), HC_ENOSYS);
	GUEST_ASSERT_EQ(hypercall(HC_VAPIC_POLL_IRQ, 0), 0);
	GUEST_ASSERT_EQ(guest_call_user((void *)hypercall, HC_VAPIC_POLL_IRQ),
			HC_EPERM);
	/* itself; one that waits for INIT; nobody; beyond any */
	GUEST_ASSERT_EQ(hypercall(HC_SCHED_YIELD, 0), 0);
	GUEST_ASSERT_EQ(hypercall(HC_SCHED_YIELD, 1), 0);
	GUEST_ASSERT_EQ(hypercall(HC_SCHED_YIELD, 77), 0);
	GUEST_ASSERT_EQ(hypercall(HC_SCHED_YIELD, -1UL), 0);
}

TEST(hypercalls)
{
	struct vm *vm = vm_create_irqchip();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	vcpu_create(vm, 1);
	EXPECT(cpuid_entry(supported_cpuid(), LEAF_FEATURES, 0)->eax &
	       FEATURE_SCHED_YIELD);
	vcpu_setup_long(vcpu, guest_hypercalls, 0);
	ASSERT_DONE(vcpu);
}

/* Outside 64-bit mode all registers have 32 bits. */
guest_code32(hypercall32, "vmcall; hlt");

TEST(hypercall_32bit)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_regs regs;

	vcpu_setup_prot32(vcpu, &hypercall32);
	regs = vcpu_regs(vcpu);
	regs.rax = 0xffffffff00000000UL | HC_NONE;
	vcpu_set_regs(vcpu, &regs);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu_regs(vcpu).rax, (u32)HC_ENOSYS);
}

/* AMD's, at the end of a page and of another */
guest_code64(foreign, ".byte 0x0f, 0x01, 0xd9; outb %al, $0x10;"
	     ".org 0xffe; crossing: .byte 0x0f, 0x01, 0xd9; hlt");

#define FOREIGN_END	0xffe

static struct vcpu *start_foreign(u64 offset)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_regs regs;

	vcpu_setup_blob64(vcpu, &foreign);
	regs = vcpu_regs(vcpu);
	regs.rax = HC_VAPIC_POLL_IRQ;
	regs.rip += offset;
	vcpu_set_regs(vcpu, &regs);
	return vcpu;
}

static u32 foreign_insn(struct vcpu *vcpu, u64 offset)
{
	const u8 *insn = vm_gpa(vcpu->vm, BLOB_GPA + offset);

	return insn[0] << 16 | insn[1] << 8 | insn[2];
}

TEST(hypercall_is_mended)
{
	struct vcpu *vcpu = start_foreign(0);

	ASSERT_OUT(vcpu, 0x10, 0);
	EXPECT_EQ(foreign_insn(vcpu, 0), 0x0f01c1);
	vcpu = start_foreign(FOREIGN_END);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	EXPECT_EQ(vcpu_regs(vcpu).rax, 0);
	EXPECT_EQ(foreign_insn(vcpu, FOREIGN_END), 0x0f01c1);
}

static const u8 vmmcall[] = { 0x0f, 0x01, 0xd9, 0xc3 };

/* Where the guest must not write, its hypercall is not mended either. */
static u64 fault_rip, fault_address;

static void on_fault(struct guest_regs *regs)
{
	fault_rip = regs->rip;
	fault_address = read_cr2();
	regs->rip += 3;
}

static void guest_mend_faults(u64 protect)
{
	u8 *code = (u8 *)DATA_GPA;

	memcpy(code, vmmcall, sizeof(vmmcall));
	guest_handlers[UD_VECTOR] = on_fault;
	guest_handlers[PF_VECTOR] = on_fault;
	if (protect) {
		write_cr0(read_cr0() | CR0_WP);
		*guest_pte(DATA_GPA) &= ~PTE_RW;
		invlpg(DATA_GPA);
	}
	((void (*)(void))code)();
	GUEST_ASSERT_EQ(fault_rip, DATA_GPA);
	if (protect)
		GUEST_ASSERT_EQ(fault_address & ~3UL, DATA_GPA);
	GUEST_ASSERT_EQ(code[2], vmmcall[2]);
}

TEST(hypercall_on_read_only_page)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	vcpu_setup_long(vcpu, guest_mend_faults, 1);
	ASSERT_DONE(vcpu);
}

TEST(quirk_hypercall)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);

	ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_DISABLE_QUIRKS2,
				MINIVMM_X86_QUIRK_FIX_HYPERCALL_INSN));
	vcpu_setup_long(vcpu, guest_mend_faults, 0);
	ASSERT_DONE(vcpu);
}

/* ------------------------------------------------------------------------ */
/* Paravirtual features by CPUID                                             */

static void guest_pv(u64 has)
{
	u64 value;

	GUEST_ASSERT_EQ(rdmsr_safe(MSR_STEAL_TIME, &value),
			has ? GUEST_NO_FAULT : GP_VECTOR);
	GUEST_ASSERT_EQ(wrmsr_safe(MSR_STEAL_TIME, 0),
			has ? GUEST_NO_FAULT : GP_VECTOR);
	GUEST_ASSERT_EQ(hypercall(HC_SCHED_YIELD, 0), has ? 0 : HC_ENOSYS);
	GUEST_ASSERT_EQ(hypercall(HC_VAPIC_POLL_IRQ, 0), 0);
}

static struct vcpu *start_pv(bool enforce, bool named)
{
	struct vcpu *vcpu = vcpu_create_bare(vm_create_irqchip(), 0);
	struct minivmm_cpuid2 *cpuid = supported_cpuid();
	u32 *features = &cpuid_entry(cpuid, LEAF_FEATURES, 0)->eax;
	u32 all = *features;

	if (!named)
		*features = 0;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, cpuid));
	*features = all;
	ASSERT_OK(vcpu_enable_cap(vcpu, MINIVMM_CAP_ENFORCE_PV_FEATURE_CPUID,
				  0, enforce));
	vcpu_setup_long(vcpu, guest_pv, named || !enforce);
	return vcpu;
}

TEST(enforce_pv_features)
{
	struct vcpu *vcpu = start_pv(true, false);
	u64 value;

	EXPECT(!vcpu_get_msr(vcpu, MSR_STEAL_TIME, &value));
	EXPECT(!vcpu_set_msr(vcpu, MSR_STEAL_TIME, 0));
	ASSERT_DONE(vcpu);
}

TEST(pv_features_by_default)
{
	ASSERT_DONE(start_pv(false, false));
	ASSERT_DONE(start_pv(true, true));
}

TEST(vcpu_enable_cap)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	EXPECT_EQ(check_extension(vcpu->vm, MINIVMM_CAP_ENABLE_CAP), 1);
	EXPECT_ERRNO(vcpu_enable_cap(vcpu, MINIVMM_CAP_ENFORCE_PV_FEATURE_CPUID,
				     1, 1), EINVAL);
	EXPECT_ERRNO(vcpu_enable_cap(vcpu, 0x7fffffff, 0, 1), EINVAL);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_ENABLE_CAP, 0x1000), EFAULT);
}

/* ------------------------------------------------------------------------ */
/* MSRs                                                                      */

static void guest_platform_info(u64 there)
{
	u64 value = 0;

	GUEST_ASSERT_EQ(rdmsr_safe(MSR_PLATFORM_INFO, &value),
			there ? GUEST_NO_FAULT : GP_VECTOR);
	GUEST_ASSERT_EQ(value, there ? 0xff00 : 0);
}

TEST(platform_info)
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu = vcpu_create(vm, 0);
	u64 value;

	ASSERT(vcpu_set_msr(vcpu, MSR_PLATFORM_INFO, 0xff00));
	vcpu_setup_long(vcpu, guest_platform_info, 1);
	ASSERT_DONE(vcpu);
	ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_MSR_PLATFORM_INFO, 0));
	vcpu_setup_long(vcpu, guest_platform_info, 0);
	ASSERT_DONE(vcpu);
	/* the client's own access stays */
	EXPECT(vcpu_get_msr(vcpu, MSR_PLATFORM_INFO, &value));
	ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_MSR_PLATFORM_INFO, 1));
	vcpu_setup_long(vcpu, guest_platform_info, 1);
	ASSERT_DONE(vcpu);
}

TEST(feature_msrs)
{
	struct {
		struct minivmm_msr_list head;
		u32 indices[64];
	} list = { };
	struct {
		struct minivmm_msrs head;
		struct minivmm_msr_entry entries[2];
	} msrs = { .entries = { { .index = MSR_UCODE_REV },
				{ .index = 0xdead } } };
	int fd = dev_open();
	u32 i;

	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_MSR_FEATURE_INDEX_LIST, &list),
		     E2BIG);
	ASSERT(list.head.nmsrs > 0 && list.head.nmsrs <= 64);
	ASSERT_OK(ioctl(fd, MINIVMM_GET_MSR_FEATURE_INDEX_LIST, &list));
	for (i = 0; i < list.head.nmsrs; i++) {
		msrs.head.nmsrs = 1;
		msrs.entries[0].index = list.indices[i];
		EXPECT_EQ(ioctl(fd, MINIVMM_GET_MSRS, &msrs), 1);
	}
	/* up to the first that is none */
	msrs.head.nmsrs = 2;
	msrs.entries[0].index = MSR_UCODE_REV;
	EXPECT_EQ(ioctl(fd, MINIVMM_GET_MSRS, &msrs), 1);
	msrs.head.nmsrs = 100000;
	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_MSRS, &msrs), E2BIG);
	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_MSRS, 0x1000), EFAULT);
	EXPECT_ERRNO(ioctl(fd, MINIVMM_GET_MSR_FEATURE_INDEX_LIST, 0x1000),
		     EFAULT);
}

/* ------------------------------------------------------------------------ */
/* vCPU numbers                                                              */

TEST(max_vcpu_id)
{
	struct vm *vm = vm_create();
	long most = check_extension(vm, MINIVMM_CAP_MAX_VCPU_ID);

	EXPECT_ERRNO(vm_enable_cap(vm, MINIVMM_CAP_MAX_VCPU_ID, most + 1),
		     EINVAL);
	EXPECT_ERRNO(vm_enable_cap(vm, MINIVMM_CAP_MAX_VCPU_ID, -1UL), EINVAL);
	ASSERT_OK(vm_enable_cap(vm, MINIVMM_CAP_MAX_VCPU_ID, 2));
	EXPECT_OK(vm_enable_cap(vm, MINIVMM_CAP_MAX_VCPU_ID, 2));
	EXPECT_ERRNO(vm_enable_cap(vm, MINIVMM_CAP_MAX_VCPU_ID, 3), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_CREATE_VCPU, 2), EINVAL);
	EXPECT_GE(ioctl(vm->fd, MINIVMM_CREATE_VCPU, 1), 0);
}

TEST(boot_cpu)
{
	struct vm *vm = vm_create_irqchip();
	struct minivmm_mp_state state;
	struct vcpu *vcpus[2];
	u64 base;
	int i;

	EXPECT_EQ(check_extension(vm, MINIVMM_CAP_SET_BOOT_CPU_ID), 1);
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_BOOT_CPU_ID, 0));
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_BOOT_CPU_ID, 1));
	for (i = 0; i < 2; i++) {
		vcpus[i] = vcpu_create(vm, i);
		ASSERT(vcpu_get_msr(vcpus[i], MSR_APIC_BASE, &base));
		EXPECT_EQ(base & APIC_BASE_BSP, i ? APIC_BASE_BSP : 0);
		ASSERT_OK(ioctl(vcpus[i]->fd, MINIVMM_GET_MP_STATE, &state));
		EXPECT_EQ(state.mp_state, i ? MINIVMM_MP_STATE_RUNNABLE :
					      MINIVMM_MP_STATE_UNINITIALIZED);
	}
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_BOOT_CPU_ID, 0), EBUSY);
}

/* ------------------------------------------------------------------------ */
/* The TSC                                                                   */

static void guest_tsc(void)
{
	guest_sync(0, rdtsc());
}

TEST(tsc_offset)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	const u64 offset = 1UL << 50;
	u64 value = offset, before, seen;
	struct minivmm_device_attr attr = {
		.group = MINIVMM_VCPU_TSC_CTRL,
		.attr = MINIVMM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&value,
	};

	EXPECT_EQ(check_extension(vcpu->vm, MINIVMM_CAP_VCPU_ATTRIBUTES), 1);
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_HAS_DEVICE_ATTR, &attr));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_DEVICE_ATTR, &attr));
	value = 0;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_DEVICE_ATTR, &attr));
	EXPECT_EQ(value, offset);
	vcpu_setup_long(vcpu, guest_tsc, 0);
	before = rdtsc() + offset;
	seen = ASSERT_SYNC(vcpu, 0);
	EXPECT_GE(seen, before);
	EXPECT_GE(rdtsc() + offset, seen);

	attr.addr = 0x1000;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_DEVICE_ATTR, &attr), EFAULT);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_DEVICE_ATTR, &attr), EFAULT);
	attr.attr = 7;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_HAS_DEVICE_ATTR, &attr), ENXIO);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_DEVICE_ATTR, &attr), ENXIO);
	attr.group = 7;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_DEVICE_ATTR, &attr), ENXIO);
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_GET_DEVICE_ATTR, 0x1000), EFAULT);
}

TEST(vm_tsc_khz)
{
	struct vm *vm = vm_create();
	struct vcpu *first = vcpu_create(vm, 0), *second;
	int host = ioctl(first->fd, MINIVMM_GET_TSC_KHZ, 0);

	if (!check_extension(vm, MINIVMM_CAP_VM_TSC_CONTROL))
		SKIP("this CPU cannot scale the TSC");
	EXPECT_EQ(ioctl(vm->fd, MINIVMM_GET_TSC_KHZ, 0), host);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_SET_TSC_KHZ, -1UL), EINVAL);
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_TSC_KHZ, host * 3));
	EXPECT_EQ(ioctl(vm->fd, MINIVMM_GET_TSC_KHZ, 0), host * 3);
	/* those that are there stay as they are */
	EXPECT_EQ(ioctl(first->fd, MINIVMM_GET_TSC_KHZ, 0), host);
	second = vcpu_create(vm, 1);
	EXPECT_EQ(ioctl(second->fd, MINIVMM_GET_TSC_KHZ, 0), host * 3);
	ASSERT_OK(ioctl(vm->fd, MINIVMM_SET_TSC_KHZ, 0));
	EXPECT_EQ(ioctl(vm->fd, MINIVMM_GET_TSC_KHZ, 0), host);
}

/* ------------------------------------------------------------------------ */
/* CPUID of a vCPU that has run                                              */

guest_code64(halts, "hlt; hlt");

TEST(cpuid_after_run)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_cpuid2 *cpuid = supported_cpuid();
	struct {
		struct minivmm_cpuid2 head;
		struct minivmm_cpuid_entry2 entries[256];
	} now = { .head.nent = 256 };

	/* before it has run, anything goes */
	cpuid_entry(cpuid, 7, 0)->ebx ^= 1;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, cpuid));
	vcpu_setup_blob64(vcpu, &halts);
	vcpu->run->immediate_exit = 1;
	EXPECT_EQ(vcpu_run(vcpu), -EINTR);
	vcpu->run->immediate_exit = 0;
	cpuid_entry(cpuid, 7, 0)->ebx ^= 1;
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, cpuid));
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	/* the same again, as the client gave it or as it has become */
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, cpuid));
	ASSERT_OK(ioctl(vcpu->fd, MINIVMM_GET_CPUID2, &now));
	now.head.nent = cpuid->nent;	/* which KVM leaves alone */
	EXPECT_OK(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, &now));
	/* nothing else */
	cpuid_entry(&now.head, 7, 0)->ebx ^= 1;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, &now), EINVAL);
	cpuid_entry(&now.head, 7, 0)->ebx ^= 1;
	now.head.nent--;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, &now), EINVAL);
	now.head.nent = 0;
	EXPECT_ERRNO(ioctl(vcpu->fd, MINIVMM_SET_CPUID2, &now), EINVAL);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
}
