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

/* What it must look at before it goes on */
static bool has_news(const struct vcpu *vcpu)
{
	return atomic_load(&vcpu->stop) || atomic_load(&vcpu->events) ||
	       atomic_load(&vcpu->pause);
}

static bool interrupted(const struct vcpu *vcpu)
{
	return vcpu->wait == VCPU_WAITS_FOR_INTERRUPT && vcpu->irqs->intr(vcpu->irqs);
}

static void wait_for_wake(struct vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->halt_lock);
	atomic_store(&vcpu->place, VCPU_HALTED);
	while (!has_news(vcpu) && !interrupted(vcpu))
		pthread_cond_wait(&vcpu->halt_wake, &vcpu->halt_lock);
	atomic_store(&vcpu->place, VCPU_OUTSIDE);
	pthread_mutex_unlock(&vcpu->halt_lock);
}

/*
 * Wait for what only another CPU can send. If all do, the guest has halted the
 * machine.
 */
static void wait_for_event(struct vcpu *vcpu)
{
	if (local_apic_park(vcpu->local_apic))
		end(vcpu, EXIT_POWERED_OFF);
	wait_for_wake(vcpu);
	local_apic_unpark(vcpu->local_apic);
}

static void wait_to_run(struct vcpu *vcpu)
{
	if (vcpu->wait == VCPU_WAITS_FOR_INTERRUPT)
		wait_for_wake(vcpu);
	else
		wait_for_event(vcpu);
	if (interrupted(vcpu))
		vcpu->wait = VCPU_WAITS_FOR_NOTHING;
}

static void handle_exit(struct vcpu *vcpu);

/*
 * The instruction of the last exit must be over before the registers change, or
 * are looked at. It may take more exits.
 */
static void complete_exit(struct vcpu *vcpu)
{
	int ret = 0;

	while (!ret && vcpu->wait == VCPU_WAITS_FOR_NOTHING && !atomic_load(&vcpu->stop)) {
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
		ret = ioctl(vcpu->fd, MINIVMM_RUN, 0) ? -errno : 0;
		if (vcpu->local_apic)
			local_apic_after_exit(vcpu->local_apic);
		if (!ret)
			handle_exit(vcpu);
	}
	if (ret && ret != -EINTR && ret != -EAGAIN) {
		errno = -ret;
		fail(vcpu, "MINIVMM_RUN");
	}
}

static void stop_for_init(struct vcpu *vcpu)
{
	if (!vcpu->id) {
		/* SDM 9.4.3: the boot CPU goes to its firmware, the machine starts anew. */
		end(vcpu, EXIT_REBOOT);
		return;
	}
	complete_exit(vcpu);
	vcpu->wait = VCPU_WAITS_FOR_SIPI;
}

static void start_at(struct vcpu *vcpu, u8 vector)
{
	if (!vcpu_setup_startup(vcpu, vector))
		fail(vcpu, "starting a CPU");
	local_apic_after_exit(vcpu->local_apic);
	vcpu->wait = VCPU_WAITS_FOR_NOTHING;
}

static void take_events(struct vcpu *vcpu)
{
	unsigned int events = atomic_exchange(&vcpu->events, 0);

	if (events & VCPU_EVENT_INIT)
		stop_for_init(vcpu);
	if (events & VCPU_EVENT_SIPI)
		start_at(vcpu, events >> VCPU_SIPI_VECTOR_SHIFT);
	/* A CPU that waits for its SIPI drops it. */
	if (!(events & VCPU_EVENT_NMI) || vcpu->wait == VCPU_WAITS_FOR_SIPI)
		return;
	vcpu->wait = VCPU_WAITS_FOR_NOTHING;
	if (ioctl(vcpu->fd, MINIVMM_NMI, 0))
		fail(vcpu, "MINIVMM_NMI");
}

/**
 * vcpu_nmi - send the vCPU an NMI
 * @vcpu: the vCPU
 */
void vcpu_nmi(struct vcpu *vcpu)
{
	atomic_fetch_or(&vcpu->events, VCPU_EVENT_NMI);
	vcpu_kick(vcpu);
}

/**
 * vcpu_init - stop the vCPU until a SIPI comes
 * @vcpu: the vCPU
 */
void vcpu_init(struct vcpu *vcpu)
{
	/* What came before it has no effect any more. */
	atomic_store(&vcpu->events, VCPU_EVENT_INIT);
	vcpu_kick(vcpu);
}

/**
 * vcpu_sipi - start the vCPU, which waits for it
 * @vcpu: the vCPU
 * @vector: the page to start at
 */
void vcpu_sipi(struct vcpu *vcpu, u8 vector)
{
	atomic_fetch_or(&vcpu->events, VCPU_EVENT_SIPI | vector << VCPU_SIPI_VECTOR_SHIFT);
	vcpu_kick(vcpu);
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

	if (vcpu->local_apic && local_apic_mmio(vcpu->local_apic))
		return;
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
		if (!vcpu->local_apic)
			end(vcpu, EXIT_INTERNAL);	/* the kernel should wait */
		else
			vcpu->wait = vcpu->run->if_flag ? VCPU_WAITS_FOR_INTERRUPT :
							  VCPU_WAITS_FOR_NMI;
		break;
	case MINIVMM_EXIT_X86_RDMSR:
	case MINIVMM_EXIT_X86_WRMSR:
		vcpu->run->msr.error = !vcpu->local_apic || !local_apic_msr(vcpu->local_apic);
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

/* Return: 0 after an exit, or a negative errno. */
static int enter(struct vcpu *vcpu)
{
	int ret = -EINTR;

	/*
	 * In this order: a kick after the flag is cleared sets it again, and
	 * news from before it are seen by what looks for them below.
	 */
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
	atomic_store(&vcpu->place, VCPU_INSIDE);
	inject(vcpu);
	if (!has_news(vcpu)) {
		ret = ioctl(vcpu->fd, MINIVMM_RUN, 0) ? -errno : 0;
		if (vcpu->local_apic)
			local_apic_after_exit(vcpu->local_apic);
	}
	atomic_store(&vcpu->place, VCPU_OUTSIDE);
	return ret;
}

static void run_once(struct vcpu *vcpu)
{
	int ret = enter(vcpu);

	if (atomic_load(&vcpu->stop))
		return;
	if (!ret) {
		handle_exit(vcpu);
	} else if (ret != -EINTR && ret != -EAGAIN) {
		/* EAGAIN: it waited for its start-up message and got it. */
		errno = -ret;
		fail(vcpu, "MINIVMM_RUN");
	}
}

static void say_paused(struct vcpu *vcpu, bool paused)
{
	vcpu->paused = paused;
	pthread_cond_signal(&vcpu->paused_news);
}

/* Nothing is half done meanwhile, and all that it is can be read. */
static void stay_paused(struct vcpu *vcpu)
{
	complete_exit(vcpu);
	pthread_mutex_lock(&vcpu->halt_lock);
	atomic_store(&vcpu->place, VCPU_HALTED);
	say_paused(vcpu, true);
	while (atomic_load(&vcpu->pause) && !atomic_load(&vcpu->stop))
		pthread_cond_wait(&vcpu->halt_wake, &vcpu->halt_lock);
	say_paused(vcpu, false);
	atomic_store(&vcpu->place, VCPU_OUTSIDE);
	pthread_mutex_unlock(&vcpu->halt_lock);
}

static void *vcpu_thread(void *opaque)
{
	struct vcpu *vcpu = opaque;
	sigset_t set;

	this_run = vcpu->run;
	sigemptyset(&set);
	sigaddset(&set, kick_signal());
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);

	while (!atomic_load(&vcpu->stop)) {
		if (atomic_load(&vcpu->pause))
			stay_paused(vcpu);
		if (vcpu->wait)
			wait_to_run(vcpu);
		if (atomic_load(&vcpu->events))
			take_events(vcpu);
		if (!vcpu->wait)
			run_once(vcpu);
	}
	pthread_mutex_lock(&vcpu->halt_lock);
	say_paused(vcpu, true);
	pthread_mutex_unlock(&vcpu->halt_lock);
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

	vcpu->vm = vm;
	vcpu->fd = ioctl(vm->fd, MINIVMM_CREATE_VCPU, vcpu->id);
	if (vcpu->fd < 0)
		die(EXIT_DEVICE, "%s: cannot create vCPU %u: %s", vm->path, vcpu->id,
		    strerror(errno));
	if (size < (int)sizeof(*vcpu->run))
		die(EXIT_DEVICE, "%s: run page of %d bytes", vm->path, size);
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		die(EXIT_DEVICE, "%s: cannot map the run page: %s", vm->path, strerror(errno));
	vcpu->tsc_khz = ioctl(vcpu->fd, MINIVMM_GET_TSC_KHZ, 0);
	pthread_mutex_init(&vcpu->halt_lock, NULL);
	pthread_cond_init(&vcpu->halt_wake, NULL);
	pthread_cond_init(&vcpu->paused_news, NULL);
	if (vcpu->local_apic && vcpu->id)
		vcpu->wait = VCPU_WAITS_FOR_SIPI;
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
 * vcpu_pause - ask the vCPU to pause
 * @vcpu: the vCPU, started
 */
void vcpu_pause(struct vcpu *vcpu)
{
	atomic_store(&vcpu->pause, true);
	vcpu_kick(vcpu);
}

/**
 * vcpu_wait_paused - wait until the vCPU does nothing any more
 * @vcpu: after vcpu_pause(). It has paused between two instructions, or ended.
 */
void vcpu_wait_paused(struct vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->halt_lock);
	while (!vcpu->paused)
		pthread_cond_wait(&vcpu->paused_news, &vcpu->halt_lock);
	pthread_mutex_unlock(&vcpu->halt_lock);
}

/**
 * vcpu_resume - let the vCPU go on
 * @vcpu: paused
 */
void vcpu_resume(struct vcpu *vcpu)
{
	atomic_store(&vcpu->pause, false);
	vcpu_kick(vcpu);
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
