// SPDX-License-Identifier: GPL-2.0
/* The 8259 pair against its data sheet. */
#include "pic.h"
#include "tap.h"

#define MASTER_VECTOR	0x20
#define SLAVE_VECTOR	0x28

#define EOI		0x20
#define EOI_SPECIFIC	0x60
#define ROTATE_EOI	0xa0
#define SET_PRIORITY	0xc0
#define READ_IRR	0x0a
#define READ_ISR	0x0b
#define POLL		0x0c
#define SPECIAL_MASK	0x68
#define NORMAL_MASK	0x48

/* As Linux does it; @icw4 for both chips. */
static void init(struct pic *pic, u8 icw4)
{
	pic_reset(pic);
	pic_write(pic, 0x20, 0x11);
	pic_write(pic, 0x21, MASTER_VECTOR);
	pic_write(pic, 0x21, 0x04);
	pic_write(pic, 0x21, icw4);
	pic_write(pic, 0xa0, 0x11);
	pic_write(pic, 0xa1, SLAVE_VECTOR);
	pic_write(pic, 0xa1, 0x02);
	pic_write(pic, 0xa1, icw4);
	pic_write(pic, 0x21, 0);
	pic_write(pic, 0xa1, 0);
}

static void pulse(struct pic *pic, unsigned int irq)
{
	pic_set_irq(pic, irq, false);
	pic_set_irq(pic, irq, true);
}

static u8 status(struct pic *pic, u16 port, u8 ocw3)
{
	pic_write(pic, port, ocw3);
	return pic_read(pic, port);
}

static void test_basics(void)
{
	struct pic pic;

	pic_reset(&pic);
	pulse(&pic, 1);
	CHECK(!pic_intr(&pic), "nothing comes before initialisation");

	init(&pic, 0x01);
	EQUAL(pic_read(&pic, 0x21), 0, "the mask reads back");
	CHECK(!pic_intr(&pic), "a level that was high before is no edge");
	pulse(&pic, 1);
	CHECK(pic_intr(&pic), "an edge raises INTR");
	EQUAL(status(&pic, 0x20, READ_IRR), 0x02, "IRR shows it");
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 1, "with its vector");
	EQUAL(status(&pic, 0x20, READ_IRR), 0, "acknowledged it leaves IRR");
	EQUAL(status(&pic, 0x20, READ_ISR), 0x02, "and enters ISR");
	pulse(&pic, 1);
	CHECK(!pic_intr(&pic), "no second one while in service");
	pulse(&pic, 3);
	CHECK(!pic_intr(&pic), "nor a lower one");
	pulse(&pic, 0);
	CHECK(pic_intr(&pic), "but a higher one");
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 0, "it nests");
	pic_write(&pic, 0x20, EOI);
	EQUAL(status(&pic, 0x20, READ_ISR), 0x02, "EOI ends the highest");
	pic_write(&pic, 0x20, EOI_SPECIFIC | 1);
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 1, "then the pending ones by priority");
	pic_write(&pic, 0x20, EOI);
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 3, "to the last");
	pic_write(&pic, 0x20, EOI);
	CHECK(!pic_intr(&pic), "and INTR falls");
}

static void test_mask_and_level(void)
{
	struct pic pic;

	init(&pic, 0x01);
	pic_write(&pic, 0x21, 0x10);
	pulse(&pic, 4);
	CHECK(!pic_intr(&pic), "a masked request waits");
	pic_write(&pic, 0x21, 0);
	CHECK(pic_intr(&pic), "until unmasked");
	pic_set_irq(&pic, 4, false);
	CHECK(pic_intr(&pic), "an edge that was seen stays");
	pic_acknowledge(&pic);
	pic_write(&pic, 0x20, EOI);
	CHECK(!pic_intr(&pic), "and comes once");

	pic_write(&pic, 0x4d0, 0xff);
	pic_write(&pic, 0x4d1, 0xff);
	EQUAL(pic_read(&pic, 0x4d0), 0xf8, "timer, keyboard and cascade stay edge triggered");
	EQUAL(pic_read(&pic, 0x4d1), 0xde, "clock and coprocessor too");
	pic_set_irq(&pic, 9, true);
	pic_set_irq(&pic, 9, false);
	CHECK(!pic_intr(&pic), "a level that is withdrawn in time is forgotten");
	pic_set_irq(&pic, 9, true);
	EQUAL(pic_acknowledge(&pic), SLAVE_VECTOR + 1, "a level interrupt comes");
	pic_write(&pic, 0xa0, EOI);
	pic_write(&pic, 0x20, EOI);
	CHECK(pic_intr(&pic), "and again while the line is high");
	pic_set_irq(&pic, 9, false);
	CHECK(!pic_intr(&pic), "not once it is low");
}

static void test_cascade(void)
{
	struct pic pic;

	init(&pic, 0x01);
	pic_set_irq(&pic, 2, true);
	CHECK(!pic_intr(&pic), "the cascade input cannot be driven");
	pic_set_irq(&pic, 99, true);
	CHECK(!pic_intr(&pic), "nor one that is not there");
	pulse(&pic, 12);
	pulse(&pic, 3);
	EQUAL(pic_acknowledge(&pic), SLAVE_VECTOR + 4, "the slave has the cascade's priority");
	EQUAL(status(&pic, 0x20, READ_ISR), 0x04, "in service at the master");
	EQUAL(status(&pic, 0xa0, READ_ISR), 0x10, "and at the slave");
	pulse(&pic, 8);
	CHECK(!pic_intr(&pic), "the cascade in service blocks the slave's higher one");
	pic_write(&pic, 0xa0, EOI);
	pic_write(&pic, 0x20, EOI);
	EQUAL(pic_acknowledge(&pic), SLAVE_VECTOR + 0, "it comes after both EOIs");
	pic_write(&pic, 0xa0, EOI);
	pic_write(&pic, 0x20, EOI);
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 3, "then the master's own");

	init(&pic, 0x11);
	pulse(&pic, 12);
	pic_acknowledge(&pic);
	pulse(&pic, 8);
	EQUAL(pic_acknowledge(&pic), SLAVE_VECTOR + 0, "special fully nested mode lets it through");
}

static void test_spurious(void)
{
	struct pic pic;

	init(&pic, 0x01);
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 7, "no request: a spurious IRQ 7");
	EQUAL(status(&pic, 0x20, READ_ISR), 0, "which is not in service");

	/* The slave's request goes while the master's is on its way to the CPU. */
	pulse(&pic, 10);
	pic.chip[1].irr = 0;
	EQUAL(pic_acknowledge(&pic), SLAVE_VECTOR + 7, "a slave that withdraws: a spurious IRQ 15");
	EQUAL(status(&pic, 0xa0, READ_ISR), 0, "not in service at the slave");
	EQUAL(status(&pic, 0x20, READ_ISR), 0x04, "but at the master");
}

static void test_priorities(void)
{
	struct pic pic;

	init(&pic, 0x01);
	pulse(&pic, 7);
	pulse(&pic, 0);
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 0, "at first 0 is the highest");

	init(&pic, 0x01);
	pic_write(&pic, 0x20, SET_PRIORITY | 4);
	pulse(&pic, 0);
	pulse(&pic, 5);
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 5, "set priority: 5 is above 0");
	pic_write(&pic, 0x20, ROTATE_EOI);
	pulse(&pic, 5);
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 0, "rotation made 5 the lowest");
	pic_write(&pic, 0x20, EOI);
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 5, "it still comes");

	init(&pic, 0x03);
	pulse(&pic, 6);
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 6, "automatic EOI: delivered");
	EQUAL(status(&pic, 0x20, READ_ISR), 0, "and never in service");
	pulse(&pic, 6);
	EQUAL(pic_take_auto_ended(&pic), BIT(6), "it has ended by itself");
	EQUAL(pic_take_auto_ended(&pic), 0, "once");
	CHECK(pic_intr(&pic), "so it may come again");
	pulse(&pic, 10);
	pic_acknowledge(&pic);
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 6, "what is lower comes then");
	EQUAL(pic_take_auto_ended(&pic), BIT(10) | BIT(6) | BIT(2), "the slave's, the cascade");
	pic_acknowledge(&pic);
	EQUAL(pic_take_auto_ended(&pic), 0, "a spurious one has nothing to end");

	init(&pic, 0x01);
	pulse(&pic, 6);
	pic_acknowledge(&pic);
	pic_write(&pic, 0x20, EOI);
	EQUAL(pic_take_auto_ended(&pic), 0, "an EOI is no end by itself");
}

static void test_special_mask(void)
{
	struct pic pic;

	init(&pic, 0x01);
	pulse(&pic, 1);
	pic_acknowledge(&pic);
	pulse(&pic, 5);
	pic_write(&pic, 0x21, 0x02);
	CHECK(!pic_intr(&pic), "normally a masked interrupt in service inhibits");
	pic_write(&pic, 0x20, SPECIAL_MASK);
	CHECK(pic_intr(&pic), "in special mask mode it does not");
	EQUAL(pic_acknowledge(&pic), MASTER_VECTOR + 5, "the lower one comes");
	pic_write(&pic, 0x20, EOI);
	EQUAL(status(&pic, 0x20, READ_ISR), 0x02, "EOI spares the masked one");
	pic_write(&pic, 0x20, NORMAL_MASK);
	pic_write(&pic, 0x20, EOI);
	EQUAL(status(&pic, 0x20, READ_ISR), 0, "until the mode ends");
}

static void test_poll(void)
{
	struct pic pic;

	init(&pic, 0x01);
	pic_write(&pic, 0x20, POLL);
	EQUAL(pic_read(&pic, 0x20), 0, "poll with nothing pending");
	pulse(&pic, 3);
	pic_write(&pic, 0x20, POLL);
	EQUAL(pic_read(&pic, 0x20), 0x83, "poll acknowledges");
	EQUAL(status(&pic, 0x20, READ_ISR), 0x08, "it is in service");
	CHECK(!pic_intr(&pic), "and INTR is down");
	pic_write(&pic, 0x20, EOI);
	pulse(&pic, 14);
	pic_write(&pic, 0x20, POLL);
	EQUAL(pic_read(&pic, 0x20), 0x82, "the slave polls as the cascade");
	pic_write(&pic, 0xa0, POLL);
	EQUAL(pic_read(&pic, 0xa0), 0x86, "then by itself");
}

static void test_init_sequence(void)
{
	struct pic pic;

	init(&pic, 0x01);
	pulse(&pic, 1);
	pic_acknowledge(&pic);
	pic_write(&pic, 0x21, 0xff);
	pic_write(&pic, 0x20, 0x12);	/* single, no ICW4 */
	pic_write(&pic, 0x21, 0x47);
	EQUAL(pic_read(&pic, 0x21), 0, "ICW1 clears the mask, ICW2 ends a short sequence");
	EQUAL(status(&pic, 0x20, READ_ISR), 0, "nothing is in service");
	pulse(&pic, 1);
	EQUAL(pic_acknowledge(&pic), 0x41, "ICW2's low bits are ignored");
}

static void test_status(void)
{
	struct pic pic;

	init(&pic, 0x01);
	EQUAL(pic_set_irq(&pic, 3, true), 1, "a new request");
	EQUAL(pic_set_irq(&pic, 3, true), 0, "no edge");
	EQUAL(pic_set_irq(&pic, 3, false), 1, "a line that falls");
	EQUAL(pic_set_irq(&pic, 3, true), 0, "an edge that joins the one before");
	pic_write(&pic, 0xa1, 0xff);
	EQUAL(pic_set_irq(&pic, 11, true), -1, "a masked one");
	EQUAL(pic_set_irq(&pic, 2, true), -1, "the cascade");
	EQUAL(pic_set_irq(&pic, 16, true), -1, "none");
}

static void test_state(void)
{
	struct minivmm_pic_state state, again;
	struct pic pic, copy;

	init(&pic, 0x13);
	pic_write(&pic, 0x4d1, 0x04);
	pulse(&pic, 1);
	pulse(&pic, 10);
	pic_acknowledge(&pic);
	pic_take_auto_ended(&pic);
	pic_write(&pic, 0x20, SET_PRIORITY | 4);
	pic_write(&pic, 0xa0, 0x11);
	pic_write(&pic, 0xa1, 0x70);
	pic_reset(&copy);
	for (unsigned int i = 0; i < 2; i++) {
		pic_get_state(&pic, i, &state);
		pic_set_state(&copy, i, &state);
		pic_get_state(&copy, i, &again);
		CHECK(!memcmp(&state, &again, sizeof(state)), "state goes out and in");
	}
	CHECK(!memcmp(&pic, &copy, sizeof(pic)), "and all of it");
	EQUAL(state.init_state, 2, "as KVM has it: ICW3 is next");
	EQUAL(state.elcr, 0x04, "level triggered inputs");
	EQUAL(state.elcr_mask, 0xde, "and those that may be");
	pic_get_state(&pic, 0, &state);
	EQUAL(state.priority_add, 5, "as KVM has it: the highest priority");

	memset(&state, 0xff, sizeof(state));
	pic_set_state(&pic, 0, &state);
	pic_set_state(&pic, 1, &state);
	pic_get_state(&pic, 0, &state);
	EQUAL(state.elcr, 0xf8, "nonsense becomes something possible");
}

int main(void)
{
	test_basics();
	test_mask_and_level();
	test_cascade();
	test_spurious();
	test_priorities();
	test_special_mask();
	test_poll();
	test_init_sequence();
	test_status();
	test_state();
	return tap_end();
}
