/* linux.memoryPolicy: from which memory nodes a process is served. set_mempolicy(2). */
#include "container/memory_policy.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/strv.h"

#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5 /* Linux 5.15 */
#endif
#define MPOL_WEIGHTED 6 /* Linux 6.9 */

static const struct {
	const char *name;
	int value;
} modes[] = {
	{ "MPOL_DEFAULT", MPOL_DEFAULT },
	{ "MPOL_PREFERRED", MPOL_PREFERRED },
	{ "MPOL_BIND", MPOL_BIND },
	{ "MPOL_INTERLEAVE", MPOL_INTERLEAVE },
	{ "MPOL_LOCAL", MPOL_LOCAL },
	{ "MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY },
	{ "MPOL_WEIGHTED_INTERLEAVE", MPOL_WEIGHTED },
}, flags[] = {
	{ "MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES },
	{ "MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES },
	{ "MPOL_F_NUMA_BALANCING", 1 << 13 },
};

const char *memory_policy_mode(size_t i)
{
	return i < ARRAY_SIZE(modes) ? modes[i].name : NULL;
}

const char *memory_policy_flag(size_t i)
{
	return i < ARRAY_SIZE(flags) ? flags[i].name : NULL;
}

static int parse_nodes(const char *s, struct memory_policy *p, unsigned *ret_n, struct err *err)
{
	const char *all = s;

	while (s && *s) {
		char *end;
		unsigned long first = strtoul(s, &end, 10), last = first;
		bool good = end != s;
		if (good && *end == '-')
			last = strtoul(end + 1, &end, 10);
		if (!good || (*end && *end != ',') || last < first || last >= MEMORY_NODES)
			return err_set(err, EINVAL,
				"linux.memoryPolicy: invalid memory policy node in '%s': they are 0..%d",
				all, MEMORY_NODES - 1);
		for (; first <= last; first++, (*ret_n)++)
			p->nodes[first / MEMORY_WORD] |= 1ul << first % MEMORY_WORD;
		s = *end ? end + 1 : end;
	}
	return 0;
}

int memory_policy_parse(
	const struct bundle_memory_policy *b, struct memory_policy *ret, struct err *err)
{
	struct memory_policy p = { 0 };
	unsigned n = 0;
	size_t i = 0;
	int r;

	if (!b)
		return 0;
	while (i < ARRAY_SIZE(modes) && strcmp(modes[i].name, b->mode ? b->mode : "") != 0)
		i++;
	if (i == ARRAY_SIZE(modes))
		return err_set(err, EINVAL, "linux.memoryPolicy: invalid memory policy mode '%s'",
			b->mode ? b->mode : "");
	p.mode = modes[i].value;
	strv_foreach (f, b->flags) {
		for (i = 0; i < ARRAY_SIZE(flags) && strcmp(flags[i].name, *f) != 0;)
			i++;
		if (i == ARRAY_SIZE(flags))
			return err_set(err, EINVAL,
				"linux.memoryPolicy: invalid memory policy flag '%s'", *f);
		p.mode |= flags[i].value;
	}
	r = parse_nodes(b->nodes, &p, &n, err);
	if (r < 0)
		return r;
	if ((p.mode == MPOL_DEFAULT || p.mode == MPOL_LOCAL) && n)
		return err_set(err, EINVAL,
			"linux.memoryPolicy: %s mode requires 0 nodes but got %u", b->mode, n);
	p.is_set = true;
	p.any_nodes = n > 0;
	*ret = p;
	return 0;
}

int memory_policy_set(const struct memory_policy *p)
{
	/* One bit more than there are, by an old mistake of the kernel's. */
	if (syscall(SYS_set_mempolicy, p->mode, p->any_nodes ? p->nodes : NULL,
		    p->any_nodes ? MEMORY_NODES + 1ul : 0ul) < 0)
		return -errno;
	return 0;
}
