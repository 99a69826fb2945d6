/* Tables are made one after the other in a buffer of what will be guest memory, those first that others point to. */
#include "machine/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/le.h"
#include "device/fwcfg.h"
#include "device/hpet.h"
#include "device/ioapic.h"
#include "device/pci.h"
#include "device/pm.h"
#include "machine/aml.h"

#define HEADER 36u
#define RSDP_BYTES 36u
#define FADT_BYTES 276u
#define FACS_BYTES 64u
#define APIC 0xfee00000u

struct builder {
	struct buf out; /* at gpa */
	uint64_t gpa;
};

static void put(struct buf *b, size_t at, uint64_t value, unsigned bytes)
{
	put_le(b->data + at, value, bytes);
}

static void add_zeroes(struct buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addc(b, 0);
}

/* Makes all bytes of a range sum up to 0 by the one at `at`. */
static void checksum(struct buf *b, size_t first, size_t len, size_t at)
{
	uint8_t sum = 0;

	b->data[at] = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + (uint8_t)b->data[first + i]);
	b->data[at] = (char)-sum;
}

/* Adds a table with its header; its guest address. */
static uint64_t add_table(
	struct builder *b, const char *signature, uint8_t revision, struct buf *body)
{
	size_t at;

	while (b->out.len % 16)
		buf_addc(&b->out, 0);
	at = b->out.len;
	buf_add(&b->out, signature, 4);
	buf_add_le(&b->out, HEADER + body->len, 4);
	buf_add_le(&b->out, revision, 1);
	buf_add_le(&b->out, 0, 1);
	buf_add(&b->out, "HOLM  HOLM    ", 14);
	buf_add_le(&b->out, 1, 4);
	buf_add(&b->out, "HOLM", 4);
	buf_add_le(&b->out, 1, 4);
	buf_add(&b->out, body->data, body->len);
	checksum(&b->out, at, HEADER + body->len, at + 9);
	buf_free(body);
	return b->gpa + at;
}

/* Which line each slot's pin A has; the other pins are not there. */
static void add_routing(struct buf *b)
{
	struct buf all = { 0 };

	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		struct buf one = { 0 };

		aml_integer(&one, (uint64_t)slot << 16 | 0xffff);
		aml_integer(&one, 0);
		aml_integer(&one, 0);
		aml_integer(&one, PCI_GSI + slot % 8);
		aml_package(&all, 4, &one);
	}
	aml_name(b, "_PRT");
	aml_package(b, PCI_SLOTS, &all);
}

static void add_pci(struct buf *b)
{
	struct buf body = { 0 }, resources = { 0 };

	aml_name_eisa_id(&body, "_HID", "PNP0A08");
	aml_name_eisa_id(&body, "_CID", "PNP0A03");
	aml_name_integer(&body, "_UID", 0);
	aml_bus_range(&resources, 0, 0);
	aml_io(&resources, 0xcf8, 8);
	aml_io_range(&resources, 0, 0xcf7);
	aml_io_range(&resources, 0xd00, 0xffff);
	aml_memory_range(&resources, PCI_WINDOW, PCI_WINDOW_END - 1);
	aml_name(&body, "_CRS");
	aml_resources(&body, &resources);
	add_routing(&body);
	aml_device(b, "PCI0", &body);
}

/* A device of the LPC bus: its ports and its line (0: none). */
static void add_legacy(
	struct buf *b, const char *name, const char *id, uint16_t port, uint8_t len, unsigned line)
{
	struct buf body = { 0 }, resources = { 0 };

	aml_name_eisa_id(&body, "_HID", id);
	aml_name_integer(&body, "_UID", 1);
	aml_io(&resources, port, len);
	if (line)
		aml_irq(&resources, line);
	aml_name(&body, "_CRS");
	aml_resources(&body, &resources);
	aml_device(b, name, &body);
}

/* What no other device may be given. */
static void add_reserved(struct buf *b)
{
	struct buf body = { 0 }, resources = { 0 };

	aml_name_eisa_id(&body, "_HID", "PNP0C02");
	aml_name_integer(&body, "_UID", 0);
	aml_memory_fixed(&resources, PCI_ECAM, PCI_ECAM_BYTES);
	aml_memory_fixed(&resources, HPET_BASE, HPET_BYTES);
	aml_io(&resources, PM_BASE, 128);
	aml_io(&resources, 0x4d0, 2);
	aml_name(&body, "_CRS");
	aml_resources(&body, &resources);
	aml_device(b, "RES0", &body);
}

static void add_keyboard(struct buf *b)
{
	struct buf body = { 0 }, resources = { 0 };

	aml_name_eisa_id(&body, "_HID", "PNP0303");
	aml_io(&resources, 0x60, 1);
	aml_io(&resources, 0x64, 1);
	aml_irq(&resources, 1);
	aml_name(&body, "_CRS");
	aml_resources(&body, &resources);
	aml_device(b, "KBD0", &body);
}

static void add_fwcfg(struct buf *b)
{
	struct buf body = { 0 }, resources = { 0 };

	aml_name(&body, "_HID");
	aml_string(&body, "QEMU0002");
	aml_name_integer(&body, "_STA", 11);
	aml_io(&resources, FWCFG_PORT, FWCFG_PORTS);
	aml_name(&body, "_CRS");
	aml_resources(&body, &resources);
	aml_device(b, "FWCF", &body);
}

static void add_panic(struct buf *b)
{
	struct buf body = { 0 }, resources = { 0 };

	aml_name(&body, "_HID");
	aml_string(&body, "QEMU0001");
	aml_name_integer(&body, "_STA", 15);
	aml_io(&resources, PANIC_PORT, 1);
	aml_name(&body, "_CRS");
	aml_resources(&body, &resources);
	aml_device(b, "PEVT", &body);
}

static void add_processors(struct buf *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct buf body = { 0 };
		char name[12];

		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		aml_name(&body, "_HID");
		aml_string(&body, "ACPI0007");
		aml_name_integer(&body, "_UID", i);
		aml_device(b, name, &body);
	}
}

static void make_dsdt(struct buf *b, const struct acpi_config *config)
{
	struct buf system = { 0 }, sleep = { 0 };

	add_processors(&system, config->n_vcpus);
	add_pci(&system);
	add_legacy(&system, "COM1", "PNP0501", 0x3f8, 8, 4);
	add_legacy(&system, "RTC0", "PNP0B00", 0x70, 2, 8);
	add_keyboard(&system);
	add_fwcfg(&system);
	add_reserved(&system);
	if (config->has_panic)
		add_panic(&system);
	aml_scope(b, "\\_SB_", &system);
	aml_integer(&sleep, PM_SLEEP_OFF);
	aml_integer(&sleep, PM_SLEEP_OFF);
	aml_integer(&sleep, 0);
	aml_integer(&sleep, 0);
	aml_name(b, "\\_S5_");
	aml_package(b, 4, &sleep);
}

/* A generic address: a port. */
static void put_port(struct buf *b, size_t at, uint16_t port, uint8_t bits, uint8_t access)
{
	put(b, at, 1, 1);
	put(b, at + 1, bits, 1);
	put(b, at + 3, access, 1);
	put(b, at + 4, port, 8);
}

/* Offsets are the table's, header included. */
static void make_fadt(struct buf *b, uint64_t facs, uint64_t dsdt)
{
	/* WBINVD, C1, no sleep button, timer of 32 bits, reset register. */
	const uint32_t flags = 1u | 1u << 2 | 1u << 5 | 1u << 8 | 1u << 10;
	struct buf t = { 0 };

	add_zeroes(&t, FADT_BYTES);
	put(&t, 36, facs, 4);
	put(&t, 40, dsdt, 4);
	put(&t, 46, PM_LINE, 2);
	put(&t, 56, PM_BASE, 4);
	put(&t, 64, PM_BASE + 4, 4);
	put(&t, 76, PM_BASE + 8, 4);
	put(&t, 88, 4, 1); /* lengths of events, control and timer */
	put(&t, 89, 2, 1);
	put(&t, 91, 4, 1);
	put(&t, 96, 0xffff, 2); /* no C2, no C3 */
	put(&t, 98, 0xffff, 2);
	put(&t, 108, 0x32, 1);      /* the century in CMOS */
	put(&t, 109, 1 | 2 | 4, 2); /* legacy devices, a keyboard controller, no VGA */
	put(&t, 112, flags, 4);
	put_port(&t, 116, PM_RESET_PORT, 8, 1);
	put(&t, 128, PM_RESET_VALUE, 1);
	put(&t, 131, 4, 1); /* minor version */
	put(&t, 140, dsdt, 8);
	put_port(&t, 148, PM_BASE, 32, 2);
	put_port(&t, 172, PM_BASE + 4, 16, 2);
	put_port(&t, 208, PM_BASE + 8, 32, 3);
	buf_add(b, t.data + HEADER, FADT_BYTES - HEADER);
	buf_free(&t);
}

static void make_madt(struct buf *b, unsigned n_vcpus)
{
	buf_add_le(b, APIC, 4);
	buf_add_le(b, 1, 4); /* there are PICs too */
	for (unsigned i = 0; i < n_vcpus; i++) {
		buf_add_le(b, 0x0800, 2);
		buf_add_le(b, i, 1);
		buf_add_le(b, i, 1);
		buf_add_le(b, 1, 4);
	}
	buf_add_le(b, 0x0c01, 2);
	buf_add_le(b, 0, 2); /* its id */
	buf_add_le(b, IOAPIC_BASE, 4);
	buf_add_le(b, 0, 4);
	/* ISA's timer is at pin 2; the SCI is active high and a level. */
	buf_add_le(b, 0x0a02, 2);
	buf_add_le(b, 0, 2);
	buf_add_le(b, 2, 4);
	buf_add_le(b, 0, 2);
	buf_add_le(b, 0x0a02, 2);
	buf_add_le(b, PM_LINE << 8, 2);
	buf_add_le(b, PM_LINE, 4);
	buf_add_le(b, 0xd, 2);
	/* LINT1 of all is NMI. */
	buf_add_le(b, 0x0604, 2);
	buf_add_le(b, 0xff, 1);
	buf_add_le(b, 0, 2);
	buf_add_le(b, 1, 1);
}

static void make_hpet(struct buf *b)
{
	buf_add_le(b, HPET_ID, 4);
	buf_add_le(b, 0, 1); /* in memory */
	buf_add_le(b, 64, 1);
	buf_add_le(b, 0, 2);
	buf_add_le(b, HPET_BASE, 8);
	buf_add_le(b, 0, 1);
	buf_add_le(b, 1, 2); /* ticks: the shortest period */
	buf_add_le(b, 0, 1);
}

static void make_mcfg(struct buf *b)
{
	buf_add_le(b, 0, 8);
	buf_add_le(b, PCI_ECAM, 8);
	buf_add_le(b, 0, 2);
	buf_add_le(b, 0, 1); /* buses 0 to 0 */
	buf_add_le(b, 0, 1);
	buf_add_le(b, 0, 4);
}

static uint64_t add_facs(struct builder *b)
{
	size_t at;

	while (b->out.len % 64)
		buf_addc(&b->out, 0);
	at = b->out.len;
	buf_add(&b->out, "FACS", 4);
	buf_add_le(&b->out, FACS_BYTES, 4);
	add_zeroes(&b->out, FACS_BYTES - 8);
	put(&b->out, at + 32, 2, 1); /* version */
	return b->gpa + at;
}

static void put_rsdp(struct buf *b, uint64_t xsdt)
{
	memcpy(b->data, "RSD PTR ", 8);
	memcpy(b->data + 9, "HOLM  ", 6);
	put(b, 15, 2, 1);
	put(b, 20, RSDP_BYTES, 4);
	put(b, 24, xsdt, 8);
	checksum(b, 0, 20, 8);
	checksum(b, 0, RSDP_BYTES, 32);
}

int acpi_build(struct memory *m, uint64_t gpa, uint32_t limit, const struct acpi_config *config,
	struct err *err)
{
	struct builder b = { .gpa = gpa };
	struct buf body = { 0 };
	uint64_t dsdt, facs, tables[4];
	int r;

	add_zeroes(&b.out, RSDP_BYTES);
	facs = add_facs(&b);
	make_dsdt(&body, config);
	dsdt = add_table(&b, "DSDT", 2, &body);
	make_fadt(&body, facs, dsdt);
	tables[0] = add_table(&b, "FACP", 6, &body);
	make_madt(&body, config->n_vcpus);
	tables[1] = add_table(&b, "APIC", 5, &body);
	make_mcfg(&body);
	tables[2] = add_table(&b, "MCFG", 1, &body);
	make_hpet(&body);
	tables[3] = add_table(&b, "HPET", 1, &body);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		buf_add_le(&body, tables[i], 8);
	put_rsdp(&b.out, add_table(&b, "XSDT", 1, &body));
	r = (int)b.out.len;
	if (b.out.len > limit || !memory_write(m, gpa, b.out.data, b.out.len))
		r = err_set(err, ENOSPC, "no room for %zu bytes of ACPI tables", b.out.len);
	buf_free(&b.out);
	return r;
}
