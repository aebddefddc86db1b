/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints minivmm:*, with the field names of KVM's kvm:* ones, so that
 * scripts written for those need no more than another prefix.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM minivmm

#if !defined(MINIVMM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MINIVMM_TRACE_H

#include <linux/tracepoint.h>
#include "compat.h"

TRACE_EVENT(minivmm_entry,
	TP_PROTO(u32 vcpu_id, u64 rip),
	TP_ARGS(vcpu_id, rip),
	TP_STRUCT__entry(
		__field(u32, vcpu_id)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->rip = rip;
	),
	TP_printk("vcpu %u, rip 0x%llx", __entry->vcpu_id, __entry->rip)
);

TRACE_EVENT(minivmm_exit,
	TP_PROTO(u32 vcpu_id, u32 exit_reason, const char *name, u64 guest_rip,
		 u64 info1, u32 intr_info),
	TP_ARGS(vcpu_id, exit_reason, name, guest_rip, info1, intr_info),
	TP_STRUCT__entry(
		__field(u32, vcpu_id)
		__field(u32, exit_reason)
		__string(name, name)
		__field(u64, guest_rip)
		__field(u64, info1)
		__field(u32, intr_info)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->exit_reason = exit_reason;
		mv_assign_name();
		__entry->guest_rip = guest_rip;
		__entry->info1 = info1;
		__entry->intr_info = intr_info;
	),
	TP_printk("vcpu %u reason %u %s rip 0x%llx info1 0x%llx intr_info 0x%x",
		  __entry->vcpu_id, __entry->exit_reason & 0xffff,
		  __get_str(name), __entry->guest_rip, __entry->info1,
		  __entry->intr_info)
);

TRACE_EVENT(minivmm_page_fault,
	TP_PROTO(u32 vcpu_id, u64 guest_rip, u64 fault_address, u64 error_code),
	TP_ARGS(vcpu_id, guest_rip, fault_address, error_code),
	TP_STRUCT__entry(
		__field(u32, vcpu_id)
		__field(u64, guest_rip)
		__field(u64, fault_address)
		__field(u64, error_code)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu_id;
		__entry->guest_rip = guest_rip;
		__entry->fault_address = fault_address;
		__entry->error_code = error_code;
	),
	TP_printk("vcpu %u rip 0x%llx address 0x%016llx error_code 0x%llx",
		  __entry->vcpu_id, __entry->guest_rip, __entry->fault_address,
		  __entry->error_code)
);

TRACE_EVENT(minivmm_pio,
	TP_PROTO(u32 rw, u32 port, u32 size, u32 count, u32 val),
	TP_ARGS(rw, port, size, count, val),
	TP_STRUCT__entry(
		__field(u32, rw)
		__field(u32, port)
		__field(u32, size)
		__field(u32, count)
		__field(u32, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->port = port;
		__entry->size = size;
		__entry->count = count;
		__entry->val = val;
	),
	TP_printk("pio_%s at 0x%x size %u count %u val 0x%x",
		  __entry->rw ? "write" : "read", __entry->port, __entry->size,
		  __entry->count, __entry->val)
);

#define MV_TRACE_MMIO_READ	1
#define MV_TRACE_MMIO_WRITE	2

TRACE_EVENT(minivmm_mmio,
	TP_PROTO(u32 type, u32 len, u64 gpa, u64 val),
	TP_ARGS(type, len, gpa, val),
	TP_STRUCT__entry(
		__field(u32, type)
		__field(u32, len)
		__field(u64, gpa)
		__field(u64, val)
	),
	TP_fast_assign(
		__entry->type = type;
		__entry->len = len;
		__entry->gpa = gpa;
		__entry->val = val;
	),
	TP_printk("mmio %s len %u gpa 0x%llx val 0x%llx",
		  __entry->type == MV_TRACE_MMIO_WRITE ? "write" : "read",
		  __entry->len, __entry->gpa, __entry->val)
);

TRACE_EVENT(minivmm_msr,
	TP_PROTO(bool write, u32 ecx, u64 data, bool exception),
	TP_ARGS(write, ecx, data, exception),
	TP_STRUCT__entry(
		__field(bool, write)
		__field(u32, ecx)
		__field(u64, data)
		__field(bool, exception)
	),
	TP_fast_assign(
		__entry->write = write;
		__entry->ecx = ecx;
		__entry->data = data;
		__entry->exception = exception;
	),
	TP_printk("msr_%s %x = 0x%llx%s", __entry->write ? "write" : "read",
		  __entry->ecx, __entry->data,
		  __entry->exception ? " (#GP)" : "")
);

TRACE_EVENT(minivmm_cpuid,
	TP_PROTO(u32 function, u32 index, u32 rax, u32 rbx, u32 rcx, u32 rdx,
		 bool found),
	TP_ARGS(function, index, rax, rbx, rcx, rdx, found),
	TP_STRUCT__entry(
		__field(u32, function)
		__field(u32, index)
		__field(u32, rax)
		__field(u32, rbx)
		__field(u32, rcx)
		__field(u32, rdx)
		__field(bool, found)
	),
	TP_fast_assign(
		__entry->function = function;
		__entry->index = index;
		__entry->rax = rax;
		__entry->rbx = rbx;
		__entry->rcx = rcx;
		__entry->rdx = rdx;
		__entry->found = found;
	),
	TP_printk("func %x idx %x rax %x rbx %x rcx %x rdx %x, cpuid entry %s",
		  __entry->function, __entry->index, __entry->rax, __entry->rbx,
		  __entry->rcx, __entry->rdx,
		  __entry->found ? "found" : "not found")
);

TRACE_EVENT(minivmm_inj_virq,
	TP_PROTO(u32 vector, bool soft),
	TP_ARGS(vector, soft),
	TP_STRUCT__entry(
		__field(u32, vector)
		__field(bool, soft)
	),
	TP_fast_assign(
		__entry->vector = vector;
		__entry->soft = soft;
	),
	TP_printk("%s 0x%x", __entry->soft ? "Soft/INTn" : "IRQ",
		  __entry->vector)
);

TRACE_EVENT(minivmm_inj_exception,
	TP_PROTO(u32 exception, bool has_error, u32 error_code, bool reinjected),
	TP_ARGS(exception, has_error, error_code, reinjected),
	TP_STRUCT__entry(
		__field(u32, exception)
		__field(bool, has_error)
		__field(u32, error_code)
		__field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->exception = exception;
		__entry->has_error = has_error;
		__entry->error_code = error_code;
		__entry->reinjected = reinjected;
	),
	TP_printk("vector %u%s 0x%x%s", __entry->exception,
		  __entry->has_error ? " error" : "", __entry->error_code,
		  __entry->reinjected ? " [reinjected]" : "")
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
