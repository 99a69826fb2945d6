#pragma once
/*
 * Work on a project's containers, several at a time: each in a process of its own, which begins once those that
 * are to be done before it are. Processes, since the database and the warnings that are given once are a
 * process's.
 */
#include <stdbool.h>
#include <stddef.h>

#include "compose/compose.h"

struct order {
	size_t n; /* items 0 to n - 1 */
	/* Whether the first is to be done before the second begins; never in a circle. NULL: no order. */
	bool (*before)(void *data, size_t first, size_t second);
	/* One item, in its own process unless it is the only one. */
	int (*work)(void *data, size_t i, struct db *db, struct err *err);
	/* "Container p-web-1"; for failures that are not the first. The caller frees. */
	char *(*name)(void *data, size_t i);
	void *data;
};

/*
 * Waits for all. What was to come after an item that failed is left out, and said so by `report`, as are
 * failures after the first, which is returned. The store may be closed afterwards.
 * A signal that ends us is passed on to the processes, and ends us when they have gone.
 */
int order_run(const struct order *o, const struct compose_store *store,
	const struct compose_report *report, struct err *err);
