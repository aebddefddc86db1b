// SPDX-License-Identifier: GPL-2.0-only
/*
 * fail_alloc: an allocation that minivmm makes finds no memory.
 *
 * Distributions' kernels have no fault injection. This has a kprobe at the entry
 * of each of the kernel's allocators: where the allocation is one of minivmm's,
 * made by it or by what it calls, it can be made to return NULL at once. Modules
 * under test know nothing of it.
 *
 * /dev/fail_alloc is for one process at a time. Write n: of the allocations that
 * this thread makes from now on, the n-th fails, "n+" those after it too. Read:
 * how many there were, and where in minivmm the first that failed was, or "-";
 * they are not counted any more.
 *
 * Exempt is what runs in interrupts that come meanwhile.
 */
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <asm/pgtable.h>

#define MAX_DEPTH	48

/* Whatever else there is calls one of these; a kernel has some of them. */
static const char *const allocators[] = {
	"__kmalloc", "__kmalloc_noprof",
	"__kmalloc_node", "__kmalloc_node_noprof",
	"__kmalloc_node_track_caller", "__kmalloc_node_track_caller_noprof",
	"kmalloc_trace", "__kmalloc_cache_noprof",
	"kmalloc_node_trace", "__kmalloc_cache_node_noprof",
	"kmalloc_large", "__kmalloc_large_noprof",
	"kmalloc_large_node", "__kmalloc_large_node_noprof",
	"kmem_cache_alloc", "kmem_cache_alloc_noprof",
	"kmem_cache_alloc_lru", "kmem_cache_alloc_lru_noprof",
	"kmem_cache_alloc_node", "kmem_cache_alloc_node_noprof",
	"kvmalloc_node", "__kvmalloc_node_noprof",
	/* what the one before falls back on: it complains of pages it does not get */
	"__vmalloc_node_range", "__vmalloc_node_range_noprof",
	"__alloc_percpu", "__alloc_percpu_gfp", "pcpu_alloc_noprof",
	"__alloc_pages", "__alloc_pages_noprof", "__alloc_frozen_pages_noprof",
};

static struct kprobe probes[ARRAY_SIZE(allocators)];
static unsigned long in_use;

/* Of the open device; the probes look at it in the thread @victim alone. */
static struct task_struct *victim;
static unsigned long nth, count;
static bool all_after;
static char site[KSYM_SYMBOL_LEN];

/*
 * Return addresses that were looked up before: is it one of minivmm's? Modules
 * come and go, so it is good from one write to the next.
 */
static struct {
	unsigned long addr;
	bool in_minivmm;
} known[256];

static bool in_minivmm(unsigned long addr)
{
	u32 i = hash_long(addr, ilog2(ARRAY_SIZE(known)));
	char name[KSYM_SYMBOL_LEN];

	if (addr < MODULES_VADDR || addr >= MODULES_END)
		return false;
	if (known[i].addr != addr) {
		sprint_symbol(name, addr);
		known[i].addr = addr;
		known[i].in_minivmm = strstr(name, "[minivmm");
	}
	return known[i].in_minivmm;
}

/* Where minivmm called what led here, or 0 */
static unsigned long caller_in_minivmm(void)
{
	unsigned long addrs[MAX_DEPTH];
	unsigned int i, nr = stack_trace_save(addrs, MAX_DEPTH, 0);

	for (i = 0; i < nr; i++)
		if (in_minivmm(addrs[i]))
			return addrs[i];
	return 0;
}

/* This is what is called in place of the allocator. */
static noinline notrace void *no_memory(void)
{
	return NULL;
}

static int __kprobes at_entry(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned long caller;

	if (current != READ_ONCE(victim) || in_hardirq() || in_serving_softirq())
		return 0;
	caller = caller_in_minivmm();
	if (!caller)
		return 0;
	count++;
	if (count < nth || (count > nth && !all_after))
		return 0;
	if (!*site)
		sprint_symbol(site, caller);
	instruction_pointer_set(regs, (unsigned long)no_memory);
	return 1;
}

/* A probe with such a handler is not replaced by a jump, which cannot lead away. */
static void at_end(struct kprobe *probe, struct pt_regs *regs,
		   unsigned long flags)
{
}

static void remove_probes(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++)
		if (probes[i].addr)
			unregister_kprobe(&probes[i]);
}

static int __init place_probes(void)
{
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		probes[i].symbol_name = allocators[i];
		probes[i].pre_handler = at_entry;
		probes[i].post_handler = at_end;
		ret = register_kprobe(&probes[i]);
		if (!ret)
			continue;
		probes[i].addr = NULL;
		if (ret != -ENOENT) {
			pr_err("fail_alloc: no probe at %s: %d\n",
			       allocators[i], ret);
			remove_probes();
			return ret;
		}
	}
	return 0;
}

static int fail_alloc_open(struct inode *inode, struct file *file)
{
	return test_and_set_bit(0, &in_use) ? -EBUSY : 0;
}

static int fail_alloc_release(struct inode *inode, struct file *file)
{
	WRITE_ONCE(victim, NULL);
	clear_bit(0, &in_use);
	return 0;
}

static ssize_t fail_alloc_write(struct file *file, const char __user *user,
				size_t size, loff_t *pos)
{
	char text[24] = "";
	unsigned long n;
	bool plus;

	if (!size || size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, user, size))
		return -EFAULT;
	plus = text[size - 1] == '+';
	if (plus)
		text[size - 1] = '\0';
	if (kstrtoul(text, 10, &n) || !n)
		return -EINVAL;
	WRITE_ONCE(victim, NULL);
	memset(known, 0, sizeof(known));
	nth = n;
	all_after = plus;
	count = 0;
	*site = '\0';
	WRITE_ONCE(victim, current);
	return size;
}

static ssize_t fail_alloc_read(struct file *file, char __user *user,
			       size_t size, loff_t *pos)
{
	char text[KSYM_SYMBOL_LEN + 24];
	loff_t start = 0;

	WRITE_ONCE(victim, NULL);
	snprintf(text, sizeof(text), "%lu %s\n", count, *site ? site : "-");
	return simple_read_from_buffer(user, size, &start, text, strlen(text));
}

static const struct file_operations fail_alloc_fops = {
	.owner = THIS_MODULE,
	.open = fail_alloc_open,
	.release = fail_alloc_release,
	.read = fail_alloc_read,
	.write = fail_alloc_write,
	.llseek = noop_llseek,
};

static struct miscdevice fail_alloc_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fail_alloc",
	.fops = &fail_alloc_fops,
	.mode = 0600,
};

/* A probe costs the kernel a walk over all its functions, so they stay. */
static int __init fail_alloc_init(void)
{
	int ret = place_probes();

	if (ret)
		return ret;
	ret = misc_register(&fail_alloc_dev);
	if (ret)
		remove_probes();
	return ret;
}

static void __exit fail_alloc_exit(void)
{
	misc_deregister(&fail_alloc_dev);
	remove_probes();
}

module_init(fail_alloc_init);
module_exit(fail_alloc_exit);

MODULE_DESCRIPTION("Lets allocations that minivmm makes fail, for its tests");
MODULE_LICENSE("GPL");
