#include "../core.h"
bool mv_pic_intr(struct mv_vm *vm) { return false; }
int mv_pic_acknowledge(struct mv_vm *vm) { return 0; }
int mv_irqchip_eoi(struct mv_vcpu *vcpu, u8 vector)
{
	vcpu->run->exit_reason = MINIVMM_EXIT_IOAPIC_EOI;
	vcpu->run->eoi.vector = vector;
	return 0;
}
