/* The table of engines. */
#include "engine/engine.h"

#include <string.h>

const struct engine *const engines[] = { &engine_container, &engine_fake, NULL };

const struct engine *engine_find(const char *name)
{
	for (const struct engine *const *e = engines; *e; e++)
		if (strcmp((*e)->name, name) == 0)
			return *e;
	return NULL;
}
