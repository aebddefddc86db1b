// SPDX-License-Identifier: GPL-2.0-only
/*
 * Statistics: a file descriptor that reads as a description of the counters of
 * a VM or a vCPU, and their values. Format, names and units are KVM's.
 *
 * To count something new, add a u64 where it is counted and a row here.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "core.h"

#define NAME_SIZE	48

#define COUNTER	MINIVMM_STATS_TYPE_CUMULATIVE
#define INSTANT	MINIVMM_STATS_TYPE_INSTANT
#define SECONDS	MINIVMM_STATS_UNIT_SECONDS
#define BOOLEAN	MINIVMM_STATS_UNIT_BOOLEAN

/**
 * struct stat_row - one counter
 * @name: KVM's
 * @flags: MINIVMM_STATS_TYPE_*, MINIVMM_STATS_UNIT_*
 * @exponent: of 10, for the unit
 * @offset: of its u64 in struct mv_vm or struct mv_vcpu
 * @base: its first value; a reader sees what has been added since
 */
struct stat_row {
	const char *name;
	u32 flags;
	s16 exponent;
	u16 offset;
	u64 base;
};

static const struct stat_row vm_rows[] = {
	{ "remote_tlb_flush_requests", COUNTER, 0,
	  offsetof(struct mv_vm, tlb_gen), .base = 1 },
	{ "pages_4k", INSTANT, 0, offsetof(struct mv_vm, mapped[0]) },
	{ "pages_2m", INSTANT, 0, offsetof(struct mv_vm, mapped[1]) },
	{ "pages_1g", INSTANT, 0, offsetof(struct mv_vm, mapped[2]) },
	/* not KVM's: of 4 KiB, for second-level page tables */
	{ "page_table_pages", INSTANT, 0, offsetof(struct mv_vm, nr_tables) },
};

#define STAT(name, flags, exponent) \
	{ #name, flags, exponent, offsetof(struct mv_vcpu, stats.name) }
#define STAT_COUNT(name)	STAT(name, COUNTER, 0)
#define STAT_NS(name)		STAT(name, COUNTER | SECONDS, -9)

static const struct stat_row vcpu_rows[] = {
	STAT_COUNT(halt_successful_poll),
	STAT_COUNT(halt_attempted_poll),
	STAT_COUNT(halt_wakeup),
	STAT_NS(halt_poll_success_ns),
	STAT_NS(halt_poll_fail_ns),
	STAT_NS(halt_wait_ns),
	STAT(blocking, INSTANT | BOOLEAN, 0),
	STAT_COUNT(pf_taken),
	STAT_COUNT(pf_fixed),
	STAT_COUNT(pf_emulate),
	STAT_COUNT(tlb_flush),
	STAT_COUNT(exits),
	STAT_COUNT(io_exits),
	STAT_COUNT(mmio_exits),
	STAT_COUNT(signal_exits),
	STAT_COUNT(irq_window_exits),
	STAT_COUNT(nmi_window_exits),
	STAT_COUNT(halt_exits),
	STAT_COUNT(request_irq_exits),
	STAT_COUNT(irq_exits),
	STAT_COUNT(insn_emulation),
	STAT_COUNT(insn_emulation_fail),
	STAT_COUNT(hypercalls),
	STAT_COUNT(irq_injections),
	STAT_COUNT(nmi_injections),
	STAT_COUNT(directed_yield_attempted),
	STAT_COUNT(directed_yield_successful),
};

static size_t desc_size(void)
{
	return sizeof(struct minivmm_stats_desc) + NAME_SIZE;
}

static size_t data_offset(u32 nr)
{
	return sizeof(struct minivmm_stats_header) + NAME_SIZE +
	       nr * desc_size();
}

static void describe(const struct stat_row *row, u32 i,
		     struct minivmm_stats_desc *desc)
{
	desc->flags = row->flags | MINIVMM_STATS_BASE_POW10;
	desc->exponent = row->exponent;
	desc->size = 1;
	desc->offset = i * sizeof(u64);
	strscpy(desc->name, row->name, NAME_SIZE);
}

/* All that there is to read, in zeroed memory */
static void fill(void *buf, const char *id, const struct stat_row *rows,
		 u32 nr, const void *object)
{
	struct minivmm_stats_header *header = buf;
	u64 *data = buf + data_offset(nr);
	u32 i;

	header->name_size = NAME_SIZE;
	header->num_desc = nr;
	header->id_offset = sizeof(*header);
	header->desc_offset = sizeof(*header) + NAME_SIZE;
	header->data_offset = data_offset(nr);
	strscpy(buf + header->id_offset, id, NAME_SIZE);
	for (i = 0; i < nr; i++) {
		const u64 *value = object + rows[i].offset;

		describe(&rows[i], i, buf + header->desc_offset +
				      i * desc_size());
		data[i] = READ_ONCE(*value) - rows[i].base;
	}
}

static ssize_t read_stats(char __user *user, size_t count, loff_t *pos,
			  const char *id, const struct stat_row *rows, u32 nr,
			  const void *object)
{
	size_t size = data_offset(nr) + nr * sizeof(u64);
	void *buf = kzalloc(size, GFP_KERNEL_ACCOUNT);
	ssize_t ret;

	if (!buf)
		return -ENOMEM;
	fill(buf, id, rows, nr, object);
	ret = simple_read_from_buffer(user, count, pos, buf, size);
	kfree(buf);
	return ret;
}

static ssize_t vm_stats_read(struct file *file, char __user *user,
			     size_t count, loff_t *pos)
{
	struct mv_vm *vm = file->private_data;
	char id[NAME_SIZE];

	snprintf(id, sizeof(id), "kvm-%d", vm->pid);
	return read_stats(user, count, pos, id, vm_rows, ARRAY_SIZE(vm_rows),
			  vm);
}

static int vm_stats_release(struct inode *inode, struct file *file)
{
	mv_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_stats_fops = {
	.owner = THIS_MODULE,
	.read = vm_stats_read,
	.release = vm_stats_release,
	.llseek = noop_llseek,
};

static ssize_t vcpu_stats_read(struct file *file, char __user *user,
			       size_t count, loff_t *pos)
{
	struct mv_vcpu *vcpu = file->private_data;
	char id[NAME_SIZE];

	snprintf(id, sizeof(id), "kvm-%d/vcpu-%u", vcpu->vm->pid, vcpu->id);
	return read_stats(user, count, pos, id, vcpu_rows,
			  ARRAY_SIZE(vcpu_rows), vcpu);
}

static int vcpu_stats_release(struct inode *inode, struct file *file)
{
	struct mv_vcpu *vcpu = file->private_data;

	mv_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_stats_fops = {
	.owner = THIS_MODULE,
	.read = vcpu_stats_read,
	.release = vcpu_stats_release,
	.llseek = noop_llseek,
};

/* The descriptor holds the VM, and so its vCPUs. */
static int stats_fd(struct mv_vm *vm, const char *name,
		    const struct file_operations *fops, void *object)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;

	if (fd < 0)
		return fd;
	file = anon_inode_getfile(name, fops, object, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	mv_vm_get(vm);
	file->f_mode |= FMODE_PREAD;
	fd_install(fd, file);
	return fd;
}

/**
 * mv_vm_stats_fd() - MINIVMM_GET_STATS_FD on a VM
 * @vm: the VM
 *
 * Context: may sleep. Return: a file descriptor or a negative errno.
 */
int mv_vm_stats_fd(struct mv_vm *vm)
{
	return stats_fd(vm, "minivmm-vm-stats", &vm_stats_fops, vm);
}

/**
 * mv_vcpu_stats_fd() - MINIVMM_GET_STATS_FD on a vCPU
 * @vcpu: the vCPU
 *
 * Context: may sleep. Return: a file descriptor or a negative errno.
 */
int mv_vcpu_stats_fd(struct mv_vcpu *vcpu)
{
	return stats_fd(vcpu->vm, "minivmm-vcpu-stats", &vcpu_stats_fops, vcpu);
}
