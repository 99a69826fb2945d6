/*
 * Page table walks: 32-bit, PAE and 4-level paging (SDM volume 3, chapter 4). Accessed and dirty bits are
 * set atomically, as processors do, since another vCPU may walk or change the same tables.
 */
#include "cpu/soft/walk.h"

#include "cpu/soft/access.h"

#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
#define PTE_A 0x20u
#define PTE_D 0x40u
#define PTE_PS 0x80u
#define PTE_PAT_LARGE 0x1000u
#define PTE_NX (1ull << 63)
#define FAULT 0x100u

/* One level: where its entry is, and what the levels so far allow. */
struct step {
	uint64_t entry;
	void *host;
	bool wide;
	bool user, writable, executable;
};

/* An entry outside RAM reads as ones, which has reserved bits set. */
static uint64_t entry_read(struct vcpu *v, struct step *s, uint64_t gpa, bool wide)
{
	s->wide = wide;
	s->host = memory_host(v->cpu->memory, gpa, wide ? 8 : 4, false);
	if (!s->host)
		return UINT64_MAX;
	return wide ? __atomic_load_n((uint64_t *)s->host, __ATOMIC_RELAXED)
		    : __atomic_load_n((uint32_t *)s->host, __ATOMIC_RELAXED);
}

/* Sets bits in the entry unless it has changed since; false then. */
static bool entry_set(struct vcpu *v, struct step *s, uint64_t gpa, uint64_t bits)
{
	bool done;

	if ((s->entry & bits) == bits)
		return true;
	if (!memory_host(v->cpu->memory, gpa, s->wide ? 8 : 4, true))
		return true;
	if (s->wide) {
		uint64_t old = s->entry;

		done = __atomic_compare_exchange_n((uint64_t *)s->host, &old, old | bits, false,
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	} else {
		uint32_t old = (uint32_t)s->entry;

		done = __atomic_compare_exchange_n((uint32_t *)s->host, &old, old | (uint32_t)bits,
			false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	if (done)
		memory_dirty(v->cpu->memory, gpa, s->wide ? 8 : 4);
	return done;
}

static uint64_t reserved_bits(const struct vcpu *v, unsigned level, bool large)
{
	uint64_t reserved = 0x000fffffffffffffull & ~v->cpu->physical_mask & ~0xfffull;

	if (!(v->efer & EFER_NXE))
		reserved |= PTE_NX;
	if (!v->long_mode)
		reserved |= 0x7ff0000000000000ull;
	if (large)
		reserved |= level == 3 ? 0x3fffe000ull : 0x1fe000ull;
	if (level == 4)
		reserved |= PTE_PS;
	return reserved;
}

static unsigned error_of(const struct vcpu *v, unsigned access, bool user, unsigned cause)
{
	unsigned code = FAULT | cause | (access & PF_WRITE) | (user ? PF_USER : 0);

	if ((access & PF_FETCH) && ((v->efer & EFER_NXE) || (v->cr4 & CR4_SMEP)))
		code |= PF_FETCH;
	return code;
}

/* Whether what the levels allow is enough. */
static bool allowed(const struct vcpu *v, const struct step *s, unsigned access, bool user, bool ac)
{
	if (user)
		return s->user && (!(access & PF_WRITE) || s->writable) &&
		       (!(access & PF_FETCH) || s->executable);
	if (access & PF_FETCH)
		return s->executable && !(s->user && (v->cr4 & CR4_SMEP));
	if (s->user && (v->cr4 & CR4_SMAP) && !ac)
		return false;
	return !(access & PF_WRITE) || s->writable || !(v->cr0 & CR0_WP);
}

/* PF_KEY where the page's protection key (SDM volume 3, 4.6.2) does not allow it; no key guards fetches. */
static unsigned key_denies(const struct vcpu *v, const struct step *s, unsigned access, bool user)
{
	uint32_t rights = s->user ? v->pkru : v->pkrs, bits;

	if (!v->long_mode || (access & PF_FETCH) || !(v->cr4 & (s->user ? CR4_PKE : CR4_PKS)))
		return 0;
	bits = rights >> 2 * (s->entry >> 59 & 15) & 3;
	if (bits & 1)
		return PF_KEY;
	return bits && (access & PF_WRITE) && (user || (v->cr0 & CR0_WP)) ? PF_KEY : 0;
}

static void step_permissions(struct step *s)
{
	s->user = s->user && (s->entry & PTE_U);
	s->writable = s->writable && (s->entry & PTE_W);
	s->executable = s->executable && !(s->wide && (s->entry & PTE_NX));
}

static void fill_mapping(const struct vcpu *v, const struct step *s, uint64_t physical, bool large,
	struct mapping *ret)
{
	ret->physical = physical;
	ret->user = s->user;
	ret->writable = s->writable;
	ret->executable = s->executable;
	ret->dirty = s->entry & PTE_D;
	ret->large = large;
}

/* The leaf: permission, then accessed and dirty bits. 1: an entry changed meanwhile, walk again. */
static unsigned finish(
	struct vcpu *v, struct step *s, uint64_t gpa, unsigned access, bool user, bool ac)
{
	uint64_t bits = PTE_A | (access & PF_WRITE ? PTE_D : 0);
	unsigned key = key_denies(v, s, access, user);

	if (key || !allowed(v, s, access, user, ac))
		return error_of(v, access, user, PF_PRESENT | key);
	if (!entry_set(v, s, gpa, bits))
		return 1;
	s->entry |= bits;
	return 0;
}

static unsigned walk_wide(
	struct vcpu *v, uint64_t linear, unsigned access, bool user, bool ac, struct mapping *ret)
{
	unsigned level = v->long_mode ? 4 : 2;
	uint64_t table = v->cr3 & v->cpu->physical_mask & ~0xfffull;
	struct step s = { .user = true, .writable = true, .executable = true };

	if (!v->long_mode) {
		uint64_t pdpte = v->pdpte[linear >> 30 & 3];

		if (!(pdpte & PTE_P))
			return error_of(v, access, user, 0);
		table = pdpte & v->cpu->physical_mask & ~0xfffull;
	}
	for (;; level--) {
		unsigned shift = 12 + 9 * (level - 1), r;
		uint64_t gpa = table + ((linear >> shift) & 511) * 8;
		bool large;

		s.entry = entry_read(v, &s, gpa, true);
		large = level > 1 && level < 4 && (s.entry & PTE_PS);
		if (!(s.entry & PTE_P))
			return error_of(v, access, user, 0);
		if (s.entry & reserved_bits(v, level, large))
			return error_of(v, access, user, PF_PRESENT | PF_RESERVED);
		step_permissions(&s);
		table = s.entry & v->cpu->physical_mask & ~0xfffull;
		if (level == 1 || large) {
			uint64_t mask = (1ull << shift) - 1;

			r = finish(v, &s, gpa, access, user, ac);
			if (!r)
				fill_mapping(v, &s, (table & ~mask) | (linear & mask), large, ret);
			return r;
		}
		if (!entry_set(v, &s, gpa, PTE_A))
			return 1;
	}
}

static unsigned walk_32(
	struct vcpu *v, uint64_t linear, unsigned access, bool user, bool ac, struct mapping *ret)
{
	struct step s = { .user = true, .writable = true, .executable = true };
	uint64_t gpa = (v->cr3 & 0xfffff000) + (linear >> 22 & 1023) * 4, physical;
	unsigned r;

	s.entry = entry_read(v, &s, gpa, false);
	if (!(s.entry & PTE_P))
		return error_of(v, access, user, 0);
	step_permissions(&s);
	if ((s.entry & PTE_PS) && (v->cr4 & CR4_PSE)) {
		/* PSE-36: bits 13-20 are address bits 32-39, and 21 is none. */
		physical =
			(s.entry & 0xffc00000) | (s.entry & 0x1fe000) << 19 | (linear & 0x3fffff);
		if ((s.entry & 0x200000) || (physical & ~v->cpu->physical_mask & ~0xfffull))
			return error_of(v, access, user, PF_PRESENT | PF_RESERVED);
		r = finish(v, &s, gpa, access, user, ac);
		if (!r)
			fill_mapping(v, &s, physical, true, ret);
		return r;
	}
	if (!entry_set(v, &s, gpa, PTE_A))
		return 1;
	gpa = (s.entry & 0xfffff000) + (linear >> 12 & 1023) * 4;
	s.entry = entry_read(v, &s, gpa, false);
	if (!(s.entry & PTE_P))
		return error_of(v, access, user, 0);
	step_permissions(&s);
	r = finish(v, &s, gpa, access, user, ac);
	if (!r)
		fill_mapping(v, &s, (s.entry & 0xfffff000) | (linear & 0xfff), false, ret);
	return r;
}

unsigned walk(
	struct vcpu *v, uint64_t linear, unsigned access, bool user, bool ac, struct mapping *ret)
{
	unsigned r;

	if (!(v->cr0 & CR0_PG)) {
		*ret = (struct mapping){ linear, true, true, true, true, false };
		return 0;
	}
	do {
		if (v->cr4 & CR4_PAE)
			r = walk_wide(v, linear, access, user, ac, ret);
		else
			r = walk_32(v, linear, access, user, ac, ret);
	} while (r == 1);
	return r;
}

void mmu_load_pdptes(struct vcpu *v, uint64_t cr3)
{
	uint64_t entries[4];
	struct step s;

	for (unsigned n = 0; n < 4; n++) {
		entries[n] = entry_read(v, &s, (cr3 & 0xffffffe0) + 8 * n, true);
		if ((entries[n] & PTE_P) &&
			(entries[n] & (0x1e6 | PTE_NX | (~v->cpu->physical_mask & ~0xfffull))))
			fault_gp(v);
	}
	memcpy(v->pdpte, entries, sizeof(entries));
}
