/* PCI configuration by ports and ECAM, BARs that move, MSI-X, INTx. */
#include "board.h"

#include <errno.h>

#include "device/pci.h"

#define ADDRESS 0xcf8
#define DATA 0xcfc

struct seen {
	struct levels levels;
	uint64_t address;
	uint32_t value;
	unsigned messages;
};

static void on_line(void *data, unsigned gsi, bool level)
{
	on_level(&((struct seen *)data)->levels, gsi, level);
}

static void on_msi(void *data, uint64_t address, uint32_t value)
{
	struct seen *s = data;

	s->address = address;
	s->value = value;
	s->messages++;
}

struct board_pci {
	struct memory *memory;
	struct pci_host *host;
	struct pci_function f;
	struct seen seen;
};

static uint64_t read_offset(void *data, uint64_t offset, unsigned size)
{
	return offset | 0x100;
}

static void start(struct board_pci *b)
{
	static const struct irq_sink sink = { on_line, on_msi };
	static const struct pci_ids ids = { 0x1234, 0x5678, 0x1234, 1, 0x020000, 7 };
	static const struct bus_ops ops = { read_offset, NULL, 1 | 2 | 4 };

	*b = (struct board_pci){ .memory = board(1) };
	irqs_add_sink(b->memory->irqs, &sink, &b->seen);
	b->host = pci_host_new(b->memory);
	pci_init(&b->f, b->memory, &ids);
	pci_add_bar(&b->f, 0, true, 0x4000, "test", &ops, NULL);
	pci_add_msix(&b->f, 2, 3);
	assert_int_equal(pci_add(b->host, &b->f, NULL), 0);
	assert_int_equal(b->f.slot, 1);
}

static void finish(struct board_pci *b)
{
	pci_finish(&b->f);
	device_free(pci_host_device(b->host));
	memory_free(b->memory);
}

static uint64_t ecam(unsigned slot, unsigned offset)
{
	return PCI_ECAM + (slot << 15) + offset;
}

static uint32_t by_ports(struct memory *m, unsigned slot, unsigned offset)
{
	vcpu_out(&m->vcpus[0], ADDRESS, 0x80000000 | slot << 11 | (offset & 0xfc), 4);
	return vcpu_in(&m->vcpus[0], DATA, 4);
}

static void configuration(void **state)
{
	struct board_pci b;
	struct memory *m;

	start(&b);
	m = b.memory;
	assert_int_equal(get32(m, 0, ecam(0, 0)), 0x29c08086);
	assert_int_equal(by_ports(m, 31, 0), 0x29188086);
	assert_int_equal(by_ports(m, 1, 0), 0x56781234);
	assert_int_equal(vcpu_in(&m->vcpus[0], DATA + 2, 2), 0x5678);
	assert_int_equal(get32(m, 0, ecam(1, 8)), 0x02000007);
	assert_int_equal(vcpu_read(&m->vcpus[0], ecam(1, 0x3d), 1), 1);
	/* Nobody: another slot, function, bus; not enabled. */
	assert_int_equal(get32(m, 0, ecam(2, 0)), UINT32_MAX);
	assert_int_equal(get32(m, 0, ecam(1, 0x1000)), UINT32_MAX);
	assert_int_equal(get32(m, 0, PCI_ECAM + PCI_ECAM_BYTES), UINT32_MAX);
	vcpu_out(&m->vcpus[0], ADDRESS, 0x80010800, 4);
	assert_int_equal(vcpu_in(&m->vcpus[0], DATA, 4), UINT32_MAX);
	vcpu_out(&m->vcpus[0], ADDRESS, 0x800, 4);
	assert_int_equal(vcpu_in(&m->vcpus[0], DATA, 4), UINT32_MAX);
	assert_int_equal(vcpu_in(&m->vcpus[0], ADDRESS, 4), 0x800);
	/* Ids are not for writing; extended space is empty. */
	put32(m, 0, ecam(1, 0), 0);
	assert_int_equal(get32(m, 0, ecam(1, 0)), 0x56781234);
	put32(m, 0, ecam(1, 0x100), 7);
	assert_int_equal(get32(m, 0, ecam(1, 0x100)), 0);
	finish(&b);
}

static void bars(void **state)
{
	struct board_pci b;
	struct memory *m;

	start(&b);
	m = b.memory;
	/* Its size. */
	put32(m, 0, ecam(1, 0x10), UINT32_MAX);
	put32(m, 0, ecam(1, 0x14), UINT32_MAX);
	assert_int_equal(get32(m, 0, ecam(1, 0x10)), 0xffffc004);
	assert_int_equal(get32(m, 0, ecam(1, 0x14)), UINT32_MAX);
	put32(m, 0, ecam(1, 0x10), 0xd0000000);
	put32(m, 0, ecam(1, 0x14), 0);
	assert_int_equal(get32(m, 0, 0xd0000008), UINT32_MAX);
	vcpu_write(&m->vcpus[0], ecam(1, 4), 2, 2);
	assert_int_equal(get32(m, 0, 0xd0000008), 0x108);
	/* Above 4 GiB, and in the middle of the way there. */
	put32(m, 0, ecam(1, 0x14), 0x10);
	assert_int_equal(get32(m, 0, 0xd0000008), UINT32_MAX);
	assert_int_equal(get32(m, 0, 0x10d0000008), 0x108);
	put32(m, 0, ecam(1, 0x14), UINT32_MAX);
	assert_int_equal(get32(m, 0, 0x10d0000008), UINT32_MAX);
	vcpu_write(&m->vcpus[0], ecam(1, 4), 0, 2);
	/* As firmware would. */
	pci_assign(b.host);
	assert_int_equal(get32(m, 0, ecam(1, 0x10)), PCI_WINDOW | 4);
	assert_int_equal(get32(m, 0, PCI_WINDOW + 0x20), 0x120);
	assert_true(pci_is_master(&b.f));
	device_reset(pci_host_device(b.host));
	assert_int_equal(get32(m, 0, PCI_WINDOW + 0x20), UINT32_MAX);
	assert_int_equal(get32(m, 0, ecam(1, 0x10)), 4);
	finish(&b);
}

static void msix(void **state)
{
	struct board_pci b;
	struct memory *m;
	uint64_t table;
	unsigned cap;

	start(&b);
	m = b.memory;
	pci_assign(b.host);
	cap = get32(m, 0, ecam(1, 0x34)) & 0xff;
	assert_int_equal(get32(m, 0, ecam(1, cap)) & 0xffffff, 0x020011 & 0xff00ff);
	assert_int_equal(get32(m, 0, ecam(1, cap + 4)), 2);
	assert_int_equal(get32(m, 0, ecam(1, cap + 8)), 0x802);
	table = get32(m, 0, ecam(1, 0x18));
	assert_int_equal(get32(m, 0, table + 12), 1);
	/* Not enabled, or masked, it waits and is seen to. */
	pci_msix_notify(&b.f, 1);
	assert_int_equal(get32(m, 0, table + 0x800), 2);
	put32(m, 0, table + 16, 0xfee01000);
	put32(m, 0, table + 24, 0x4041);
	vcpu_write(&m->vcpus[0], ecam(1, cap + 2), 0x8000, 2);
	assert_int_equal(b.seen.messages, 0);
	put32(m, 0, table + 28, 0);
	assert_int_equal(b.seen.messages, 1);
	assert_int_equal(b.seen.address, 0xfee01000);
	assert_int_equal(b.seen.value, 0x4041);
	assert_int_equal(get32(m, 0, table + 0x800), 0);
	pci_msix_notify(&b.f, 1);
	assert_int_equal(b.seen.messages, 2);
	vcpu_write(&m->vcpus[0], ecam(1, cap + 2), 0xc000, 2);
	pci_msix_notify(&b.f, 1);
	assert_int_equal(b.seen.messages, 2);
	vcpu_write(&m->vcpus[0], ecam(1, cap + 2), 0x8000, 2);
	assert_int_equal(b.seen.messages, 3);
	/* Vectors that are not there. */
	pci_msix_notify(&b.f, 3);
	pci_msix_notify(&b.f, PCI_NO_VECTOR);
	assert_int_equal(b.seen.messages, 3);
	put32(m, 0, table + 48, 1);
	assert_int_equal(get32(m, 0, table + 48), 0);
	finish(&b);
}

static void pins(void **state)
{
	struct board_pci b;
	struct memory *m;

	start(&b);
	m = b.memory;
	pci_intx_set(&b.f, true);
	assert_true(b.seen.levels.high[PCI_GSI + 1]);
	assert_int_equal(get32(m, 0, ecam(1, 4)) >> 16 & 8, 8);
	vcpu_write(&m->vcpus[0], ecam(1, 4), 0x400, 2);
	assert_false(b.seen.levels.high[PCI_GSI + 1]);
	vcpu_write(&m->vcpus[0], ecam(1, 4), 0, 2);
	assert_true(b.seen.levels.high[PCI_GSI + 1]);
	pci_intx_set(&b.f, false);
	assert_false(b.seen.levels.high[PCI_GSI + 1]);
	finish(&b);
}

static void full(void **state)
{
	static const struct pci_ids ids = { 1, 2, 3, 4, 5, 6 };
	cleanup(memory_free) struct memory *m = board(1);
	struct pci_host *host = pci_host_new(m);
	struct pci_function all[PCI_SLOTS] = { 0 };
	struct err err;

	for (unsigned i = 0; i < PCI_SLOTS; i++) {
		pci_init(&all[i], m, &ids);
		assert_int_equal(pci_add(host, &all[i], &err), i < 30 ? 0 : -ENOSPC);
	}
	for (unsigned i = 0; i < PCI_SLOTS; i++)
		pci_finish(&all[i]);
	device_free(pci_host_device(host));
}

/* All of configuration space and of the table, any value, any width. */
static void hostile(void **state)
{
	struct board_pci b;
	uint64_t seed = 88172645463325252;

	start(&b);
	for (unsigned i = 0; i < 200000; i++) {
		struct vcpu_link *cpu = &b.memory->vcpus[0];
		unsigned size;
		uint64_t at;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		size = 1u << (seed >> 8) % 4;
		at = seed % 3 == 0   ? PCI_ECAM + (seed >> 16) % 0x101000
		     : seed % 3 == 1 ? ecam(1, (seed >> 16) % 0x110)
				     : PCI_WINDOW + (seed >> 16) % 0x6000;
		if (seed >> 60 & 1)
			vcpu_write(cpu, at, seed * 0x9e3779b97f4a7c15, size);
		else
			vcpu_read(cpu, at, size);
		if (seed % 1000 == 0)
			pci_assign(b.host);
		pci_msix_notify(&b.f, seed >> 20 & 3);
	}
	finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(configuration),
		cmocka_unit_test(bars),
		cmocka_unit_test(msix),
		cmocka_unit_test(pins),
		cmocka_unit_test(full),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
