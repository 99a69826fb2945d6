/*
 * CPUID tables. Intel SDM volume 2 (CPUID), AMD APM volume 3 appendix E. A feature word is one register of
 * a leaf; for each the table below says what a level of the psABI demands and what "host" may show:
 * no feature of which a guest expects more than the cpu seam and the board give.
 */
#include "cpu/cpuid.h"

#include <cpuid.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define BIT(n) (UINT32_C(1) << (n))
#define HYPERVISOR_FIRST 0x40000000u
#define HYPERVISOR_LAST 0x400000ffu
#define CRYSTAL_HZ 1000000000u /* that local APICs count with */
#define XSAVE_BASE 576u        /* legacy area and header */

enum { EAX, EBX, ECX, EDX };
enum { INDEXED = true };

struct word {
	uint32_t leaf, subleaf;
	unsigned reg;
	uint32_t v2, v3; /* v3 beyond v2 */
	uint32_t host;   /* beyond both */
};

/* clang-format off */
static const struct word words[] = {
	/* fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2; vme */
	{ 1, 0, EDX, .v2 = 0x0789fbfd, .v3 = 0, .host = BIT(1) },
	/* sse3 ssse3 cx16 sse4.1 sse4.2 x2apic popcnt tsc-deadline hypervisor;
	 * fma movbe xsave avx f16c; pclmulqdq pcid aes rdrand */
	{ 1, 0, ECX, .v2 = BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(31),
	  .v3 = BIT(12) | BIT(22) | BIT(26) | BIT(28) | BIT(29),
	  .host = BIT(1) | BIT(17) | BIT(25) | BIT(30) },
	/* bmi1 avx2 bmi2; fsgsbase tsc-adjust smep erms invpcid avx512f avx512dq rdseed adx smap avx512ifma clflushopt
	 * clwb avx512cd sha avx512bw avx512vl */
	{ 7, 0, EBX, .v2 = 0, .v3 = BIT(3) | BIT(5) | BIT(8),
	  .host = BIT(0) | BIT(1) | BIT(7) | BIT(9) | BIT(10) | BIT(16) | BIT(17) | BIT(18) | BIT(19) | BIT(20) |
		  BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | BIT(31) },
	/* avx512vbmi umip pku avx512vbmi2 gfni vaes vpclmulqdq avx512vnni avx512bitalg avx512vpopcntdq rdpid pks */
	{ 7, 0, ECX, .v2 = 0, .v3 = 0, .host = BIT(1) | BIT(2) | BIT(3) | BIT(6) | BIT(8) | BIT(9) | BIT(10) |
		  BIT(11) | BIT(12) | BIT(14) | BIT(22) | BIT(31) },
	/* fsrm md-clear ibrs stibp l1d-flush arch-capabilities ssbd */
	{ 7, 0, EDX, .v2 = 0, .v3 = 0, .host = BIT(4) | BIT(10) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(31) },
	/* xsaveopt xsavec xgetbv1: XSAVES would need IA32_XSS in the state */
	{ 0xd, 1, EAX, .v2 = 0, .v3 = 0, .host = BIT(0) | BIT(1) | BIT(2) },
	/* lahf; lzcnt; cr8 sse4a misaligned-sse 3dnow-prefetch */
	{ 0x80000001, 0, ECX, .v2 = BIT(0), .v3 = BIT(5), .host = BIT(4) | BIT(6) | BIT(7) | BIT(8) },
	/* syscall nx lm; mmxext fxsr-opt 1g-pages rdtscp */
	{ 0x80000001, 0, EDX, .v2 = BIT(11) | BIT(20) | BIT(29), .v3 = 0,
	  .host = BIT(22) | BIT(25) | BIT(26) | BIT(27) },
	/* invariant tsc */
	{ 0x80000007, 0, EDX, .v2 = 0, .v3 = 0, .host = BIT(8) },
	/* clzero xsaveerptr wbnoinvd ibpb ibrs stibp ssbd */
	{ 0x80000008, 0, EBX, .v2 = 0, .v3 = 0,
	  .host = BIT(0) | BIT(2) | BIT(9) | BIT(12) | BIT(14) | BIT(15) | BIT(24) },
};
/* clang-format on */

/* Bits that AMD repeats from leaf 1 EDX in 0x80000001 EDX. */
#define AMD_REPEATED 0x0183f3ffu

/* Offset and size of the parts of XSAVE's standard form that can be on, by their bit in XCR0. */
static const struct {
	uint32_t offset, size;
} xsave_parts[] = { [2] = { 576, 256 },
	[5] = { 1088, 64 },
	[6] = { 1152, 512 },
	[7] = { 1664, 1024 },
	[9] = { 2688, 8 } };

#define XSAVE_PARTS (sizeof(xsave_parts) / sizeof(xsave_parts[0]))

static uint32_t *reg_of(struct cpuid_regs *r, unsigned reg)
{
	return reg == EAX ? &r->eax : reg == EBX ? &r->ebx : reg == ECX ? &r->ecx : &r->edx;
}

struct cpuid_entry *cpuid_find(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->entries[i].leaf == leaf &&
			(!t->entries[i].indexed || t->entries[i].subleaf == subleaf))
			return &t->entries[i];
	return NULL;
}

struct cpuid_entry *cpuid_add(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, bool indexed)
{
	struct cpuid_entry *e = cpuid_find(t, leaf, subleaf);

	if (e)
		return e;
	if (t->n == CPUID_ENTRIES)
		return NULL;
	e = &t->entries[t->n++];
	*e = (struct cpuid_entry){ .leaf = leaf, .subleaf = subleaf, .indexed = indexed };
	return e;
}

static struct cpuid_regs get(const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_entry *e = cpuid_find((struct cpuid_table *)t, leaf, subleaf);

	return e ? e->regs : (struct cpuid_regs){ 0 };
}

static void put(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, bool indexed,
	struct cpuid_regs regs)
{
	struct cpuid_entry *e = cpuid_add(t, leaf, subleaf, indexed);

	if (e)
		e->regs = regs;
}

bool cpuid_has(
	const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit)
{
	struct cpuid_regs r = get(t, leaf, subleaf);

	return *reg_of(&r, reg) >> bit & 1;
}

void cpuid_host(struct cpuid_table *ret)
{
	static const struct {
		uint32_t leaf, n; /* n: subleaves; 0: not indexed */
	} leaves[] = { { 0, 0 }, { 1, 0 }, { 4, 4 }, { 7, 1 }, { 0xd, 2 }, { 0x80000000, 0 },
		{ 0x80000001, 0 }, { 0x80000002, 0 }, { 0x80000003, 0 }, { 0x80000004, 0 },
		{ 0x80000005, 0 }, { 0x80000006, 0 }, { 0x80000007, 0 }, { 0x80000008, 0 } };

	ret->n = 0;
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		for (uint32_t sub = 0; sub < (leaves[i].n ? leaves[i].n : 1); sub++) {
			struct cpuid_regs r;

			if (__get_cpuid_count(leaves[i].leaf, sub, &r.eax, &r.ebx, &r.ecx, &r.edx))
				put(ret, leaves[i].leaf, sub, leaves[i].n > 0, r);
		}
}

bool cpuid_is_amd(const struct cpuid_table *t)
{
	return get(t, 0, 0).ebx == 0x68747541; /* "Auth" */
}

/* The feature words of a model; false, with the first word that lacks something, when demanded ones are not there. */
static bool features(const char *model, const struct cpuid_table *supported,
	struct cpuid_table *ret, const struct word **ret_word, uint32_t *ret_missing)
{
	bool host = strcmp(model, "host") == 0, v3 = strcmp(model, "x86-64-v3") == 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const struct word *w = &words[i];
		struct cpuid_regs have = get(supported, w->leaf, w->subleaf);
		struct cpuid_entry *e =
			cpuid_add(ret, w->leaf, w->subleaf, w->leaf == 7 || w->leaf == 0xd);
		uint32_t demanded = host ? 0 : w->v2 | (v3 ? w->v3 : 0);
		uint32_t wanted = host ? w->v2 | w->v3 | w->host : demanded;
		uint32_t given = *reg_of(&have, w->reg);

		/* The guest runs under a hypervisor, whatever the host does. */
		if (w->leaf == 1 && w->reg == ECX)
			given |= BIT(31);
		if (demanded & ~given) {
			*ret_word = w;
			*ret_missing = demanded & ~given;
			return false;
		}
		*reg_of(&e->regs, w->reg) = wanted & given;
	}
	return true;
}

static uint64_t xcr0_of(const struct cpuid_table *t)
{
	uint64_t xcr0 = 3;

	if (!cpuid_has(t, 1, 0, ECX, 26))
		return 0;
	if (cpuid_has(t, 1, 0, ECX, 28))
		xcr0 |= 4;
	if (cpuid_has(t, 7, 0, EBX, 16))
		xcr0 |= 0xe0;
	if (cpuid_has(t, 7, 0, ECX, 3))
		xcr0 |= 0x200;
	return xcr0;
}

static uint32_t xsave_size(uint64_t xcr0)
{
	uint32_t size = XSAVE_BASE;

	for (unsigned i = 2; i < XSAVE_PARTS; i++)
		if (xcr0 >> i & 1 && xsave_parts[i].offset + xsave_parts[i].size > size)
			size = xsave_parts[i].offset + xsave_parts[i].size;
	return size;
}

static uint32_t xsave_compacted_size(uint64_t xcr0)
{
	uint32_t size = XSAVE_BASE;

	for (unsigned i = 2; i < XSAVE_PARTS; i++)
		if (xcr0 >> i & 1)
			size += xsave_parts[i].size;
	return size;
}

static void add_xsave(struct cpuid_table *t)
{
	uint64_t xcr0 = xcr0_of(t);
	struct cpuid_regs one = get(t, 0xd, 1);

	if (!xcr0) {
		one = (struct cpuid_regs){ 0 };
	} else {
		put(t, 0xd, 0, INDEXED,
			(struct cpuid_regs){ (uint32_t)xcr0, XSAVE_BASE, xsave_size(xcr0), 0 });
		for (unsigned i = 2; i < XSAVE_PARTS; i++)
			if (xcr0 >> i & 1)
				put(t, 0xd, i, INDEXED,
					(struct cpuid_regs){
						xsave_parts[i].size, xsave_parts[i].offset, 0, 0 });
	}
	put(t, 0xd, 1, INDEXED, one);
}

static unsigned bits_for(unsigned n)
{
	unsigned bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

static void add_topology(struct cpuid_table *t, const struct cpuid_table *host, unsigned n)
{
	struct cpuid_entry *one = cpuid_add(t, 1, 0, false);

	one->regs.ebx = 8u << 8 | n << 16; /* CLFLUSH of 64 bytes */
	if (n > 1)
		one->regs.edx |= BIT(28);
	put(t, 0xb, 0, INDEXED, (struct cpuid_regs){ 0, 1, 1u << 8, 0 });
	put(t, 0xb, 1, INDEXED, (struct cpuid_regs){ bits_for(n), n, 1 | 2u << 8, 0 });
	put(t, 0xb, 2, INDEXED, (struct cpuid_regs){ 0, 0, 2, 0 });
	if (cpuid_is_amd(t))
		return;
	/* Caches as the host's: the first two levels are each core's own. */
	for (unsigned sub = 0; sub < 4; sub++) {
		struct cpuid_regs r = get(host, 4, sub);
		unsigned sharing = (r.eax >> 5 & 7) >= 3 ? n - 1 : 0;

		if (r.eax & 0x1f)
			r.eax = (r.eax & 0x3fff) | sharing << 14 | (n - 1) << 26;
		put(t, 4, sub, INDEXED, r);
	}
}

static void add_brand(struct cpuid_table *t, const char *model, const struct cpuid_table *host)
{
	uint32_t text[12] = { 0 };

	snprintf((char *)text, sizeof(text), "holm %s", model);
	for (unsigned i = 0; i < 3; i++) {
		struct cpuid_regs r = { text[4 * i], text[4 * i + 1], text[4 * i + 2],
			text[4 * i + 3] };

		put(t, 0x80000002 + i, 0, false,
			strcmp(model, "host") == 0 ? get(host, 0x80000002 + i, 0) : r);
	}
}

/* Leaves that are neither features nor topology. */
static void add_rest(struct cpuid_table *t, const char *model, const struct cpuid_table *supported,
	unsigned n, uint64_t tsc_khz)
{
	struct cpuid_table host;
	struct cpuid_regs vendor;
	struct cpuid_entry *e;
	bool amd;

	cpuid_host(&host);
	vendor = get(&host, 0, 0);
	amd = cpuid_is_amd(&host);
	put(t, 0, 0, false,
		(struct cpuid_regs){ amd ? 0xd : 0x15, vendor.ebx, vendor.ecx, vendor.edx });
	e = cpuid_add(t, 1, 0, false);
	e->regs.eax = strcmp(model, "host") == 0 ? get(&host, 1, 0).eax
		      : amd                      ? 0x00800f12 /* family 0x17 */
						 : 0x000306c3;                     /* family 6 */
	add_topology(t, &host, n);
	put(t, 6, 0, false, (struct cpuid_regs){ 4, 0, 0, 0 }); /* the APIC timer never stops */
	if (!amd && tsc_khz)
		put(t, 0x15, 0, false,
			(struct cpuid_regs){ CRYSTAL_HZ / 1000, (uint32_t)tsc_khz, CRYSTAL_HZ, 0 });
	for (unsigned i = 0; i < supported->n; i++)
		if (supported->entries[i].leaf >= HYPERVISOR_FIRST &&
			supported->entries[i].leaf <= HYPERVISOR_LAST)
			put(t, supported->entries[i].leaf, 0, false, supported->entries[i].regs);
	put(t, 0x80000000, 0, false,
		amd ? (struct cpuid_regs){ 0x80000008, vendor.ebx, vendor.ecx, vendor.edx }
		    : (struct cpuid_regs){ 0x80000008, 0, 0, 0 });
	e = cpuid_add(t, 0x80000001, 0, false);
	if (amd)
		e->regs.edx |= get(t, 1, 0).edx & AMD_REPEATED;
	add_brand(t, model, &host);
	put(t, 0x80000005, 0, false, get(&host, 0x80000005, 0));
	put(t, 0x80000006, 0, false, get(&host, 0x80000006, 0));
	e = cpuid_add(t, 0x80000008, 0, false);
	e->regs.eax = get(supported, 0x80000008, 0).eax & 0xffff;
	e->regs.ecx = amd ? (n - 1) | bits_for(n) << 12 : 0;
}

static bool known(const char *model)
{
	static const char *const models[] = { "host", "x86-64-v2", "x86-64-v3" };

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (strcmp(model, models[i]) == 0)
			return true;
	return false;
}

int cpuid_build(const char *model, const struct cpuid_table *supported, unsigned n_vcpus,
	uint64_t tsc_khz, struct cpuid_table *ret, struct err *err)
{
	static const char *const names[] = { "EAX", "EBX", "ECX", "EDX" };
	struct cpuid_table t = { 0 };
	const struct word *word = NULL;
	uint32_t missing = 0;

	if (!known(model))
		return err_set(err, EINVAL,
			"no processor model '%s': there are host, x86-64-v2 and x86-64-v3", model);
	if (!features(model, supported, &t, &word, &missing))
		return err_set(err, ENOTSUP,
			"no model %s here: the cpu lacks bits 0x%x of CPUID 0x%x %s; model host takes "
			"what there is",
			model, missing, word->leaf, names[word->reg]);
	add_rest(&t, model, supported, n_vcpus, tsc_khz);
	add_xsave(&t);
	*ret = t;
	return 0;
}

struct cpuid_regs cpuid_query(
	const struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, const struct cpuid_dynamic *d)
{
	struct cpuid_regs r = get(t, leaf, subleaf);

	switch (leaf) {
	case 1:
		r.ebx |= d->apic_id << 24;
		if (r.ecx & BIT(26) && d->cr4 & BIT(18))
			r.ecx |= BIT(27);
		if (!d->apic_enabled)
			r.edx &= ~BIT(9);
		break;
	case 7:
		if (subleaf == 0 && r.ecx & BIT(3) && d->cr4 & BIT(22))
			r.ecx |= BIT(4);
		break;
	case 0xb:
		if (subleaf > 1)
			r = (struct cpuid_regs){ .ecx = subleaf & 0xff };
		r.edx = d->apic_id;
		break;
	case 0xd:
		if (subleaf == 0 && r.eax)
			r.ebx = xsave_size(d->xcr0);
		else if (subleaf == 1 && r.eax & BIT(1))
			r.ebx = xsave_compacted_size(d->xcr0);
		break;
	default:
		break;
	}
	return r;
}
