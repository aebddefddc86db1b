// SPDX-License-Identifier: GPL-2.0
/*
 * The ACPI tables of a machine with nothing but fixed hardware: RSDP, XSDT,
 * FADT, MADT, and a DSDT that says how to turn it off.
 *
 * Section numbers are those of the ACPI specification, version 6.4.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "acpi.h"
#include "ioapic.h"
#include "layout.h"

#define OFFSET_XSDT		0x040
#define OFFSET_FADT		0x100
#define OFFSET_DSDT		0x300
#define OFFSET_MADT		0x400

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __packed;

/* 5.2.5.3 */
struct acpi_rsdp {
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;
	u32 rsdt_address;
	u32 length;
	u64 xsdt_address;
	u8 extended_checksum;
	u8 reserved[3];
} __packed;

struct acpi_xsdt {
	struct acpi_header header;
	u64 fadt;
	u64 madt;
} __packed;

/* 5.2.3.2, generic address structure */
struct acpi_gas {
	u8 space;
	u8 bit_width;
	u8 bit_offset;
	u8 access_size;
	u64 address;
} __packed;

#define GAS_IO			1

/* 5.2.9 */
struct acpi_fadt {
	struct acpi_header header;
	u32 firmware_ctrl;
	u32 dsdt;
	u8 reserved0;
	u8 preferred_pm_profile;
	u16 sci_int;
	u32 smi_cmd;
	u8 acpi_enable;
	u8 acpi_disable;
	u8 s4bios_req;
	u8 pstate_cnt;
	u32 pm1a_evt_blk;
	u32 pm1b_evt_blk;
	u32 pm1a_cnt_blk;
	u32 pm1b_cnt_blk;
	u32 pm2_cnt_blk;
	u32 pm_tmr_blk;
	u32 gpe0_blk;
	u32 gpe1_blk;
	u8 pm1_evt_len;
	u8 pm1_cnt_len;
	u8 pm2_cnt_len;
	u8 pm_tmr_len;
	u8 gpe0_blk_len;
	u8 gpe1_blk_len;
	u8 gpe1_base;
	u8 cst_cnt;
	u16 p_lvl2_lat;
	u16 p_lvl3_lat;
	u16 flush_size;
	u16 flush_stride;
	u8 duty_offset;
	u8 duty_width;
	u8 day_alrm;
	u8 mon_alrm;
	u8 century;
	u16 iapc_boot_arch;
	u8 reserved1;
	u32 flags;
	struct acpi_gas reset_reg;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor_version;
	u64 x_firmware_ctrl;
	u64 x_dsdt;
	struct acpi_gas x_pm1a_evt_blk;
	struct acpi_gas x_pm1b_evt_blk;
	struct acpi_gas x_pm1a_cnt_blk;
	struct acpi_gas x_pm1b_cnt_blk;
	struct acpi_gas x_pm2_cnt_blk;
	struct acpi_gas x_pm_tmr_blk;
	struct acpi_gas x_gpe0_blk;
	struct acpi_gas x_gpe1_blk;
	struct acpi_gas sleep_control_reg;
	struct acpi_gas sleep_status_reg;
	u64 hypervisor_vendor_identity;
} __packed;

static_assert(sizeof(struct acpi_fadt) == 276, "FADT of ACPI 6");
static_assert(OFFSET_FADT + sizeof(struct acpi_fadt) <= OFFSET_DSDT, "tables overlap");

/* 5.2.12: a header, then entries of many kinds */
struct acpi_madt {
	struct acpi_header header;
	u32 local_apic_address;
	u32 flags;
} __packed;

#define MADT_REVISION		5
#define MADT_PCAT_COMPAT	BIT(0)		/* there are 8259s too */
#define LOCAL_APIC_ADDRESS	0xfee00000

#define MADT_LOCAL_APIC		0
#define MADT_IOAPIC		1
#define MADT_OVERRIDE		2
#define MADT_LOCAL_APIC_NMI	4
#define MADT_LOCAL_X2APIC	9

#define MADT_ENABLED		BIT(0)
#define MADT_ALL_UIDS		0xff
#define MADT_MAX_APIC_ID	0xfe
/* 5.2.12.5, flags */
#define MADT_AS_BUS		0
#define MADT_ACTIVE_HIGH	1
#define MADT_LEVEL		(3 << 2)

#define TIMER_IRQ		0
#define TIMER_PIN		2

struct madt_local_apic {
	u8 type;
	u8 length;
	u8 uid;
	u8 apic_id;
	u32 flags;
} __packed;

struct madt_ioapic {
	u8 type;
	u8 length;
	u8 id;
	u8 reserved;
	u32 address;
	u32 gsi_base;
} __packed;

struct madt_override {
	u8 type;
	u8 length;
	u8 bus;
	u8 irq;
	u32 gsi;
	u16 flags;
} __packed;

struct madt_local_apic_nmi {
	u8 type;
	u8 length;
	u8 uid;
	u16 flags;
	u8 lint;
} __packed;

struct madt_local_x2apic {
	u8 type;
	u8 length;
	u16 reserved;
	u32 apic_id;
	u32 flags;
	u32 uid;
} __packed;

#define FADT_REVISION		6
#define FADT_MINOR		4

#define FADT_NO_VGA		BIT(2)		/* 5.2.9.3, IAPC_BOOT_ARCH */
#define FADT_NO_MSI		BIT(3)

#define FADT_WBINVD		BIT(0)		/* 5.2.9, flags */
#define FADT_PWR_BUTTON		BIT(4)		/* no fixed power button */
#define FADT_SLP_BUTTON		BIT(5)		/* no fixed sleep button */
#define FADT_FIX_RTC		BIT(6)		/* the RTC does not wake */
#define FADT_TMR_VAL_EXT	BIT(8)		/* 32-bit timer */
#define FADT_RESET_REG_SUP	BIT(10)

/* Name (\_S5, Package () { ACPI_S5_TYPE, ACPI_S5_TYPE, 0, 0 }) in AML, 20.2. */
static const u8 dsdt_code[] = {
	0x08, '_', 'S', '5', '_',		/* NameOp, NameSeg */
	0x12, 0x08, 0x04,			/* PackageOp, PkgLength, NumElements */
	0x0a, ACPI_S5_TYPE, 0x0a, ACPI_S5_TYPE,	/* BytePrefix, value; twice */
	0x00, 0x00,				/* ZeroOp, ZeroOp */
};

static u8 checksum(const void *data, unsigned int len)
{
	const u8 *bytes = data;
	u8 sum = 0;

	while (len--)
		sum += *bytes++;
	return -sum;
}

static void fill_header(struct acpi_header *h, const char *signature, u8 revision, u32 length)
{
	memcpy(h->signature, signature, sizeof(h->signature));
	h->length = length;
	h->revision = revision;
	memcpy(h->oem_id, "MINIVM", sizeof(h->oem_id));
	memcpy(h->oem_table_id, "MINIVMM ", sizeof(h->oem_table_id));
	h->oem_revision = 1;
	memcpy(h->creator_id, "MVMM", sizeof(h->creator_id));
	h->creator_revision = 1;
	h->checksum = 0;
}

static struct acpi_gas io_register(u16 port, u8 bytes)
{
	return (struct acpi_gas){
		.space = GAS_IO,
		.bit_width = 8 * bytes,
		/* 1: byte, 2: word, 3: double word */
		.access_size = bytes == 4 ? 3 : bytes,
		.address = port,
	};
}

static void write_dsdt(u8 *area)
{
	struct acpi_header *dsdt = (void *)(area + OFFSET_DSDT);
	u32 length = sizeof(*dsdt) + sizeof(dsdt_code);

	fill_header(dsdt, "DSDT", 2, length);
	memcpy(dsdt + 1, dsdt_code, sizeof(dsdt_code));
	dsdt->checksum = checksum(dsdt, length);
}

static void write_fadt(u8 *area)
{
	struct acpi_fadt *fadt = (void *)(area + OFFSET_FADT);

	fill_header(&fadt->header, "FACP", FADT_REVISION, sizeof(*fadt));
	fadt->minor_version = FADT_MINOR;
	fadt->dsdt = LAYOUT_ACPI + OFFSET_DSDT;
	fadt->x_dsdt = LAYOUT_ACPI + OFFSET_DSDT;
	fadt->sci_int = ACPI_SCI_IRQ;
	fadt->pm1a_evt_blk = ACPI_PM1_EVENT;
	fadt->pm1_evt_len = 4;
	fadt->x_pm1a_evt_blk = io_register(ACPI_PM1_EVENT, 4);
	/* 5.2.9: the event block is accessed as two 16-bit registers. */
	fadt->x_pm1a_evt_blk.access_size = 2;
	fadt->pm1a_cnt_blk = ACPI_PM1_CONTROL;
	fadt->pm1_cnt_len = 2;
	fadt->x_pm1a_cnt_blk = io_register(ACPI_PM1_CONTROL, 2);
	fadt->pm_tmr_blk = ACPI_PM_TIMER;
	fadt->pm_tmr_len = 4;
	fadt->x_pm_tmr_blk = io_register(ACPI_PM_TIMER, 4);
	/* No C2 and C3 (5.2.9: latencies above these values). */
	fadt->p_lvl2_lat = 101;
	fadt->p_lvl3_lat = 1001;
	/* Nor a keyboard controller worth probing: its bit stays clear. */
	fadt->iapc_boot_arch = FADT_NO_VGA | FADT_NO_MSI;
	fadt->flags = FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_FIX_RTC |
		      FADT_TMR_VAL_EXT | FADT_RESET_REG_SUP;
	fadt->reset_reg = io_register(ACPI_RESET, 1);
	fadt->reset_value = ACPI_RESET_VALUE;
	fadt->century = 0x32;
	fadt->header.checksum = checksum(fadt, sizeof(*fadt));
}

static void *add_local_apic(void *at, unsigned int id)
{
	struct madt_local_apic *apic = at;

	*apic = (struct madt_local_apic){
		.type = MADT_LOCAL_APIC, .length = sizeof(*apic),
		.uid = id, .apic_id = id, .flags = MADT_ENABLED,
	};
	return apic + 1;
}

static void *add_local_x2apic(void *at, unsigned int id)
{
	struct madt_local_x2apic *x2apic = at;

	*x2apic = (struct madt_local_x2apic){
		.type = MADT_LOCAL_X2APIC, .length = sizeof(*x2apic),
		.uid = id, .apic_id = id, .flags = MADT_ENABLED,
	};
	return x2apic + 1;
}

static void *add_override(void *at, u8 irq, u32 gsi, u16 flags)
{
	struct madt_override *override = at;

	*override = (struct madt_override){
		.type = MADT_OVERRIDE, .length = sizeof(*override),
		.irq = irq, .gsi = gsi, .flags = flags,
	};
	return override + 1;
}

static void *add_ioapic(void *at)
{
	struct madt_ioapic *ioapic = at;

	*ioapic = (struct madt_ioapic){
		.type = MADT_IOAPIC, .length = sizeof(*ioapic), .address = IOAPIC_BASE,
	};
	return ioapic + 1;
}

static void *add_nmi(void *at)
{
	struct madt_local_apic_nmi *nmi = at;

	*nmi = (struct madt_local_apic_nmi){
		.type = MADT_LOCAL_APIC_NMI, .length = sizeof(*nmi),
		.uid = MADT_ALL_UIDS, .flags = MADT_AS_BUS, .lint = 1,
	};
	return nmi + 1;
}

static void write_madt(u8 *area, unsigned int cpus)
{
	struct acpi_madt *madt = (void *)(area + OFFSET_MADT);
	void *end = madt + 1;
	u32 length;

	for (unsigned int i = 0; i < cpus; i++)
		end = i <= MADT_MAX_APIC_ID ? add_local_apic(end, i) : add_local_x2apic(end, i);
	end = add_ioapic(end);
	end = add_override(end, TIMER_IRQ, TIMER_PIN, MADT_AS_BUS);
	end = add_override(end, ACPI_SCI_IRQ, ACPI_SCI_IRQ, MADT_ACTIVE_HIGH | MADT_LEVEL);
	end = add_nmi(end);

	length = (u8 *)end - (u8 *)madt;
	fill_header(&madt->header, "APIC", MADT_REVISION, length);
	madt->local_apic_address = LOCAL_APIC_ADDRESS;
	madt->flags = MADT_PCAT_COMPAT;
	madt->header.checksum = checksum(madt, length);
}

static void write_xsdt(u8 *area)
{
	struct acpi_xsdt *xsdt = (void *)(area + OFFSET_XSDT);

	fill_header(&xsdt->header, "XSDT", 1, sizeof(*xsdt));
	xsdt->fadt = LAYOUT_ACPI + OFFSET_FADT;
	xsdt->madt = LAYOUT_ACPI + OFFSET_MADT;
	xsdt->header.checksum = checksum(xsdt, sizeof(*xsdt));
}

static void write_rsdp(u8 *area)
{
	struct acpi_rsdp *rsdp = (void *)area;

	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem_id, "MINIVM", sizeof(rsdp->oem_id));
	rsdp->revision = 2;
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt_address = LAYOUT_ACPI + OFFSET_XSDT;
	/* The first checksum covers what ACPI 1.0 knew. */
	rsdp->checksum = checksum(rsdp, offsetof(struct acpi_rsdp, length));
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
}

/**
 * acpi_tables_write - put the tables into guest memory, the RSDP at LAYOUT_ACPI
 * @ram: the guest's memory
 * @cpus: how many there are; their APIC IDs are 0, 1, ...
 */
void acpi_tables_write(struct ram *ram, unsigned int cpus)
{
	u8 *area = ram_ptr(ram, LAYOUT_ACPI, LAYOUT_BIOS_END - LAYOUT_ACPI);

	write_dsdt(area);
	write_fadt(area);
	write_madt(area, cpus);
	write_xsdt(area);
	write_rsdp(area);
}
