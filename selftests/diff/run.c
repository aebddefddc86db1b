// SPDX-License-Identifier: GPL-2.0
/*
 * One device: a VM with one vCPU, put into its first state for each program.
 *
 * Exceptions come here as OUTs of the guest's handlers. What was pushed is
 * noted, and the program goes on after the instruction that faulted, by an
 * IRET. A program that runs on without an exit is stopped by a timer; it must
 * have been one of ours that did so, since stock KVM in Bochs cannot stop a
 * guest with IF=0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "diff.h"

/* Stock KVM gets more: what ends on ours shall end there, too. */
#define SPIN_US		100000
#define SPIN_KVM_US	(5 * SPIN_US)
#define CPUID_MAX	256

struct device {
	int dev_fd, vm_fd, fd;
	struct minivmm_run *run;
	u32 run_size;
	u8 *mem, *rom;
	const u8 *image;		/* what is in its memory */
	u32 spin_us;			/* a program that takes longer spins */
};

const u32 compared_msrs[NR_MSRS] = {
	0x174, 0x175, 0x176, 0x1a0, 0x277, 0xc0000081, 0xc0000082, 0xc0000083,
	0xc0000084, 0xc0000102, 0xc0000103, 0x2ff, 0x200, 0x201, 0x202, 0x203,
	0x20e, 0x20f, 0x250, 0x258, 0x259, 0x268, 0x26f, 0x1d9,
};

static const u64 initial_msrs[NR_MSRS] = {
	SEL_CODE32, STACK_TOP, TARGET_GPA, 0x1801, 0x0007040600070406,
	(u64)SEL_CODE32 << 32 | (u64)SEL_UCODE32 << 48, TARGET_GPA, TARGET_GPA,
	0x700, DATA_GPA, 7,
};

static struct minivmm_run *running;
static volatile sig_atomic_t spun;

static void on_alarm(int signo)
{
	(void)signo;
	spun = 1;
	if (running)
		running->immediate_exit = 1;
}

/* The one that runs now, for die(). */
static const struct program *current;

static int check(int ret, const char *what)
{
	if (ret < 0)
		die("%s: %s (%s seed %llu)", what, strerror(errno),
		    current ? mode_names[current->mode] : "no program",
		    current ? current->seed : 0);
	return ret;
}

static void *map(size_t size, int fd)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE :
		       MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return p;
}

static void set_slot(struct device *dev, u32 slot, u32 flags, u64 gpa,
		     u64 size, void *mem)
{
	struct minivmm_userspace_memory_region region = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = size, .userspace_addr = (uintptr_t)mem,
	};

	check(ioctl(dev->vm_fd, MINIVMM_SET_USER_MEMORY_REGION, &region),
	      "memory region");
}

struct minivmm_cpuid2 *device_cpuid(const char *path)
{
	struct minivmm_cpuid2 *cpuid;
	int fd = check(open(path, O_RDWR | O_CLOEXEC), path);

	cpuid = calloc(1, sizeof(*cpuid) +
		       CPUID_MAX * sizeof(cpuid->entries[0]));
	cpuid->nent = CPUID_MAX;
	check(ioctl(fd, MINIVMM_GET_SUPPORTED_CPUID, cpuid), "CPUID");
	close(fd);
	return cpuid;
}

struct device *device_open(const char *path, struct minivmm_cpuid2 *cpuid)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct device *dev = calloc(1, sizeof(*dev));

	sigaction(SIGALRM, &action, NULL);
	dev->spin_us = strcmp(path, "/dev/kvm") ? SPIN_US : SPIN_KVM_US;
	dev->dev_fd = check(open(path, O_RDWR | O_CLOEXEC), path);
	dev->vm_fd = check(ioctl(dev->dev_fd, MINIVMM_CREATE_VM, 0), "VM");
	dev->mem = map(RAM_SIZE, -1);
	dev->rom = map(ROM_SIZE, -1);
	memcpy(dev->rom, machine_rom(), ROM_SIZE);
	set_slot(dev, 0, 0, 0, RAM_SIZE, dev->mem);
	set_slot(dev, 1, MINIVMM_MEM_READONLY, ROM_GPA, ROM_SIZE, dev->rom);
	dev->fd = check(ioctl(dev->vm_fd, MINIVMM_CREATE_VCPU, 0), "vCPU");
	dev->run_size = check(ioctl(dev->dev_fd, MINIVMM_GET_VCPU_MMAP_SIZE, 0),
			      "run page's size");
	dev->run = map(dev->run_size, dev->fd);
	check(ioctl(dev->fd, MINIVMM_SET_CPUID2, cpuid), "SET_CPUID2");
	return dev;
}

void device_close(struct device *dev)
{
	munmap(dev->run, dev->run_size);
	close(dev->fd);
	close(dev->vm_fd);
	close(dev->dev_fd);
	munmap(dev->mem, RAM_SIZE);
	munmap(dev->rom, ROM_SIZE);
	free(dev);
}

/* ---- the first state ---------------------------------------------------- */

/* Of the program before, record_end() has left no trace. */
static void reset_memory(struct device *dev, const struct program *p)
{
	const u8 *image = machine_memory(p);

	if (dev->image != image)
		memcpy(dev->mem, image, RAM_SIZE);
	memcpy(dev->mem + p->org, p->code, p->len);
	dev->image = image;
}

struct msr_set {
	struct minivmm_msrs header;
	struct minivmm_msr_entry entries[NR_MSRS];
};

static void set_msrs(struct device *dev)
{
	struct msr_set set = { .header.nmsrs = NR_MSRS };
	int i, n;

	for (i = 0; i < NR_MSRS; i++) {
		set.entries[i].index = compared_msrs[i];
		set.entries[i].data = initial_msrs[i];
	}
	n = check(ioctl(dev->fd, MINIVMM_SET_MSRS, &set), "SET_MSRS");
	if (n != NR_MSRS)
		die("cannot set MSR 0x%x", compared_msrs[n]);
}

static void reset_vcpu(struct device *dev, const struct program *p)
{
	struct minivmm_vcpu_events events = {
		.flags = MINIVMM_VCPUEVENT_VALID_NMI_PENDING |
			 MINIVMM_VCPUEVENT_VALID_SHADOW,
	};
	struct minivmm_debugregs dr = { .dr6 = DR6_FIXED, .dr7 = DR7_FIXED };
	struct minivmm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = 7 };
	struct minivmm_sregs sregs;
	struct minivmm_regs regs;

	machine_sregs(p, &sregs);
	machine_regs(p, &regs);
	dev->run->cr8 = 0;
	dev->run->request_interrupt_window = 0;
	check(ioctl(dev->fd, MINIVMM_SET_SREGS, &sregs), "SET_SREGS");
	check(ioctl(dev->fd, MINIVMM_SET_REGS, &regs), "SET_REGS");
	check(ioctl(dev->fd, MINIVMM_SET_DEBUGREGS, &dr), "SET_DEBUGREGS");
	check(ioctl(dev->fd, MINIVMM_SET_XCRS, &xcrs), "SET_XCRS");
	set_msrs(dev);
	check(ioctl(dev->fd, MINIVMM_SET_VCPU_EVENTS, &events), "SET_EVENTS");
}

/* ---- exits --------------------------------------------------------------- */

struct run_state {
	struct device *dev;
	const struct program *p;
	struct record *rec;
	u64 last_rip;
	u32 reads, exits;
};

static struct event *add_event(struct run_state *s, u8 type, u8 size, u64 addr,
			       u64 data)
{
	struct record *rec = s->rec;
	struct minivmm_regs regs;
	struct event *ev;

	if (rec->nr == MAX_EVENTS) {
		rec->stop = STOP_LIMIT;
		return NULL;
	}
	ev = &rec->ev[rec->nr++];
	*ev = (struct event) {
		.type = type, .size = size, .addr = addr, .data = data,
		.if_flag = s->dev->run->if_flag,
		.ready = s->dev->run->ready_for_interrupt_injection,
	};
	if (type != EV_EXCEPTION) {
		check(ioctl(s->dev->fd, MINIVMM_GET_REGS, &regs), "GET_REGS");
		ev->rip = regs.rip;
		ev->rflags = regs.rflags;
	}
	return ev;
}

/* What devices give: depends on what was read before, so order matters. */
static u64 device_value(struct run_state *s, u64 addr)
{
	u64 state = addr * 0x10001 + s->reads++;

	return next_random(&state);
}

static bool is_stub(u64 linear, u8 vector)
{
	return linear == STUBS_GPA + 4 * vector;
}

static u64 truncated(u64 value, u32 size)
{
	return size == 8 ? value : value & ((1ULL << 8 * size) - 1);
}

/* After the instruction at @offset into the program, or the end */
static u32 boundary_after(const struct program *p, u64 offset)
{
	int i;

	for (i = 0; i <= p->nr; i++)
		if (p->start[i] > offset)
			return p->start[i];
	return p->len;
}

/*
 * A program can leave IA-32e mode. The 64-bit gates are then read as two each of
 * 32 bits: stub N is that of vector 2 * N, and odd vectors end in a double fault.
 */
static bool left_ia32e(const struct program *p, u64 efer)
{
	return p->mode >= COMPAT32 && !(efer & EFER_LMA);
}

static u32 frame_word(const struct program *p, u64 efer)
{
	if (p->mode == REAL16)
		return 2;
	return p->mode >= COMPAT32 && !left_ia32e(p, efer) ? 8 : 4;
}

static bool in_program(const struct program *p, u64 rip)
{
	return rip >= p->org && rip <= p->org + p->len;
}

/* #DB, NMI, #BP, #OF, interrupts, and INT n before @rip */
static bool is_trap(const struct program *p, u8 vector, u64 rip)
{
	u64 at = rip - p->org;

	if ((vector >= 1 && vector <= 4) || vector >= 32)
		return true;
	return at >= 2 && at <= p->len && p->code[at - 2] == 0xcd &&
	       p->code[at - 1] == vector;
}

/* What the CPU has pushed: RIP, CS, RFLAGS, perhaps an error code before them */
struct frame {
	struct minivmm_regs regs;
	u64 cr2;
	u32 size;		/* of a word */
	u64 word[4];
	u8 *at[4];
	bool has_error;
	bool no_return;		/* from a handler that is none of this mode */
};

/*
 * False if it is beyond RAM. Where linear is not physical this reads something
 * else, but the same of both.
 */
static bool read_frame(struct run_state *s, struct frame *f)
{
	struct minivmm_sregs sregs;
	u64 sp, mask = ~0ULL;
	int i;

	check(ioctl(s->dev->fd, MINIVMM_GET_REGS, &f->regs), "GET_REGS");
	check(ioctl(s->dev->fd, MINIVMM_GET_SREGS, &sregs), "GET_SREGS");
	f->cr2 = sregs.cr2;
	f->size = frame_word(s->p, sregs.efer);
	f->no_return = left_ia32e(s->p, sregs.efer);
	if (f->size < 8)
		mask = f->size == 2 || !sregs.ss.db ? 0xffff : 0xffffffff;
	for (i = 0; i < 4; i++) {
		sp = (f->regs.rsp + i * f->size) & mask;
		if (f->size < 8)
			sp = (u32)(sp + sregs.ss.base);
		if (sp > RAM_SIZE - 8)
			return false;
		f->at[i] = s->dev->mem + sp;
		f->word[i] = 0;
		memcpy(&f->word[i], f->at[i], f->size);
	}
	f->has_error = !in_program(s->p, f->word[0]) &&
		       in_program(s->p, f->word[1]);
	return true;
}

/*
 * A trap or an interrupt pushes RF as it is. Bochs sets it if there was an EPT
 * violation on the way, and which pages were touched before is not the same.
 */
static void forget_rf(struct frame *f)
{
	u64 *flags = &f->word[f->has_error + 2];

	if (f->size == 2)
		return;
	*flags &= ~RFLAGS_RF;
	memcpy(f->at[f->has_error + 2], flags, f->size);
}

/*
 * An exception, or INT n. The handler's frame tells where; if that is in the
 * program it goes on there, but not twice at the same place.
 */
static void exception(struct run_state *s, u8 vector)
{
	const struct program *p = s->p;
	struct event *ev;
	struct frame f;
	u64 rip;

	if (!read_frame(s, &f)) {
		s->rec->stop = STOP_LOST;
		return;
	}
	if (f.no_return)
		vector *= 2;
	rip = f.word[f.has_error];
	if (is_trap(p, vector, rip))
		forget_rf(&f);
	ev = add_event(s, EV_EXCEPTION, vector, rip, f.word[f.has_error + 2]);
	if (!ev)
		return;
	ev->error = f.has_error ? f.word[0] : 0;
	ev->cr2 = vector == PF_VECTOR ? f.cr2 : 0;
	memcpy(ev->gpr, &f.regs, sizeof(ev->gpr));
	if (vector == UD_VECTOR && in_program(p, rip))
		memcpy(ev->insn, s->dev->mem + rip, sizeof(ev->insn));
	if (f.no_return || !in_program(p, rip)) {
		s->rec->stop = STOP_LOST;
		return;
	}
	if (!is_trap(p, vector, rip) || rip == s->last_rip)
		rip = p->org + boundary_after(p, rip - p->org);
	if (rip >= p->org + p->len) {
		s->rec->stop = STOP_END;
		return;
	}
	s->last_rip = rip;
	memcpy(f.at[f.has_error], &rip, f.size);
	if (f.has_error) {
		f.regs.rsp += f.size;
		check(ioctl(s->dev->fd, MINIVMM_SET_REGS, &f.regs), "SET_REGS");
	}
}

static bool at_stub(struct run_state *s)
{
	const struct minivmm_run *run = s->dev->run;
	struct minivmm_regs regs;

	if (run->io.size != 1 || run->io.count != 1 || run->io.port > 255)
		return false;
	check(ioctl(s->dev->fd, MINIVMM_GET_REGS, &regs), "GET_REGS");
	return is_stub(regs.rip, run->io.port);
}

static void port_io(struct run_state *s)
{
	struct minivmm_run *run = s->dev->run;
	bool in = run->io.direction == MINIVMM_EXIT_IO_IN;
	u8 *data = (u8 *)run + run->io.data_offset;
	u32 i;

	if (!in && at_stub(s)) {
		exception(s, run->io.port);
		return;
	}
	for (i = 0; i < run->io.count; i++, data += run->io.size) {
		u64 value = 0;

		if (in) {
			value = truncated(device_value(s, run->io.port),
					  run->io.size);
			memcpy(data, &value, run->io.size);
		} else {
			memcpy(&value, data, run->io.size);
		}
		if (!add_event(s, in ? EV_IN : EV_OUT, run->io.size,
			       run->io.port, value))
			return;
	}
}

static void mmio(struct run_state *s)
{
	struct minivmm_run *run = s->dev->run;
	u64 value = 0;

	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, run->mmio.len);
	} else {
		value = truncated(device_value(s, run->mmio.phys_addr),
				  run->mmio.len);
		memcpy(run->mmio.data, &value, 8);
	}
	add_event(s, run->mmio.is_write ? EV_WRITE : EV_READ, run->mmio.len,
		  run->mmio.phys_addr, value);
}

static void interrupt(struct run_state *s)
{
	struct minivmm_interrupt irq = { 0x21 };

	check(ioctl(s->dev->fd, MINIVMM_INTERRUPT, &irq), "INTERRUPT");
	s->dev->run->request_interrupt_window = 0;
}

static void inject(struct run_state *s)
{
	struct minivmm_run *run = s->dev->run;

	if (s->exits++ != s->p->inject_at)
		return;
	switch (s->p->inject) {
	case INJECT_NONE:
		break;
	case INJECT_NMI:
		check(ioctl(s->dev->fd, MINIVMM_NMI), "NMI");
		break;
	case INJECT_WINDOW:
		run->request_interrupt_window = 1;
		break;
	case INJECT_LATE:
		if (s->exits > 1 && run->ready_for_interrupt_injection)
			interrupt(s);
		break;
	}
}

/* The instruction at RIP. Where linear is not physical: as in read_frame() */
static void read_insn(struct run_state *s)
{
	struct minivmm_sregs sregs;
	struct minivmm_regs regs;
	u64 at;

	check(ioctl(s->dev->fd, MINIVMM_GET_REGS, &regs), "GET_REGS");
	check(ioctl(s->dev->fd, MINIVMM_GET_SREGS, &sregs), "GET_SREGS");
	at = sregs.cs.base + regs.rip;
	if (at <= RAM_SIZE - sizeof(s->rec->insn))
		memcpy(s->rec->insn, s->dev->mem + at, sizeof(s->rec->insn));
}

static u8 internal_error(struct run_state *s)
{
	struct minivmm_run *run = s->dev->run;

	s->rec->detail = run->internal.suberror;
	switch (run->internal.suberror) {
	case MINIVMM_INTERNAL_ERROR_EMULATION:
		read_insn(s);
		return STOP_EMULATION;
	case MINIVMM_INTERNAL_ERROR_DELIVERY_EV:
		return STOP_DELIVERY;
	default:
		return STOP_UNEXPECTED;
	}
}

static void one_exit(struct run_state *s)
{
	struct minivmm_run *run = s->dev->run;

	switch (run->exit_reason) {
	case MINIVMM_EXIT_IO:
		port_io(s);
		break;
	case MINIVMM_EXIT_MMIO:
		mmio(s);
		break;
	case MINIVMM_EXIT_HLT:
		s->rec->stop = STOP_HLT;
		break;
	case MINIVMM_EXIT_SHUTDOWN:
		s->rec->stop = STOP_SHUTDOWN;
		break;
	case MINIVMM_EXIT_IRQ_WINDOW_OPEN:
		if (add_event(s, EV_WINDOW, 0, 0, 0))
			interrupt(s);
		break;
	case MINIVMM_EXIT_SET_TPR:
		add_event(s, EV_TPR, 0, 0, run->cr8);
		break;
	case MINIVMM_EXIT_FAIL_ENTRY:
		s->rec->stop = STOP_FAIL_ENTRY;
		s->rec->detail = run->fail_entry.hardware_entry_failure_reason;
		break;
	case MINIVMM_EXIT_INTERNAL_ERROR:
		s->rec->stop = internal_error(s);
		break;
	default:
		s->rec->stop = STOP_OTHER;
		s->rec->detail = run->exit_reason;
		break;
	}
}

static void arm(u32 us)
{
	struct itimerval timer = { .it_value.tv_usec = us };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- the end ------------------------------------------------------------- */

/*
 * An exit that was not answered: its instruction ends, a repeated one with the
 * next iteration.
 */
static void finish_pending(struct device *dev)
{
	struct minivmm_regs regs;
	int tries;

	dev->run->immediate_exit = 1;
	for (tries = 0; tries < 64 && !ioctl(dev->fd, MINIVMM_RUN, 0); tries++) {
		check(ioctl(dev->fd, MINIVMM_GET_REGS, &regs), "GET_REGS");
		regs.rcx = 1;
		check(ioctl(dev->fd, MINIVMM_SET_REGS, &regs), "SET_REGS");
	}
	dev->run->immediate_exit = 0;
}

static u64 hash_page(const u8 *page)
{
	u64 hash = 1, word;
	u32 i;

	for (i = 0; i < PAGE_SIZE; i += 8) {
		memcpy(&word, page + i, 8);
		hash = (hash ^ word) * 0x100000001b3ULL;
		hash ^= hash >> 29;
	}
	return hash | 1;
}

/* 0: it is as it was. */
static u64 restore_page(u8 *page, const u8 *image)
{
	u64 hash;

	if (!memcmp(page, image, PAGE_SIZE))
		return 0;
	hash = hash_page(page);
	memcpy(page, image, PAGE_SIZE);
	return hash;
}

static void record_end(struct device *dev, const struct program *p,
		       struct record *rec)
{
	const u8 *image = machine_memory(p);
	struct msr_set set = { .header.nmsrs = NR_MSRS };
	struct minivmm_xcrs xcrs;
	u32 i;

	check(ioctl(dev->fd, MINIVMM_GET_REGS, &rec->regs), "GET_REGS");
	check(ioctl(dev->fd, MINIVMM_GET_SREGS, &rec->sregs), "GET_SREGS");
	check(ioctl(dev->fd, MINIVMM_GET_DEBUGREGS, &rec->dr), "GET_DEBUGREGS");
	check(ioctl(dev->fd, MINIVMM_GET_VCPU_EVENTS, &rec->events),
	      "GET_EVENTS");
	check(ioctl(dev->fd, MINIVMM_GET_XCRS, &xcrs), "GET_XCRS");
	rec->xcr0 = xcrs.xcrs[0].value;
	for (i = 0; i < NR_MSRS; i++)
		set.entries[i].index = compared_msrs[i];
	if (ioctl(dev->fd, MINIVMM_GET_MSRS, &set) != NR_MSRS)
		die("GET_MSRS failed");
	for (i = 0; i < NR_MSRS; i++)
		rec->msrs[i] = set.entries[i].data;
	for (i = 0; i < NR_PAGES; i++)
		rec->page_hash[i] = restore_page(dev->mem + i * PAGE_SIZE,
						 image + i * PAGE_SIZE);
}

/* Runs a program from its first state to its end. */
void device_run(struct device *dev, const struct program *p,
		struct record *rec)
{
	struct run_state s = { .dev = dev, .p = p, .rec = rec };

	current = p;
	memset(rec, 0, offsetof(struct record, ev));
	reset_memory(dev, p);
	reset_vcpu(dev, p);
	spun = 0;
	running = dev->run;
	arm(dev->spin_us);
	while (!rec->stop) {
		inject(&s);
		if (!ioctl(dev->fd, MINIVMM_RUN, 0))
			one_exit(&s);
		else if (errno == EFAULT)
			rec->stop = STOP_EFAULT;
		else if (errno != EINTR)
			check(-1, "RUN");
		else if (spun)
			rec->stop = STOP_SPUN;
	}
	arm(0);
	running = NULL;
	dev->run->immediate_exit = 0;
	finish_pending(dev);
	record_end(dev, p, rec);
}
