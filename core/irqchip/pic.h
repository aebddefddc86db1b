/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The PC's two cascaded 8259A interrupt controllers, as pure logic: no lock,
 * no knowledge of who runs the vCPU.
 */
#ifndef MINIVMM_PIC_H
#define MINIVMM_PIC_H

#include "chip.h"

#define PIC_NR_IRQS		16
#define PIC_CASCADE_IRQ		2

#define PIC_MASTER_BASE		0x20
#define PIC_SLAVE_BASE		0xa0
#define PIC_ELCR_BASE		0x4d0

struct pic_chip {
	u8 irr;			/* requests latched */
	u8 imr;			/* requests masked */
	u8 isr;			/* interrupts in service */
	u8 lines;		/* levels of the input pins */
	u8 elcr;		/* 1: level triggered, 0: edge triggered */
	u8 vector_base;		/* ICW2, bits 7..3 */
	u8 lowest;		/* the input with the lowest priority */
	u8 init_step;		/* the ICW expected next, 0 when operating */
	bool wants_icw4;
	bool single;		/* ICW1: no cascade, hence no ICW3 */
	bool auto_eoi;
	bool rotate_on_auto_eoi;
	bool nested;		/* special fully nested mode */
	bool special_mask;
	bool read_isr;		/* OCW3: reads give ISR, not IRR */
	bool poll;		/* OCW3: the next read acknowledges */
	u8 auto_ended;		/* in automatic-EOI mode: see pic_take_auto_ended() */
};

struct pic {
	struct pic_chip chip[2];	/* master, slave */
};

void pic_reset(struct pic *pic);
int pic_set_irq(struct pic *pic, unsigned int irq, bool level);
bool pic_intr(const struct pic *pic);
u8 pic_acknowledge(struct pic *pic);
unsigned int pic_take_auto_ended(struct pic *pic);
u8 pic_read(struct pic *pic, u16 port);
void pic_write(struct pic *pic, u16 port, u8 value);
void pic_get_state(const struct pic *pic, unsigned int chip, struct minivmm_pic_state *state);
void pic_set_state(struct pic *pic, unsigned int chip, const struct minivmm_pic_state *state);

#endif /* MINIVMM_PIC_H */
