/* The table of cpus. */
#include "cpu/cpu.h"

#include <string.h>

const struct cpu_type *const cpu_types[] = { &cpu_kvm, &cpu_soft, &cpu_null, NULL };

const struct cpu_type *cpu_find(const char *name)
{
	for (const struct cpu_type *const *c = cpu_types; *c; c++)
		if (strcmp((*c)->name, name) == 0)
			return *c;
	return NULL;
}
