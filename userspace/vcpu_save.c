// SPDX-License-Identifier: GPL-2.0
/* All that a vCPU is, saved and loaded. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "guest_cpuid.h"
#include "msr.h"
#include "vcpu.h"

#define MAX_MSRS		1024

/* What the kernel has, but for what is a list */
struct kernel_state {
	struct minivmm_mp_state mp_state;
	struct minivmm_regs regs;
	struct minivmm_sregs sregs;
	struct minivmm_xsave xsave;
	struct minivmm_xcrs xcrs;
	struct minivmm_debugregs debugregs;
	struct minivmm_vcpu_events events;
	struct minivmm_lapic_state lapic;	/* if it has that */
	u32 tsc_khz;
};

static const struct state_desc kernel_desc = {
	.id = SECTION_VCPU, .name = "CPU",
	.fields = (const struct state_field[]){
		STATE_STRUCT(struct kernel_state, mp_state),
		STATE_STRUCT(struct kernel_state, regs),
		STATE_STRUCT(struct kernel_state, sregs),
		STATE_STRUCT(struct kernel_state, xsave),
		STATE_STRUCT(struct kernel_state, xcrs),
		STATE_STRUCT(struct kernel_state, debugregs),
		STATE_STRUCT(struct kernel_state, events),
		STATE_STRUCT(struct kernel_state, lapic),
		STATE_ANY(struct kernel_state, tsc_khz),
		{ }
	},
};

/* And what its thread has, with a local APIC in user space */
static const struct state_desc thread_desc = {
	.id = SECTION_VCPU_THREAD, .name = "CPU's activity",
	.fields = (const struct state_field[]){
		STATE_NUMBER(struct vcpu, wait, VCPU_WAITS_FOR_NOTHING, VCPU_WAITS_FOR_SIPI),
		STATE_NUMBER(struct vcpu, events, 0, 0xffff),
		{ }
	},
};

struct msrs {
	struct minivmm_msrs header;
	struct minivmm_msr_entry entries[MAX_MSRS];
};

struct cpuid {
	struct minivmm_cpuid2 header;
	struct minivmm_cpuid_entry2 entries[VM_MAX_CPUID_ENTRIES];
};

static bool has_xcrs(const struct vcpu *vcpu)
{
	return vm_extension(vcpu->vm, MINIVMM_CAP_XCRS) > 0;
}

/* ------------------------------------------------------------------------ */
/* Save                                                                      */

static bool get(const struct vcpu *vcpu, struct kernel_state *s)
{
	int khz;

	/* Asked first: what is accepted by that, INIT and SIPI, shows in the rest. */
	if (ioctl(vcpu->fd, MINIVMM_GET_MP_STATE, &s->mp_state) ||
	    ioctl(vcpu->fd, MINIVMM_GET_REGS, &s->regs) ||
	    ioctl(vcpu->fd, MINIVMM_GET_SREGS, &s->sregs) ||
	    ioctl(vcpu->fd, MINIVMM_GET_XSAVE, &s->xsave) ||
	    ioctl(vcpu->fd, MINIVMM_GET_DEBUGREGS, &s->debugregs) ||
	    ioctl(vcpu->fd, MINIVMM_GET_VCPU_EVENTS, &s->events))
		return false;
	if (has_xcrs(vcpu) && ioctl(vcpu->fd, MINIVMM_GET_XCRS, &s->xcrs))
		return false;
	if (!vcpu->local_apic && ioctl(vcpu->fd, MINIVMM_GET_LAPIC, &s->lapic))
		return false;
	khz = ioctl(vcpu->fd, MINIVMM_GET_TSC_KHZ, 0);
	s->tsc_khz = khz;
	return khz >= 0;
}

static bool save_cpuid(const struct vcpu *vcpu, struct stream_out *out)
{
	struct cpuid *cpuid = calloc(1, sizeof(*cpuid));
	bool done;

	if (!cpuid)
		return false;
	cpuid->header.nent = VM_MAX_CPUID_ENTRIES;
	done = !ioctl(vcpu->fd, MINIVMM_GET_CPUID2, cpuid);
	if (done)
		state_save_bytes(out, SECTION_CPUID, vcpu->id, cpuid->entries,
				 cpuid->header.nent * sizeof(cpuid->entries[0]));
	free(cpuid);
	return done;
}

/**
 * vcpu_get_msr - read an MSR, as the kernel has it
 * @vcpu: the vCPU, which does not run
 * @entry: says which; its value is set
 *
 * Return: whether there is such an MSR.
 */
bool vcpu_get_msr(const struct vcpu *vcpu, struct minivmm_msr_entry *entry)
{
	struct {
		struct minivmm_msrs header;
		struct minivmm_msr_entry entry;
	} msrs = { .header.nmsrs = 1, .entry.index = entry->index };

	if (ioctl(vcpu->fd, MINIVMM_GET_MSRS, &msrs) != 1)
		return false;
	*entry = msrs.entry;
	return true;
}

/* The device lists what there may be; a guest of this CPUID has some of it. */
static bool save_msrs(const struct vcpu *vcpu, struct stream_out *out)
{
	struct {
		struct minivmm_msr_list header;
		u32 indices[MAX_MSRS];
	} list = { .header.nmsrs = MAX_MSRS };

	if (ioctl(vcpu->vm->device_fd, MINIVMM_GET_MSR_INDEX_LIST, &list))
		return false;
	stream_begin(out, SECTION_MSRS, vcpu->id);
	for (u32 i = 0; i < list.header.nmsrs; i++) {
		struct minivmm_msr_entry entry = { .index = list.indices[i] };

		if (vcpu_get_msr(vcpu, &entry))
			stream_put(out, &entry, sizeof(entry));
	}
	stream_end(out);
	return true;
}

/**
 * vcpu_save - add the vCPU's state to a stream
 * @vcpu: the vCPU, paused
 * @out: the stream
 */
void vcpu_save(struct vcpu *vcpu, struct stream_out *out)
{
	struct kernel_state state = { 0 };

	if (!get(vcpu, &state) || !save_cpuid(vcpu, out) || !save_msrs(vcpu, out)) {
		stream_out_fail(out, "cannot read the state of CPU %u: %s", vcpu->id,
				strerror(errno));
		return;
	}
	state_save(out, &kernel_desc, vcpu->id, &state);
	state_save(out, &thread_desc, vcpu->id, vcpu);
}

/* ------------------------------------------------------------------------ */
/* Load                                                                      */

static bool refused(const struct vcpu *vcpu, struct saved *saved, const char *what)
{
	return saved_fail(saved, "%s refuses the %s of CPU %u: %s", vcpu->vm->path, what,
			  vcpu->id, strerror(errno));
}

static bool load_cpuid(const struct vcpu *vcpu, struct saved *saved)
{
	const struct minivmm_cpuid_entry2 *entries;
	static struct cpuid cpuid;
	u32 count, leaf;

	entries = state_load_bytes(saved, SECTION_CPUID, vcpu->id, "CPUID of CPU",
				   sizeof(*entries), &count);
	if (!entries)
		return false;
	if (count > VM_MAX_CPUID_ENTRIES)
		return saved_fail(saved, "the state of CPU %u is impossible", vcpu->id);
	/* What this machine's CPUs would be, had it begun here */
	cpuid.header.nent = VM_MAX_CPUID_ENTRIES;
	if (ioctl(vcpu->fd, MINIVMM_GET_CPUID2, &cpuid))
		return refused(vcpu, saved, "CPUID");
	if (cpuid_lacks(&cpuid.header, entries, count, &leaf))
		return saved_fail(saved, "%s lacks features that the guest has (CPUID %#x)",
				  vcpu->vm->path, leaf);
	cpuid.header.nent = count;
	memcpy(cpuid.entries, entries, count * sizeof(*entries));
	return !ioctl(vcpu->fd, MINIVMM_SET_CPUID2, &cpuid) || refused(vcpu, saved, "CPUID");
}

/* What cannot be set must have its value already. */
static bool set_msr(const struct vcpu *vcpu, struct saved *saved,
		    const struct minivmm_msr_entry *entry)
{
	struct {
		struct minivmm_msrs header;
		struct minivmm_msr_entry entry;
	} msrs = { .header.nmsrs = 1, .entry = *entry };
	struct minivmm_msr_entry now = *entry;

	if (ioctl(vcpu->fd, MINIVMM_SET_MSRS, &msrs) == 1)
		return true;
	if (vcpu_get_msr(vcpu, &now) && now.data == entry->data)
		return true;
	return saved_fail(saved, "%s refuses MSR %#x of CPU %u: %#llx", vcpu->vm->path,
			  entry->index, vcpu->id, entry->data);
}

/* In two steps: the deadline counts only in the timer's mode that the APIC has. */
static bool load_msrs(const struct vcpu *vcpu, struct saved *saved, bool deadline)
{
	const struct minivmm_msr_entry *entries;
	u32 count;

	entries = state_load_bytes(saved, SECTION_MSRS, vcpu->id, "MSRs of CPU",
				   sizeof(*entries), &count);
	if (!entries)
		return false;
	for (u32 i = 0; i < count; i++) {
		bool is_deadline = entries[i].index == MSR_IA32_TSC_DEADLINE;

		if (is_deadline == deadline && !set_msr(vcpu, saved, &entries[i]))
			return false;
	}
	return true;
}

static bool set_tsc_rate(struct vcpu *vcpu, struct saved *saved, u32 khz)
{
	if (vcpu->tsc_khz != khz && ioctl(vcpu->fd, MINIVMM_SET_TSC_KHZ, khz))
		return saved_fail(saved, "this CPU cannot give CPU %u a TSC of %u kHz",
				  vcpu->id, khz);
	/* 0 was the host's rate. */
	vcpu->tsc_khz = ioctl(vcpu->fd, MINIVMM_GET_TSC_KHZ, 0);
	return true;
}

static bool set_registers(const struct vcpu *vcpu, struct saved *saved, struct kernel_state *s)
{
	if (ioctl(vcpu->fd, MINIVMM_SET_SREGS, &s->sregs))
		return refused(vcpu, saved, "system registers");
	if (ioctl(vcpu->fd, MINIVMM_SET_REGS, &s->regs))
		return refused(vcpu, saved, "registers");
	if (has_xcrs(vcpu) && ioctl(vcpu->fd, MINIVMM_SET_XCRS, &s->xcrs))
		return refused(vcpu, saved, "XCRs");
	if (ioctl(vcpu->fd, MINIVMM_SET_XSAVE, &s->xsave))
		return refused(vcpu, saved, "FPU");
	if (ioctl(vcpu->fd, MINIVMM_SET_DEBUGREGS, &s->debugregs))
		return refused(vcpu, saved, "debug registers");
	return true;
}

static bool set_events(const struct vcpu *vcpu, struct saved *saved, struct kernel_state *s)
{
	s->events.flags |= MINIVMM_VCPUEVENT_VALID_NMI_PENDING |
			   MINIVMM_VCPUEVENT_VALID_SIPI_VECTOR | MINIVMM_VCPUEVENT_VALID_SHADOW;
	if (ioctl(vcpu->fd, MINIVMM_SET_MP_STATE, &s->mp_state))
		return refused(vcpu, saved, "activity");
	if (ioctl(vcpu->fd, MINIVMM_SET_VCPU_EVENTS, &s->events))
		return refused(vcpu, saved, "events");
	return true;
}

static bool load_thread(struct vcpu *vcpu, struct saved *saved)
{
	if (!state_load(saved, &thread_desc, vcpu->id, vcpu))
		return false;
	if (!vcpu->local_apic && (vcpu->wait || vcpu->events))
		return saved_fail(saved, "the state of CPU %u is impossible", vcpu->id);
	return true;
}

/**
 * vcpu_load - make the vCPU what was saved
 * @vcpu: the vCPU, as created; the interrupt chips are loaded
 * @saved: where its state is
 *
 * Return: whether it could be done.
 */
bool vcpu_load(struct vcpu *vcpu, struct saved *saved)
{
	static struct kernel_state state;

	if (!state_load(saved, &kernel_desc, vcpu->id, &state) || !load_thread(vcpu, saved) ||
	    !load_cpuid(vcpu, saved) || !set_tsc_rate(vcpu, saved, state.tsc_khz) ||
	    !set_registers(vcpu, saved, &state) || !load_msrs(vcpu, saved, false))
		return false;
	if (!vcpu->local_apic && ioctl(vcpu->fd, MINIVMM_SET_LAPIC, &state.lapic))
		return refused(vcpu, saved, "local APIC");
	if (!load_msrs(vcpu, saved, true) || !set_events(vcpu, saved, &state))
		return false;
	if (vcpu->local_apic)
		local_apic_resume(vcpu->local_apic);
	return true;
}
