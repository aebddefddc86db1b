// SPDX-License-Identifier: GPL-2.0
/*
 * hypervisor: say which hypervisor this machine says it runs under. Part of the
 * guest of "make run".
 */
#include <cpuid.h>
#include <stdio.h>
#include <string.h>

/* SDM Vol. 2A, CPUID: leaf 1, ECX bit 31 is zero on every real processor. */
#define HYPERVISOR_PRESENT	(1u << 31)
/* The leaf where hypervisors, by their own agreement, put their name. */
#define HYPERVISOR_LEAF		0x40000000

int main(void)
{
	unsigned int eax, name[3];
	char text[sizeof(name) + 1] = "";
	unsigned int ebx, ecx, edx;

	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & HYPERVISOR_PRESENT)) {
		printf("hypervisor: none (CPUID.1:ECX[31] is clear)\n");
		return 1;
	}
	__cpuid(HYPERVISOR_LEAF, eax, name[0], name[1], name[2]);
	memcpy(text, name, sizeof(name));
	printf("hypervisor: '%s' (CPUID 0x40000000, highest leaf %#x)\n", text, eax);
	return 0;
}
