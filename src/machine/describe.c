#include "machine/describe.h"

#include "base/buf.h"
#include "device/fwcfg.h"
#include "machine/acpi.h"
#include "machine/boot.h"
#include "machine/smbios.h"

/* RAM alone: firmware adds what it reserves itself. */
static int add_memory_map(struct memory *m, struct device *fwcfg, struct err *err)
{
	cleanup(buf_free) struct buf b = { 0 };

	for (unsigned i = 0; i < m->n_regions; i++) {
		uint64_t range[2] = { m->regions[i].gpa, m->regions[i].size };
		uint32_t kind = 1;

		if (m->regions[i].readonly)
			continue;
		buf_add(&b, range, sizeof(range));
		buf_add(&b, &kind, sizeof(kind));
	}
	return fwcfg_add_file(fwcfg, "etc/e820", b.data, b.len, err);
}

static int add_smbios(struct device *fwcfg, const struct smbios_config *config, struct err *err)
{
	cleanup(buf_free) struct buf tables = { 0 };
	uint8_t anchor[SMBIOS_ANCHOR_BYTES];
	int r;

	smbios_tables(&tables, config);
	smbios_anchor(anchor, 0, (uint32_t)tables.len);
	r = fwcfg_add_file(fwcfg, "etc/smbios/smbios-anchor", anchor, sizeof(anchor), err);
	if (r == 0)
		r = fwcfg_add_file(fwcfg, "etc/smbios/smbios-tables", tables.data, tables.len, err);
	return r;
}

static int add_numbers(struct device *fwcfg, const struct describe_config *config, struct err *err)
{
	const struct {
		uint16_t key;
		uint64_t value;
		unsigned size;
	} numbers[] = {
		{ FWCFG_CPUS, config->n_vcpus, 2 },
		{ FWCFG_CPUS_MAX, config->n_vcpus, 2 },
		{ FWCFG_RAM_BYTES, config->memory, 8 },
		{ FWCFG_NUMA, 0, 8 },
		{ FWCFG_BOOT_MENU, 0, 2 },
	};
	int r = 0;

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && r == 0; i++)
		r = fwcfg_add_number(fwcfg, numbers[i].key, numbers[i].value, numbers[i].size, err);
	return r;
}

int describe_machine(struct memory *m, struct device *fwcfg, const struct describe_config *config,
	struct err *err)
{
	struct acpi_config acpi = { .n_vcpus = config->n_vcpus, .has_panic = true };
	struct smbios_config smbios = { .n_vcpus = config->n_vcpus, .memory = config->memory };
	int r = acpi_build(m, BOOT_ROM, BOOT_ACPI_BYTES, &acpi, err);

	if (r >= 0)
		r = smbios_place(m, BOOT_SMBIOS, BOOT_SMBIOS_BYTES, &smbios, err);
	if (r >= 0)
		r = add_numbers(fwcfg, config, err);
	if (r >= 0)
		r = add_memory_map(m, fwcfg, err);
	if (r >= 0)
		r = add_smbios(fwcfg, &smbios, err);
	return r;
}
