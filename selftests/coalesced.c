// SPDX-License-Identifier: GPL-2.0
/* Zones of device memory and ports whose writes wait in a ring. */
#include "guest.h"

#define ZONE_SIZE	0x100
#define PORT		0x1230
#define OTHER_PORT	0x1300
#define RING_SIZE	((PAGE_SIZE - 8) / 24)

static struct minivmm_coalesced_mmio_ring *ring_of(struct vcpu *vcpu)
{
	ASSERT_GE(vcpu->run_size, 3 * PAGE_SIZE);
	return (void *)((char *)vcpu->run +
			MINIVMM_COALESCED_MMIO_PAGE_OFFSET * PAGE_SIZE);
}

static int zone(struct vm *vm, bool remove, u64 addr, u32 size, u32 pio)
{
	struct minivmm_coalesced_mmio_zone arg = {
		.addr = addr, .size = size, .pio = pio,
	};

	return ioctl(vm->fd, remove ? MINIVMM_UNREGISTER_COALESCED_MMIO :
				      MINIVMM_REGISTER_COALESCED_MMIO, &arg);
}

static void expect_entry(struct minivmm_coalesced_mmio_ring *ring, u32 i,
			 u64 addr, u32 len, u64 value, u32 pio)
{
	struct minivmm_coalesced_mmio *e = &ring->coalesced_mmio[i];
	u64 data = 0;

	memcpy(&data, e->data, len);
	EXPECT_EQ(e->phys_addr, addr);
	EXPECT_EQ(e->len, len);
	EXPECT_EQ(e->pio, pio);
	EXPECT_EQ(data, value);
}

static void assert_mmio(struct vcpu *vcpu, u64 addr, bool write)
{
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_MMIO);
	ASSERT_EQ(vcpu->run->mmio.phys_addr, addr);
	ASSERT_EQ(vcpu->run->mmio.is_write, write);
}

static void guest_sizes(void)
{
	*(volatile u8 *)MMIO_GPA = 0x11;
	*(volatile u16 *)(MMIO_GPA + 2) = 0x2222;
	*(volatile u32 *)(MMIO_GPA + 4) = 0x44444444;
	*(volatile u64 *)(MMIO_GPA + ZONE_SIZE - 8) = 0x8888888888888888;
	guest_sync(1, 0);
	outb(PORT, 0x11);
	outl(PORT + 4, 0x44444444);
	guest_sync(2, 0);
}

TEST(writes_wait)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_coalesced_mmio_ring *ring = ring_of(vcpu);

	ASSERT_OK(zone(vcpu->vm, false, MMIO_GPA, ZONE_SIZE, 0));
	ASSERT_OK(zone(vcpu->vm, false, PORT, 8, 1));
	vcpu_setup_long(vcpu, guest_sizes, 0);
	ASSERT_SYNC(vcpu, 1);
	ASSERT_EQ(ring->first, 0);
	ASSERT_EQ(ring->last, 4);
	expect_entry(ring, 0, MMIO_GPA, 1, 0x11, 0);
	expect_entry(ring, 1, MMIO_GPA + 2, 2, 0x2222, 0);
	expect_entry(ring, 2, MMIO_GPA + 4, 4, 0x44444444, 0);
	expect_entry(ring, 3, MMIO_GPA + ZONE_SIZE - 8, 8, 0x8888888888888888, 0);
	ASSERT_SYNC(vcpu, 2);
	ASSERT_EQ(ring->last, 6);
	expect_entry(ring, 4, PORT, 1, 0x11, 1);
	expect_entry(ring, 5, PORT + 4, 4, 0x44444444, 1);
	ASSERT_DONE(vcpu);
}

static void guest_outside(void)
{
	(void)*(volatile u32 *)MMIO_GPA;
	*(volatile u32 *)(MMIO_GPA - 4) = 0;
	*(volatile u32 *)(MMIO_GPA + ZONE_SIZE - 2) = 0;
	*(volatile u32 *)(MMIO_GPA + ZONE_SIZE) = 0;
	inl(PORT);
	outl(PORT - 4, 0);
	outl(PORT + 6, 0);
	outl(OTHER_PORT, 0);
}

static void assert_io(struct vcpu *vcpu, u16 port, u8 direction)
{
	ASSERT_EXIT(vcpu, MINIVMM_EXIT_IO);
	ASSERT_EQ(vcpu->run->io.port, port);
	ASSERT_EQ(vcpu->run->io.direction, direction);
}

/* Reads, and what does not lie in a zone as a whole, are told at once. */
TEST(others_exit)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	ASSERT_OK(zone(vcpu->vm, false, MMIO_GPA, ZONE_SIZE, 0));
	ASSERT_OK(zone(vcpu->vm, false, PORT, 8, 1));
	/* the same numbers in the other space */
	ASSERT_OK(zone(vcpu->vm, false, OTHER_PORT, 8, 0));
	vcpu_setup_long(vcpu, guest_outside, 0);
	assert_mmio(vcpu, MMIO_GPA, false);
	assert_mmio(vcpu, MMIO_GPA - 4, true);
	assert_mmio(vcpu, MMIO_GPA + ZONE_SIZE - 2, true);
	assert_mmio(vcpu, MMIO_GPA + ZONE_SIZE, true);
	assert_io(vcpu, PORT, MINIVMM_EXIT_IO_IN);
	assert_io(vcpu, PORT - 4, MINIVMM_EXIT_IO_OUT);
	assert_io(vcpu, PORT + 6, MINIVMM_EXIT_IO_OUT);
	assert_io(vcpu, OTHER_PORT, MINIVMM_EXIT_IO_OUT);
	ASSERT_DONE(vcpu);
	EXPECT_EQ(ring_of(vcpu)->last, 0);
}

static void guest_fill(void)
{
	u32 i;

	for (i = 0; i < RING_SIZE; i++)
		*(volatile u32 *)MMIO_GPA = i;
	guest_sync(1, 0);
	*(volatile u32 *)MMIO_GPA = i;
	guest_sync(2, 0);
}

/* A full ring, which has one entry free, makes an exit as without a zone. */
TEST(full_ring)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_coalesced_mmio_ring *ring = ring_of(vcpu);

	ASSERT_OK(zone(vcpu->vm, false, MMIO_GPA, 4, 0));
	vcpu_setup_long(vcpu, guest_fill, 0);
	assert_mmio(vcpu, MMIO_GPA, true);
	EXPECT_EQ(ring->first, 0);
	EXPECT_EQ(ring->last, RING_SIZE - 1);
	expect_entry(ring, RING_SIZE - 2, MMIO_GPA, 4, RING_SIZE - 2, 0);
	/* emptied, it goes on where it was, and around */
	ring->first = RING_SIZE - 1;
	ASSERT_SYNC(vcpu, 1);
	ASSERT_SYNC(vcpu, 2);
	EXPECT_EQ(ring->last, 0);
	expect_entry(ring, RING_SIZE - 1, MMIO_GPA, 4, RING_SIZE, 0);
}

static void guest_write_forever(void)
{
	for (;;)
		*(volatile u32 *)MMIO_GPA = 1;
}

/* Whatever the client writes there, no byte beyond the page is touched. */
TEST(hostile_ring)
{
	static const u32 values[] = {
		RING_SIZE - 1, RING_SIZE, RING_SIZE + 1, 0x7fffffff, 0x80000000,
		0xfffffffe, 0xffffffff,
	};
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_coalesced_mmio_ring *ring = ring_of(vcpu);
	unsigned int i, j;

	ASSERT_OK(zone(vcpu->vm, false, MMIO_GPA, 4, 0));
	vcpu_setup_long(vcpu, guest_write_forever, 0);
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		for (j = 0; j < ARRAY_SIZE(values); j++) {
			/* a last one that is none takes nothing */
			ring->first = values[i];
			ring->last = values[j] == RING_SIZE - 1 ?
				     values[j] + 1 : values[j];
			assert_mmio(vcpu, MMIO_GPA, true);
			EXPECT(ring->last >= RING_SIZE);
		}
	}
	/* a first one that is none: all the room there is, then an exit */
	ring->last = 5;
	ring->first = 5;
	assert_mmio(vcpu, MMIO_GPA, true);
	EXPECT_EQ(ring->last, 4);
}

static void guest_one_write(void)
{
	for (;;) {
		*(volatile u32 *)(MMIO_GPA + 8) = 1;
		guest_sync(1, 0);
	}
}

/* Unregistering takes away every zone in which what is named lies. */
TEST(unregister)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct vm *vm = vcpu->vm;

	vcpu_setup_long(vcpu, guest_one_write, 0);
	ASSERT_OK(zone(vm, false, MMIO_GPA, 0x10, 0));
	ASSERT_OK(zone(vm, false, MMIO_GPA, ZONE_SIZE, 0));
	ASSERT_SYNC(vcpu, 1);
	/* not those that it only touches, nor ports */
	ASSERT_OK(zone(vm, true, MMIO_GPA + 0x8, 0x100, 0));
	ASSERT_OK(zone(vm, true, MMIO_GPA, ZONE_SIZE, 1));
	ASSERT_SYNC(vcpu, 1);
	/* the larger one alone */
	ASSERT_OK(zone(vm, true, MMIO_GPA + 0x10, 4, 0));
	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(zone(vm, false, MMIO_GPA, ZONE_SIZE, 0));
	/* both */
	ASSERT_OK(zone(vm, true, MMIO_GPA + 8, 8, 0));
	assert_mmio(vcpu, MMIO_GPA + 8, true);
	ASSERT_SYNC(vcpu, 1);
	ASSERT_OK(zone(vm, true, MMIO_GPA + 8, 8, 0));
	EXPECT_EQ(ring_of(vcpu)->last, 3);
}

/* One ring for the VM */
TEST(two_vcpus)
{
	struct vm *vm = vm_create();
	struct vcpu *a = vcpu_create(vm, 0), *b = vcpu_create(vm, 1);

	ASSERT_OK(zone(vm, false, MMIO_GPA, ZONE_SIZE, 0));
	vcpu_setup_long(a, guest_one_write, 0);
	vcpu_setup_long(b, guest_one_write, 0);
	ASSERT_SYNC(a, 1);
	ASSERT_SYNC(b, 1);
	EXPECT_EQ(ring_of(a)->last, 2);
	EXPECT_EQ(ring_of(b)->last, 2);
	ring_of(b)->first = 2;
	EXPECT_EQ(ring_of(a)->first, 2);
}

guest_code16(outs_blob,
	     "mov $0x3000, %si\n"
	     "mov $0x1230, %dx\n"
	     "mov $200, %cx\n"
	     "rep outsw\n"
	     "hlt\n");

/* Each element of a string is a write of its own, in order. */
TEST(outs)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	struct minivmm_coalesced_mmio_ring *ring = ring_of(vcpu);
	u32 i, seen = 0, n = 0;
	u16 *data;

	ASSERT_OK(zone(vcpu->vm, false, PORT, 2, 1));
	vcpu_setup_real(vcpu, &outs_blob);
	for (i = 0; i < 200; i++)
		((u16 *)vm_gpa(vcpu->vm, 0x3000))[i] = i;
	while (vcpu_run(vcpu) == MINIVMM_EXIT_IO) {
		ASSERT_EQ(ring->last, RING_SIZE - 1);
		for (; ring->first != ring->last; ring->first++)
			expect_entry(ring, ring->first, PORT, 2, seen++, 1);
		ASSERT_EQ(vcpu->run->io.port, PORT);
		data = vcpu_io_data(vcpu);
		for (i = 0; i < vcpu->run->io.count; i++)
			ASSERT_EQ(data[i], seen++);
		n++;
	}
	ASSERT_EQ(vcpu->run->exit_reason, MINIVMM_EXIT_HLT);
	EXPECT_EQ(n, 1);
	for (; ring->first != ring->last; ring->first = (ring->first + 1) % RING_SIZE)
		expect_entry(ring, ring->first, PORT, 2, seen++, 1);
	EXPECT_EQ(seen, 200);
}

TEST(arguments)
{
	struct vm *vm = vm_create();
	u32 i;

	EXPECT_ERRNO(zone(vm, false, MMIO_GPA, 8, 2), EINVAL);
	EXPECT_ERRNO(zone(vm, true, MMIO_GPA, 8, ~0U), EINVAL);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_REGISTER_COALESCED_MMIO, 8), EFAULT);
	EXPECT_ERRNO(ioctl(vm->fd, MINIVMM_UNREGISTER_COALESCED_MMIO, 8), EFAULT);
	/* empty, and wrapping: never match */
	EXPECT_OK(zone(vm, false, MMIO_GPA, 0, 0));
	EXPECT_OK(zone(vm, false, ~0ULL, 2, 0));
	EXPECT_OK(zone(vm, true, MMIO_GPA, 8, 0));
	for (i = 2; i < 1000; i++)
		ASSERT_OK(zone(vm, false, MMIO_GPA, 8, 0));
	EXPECT_ERRNO(zone(vm, false, MMIO_GPA, 8, 0), ENOSPC);
	EXPECT_OK(zone(vm, true, MMIO_GPA, 8, 0));
	EXPECT_OK(zone(vm, false, MMIO_GPA, 8, 0));
}
