// SPDX-License-Identifier: GPL-2.0
/*
 * 8259A programmable interrupt controllers, master and slave, and the edge and
 * level control registers that PC chipsets add.
 *
 * "DS" in the comments is Intel's 8259A data sheet, order number 231468.
 */
#include "pic.h"

#define ICW1_IC4		BIT(0)
#define ICW1_SNGL		BIT(1)
#define ICW1_INIT		BIT(4)

#define ICW4_AUTO_EOI		BIT(1)
#define ICW4_SFNM		BIT(4)

#define OCW2_ROTATE_AEOI_CLEAR	0
#define OCW2_EOI		1
#define OCW2_EOI_SPECIFIC	3
#define OCW2_ROTATE_AEOI_SET	4
#define OCW2_ROTATE_EOI		5
#define OCW2_SET_PRIORITY	6
#define OCW2_ROTATE_SPECIFIC	7

#define OCW3_SELECT		BIT(3)
#define OCW3_READ_ISR		BIT(0)
#define OCW3_READ		BIT(1)
#define OCW3_POLL		BIT(2)
#define OCW3_SMM		BIT(5)
#define OCW3_SMM_ENABLE		BIT(6)

#define POLL_PENDING		BIT(7)

#define SPURIOUS_INPUT		7
#define NO_INPUT		8

/* Inputs a PC chipset keeps edge triggered: timer, keyboard, cascade; clock, coprocessor. */
static const u8 elcr_writable[2] = { 0xf8, 0xde };

/* The input of highest priority in @mask. Priorities rotate: @lowest + 1 is the highest. */
static unsigned int highest(const struct pic_chip *c, u8 mask)
{
	for (unsigned int i = 1; i <= 8; i++) {
		unsigned int input = (c->lowest + i) & 7;

		if (mask & BIT(input))
			return input;
	}
	return NO_INPUT;
}

static unsigned int rank(const struct pic_chip *c, unsigned int input)
{
	return input == NO_INPUT ? NO_INPUT : (input - c->lowest - 1) & 7;
}

/* The input that would be acknowledged now, or NO_INPUT. */
static unsigned int chip_pending(const struct pic_chip *c, bool master)
{
	unsigned int input = highest(c, c->irr & ~c->imr);
	u8 blocking = c->isr;

	if (c->init_step || input == NO_INPUT)
		return NO_INPUT;
	/* DS, special mask mode: a masked input in service inhibits nobody. */
	if (c->special_mask)
		blocking &= ~c->imr;
	/* DS, special fully nested mode: the slave may interrupt its own service. */
	if (c->nested && master)
		blocking &= ~BIT(PIC_CASCADE_IRQ);
	return rank(c, input) < rank(c, highest(c, blocking)) ? input : NO_INPUT;
}

/* Return: 1 for a new request or a line that falls, 0 if it was requested already. */
static int chip_set_line(struct pic_chip *c, unsigned int input, bool level)
{
	u8 bit = BIT(input);
	bool requests = level && ((c->elcr & bit) || !(c->lines & bit));
	bool pending = c->irr & bit;

	if (level)
		c->lines |= bit;
	else
		c->lines &= ~bit;
	/*
	 * DS: an edge that is withdrawn before its INTA is not remembered. Here it
	 * is, as by KVM: its clients, and irqfds, just pulse a line.
	 */
	if (requests)
		c->irr |= bit;
	else if (!level && (c->elcr & bit))
		c->irr &= ~bit;
	return !level || (requests && !pending);
}

/* The slave's output is an input of the master, and is withdrawn when it falls. */
static void update_cascade(struct pic *pic)
{
	bool intr = chip_pending(&pic->chip[1], false) != NO_INPUT;

	chip_set_line(&pic->chip[0], PIC_CASCADE_IRQ, intr);
	if (!intr)
		pic->chip[0].irr &= ~BIT(PIC_CASCADE_IRQ);
}

/* An INTA cycle as one chip sees it: the input acknowledged, 7 if there was none. */
static unsigned int chip_acknowledge(struct pic_chip *c, bool master)
{
	unsigned int input = chip_pending(c, master);

	if (input == NO_INPUT)
		return SPURIOUS_INPUT;	/* DS: a default IR7 without its ISR bit */

	if (c->auto_eoi) {
		c->auto_ended |= BIT(input);
		if (c->rotate_on_auto_eoi)
			c->lowest = input;
	} else {
		c->isr |= BIT(input);
	}
	if (!(c->elcr & BIT(input)))
		c->irr &= ~BIT(input);
	return input;
}

static unsigned int master_acknowledge(struct pic *pic)
{
	return chip_acknowledge(&pic->chip[0], true);
}

static unsigned int slave_acknowledge(struct pic *pic)
{
	unsigned int input = chip_acknowledge(&pic->chip[1], false);

	/* Its output drops during INTA and rises anew for the next request. */
	chip_set_line(&pic->chip[0], PIC_CASCADE_IRQ, false);
	update_cascade(pic);
	return input;
}

/**
 * pic_reset - power-on state: everything masked until the guest initialises it
 * @pic: the pair
 */
void pic_reset(struct pic *pic)
{
	memset(pic, 0, sizeof(*pic));
	for (int i = 0; i < 2; i++) {
		pic->chip[i].lowest = 7;
		pic->chip[i].imr = 0xff;
	}
}

/**
 * pic_set_irq - drive an input line
 * @pic: the pair
 * @irq: 0..15; 2 is the cascade and cannot be driven
 * @level: the line's new level
 *
 * Return: 1 for a new request or a line that falls, 0 for a request that joined
 * one before it, -1 if the input is masked (the request waits) or not there.
 */
int pic_set_irq(struct pic *pic, unsigned int irq, bool level)
{
	struct pic_chip *c = &pic->chip[irq / 8 & 1];
	int ret;

	if (irq >= PIC_NR_IRQS || irq == PIC_CASCADE_IRQ)
		return -1;
	ret = chip_set_line(c, irq & 7, level);
	if (irq >= 8)
		update_cascade(pic);
	return c->imr & BIT(irq & 7) ? -1 : ret;
}

/**
 * pic_intr - the level of the INTR line to the CPU
 * @pic: the pair
 */
bool pic_intr(const struct pic *pic)
{
	return chip_pending(&pic->chip[0], true) != NO_INPUT;
}

/**
 * pic_acknowledge - the CPU's INTA cycles
 * @pic: the pair
 *
 * Return: the vector to deliver. With no request left it is the one of a
 * spurious IRQ 7, or of a spurious IRQ 15 if it was the slave that withdrew.
 */
u8 pic_acknowledge(struct pic *pic)
{
	unsigned int input = master_acknowledge(pic);

	if (input == PIC_CASCADE_IRQ)
		return pic->chip[1].vector_base + slave_acknowledge(pic);
	return pic->chip[0].vector_base + input;
}

/**
 * pic_take_auto_ended - which interrupts were over when they were acknowledged?
 * @pic: the pair
 *
 * In automatic-EOI mode they never were in service, and no EOI will come.
 *
 * Return: a bit for each input, since this was last asked.
 */
unsigned int pic_take_auto_ended(struct pic *pic)
{
	unsigned int ended = pic->chip[0].auto_ended | pic->chip[1].auto_ended << 8;

	pic->chip[0].auto_ended = 0;
	pic->chip[1].auto_ended = 0;
	return ended;
}

static void end_of_interrupt(struct pic_chip *c, bool rotate)
{
	u8 candidates = c->isr;
	unsigned int input;

	/* DS: a non-specific EOI does not clear what the special mask mode hides. */
	if (c->special_mask)
		candidates &= ~c->imr;
	input = highest(c, candidates);
	if (input == NO_INPUT)
		return;
	c->isr &= ~BIT(input);
	if (rotate)
		c->lowest = input;
}

static void write_icw1(struct pic_chip *c, u8 value)
{
	/*
	 * DS: the edge sense circuit is reset, so an edge input must rise again
	 * to be seen. Bit 3 (LTIM) is ignored, as by every chipset with ELCR.
	 */
	c->irr = c->lines & c->elcr;
	c->imr = 0;
	c->isr = 0;
	c->lowest = 7;
	c->special_mask = false;
	c->read_isr = false;
	c->poll = false;
	c->auto_eoi = false;
	c->nested = false;
	c->rotate_on_auto_eoi = false;
	c->wants_icw4 = value & ICW1_IC4;
	c->single = value & ICW1_SNGL;
	c->init_step = 2;
}

static void write_ocw2(struct pic_chip *c, u8 value)
{
	unsigned int input = value & 7;

	switch (value >> 5) {
	case OCW2_ROTATE_AEOI_CLEAR:
	case OCW2_ROTATE_AEOI_SET:
		c->rotate_on_auto_eoi = value >> 5 == OCW2_ROTATE_AEOI_SET;
		break;
	case OCW2_EOI:
	case OCW2_ROTATE_EOI:
		end_of_interrupt(c, value >> 5 == OCW2_ROTATE_EOI);
		break;
	case OCW2_ROTATE_SPECIFIC:
		c->lowest = input;
		c->isr &= ~BIT(input);
		break;
	case OCW2_EOI_SPECIFIC:
		c->isr &= ~BIT(input);
		break;
	case OCW2_SET_PRIORITY:
		c->lowest = input;
		break;
	}
}

static void write_ocw3(struct pic_chip *c, u8 value)
{
	if (value & OCW3_SMM_ENABLE)
		c->special_mask = value & OCW3_SMM;
	c->poll = value & OCW3_POLL;
	if (value & OCW3_READ)
		c->read_isr = value & OCW3_READ_ISR;
}

static void write_command(struct pic_chip *c, u8 value)
{
	if (value & ICW1_INIT)
		write_icw1(c, value);
	else if (value & OCW3_SELECT)
		write_ocw3(c, value);
	else
		write_ocw2(c, value);
}

static void write_data(struct pic_chip *c, u8 value)
{
	switch (c->init_step) {
	case 0:
		c->imr = value;
		break;
	case 2:
		c->vector_base = value & 0xf8;
		if (!c->single)
			c->init_step = 3;
		else
			c->init_step = c->wants_icw4 ? 4 : 0;
		break;
	case 3:
		/* ICW3 describes wiring that a PC cannot change. */
		c->init_step = c->wants_icw4 ? 4 : 0;
		break;
	case 4:
		c->auto_eoi = value & ICW4_AUTO_EOI;
		c->nested = value & ICW4_SFNM;
		c->init_step = 0;
		break;
	}
}

/* DS, poll command: the read is treated as an interrupt acknowledge. */
static u8 poll(struct pic *pic, bool master)
{
	struct pic_chip *c = &pic->chip[!master];

	c->poll = false;
	if (chip_pending(c, master) == NO_INPUT)
		return 0;
	return POLL_PENDING | (master ? master_acknowledge(pic) : slave_acknowledge(pic));
}

static struct pic_chip *chip_at(struct pic *pic, u16 port)
{
	return &pic->chip[(port & ~1) == PIC_SLAVE_BASE];
}

/**
 * pic_read - the guest reads one of the pair's ports
 * @pic: the pair
 * @port: 0x20, 0x21, 0xa0, 0xa1, 0x4d0 or 0x4d1
 */
u8 pic_read(struct pic *pic, u16 port)
{
	struct pic_chip *c = chip_at(pic, port);

	if ((port & ~1) == PIC_ELCR_BASE)
		return pic->chip[port & 1].elcr;
	if (c->poll)
		return poll(pic, c == &pic->chip[0]);
	if (port & 1)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

/**
 * pic_write - the guest writes one of the pair's ports
 * @pic: the pair
 * @port: 0x20, 0x21, 0xa0, 0xa1, 0x4d0 or 0x4d1
 * @value: the byte
 */
void pic_write(struct pic *pic, u16 port, u8 value)
{
	struct pic_chip *c = chip_at(pic, port);

	if ((port & ~1) == PIC_ELCR_BASE) {
		c = &pic->chip[port & 1];
		c->elcr = value & elcr_writable[port & 1];
		c->irr = (c->irr & ~c->elcr) | (c->lines & c->elcr);
	} else if (port & 1) {
		write_data(c, value);
	} else {
		write_command(c, value);
	}
	update_cascade(pic);
}

/**
 * pic_get_state - for MINIVMM_GET_IRQCHIP
 * @pic: the pair
 * @chip: 0 for the master, 1 for the slave
 * @state: filled in; only ICW1's SNGL bit is lost, between ICW1 and ICW2
 */
void pic_get_state(const struct pic *pic, unsigned int chip, struct minivmm_pic_state *state)
{
	const struct pic_chip *c = &pic->chip[chip];

	*state = (struct minivmm_pic_state){
		.last_irr = c->lines,
		.irr = c->irr,
		.imr = c->imr,
		.isr = c->isr,
		.priority_add = (c->lowest + 1) & 7,
		.irq_base = c->vector_base,
		.read_reg_select = c->read_isr,
		.poll = c->poll,
		.special_mask = c->special_mask,
		/* KVM counts from ICW2: 1. */
		.init_state = c->init_step ? c->init_step - 1 : 0,
		.auto_eoi = c->auto_eoi,
		.rotate_on_auto_eoi = c->rotate_on_auto_eoi,
		.special_fully_nested_mode = c->nested,
		.init4 = c->wants_icw4,
		.elcr = c->elcr,
		.elcr_mask = elcr_writable[chip],
	};
}

/**
 * pic_set_state - for MINIVMM_SET_IRQCHIP
 * @pic: the pair; INTR may change
 * @chip: 0 for the master, 1 for the slave
 * @state: from pic_get_state(), from KVM, or anything else; what an 8259 cannot
 *	be is dropped
 */
void pic_set_state(struct pic *pic, unsigned int chip, const struct minivmm_pic_state *state)
{
	u8 init_state = state->init_state & 3;

	pic->chip[chip] = (struct pic_chip){
		.lines = state->last_irr,
		.irr = state->irr,
		.imr = state->imr,
		.isr = state->isr,
		.lowest = (state->priority_add - 1) & 7,
		.vector_base = state->irq_base & 0xf8,
		.read_isr = state->read_reg_select,
		.poll = state->poll,
		.special_mask = state->special_mask,
		.init_step = init_state ? init_state + 1 : 0,
		.auto_eoi = state->auto_eoi,
		.rotate_on_auto_eoi = state->rotate_on_auto_eoi,
		.nested = state->special_fully_nested_mode,
		.wants_icw4 = state->init4,
		.elcr = state->elcr & elcr_writable[chip],
	};
}
