// SPDX-License-Identifier: GPL-2.0
/*
 * Guest state that the ioctls accept but VM entry refuses: RUN must return
 * FAIL_ENTRY, and minivmm's auditor must name the check that failed in the
 * kernel log.  Afterwards the vCPU can be repaired and run.
 */
#include <fcntl.h>
#include <unistd.h>

#include "vm.h"

/* SDM volume 3, 27.8: basic reason 33, and bit 31 for a failed VM entry */
#define INVALID_GUEST_STATE	0x80000021

guest_code16(halt16, "hlt");
guest_code32(halt32, "hlt");
guest_code64(halt64, "hlt");

enum mode { REAL, PROT, LONG };

static void make_ldt(struct minivmm_sregs *s)
{
	s->ldt = (struct minivmm_segment) {
		.base = 0x50000, .limit = 0xfff, .selector = SEL_LDT,
		.type = 2, .present = 1,
	};
}

static void set_sti_shadow(struct minivmm_vcpu_events *e)
{
	e->interrupt.shadow = MINIVMM_X86_SHADOW_INT_STI;
	e->flags |= MINIVMM_VCPUEVENT_VALID_SHADOW;
}

static void setup(struct vcpu *vcpu, enum mode mode)
{
	switch (mode) {
	case REAL:
		vcpu_setup_real(vcpu, &halt16);
		break;
	case PROT:
		vcpu_setup_prot32(vcpu, &halt32);
		break;
	case LONG:
		vcpu_setup_blob64(vcpu, &halt64);
		break;
	}
}

/* The kernel log from now on; -1 on stock KVM, which has no auditor. */
static int open_log(void)
{
	int fd;

	if (!dev_is_minivmm())
		return -1;
	fd = ASSERT_OK(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
	lseek(fd, 0, SEEK_END);
	return fd;
}

static bool log_names(int fd, const char *check)
{
	const char *prefix = "minivmm: VM entry check failed: ", *text;
	char record[1024];
	ssize_t size;

	while ((size = read(fd, record, sizeof(record) - 1)) > 0) {
		record[size] = 0;
		text = strstr(record, prefix);
		if (text && !strncmp(text + strlen(prefix), check,
				     strlen(check)))
			return true;
	}
	return false;
}

/*
 * The auditor limits how often it speaks.  State that stays broken breaks the
 * same check again, so go on until it does.
 */
static bool names_later(struct vcpu *vcpu, int fd, const char *check)
{
	int tries;

	for (tries = 0; tries < 12; tries++) {
		usleep(500000);
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_FAIL_ENTRY);
		if (log_names(fd, check))
			return true;
	}
	return false;
}

static void run_case(enum mode mode, const char *check,
		     void (*break_state)(struct minivmm_sregs *s,
					 struct minivmm_regs *r,
					 struct minivmm_vcpu_events *e))
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_vcpu_events events, good;
	struct minivmm_sregs sregs;
	struct minivmm_regs regs;
	int log = open_log();

	setup(vcpu, mode);
	sregs = vcpu_sregs(vcpu);
	regs = vcpu_regs(vcpu);
	good = vcpu_events(vcpu);
	good.flags |= MINIVMM_VCPUEVENT_VALID_SHADOW;
	events = good;
	break_state(&sregs, &regs, &events);
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_set_regs(vcpu, &regs);
	vcpu_set_events(vcpu, &events);

	ASSERT_EXIT(vcpu, MINIVMM_EXIT_FAIL_ENTRY);
	EXPECT_EQ(vcpu->run->fail_entry.hardware_entry_failure_reason,
		  INVALID_GUEST_STATE);
	if (log >= 0 && !log_names(log, check) &&
	    !names_later(vcpu, log, check))
		test_fail(__FILE__, __LINE__, "the log does not name \"%s\"",
			  check);
	/* broken is broken */
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_FAIL_ENTRY);

	setup(vcpu, mode);
	vcpu_set_events(vcpu, &good);
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_HLT);
	vm_free(vcpu->vm);
}

/*
 * Name, mode, what the auditor must say, and how to break @s (sregs), @r
 * (regs) or @e (events).  SDM volume 3, 27.3.1.2: segment registers; 27.3.1.3:
 * descriptor tables; 27.3.1.4: RIP and RFLAGS; 27.3.1.5: the rest.  Bochs lets
 * a RIP with differing bits 63:48 in, so that one is not here.
 */
#define CASE(name, mode, check, statements)				\
	static void break_##name(struct minivmm_sregs *s,		\
				 struct minivmm_regs *r,		\
				 struct minivmm_vcpu_events *e)		\
	{								\
		(void)s;						\
		(void)r;						\
		(void)e;						\
		statements;						\
	}								\
									\
	TEST(name)							\
	{								\
		run_case(mode, check, break_##name);			\
	}

CASE(cs_is_data, LONG, "CS.type", s->cs.type = 7)
CASE(cs_is_system, LONG, "CS.S", s->cs.s = 0)
CASE(cs_long_and_32_bit, LONG, "CS.AR", s->cs.db = 1)
CASE(cs_limit_low_bits, PROT, "CS.limit", s->cs.limit = 0xffff0000)
CASE(cs_limit_high_bits, PROT, "CS.limit", s->cs.g = 0)
CASE(cs_base_high_bits, PROT, "CS.base", s->cs.base = 1UL << 32)
CASE(cs_dpl_is_not_ss_dpl, PROT, "CS.DPL", s->cs.dpl = 3)
CASE(cs_conforming_dpl, PROT, "CS.DPL", s->cs.type = 15; s->cs.dpl = 3)
CASE(cs_unusable, PROT, "CS.", s->cs.unusable = 1; s->cs.present = 0)
CASE(ss_is_read_only, PROT, "SS.type", s->ss.type = 1)
CASE(ss_is_code, LONG, "SS.type", s->ss.type = 11)
CASE(ss_is_system, PROT, "SS.S", s->ss.s = 0)
CASE(ss_limit_low_bits, PROT, "SS.limit", s->ss.limit = 0xffff0000)
CASE(ss_base_high_bits, PROT, "SS.base", s->ss.base = 1UL << 40)
CASE(ss_dpl_in_real_mode, REAL, "SS.DPL", s->ss.dpl = 3; s->cs.dpl = 3)
CASE(ds_is_unreadable_code, PROT, "DS.type", s->ds.type = 9)
CASE(ds_base_high_bits, LONG, "DS.base", s->ds.base = 1UL << 32)
CASE(es_limit_high_bits, PROT, "ES.limit", s->es.g = 0)
CASE(fs_is_system, LONG, "FS.S", s->fs.s = 0)
CASE(fs_base_noncanonical, LONG, "FS.base", s->fs.base = NONCANONICAL)
CASE(gs_base_noncanonical, LONG, "GS.base", s->gs.base = NONCANONICAL)
CASE(gs_limit_low_bits, LONG, "GS.limit", s->gs.limit = 0xffff1234)
CASE(tr_is_available, PROT, "TR.type", s->tr.type = 9)
CASE(tr_is_16_bit, LONG, "TR.type", s->tr.type = 3)
CASE(tr_is_code, PROT, "TR.S", s->tr.s = 1)
CASE(tr_unusable, PROT, "TR.", s->tr.unusable = 1; s->tr.present = 0)
CASE(tr_limit_high_bits, PROT, "TR.limit", s->tr.limit = 0x12345678)
CASE(tr_in_ldt, PROT, "TR.selector", s->tr.selector |= 4)
CASE(tr_base_noncanonical, LONG, "TR.base", s->tr.base = NONCANONICAL)
CASE(ldtr_type, PROT, "LDTR.type", make_ldt(s); s->ldt.type = 3)
CASE(ldtr_is_code, PROT, "LDTR.S", make_ldt(s); s->ldt.s = 1)
CASE(ldtr_in_ldt, PROT, "LDTR.selector", make_ldt(s); s->ldt.selector |= 4)
CASE(ldtr_base_noncanonical, LONG, "LDTR.base", make_ldt(s); s->ldt.base = NONCANONICAL)
CASE(gdtr_base_noncanonical, LONG, "GDTR.base", s->gdt.base = NONCANONICAL)
CASE(idtr_base_noncanonical, LONG, "IDTR.base", s->idt.base = NONCANONICAL)
CASE(rip_high_bits, PROT, "RIP", r->rip |= 1UL << 32)
CASE(rflags_bit_3, PROT, "RFLAGS.reserved", r->rflags |= 1 << 3)
CASE(rflags_bit_15, LONG, "RFLAGS.reserved", r->rflags |= 1 << 15)
CASE(rflags_bit_40, LONG, "RFLAGS.reserved", r->rflags |= 1UL << 40)
CASE(rflags_vm_in_long_mode, LONG, "RFLAGS.VM", r->rflags |= RFLAGS_VM)
CASE(rflags_vm_in_real_mode, REAL, "RFLAGS.VM", r->rflags |= RFLAGS_VM)
CASE(v86_with_flat_segments, PROT, "CS.", r->rflags |= RFLAGS_VM)
CASE(sti_shadow_without_if, LONG, "interruptibility", set_sti_shadow(e))
