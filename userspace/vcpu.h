/* SPDX-License-Identifier: GPL-2.0 */
/* One vCPU: its state (vcpu_state.c), its thread and exits (vcpu.c). */
#ifndef MINIVMM_VCPU_H
#define MINIVMM_VCPU_H

#include <linux/minivmm.h>
#include <pthread.h>
#include <stdatomic.h>

#include "bus.h"
#include "irq.h"
#include "irqchip.h"
#include "ram.h"
#include "report.h"
#include "state.h"
#include "vm.h"

enum vcpu_place {
	VCPU_OUTSIDE,		/* in the launcher: will look before it enters */
	VCPU_INSIDE,		/* in MINIVMM_RUN or about to be: needs a signal */
	VCPU_HALTED,		/* waiting in the launcher: needs the condition */
};

/* What other CPUs do to one whose local APIC is in user space, as a bit mask */
#define VCPU_EVENT_NMI		BIT(0)
#define VCPU_EVENT_INIT		BIT(1)
#define VCPU_EVENT_SIPI		BIT(2)
#define VCPU_SIPI_VECTOR_SHIFT	8

/* What a vCPU waits for in the launcher, before it runs (on) */
enum vcpu_wait {
	VCPU_WAITS_FOR_NOTHING,
	VCPU_WAITS_FOR_INTERRUPT,	/* halted */
	VCPU_WAITS_FOR_NMI,		/* halted, with interrupts off */
	VCPU_WAITS_FOR_SIPI,
};

struct vcpu {
	unsigned int id;	/* and its APIC ID */
	int fd;
	const struct vm *vm;
	struct minivmm_run *run;
	u32 tsc_khz;
	const struct bus *pio;
	const struct bus *mmio;
	const struct ram *ram;
	struct irqchip *irqchip;
	struct irq_source *irqs;	/* what we inject, or NULL */
	struct local_apic *local_apic;	/* if it is in user space, or NULL */
	enum vcpu_wait wait;		/* where the kernel does not do it */
	atomic_uint events;		/* VCPU_EVENT_* that came */
	pthread_t thread;
	atomic_int place;
	atomic_bool stop;
	atomic_bool pause;
	pthread_mutex_t halt_lock;
	pthread_cond_t halt_wake;
	bool paused;			/* it is, or has ended; under halt_lock */
	pthread_cond_t paused_news;
	/* Why the thread ended, for vcpu_explain(). */
	const char *failed_call;	/* an ioctl that failed, or NULL */
	int error;			/* its errno */
	void (*ended)(struct vcpu *vcpu, enum exit_code code);
	void *machine;
};

void vcpu_create(struct vcpu *vcpu, const struct vm *vm, struct minivmm_cpuid2 *cpuid);
void vcpu_start(struct vcpu *vcpu);
void vcpu_stop(struct vcpu *vcpu);
void vcpu_pause(struct vcpu *vcpu);
void vcpu_wait_paused(struct vcpu *vcpu);
void vcpu_resume(struct vcpu *vcpu);
void vcpu_kick(struct vcpu *vcpu);
void vcpu_nmi(struct vcpu *vcpu);
void vcpu_init(struct vcpu *vcpu);
void vcpu_sipi(struct vcpu *vcpu, u8 vector);

/* vcpu_state.c */
void vcpu_setup_real(struct vcpu *vcpu, u64 entry);
void vcpu_setup_protected(struct vcpu *vcpu, u64 entry);
bool vcpu_setup_startup(struct vcpu *vcpu, u8 vector);
void vcpu_setup_long(struct vcpu *vcpu, struct ram *ram, u64 entry, u64 rsi);

/* vcpu_save.c */
bool vcpu_get_msr(const struct vcpu *vcpu, struct minivmm_msr_entry *entry);
void vcpu_save(struct vcpu *vcpu, struct stream_out *out);
bool vcpu_load(struct vcpu *vcpu, struct saved *saved);

/* dump.c */
void vcpu_explain(const struct vcpu *vcpu, enum exit_code code);
void vcpu_dump(const struct vcpu *vcpu);

#endif /* MINIVMM_VCPU_H */
