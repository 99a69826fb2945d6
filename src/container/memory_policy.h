#pragma once
/* linux.memoryPolicy, runtime-spec 1.3. */
#include <stdbool.h>

#include "bundle/bundle.h"

#define MEMORY_NODES 1024 /* the kernel's MAX_NUMNODES at most */
#define MEMORY_WORD (8 * sizeof(unsigned long))

struct memory_policy {
	bool is_set, any_nodes;
	int mode; /* MPOL_*, with flags */
	unsigned long nodes[MEMORY_NODES / (8 * sizeof(unsigned long))];
};

/* In the parent. NULL leaves *ret as it is. */
int memory_policy_parse(
	const struct bundle_memory_policy *b, struct memory_policy *ret, struct err *err);
/* All that are known here; NULL after the last. */
const char *memory_policy_mode(size_t i);
const char *memory_policy_flag(size_t i);
/* In the child; kept over execve. 0 or -errno. */
int memory_policy_set(const struct memory_policy *p);
