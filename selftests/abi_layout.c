// SPDX-License-Identifier: GPL-2.0
/*
 * minivmm's interface has KVM's numbers and layouts: every macro, structure
 * and field of uapi/linux/minivmm.h is held against <linux/kvm.h>.
 *
 * scripts/abi-asserts.awk prints the list from the header itself and refuses
 * lines it does not understand, so nothing can be forgotten.  The assertions
 * are compile-time; what is left for run time is to say how many there were.
 */
#include <stddef.h>

#include <linux/kvm.h>
#include <linux/minivmm.h>

#include "kselftest.h"
#include "newer_kvm.h"

#define SIZE_OF_FIELD(type, field)	sizeof(((type *)0)->field)

/* First as assertions, outside any function ... */
#define ABI_VALUE(ours, theirs)						\
	_Static_assert((ours) == (theirs), #ours);			\
	_Static_assert(sizeof(ours) == sizeof(theirs), "type of " #ours);
#define ABI_SIZE(ours, theirs)						\
	_Static_assert(sizeof(ours) == sizeof(theirs), #ours);		\
	_Static_assert(_Alignof(ours) == _Alignof(theirs), #ours);
#define ABI_OFFSET(ours, field, theirs, their_field)			\
	_Static_assert(offsetof(ours, field) ==				\
		       offsetof(theirs, their_field), #ours "." #field);
#define ABI_FIELD(ours, field, theirs, their_field)			\
	ABI_OFFSET(ours, field, theirs, their_field)			\
	_Static_assert(SIZE_OF_FIELD(ours, field) ==			\
		       SIZE_OF_FIELD(theirs, their_field),		\
		       "size of " #ours "." #field);

#include "abi_layout_asserts.h"

#undef ABI_VALUE
#undef ABI_SIZE
#undef ABI_OFFSET
#undef ABI_FIELD

/* ... then as numbers to report. */
#define ABI_VALUE(ours, theirs)				values++;
#define ABI_SIZE(ours, theirs)				structs++;
#define ABI_OFFSET(ours, field, theirs, their_field)	fields++;
#define ABI_FIELD(ours, field, theirs, their_field)	fields++;

int main(void)
{
	int values = 0, structs = 0, fields = 0;

#include "abi_layout_asserts.h"

	ksft_print_header();
	ksft_set_plan(1);
	ksft_print_msg("%d values, %d structures, %d fields equal KVM's\n",
		       values, structs, fields);
	ksft_test_result(values && structs && fields, "abi_layout\n");
	ksft_finished();
}
