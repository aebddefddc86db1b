// SPDX-License-Identifier: GPL-2.0
/*
 * The bytes of an instruction that is emulated are those which the CPU would
 * fetch now, even if the same address has been executed, and emulated, before.
 *
 * A guest stores to a device by an instruction at CODE, again and again. Between
 * two stores something on the way to its bytes changes; another instruction is
 * there then, which stores another number of bytes.
 */
#include <string.h>
#include <sys/mman.h>

#include "hostmem.h"
#include "vm.h"

#define CODE		0x8000000000UL	/* the first address of PML4 entry 1 */

/* Guest-physical: two ways from the root, to the instructions of 4 and 2 bytes */
#define WORD_GPA	DATA_GPA	/* what the guest loads into CR3, or CR0 */
#define PAGE_OF(n)	(DATA_GPA + (n) * PAGE_SIZE)
#define CODE4_GPA	PAGE_OF(1)
#define CODE2_GPA	PAGE_OF(2)
#define PT4_GPA		PAGE_OF(3)
#define PT2_GPA		PAGE_OF(4)
#define PD4_GPA		PAGE_OF(5)
#define PD2_GPA		PAGE_OF(6)
#define PDPT4_GPA	PAGE_OF(7)
#define PDPT2_GPA	PAGE_OF(8)
#define PML4_2_GPA	PAGE_OF(9)
#define LARGE_GPA	0x200000UL	/* below all stacks that are in use */

#define SLOT_GPA	0x10000000UL	/* slot 1, a page */
#define OTHER_GPA	0x20000000UL

#define RIGHTS		(PTE_P | PTE_RW)

/*
 * All as long as each other, with a prefix that does nothing: what is changed
 * while the client has the store, goes on with the other one's RET.
 */
static const u8 store4[] = { 0x3e, 0x89, 0x07, 0xc3 };	/* mov %eax,%ds:(%rdi) */
static const u8 store2[] = { 0x66, 0x89, 0x07, 0xc3 };	/* mov %ax,(%rdi) */
static const u8 store1[] = { 0x3e, 0x88, 0x07, 0xc3 };	/* mov %al,%ds:(%rdi) */

guest_code64(store_loop,
	     "movl $0xd0000000, %edi\n"
	     "movabs $0x8000000000, %rcx\n"
	     "1: movq 0x300000, %rax\n"
	     "movq %rax, %cr3\n"
	     "invlpg (%rcx)\n"
	     "call *%rcx\n"
	     "jmp 1b");

static u64 *entry(struct vm *vm, u64 table)
{
	return vm_gpa(vm, table);
}

/* So many times that whatever is to be remembered has been. */
static void expect_stores(struct vcpu *vcpu, u32 len)
{
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
		ASSERT_EQ(vcpu->run->mmio.is_write, 1);
		ASSERT_EQ(vcpu->run->mmio.phys_addr, MMIO_GPA);
		EXPECT_EQ(vcpu->run->mmio.len, len);
	}
}

static void build_way(struct vm *vm, u64 code, u64 pt, u64 pd, u64 pdpt)
{
	*entry(vm, pt) = code | RIGHTS;
	*entry(vm, pd) = pt | RIGHTS;
	*entry(vm, pdpt) = pd | RIGHTS;
}

static struct vcpu *new_guest(void)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct vm *vm = vcpu->vm;

	vcpu_setup_blob64(vcpu, &store_loop);
	build_way(vm, CODE4_GPA, PT4_GPA, PD4_GPA, PDPT4_GPA);
	build_way(vm, CODE2_GPA, PT2_GPA, PD2_GPA, PDPT2_GPA);
	memcpy(vm_gpa(vm, CODE4_GPA), store4, sizeof(store4));
	memcpy(vm_gpa(vm, CODE2_GPA), store2, sizeof(store2));
	memcpy(vm_gpa(vm, LARGE_GPA), store1, sizeof(store1));
	memcpy(vm_gpa(vm, PML4_2_GPA), vm_gpa(vm, PML4_GPA), PAGE_SIZE);
	entry(vm, PML4_GPA)[1] = PDPT4_GPA | RIGHTS;
	entry(vm, PML4_2_GPA)[1] = PDPT2_GPA | RIGHTS;
	*entry(vm, WORD_GPA) = PML4_GPA;
	return vcpu;
}

/* A page of slot 1 with these bytes */
static void *new_page(const void *bytes, size_t len)
{
	return memcpy(map_memory(PAGE_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1),
		      bytes, len);
}

/* ------------------------------------------------------------------------ */
/* The guest changes it                                                      */

TEST(bytes)
{
	struct vcpu *vcpu = new_guest();

	expect_stores(vcpu, 4);
	memcpy(vm_gpa(vcpu->vm, CODE4_GPA), store1, sizeof(store1));
	expect_stores(vcpu, 1);
}

TEST(page)
{
	struct vcpu *vcpu = new_guest();

	expect_stores(vcpu, 4);
	*entry(vcpu->vm, PT4_GPA) = CODE2_GPA | RIGHTS;
	expect_stores(vcpu, 2);
	*entry(vcpu->vm, PT4_GPA) = CODE4_GPA | RIGHTS;
	expect_stores(vcpu, 4);
}

TEST(page_table)
{
	struct vcpu *vcpu = new_guest();

	expect_stores(vcpu, 4);
	*entry(vcpu->vm, PD4_GPA) = PT2_GPA | RIGHTS;
	expect_stores(vcpu, 2);
}

TEST(page_directory)
{
	struct vcpu *vcpu = new_guest();

	expect_stores(vcpu, 4);
	*entry(vcpu->vm, PDPT4_GPA) = PD2_GPA | RIGHTS;
	expect_stores(vcpu, 2);
}

TEST(pdpt)
{
	struct vcpu *vcpu = new_guest();

	expect_stores(vcpu, 4);
	entry(vcpu->vm, PML4_GPA)[1] = PDPT2_GPA | RIGHTS;
	expect_stores(vcpu, 2);
}

TEST(large_page)
{
	struct vcpu *vcpu = new_guest();

	expect_stores(vcpu, 4);
	*entry(vcpu->vm, PD4_GPA) = LARGE_GPA | RIGHTS | PTE_PS;
	expect_stores(vcpu, 1);
	*entry(vcpu->vm, PD4_GPA) = PT4_GPA | RIGHTS;
	expect_stores(vcpu, 4);
}

/* Without an exit of the CR3 load's own */
TEST(cr3)
{
	struct vcpu *vcpu = new_guest();

	expect_stores(vcpu, 4);
	*entry(vcpu->vm, WORD_GPA) = PML4_2_GPA;
	expect_stores(vcpu, 2);
	*entry(vcpu->vm, WORD_GPA) = PML4_GPA;
	expect_stores(vcpu, 4);
}

guest_code32(switch_paging,
	     "movl $0xd0000000, %edi\n"
	     "movl $0x10000000, %ecx\n"
	     "1: movl 0x300000, %eax\n"
	     "movl %eax, %cr0\n"
	     "call *%ecx\n"
	     "jmp 1b");

/* The same linear address, with paging and without */
TEST(cr0)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct vm *vm = vcpu->vm;
	u32 *pgdir = vm_gpa(vm, PGDIR32_GPA), *word = vm_gpa(vm, WORD_GPA);

	vcpu_setup_paging32(vcpu, &switch_paging);
	ASSERT_OK(vm_set_slot(vm, 1, 0, SLOT_GPA, PAGE_SIZE,
			      new_page(store4, sizeof(store4))));
	memcpy(vm_gpa(vm, LARGE_GPA), store1, sizeof(store1));
	pgdir[SLOT_GPA >> 22] = PT4_GPA | RIGHTS;
	*(u32 *)vm_gpa(vm, PT4_GPA) = LARGE_GPA | RIGHTS;
	*word = vcpu_sregs(vcpu).cr0 & ~CR0_PG;
	expect_stores(vcpu, 4);
	*word |= CR0_PG;
	expect_stores(vcpu, 1);
	*word &= ~CR0_PG;
	expect_stores(vcpu, 4);
}

/* ------------------------------------------------------------------------ */
/* The client changes it                                                     */

/* The code is in slot 1, to which page table PT4 leads. */
static struct vcpu *new_guest_in_slot(void *page)
{
	struct vcpu *vcpu = new_guest();

	ASSERT_OK(vm_set_slot(vcpu->vm, 1, 0, SLOT_GPA, PAGE_SIZE, page));
	*entry(vcpu->vm, PT4_GPA) = SLOT_GPA | RIGHTS;
	return vcpu;
}

TEST(slot_of_code)
{
	void *page = new_page(store4, sizeof(store4));
	struct vcpu *vcpu = new_guest_in_slot(page);
	struct vm *vm = vcpu->vm;

	expect_stores(vcpu, 4);
	ASSERT_OK(vm_set_slot(vm, 1, 0, SLOT_GPA, 0, page));
	ASSERT_OK(vm_set_slot(vm, 1, 0, SLOT_GPA, PAGE_SIZE,
			      new_page(store1, sizeof(store1))));
	expect_stores(vcpu, 1);
}

TEST(slot_that_moves)
{
	void *page = new_page(store4, sizeof(store4));
	struct vcpu *vcpu = new_guest_in_slot(page);
	struct vm *vm = vcpu->vm;

	expect_stores(vcpu, 4);
	ASSERT_OK(vm_set_slot(vm, 1, 0, OTHER_GPA, PAGE_SIZE, page));
	ASSERT_OK(vm_set_slot(vm, 2, 0, SLOT_GPA, PAGE_SIZE,
			      new_page(store1, sizeof(store1))));
	expect_stores(vcpu, 1);
}

/* At the same address in the client */
TEST(memory_of_code)
{
	void *page = new_page(store4, sizeof(store4));
	struct vcpu *vcpu = new_guest_in_slot(page);

	expect_stores(vcpu, 4);
	ASSERT(mmap(page, PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
	memcpy(page, store1, sizeof(store1));
	expect_stores(vcpu, 1);
}

/* The page table is in slot 1. */
static struct vcpu *new_guest_with_table(void *table)
{
	struct vcpu *vcpu = new_guest();

	ASSERT_OK(vm_set_slot(vcpu->vm, 1, 0, SLOT_GPA, PAGE_SIZE, table));
	*entry(vcpu->vm, PD4_GPA) = SLOT_GPA | RIGHTS;
	return vcpu;
}

TEST(slot_of_page_table)
{
	u64 to4 = CODE4_GPA | RIGHTS, to2 = CODE2_GPA | RIGHTS;
	void *table = new_page(&to4, sizeof(to4));
	struct vcpu *vcpu = new_guest_with_table(table);
	struct vm *vm = vcpu->vm;

	expect_stores(vcpu, 4);
	ASSERT_OK(vm_set_slot(vm, 1, 0, SLOT_GPA, 0, table));
	ASSERT_OK(vm_set_slot(vm, 1, 0, SLOT_GPA, PAGE_SIZE,
			      new_page(&to2, sizeof(to2))));
	expect_stores(vcpu, 2);
}

TEST(memory_of_page_table)
{
	u64 to4 = CODE4_GPA | RIGHTS, to2 = CODE2_GPA | RIGHTS;
	void *table = new_page(&to4, sizeof(to4));
	struct vcpu *vcpu = new_guest_with_table(table);

	expect_stores(vcpu, 4);
	ASSERT(mmap(table, PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == table);
	*(u64 *)table = to2;
	expect_stores(vcpu, 2);
}

guest_code32(store_loop32,
	     "movl $0xd0000000, %edi\n"
	     "movl $0x10000000, %ecx\n"
	     "1: call *%ecx\n"
	     "jmp 1b");

TEST(slot_without_paging)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	void *page = new_page(store4, sizeof(store4));
	struct vm *vm = vcpu->vm;

	vcpu_setup_prot32(vcpu, &store_loop32);
	ASSERT_OK(vm_set_slot(vm, 1, 0, SLOT_GPA, PAGE_SIZE, page));
	expect_stores(vcpu, 4);
	memcpy(page, store2, sizeof(store2));
	expect_stores(vcpu, 2);
	ASSERT_OK(vm_set_slot(vm, 1, 0, SLOT_GPA, 0, page));
	ASSERT_OK(vm_set_slot(vm, 1, 0, SLOT_GPA, PAGE_SIZE,
			      new_page(store1, sizeof(store1))));
	expect_stores(vcpu, 1);
}
