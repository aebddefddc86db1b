// SPDX-License-Identifier: GPL-2.0
/*
 * One vCPU: a thread that runs the guest, answers its exits from the buses and
 * injects the interrupts that come from user space.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest_cpuid.h"
#include "vcpu.h"

/* The run page of this thread's vCPU, for the signal handler. */
static __thread struct minivmm_run *this_run;

static int kick_signal(void)
{
	return SIGRTMIN;
}

/*
 * Whether the signal arrives in the guest or just before MINIVMM_RUN, that
 * call returns at once: no kick is lost between the last look and the entry.
 */
static void kicked(int signo)
{
	(void)signo;
	if (this_run)
		__atomic_store_n(&this_run->immediate_exit, 1, __ATOMIC_RELAXED);
}

/**
 * vcpu_kick - have the vCPU look at its interrupts and its stop flag again
 * @vcpu: the vCPU
 *
 * The caller has made its news visible first (sequentially consistent). Either
 * the vCPU sees them when it looks, after it has said where it is, or we see
 * here where it is.
 */
void vcpu_kick(struct vcpu *vcpu)
{
	switch (atomic_load(&vcpu->place)) {
	case VCPU_INSIDE:
		pthread_kill(vcpu->thread, kick_signal());
		break;
	case VCPU_HALTED:
		pthread_mutex_lock(&vcpu->halt_lock);
		pthread_cond_signal(&vcpu->halt_wake);
		pthread_mutex_unlock(&vcpu->halt_lock);
		break;
	}
}

static void end(struct vcpu *vcpu, enum exit_code code)
{
	atomic_store(&vcpu->stop, true);
	vcpu->ended(vcpu, code);
}

static void fail(struct vcpu *vcpu, const char *what)
{
	vcpu->failed_call = what;
	vcpu->error = errno;
	end(vcpu, EXIT_INTERNAL);
}

/* Give the guest its interrupt if it can take one, else ask to be told when. */
static void inject(struct vcpu *vcpu)
{
	struct irq_source *irqs = vcpu->irqs;
	struct minivmm_run *run = vcpu->run;

	if (!irqs)
		return;
	if (irqs->intr(irqs) && run->ready_for_interrupt_injection) {
		struct minivmm_interrupt irq = { .irq = irqs->acknowledge(irqs) };

		if (ioctl(vcpu->fd, MINIVMM_INTERRUPT, &irq))
			fail(vcpu, "MINIVMM_INTERRUPT");
		run->ready_for_interrupt_injection = 0;
	}
	run->request_interrupt_window = irqs->intr(irqs);
}

/*
 * Wait for an interrupt. Where the kernel has the local APICs, it does that.
 * Return: whether the guest can ever get one.
 */
static bool halt(struct vcpu *vcpu)
{
	struct irq_source *irqs = vcpu->irqs;

	/* No NMI source and a single CPU: nobody could wake it. */
	if (!vcpu->run->if_flag)
		return false;

	pthread_mutex_lock(&vcpu->halt_lock);
	atomic_store(&vcpu->place, VCPU_HALTED);
	while (!irqs->intr(irqs) && !atomic_load(&vcpu->stop))
		pthread_cond_wait(&vcpu->halt_wake, &vcpu->halt_lock);
	atomic_store(&vcpu->place, VCPU_OUTSIDE);
	pthread_mutex_unlock(&vcpu->halt_lock);
	return true;
}

static void port_io(struct vcpu *vcpu)
{
	struct minivmm_run *run = vcpu->run;
	u8 *data = (u8 *)run + run->io.data_offset;

	for (u32 i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == MINIVMM_EXIT_IO_OUT)
			bus_write(vcpu->pio, run->io.port, data, run->io.size);
		else
			bus_read(vcpu->pio, run->io.port, data, run->io.size);
	}
}

static void mmio(struct vcpu *vcpu)
{
	struct minivmm_run *run = vcpu->run;

	if (run->mmio.is_write)
		bus_write(vcpu->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	else
		bus_read(vcpu->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

static void handle_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case MINIVMM_EXIT_IO:
		port_io(vcpu);
		break;
	case MINIVMM_EXIT_MMIO:
		mmio(vcpu);
		break;
	case MINIVMM_EXIT_HLT:
		if (!halt(vcpu))
			end(vcpu, EXIT_POWERED_OFF);
		break;
	case MINIVMM_EXIT_IRQ_WINDOW_OPEN:
	case MINIVMM_EXIT_INTR:
	case MINIVMM_EXIT_SET_TPR:
		break;
	case MINIVMM_EXIT_IOAPIC_EOI:
		irqchip_eoi(vcpu->irqchip, vcpu->run->eoi.vector);
		break;
	case MINIVMM_EXIT_SHUTDOWN:
		end(vcpu, EXIT_TRIPLE_FAULT);
		break;
	default:
		end(vcpu, EXIT_INTERNAL);
		break;
	}
}

static void run_once(struct vcpu *vcpu)
{
	int ret;

	/*
	 * In this order: a kick after the flag is cleared sets it again, and
	 * news from before it are seen by what looks for them below.
	 */
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
	atomic_store(&vcpu->place, VCPU_INSIDE);
	inject(vcpu);
	ret = atomic_load(&vcpu->stop) ? 0 : ioctl(vcpu->fd, MINIVMM_RUN, 0);
	atomic_store(&vcpu->place, VCPU_OUTSIDE);

	if (atomic_load(&vcpu->stop))
		return;
	if (!ret)
		handle_exit(vcpu);
	/* EAGAIN: it waited for its start-up message and got it. */
	else if (errno != EINTR && errno != EAGAIN)
		fail(vcpu, "MINIVMM_RUN");
}

static void *vcpu_thread(void *opaque)
{
	struct vcpu *vcpu = opaque;
	sigset_t set;

	this_run = vcpu->run;
	sigemptyset(&set);
	sigaddset(&set, kick_signal());
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);

	while (!atomic_load(&vcpu->stop))
		run_once(vcpu);
	return NULL;
}

/**
 * vcpu_create - create the vCPU
 * @vcpu: wiring set by the caller, the rest filled in
 * @vm: the VM it belongs to
 * @cpuid: what the guest's CPUs claim to be; made to name this one
 */
void vcpu_create(struct vcpu *vcpu, const struct vm *vm, struct minivmm_cpuid2 *cpuid)
{
	int size = ioctl(vm->device_fd, MINIVMM_GET_VCPU_MMAP_SIZE, 0);

	vcpu->fd = ioctl(vm->fd, MINIVMM_CREATE_VCPU, vcpu->id);
	if (vcpu->fd < 0)
		die(EXIT_DEVICE, "%s: cannot create vCPU %u: %s", vm->path, vcpu->id,
		    strerror(errno));
	if (size < (int)sizeof(*vcpu->run))
		die(EXIT_DEVICE, "%s: run page of %d bytes", vm->path, size);
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		die(EXIT_DEVICE, "%s: cannot map the run page: %s", vm->path, strerror(errno));
	pthread_mutex_init(&vcpu->halt_lock, NULL);
	pthread_cond_init(&vcpu->halt_wake, NULL);
	cpuid_set_apic_id(cpuid, vcpu->id);
	if (ioctl(vcpu->fd, MINIVMM_SET_CPUID2, cpuid))
		die(EXIT_DEVICE, "%s: refuses the vCPU's CPUID: %s", vm->path, strerror(errno));
}

/**
 * vcpu_start - let the vCPU run, in a thread of its own
 * @vcpu: the vCPU, its registers set
 */
void vcpu_start(struct vcpu *vcpu)
{
	struct sigaction action = { .sa_handler = kicked };

	sigaction(kick_signal(), &action, NULL);
	if (pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu))
		die(EXIT_SETUP, "cannot start the vCPU's thread");
}

/**
 * vcpu_stop - end the vCPU's thread and wait for it
 * @vcpu: the vCPU
 */
void vcpu_stop(struct vcpu *vcpu)
{
	atomic_store(&vcpu->stop, true);
	vcpu_kick(vcpu);
	pthread_join(vcpu->thread, NULL);
}
