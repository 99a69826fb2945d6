/*
 * From linear addresses to the host's memory: TLBs, their filling, and accesses that the TLB's fast path
 * (access.h) leaves: page crossings, MMIO, pages with decoded code, and what is checked at each access
 * (alignment, data breakpoints), for which the TLB is one that is never filled.
 */
#include "cpu/soft/access.h"
#include "cpu/soft/walk.h"

static bool alignment_checked(const struct vcpu *v)
{
	return v->cpl == 3 && (v->flags & FL_AC) && (v->cr0 & CR0_AM);
}

/* DR7 enables a breakpoint on data (or on I/O, which costs little here). */
static bool data_breakpoints(const struct vcpu *v)
{
	for (unsigned n = 0; n < 4; n++)
		if ((v->dr7 >> 2 * n & 3) && (v->dr7 >> (16 + 4 * n) & 3))
			return true;
	return false;
}

void mmu_select(struct vcpu *v)
{
	v->tlb = v->tables[current_table(v)];
	if (alignment_checked(v) || data_breakpoints(v))
		v->tlb = v->tables[TLB_CHECKED];
	v->fetch_page = TLB_NONE;
}

void mmu_flush(struct vcpu *v)
{
	for (unsigned t = 0; t < TLB_TABLES; t++)
		for (unsigned n = 0; n < TLB_ENTRIES; n++)
			v->tables[t][n].read = v->tables[t][n].write = tlb_none(n);
	v->large_low = UINT64_MAX;
	v->large_high = 0;
	v->fetch_page = TLB_NONE;
	cache_flush_fetches(v->cache);
}

void mmu_flush_writes(struct vcpu *v)
{
	for (unsigned t = 0; t < TLB_TABLES; t++)
		for (unsigned n = 0; n < TLB_ENTRIES; n++)
			v->tables[t][n].write = tlb_none(n);
}

void mmu_invalidate(struct vcpu *v, uint64_t linear)
{
	if (linear >= v->large_low && linear <= v->large_high) {
		mmu_flush(v);
		return;
	}
	for (unsigned t = 0; t < TLB_TABLES; t++) {
		struct tlb_entry *e = tlb_slot(v->tables[t], linear);

		e->read = e->write = tlb_none(linear >> PAGE_BITS);
	}
	v->fetch_page = TLB_NONE;
	cache_flush_fetches(v->cache);
}

struct code_page *mmu_code_page(struct cpu *cpu, uint64_t physical, uint8_t **host, bool *readonly)
{
	const struct memory_region *r = memory_find(cpu->memory, physical);
	uint64_t offset;

	if (!r)
		return NULL;
	offset = (physical - r->gpa) & ~(uint64_t)(PAGE_BYTES - 1);
	*host = r->host + offset;
	*readonly = r->readonly;
	return &cpu->code[r - cpu->memory->regions][offset >> PAGE_BITS];
}

static noreturn void page_fault(struct vcpu *v, uint64_t linear, unsigned error)
{
	v->cr2 = linear;
	fault_code(v, VECTOR_PF, error & 0xff);
}

/* #GP or #SS, by the operand's segment. */
static void check_canonical(struct vcpu *v, uint64_t linear)
{
	if (canonical(linear) || !v->long_mode)
		return;
	fault_code(v,
		v->cell && v->cell->i.memory && v->cell->i.segment == SEG_SS ? VECTOR_SS
									     : VECTOR_GP,
		0);
}

static void map(struct vcpu *v, uint64_t linear, unsigned access, unsigned table, struct mapping *m)
{
	unsigned error;

	check_canonical(v, linear);
	error = walk(v, linear, access, table == TLB_USER, table == TLB_KERNEL_AC, m);
	if (error)
		page_fault(v, linear, error);
}

uint64_t mmu_translate(struct vcpu *v, uint64_t linear, unsigned access, unsigned table)
{
	struct mapping m;

	map(v, linear, access, table, &m);
	return m.physical;
}

static void note_large(struct vcpu *v, uint64_t linear, const struct mapping *m)
{
	if (!m->large)
		return;
	if ((linear & ~0x3fffffffull) < v->large_low)
		v->large_low = linear & ~0x3fffffffull;
	if ((linear | 0x3fffffff) > v->large_high)
		v->large_high = linear | 0x3fffffff;
}

/* Translates and, where the page is RAM, enters it. The host's address of the byte, or NULL. */
static uint8_t *fill(
	struct vcpu *v, uint64_t linear, unsigned access, unsigned table, uint64_t *physical)
{
	struct tlb_entry *e = tlb_slot(v->tables[table], linear);
	uint64_t page = linear & ~(uint64_t)(PAGE_BYTES - 1);
	struct code_page *code;
	struct mapping m;
	uint8_t *host;
	bool readonly;

	map(v, linear, access, table, &m);
	*physical = m.physical;
	note_large(v, linear, &m);
	code = mmu_code_page(v->cpu, m.physical, &host, &readonly);
	if (!code)
		return NULL;
	e->addend = (uint64_t)(uintptr_t)host - page;
	e->read = page;
	e->write = tlb_none(linear >> PAGE_BITS);
	/* Only a write sees to it that the page is dirty in the page tables. */
	if ((access & PF_WRITE) && !readonly && !atomic_load(&v->cpu->memory->dirty_logging)) {
		e->write = page;
		/* Either the decoder sees that this vCPU may write, or we see that it decoded. */
		atomic_thread_fence(memory_order_seq_cst);
		if (atomic_load(&code->granules))
			e->write = tlb_none(linear >> PAGE_BITS);
	}
	return host + (linear & (PAGE_BYTES - 1));
}

static bool in_breakpoint(const struct vcpu *v, unsigned n, uint64_t linear, unsigned size)
{
	static const uint8_t sizes[4] = { 1, 2, 8, 4 };
	unsigned length = sizes[v->dr7 >> (18 + 4 * n) & 3];
	uint64_t start = v->dr[n] & ~(uint64_t)(length - 1);

	return linear < start + length && start < linear + size;
}

static void check_data_breakpoints(struct vcpu *v, uint64_t linear, unsigned size, bool write)
{
	for (unsigned n = 0; n < 4; n++) {
		unsigned kind = v->dr7 >> (16 + 4 * n) & 3;

		if (!(v->dr7 >> 2 * n & 3) || !(kind == 3 || (kind == 1 && write)))
			continue;
		if (in_breakpoint(v, n, linear, size)) {
			v->pending_db |= 1u << n;
			atomic_store(&v->stop, 1);
		}
	}
}

static void check_access(struct vcpu *v, uint64_t linear, unsigned size, bool write, unsigned table)
{
	if (likely(v->tlb != v->tables[TLB_CHECKED]))
		return;
	if (table == TLB_USER && alignment_checked(v) && (linear & (size - 1)) && size <= 8)
		fault_code(v, VECTOR_AC, 0);
	check_data_breakpoints(v, linear, size, write);
}

static bool crosses(uint64_t linear, unsigned size)
{
	return (linear & (PAGE_BYTES - 1)) + size > PAGE_BYTES;
}

/* Addresses wrap at 4 GiB outside 64-bit mode. */
static uint64_t next_page(const struct vcpu *v, uint64_t linear)
{
	uint64_t next = (linear | (PAGE_BYTES - 1)) + 1;

	return v->code == DECODE_64 || v->long_mode ? next : (uint32_t)next;
}

static uint64_t read_physical(struct vcpu *v, const uint8_t *host, uint64_t physical, unsigned size)
{
	uint64_t value = 0;

	if (!host)
		return vcpu_read(v->link, physical, size);
	switch (size) {
	case 1:
		return *(volatile const uint8_t *)host;
	case 2:
		return *(volatile const uint16_t *)host;
	case 4:
		return *(volatile const uint32_t *)host;
	case 8:
		return *(volatile const uint64_t *)host;
	}
	memcpy(&value, host, size);
	return value;
}

uint64_t mmu_read_slow(struct vcpu *v, uint64_t linear, unsigned size, unsigned table)
{
	struct tlb_entry *e = tlb_slot(v->tables[table], linear);
	uint64_t physical = 0, value = 0;
	uint8_t *host;

	check_access(v, linear, size, false, table);
	if (holds(e->read, linear, size))
		return read_physical(v, (uint8_t *)(linear + e->addend), 0, size);
	if (!crosses(linear, size)) {
		host = fill(v, linear, 0, table, &physical);
		if (host || !(size & (size - 1)))
			return read_physical(v, host, physical, size);
	}
	for (unsigned n = 0; n < size; n++) {
		uint64_t at = crosses(linear, n + 1)
				      ? next_page(v, linear) + (linear + n) % PAGE_BYTES
				      : linear + n;

		host = fill(v, at, 0, table, &physical);
		value |= read_physical(v, host, physical, 1) << 8 * n;
	}
	return value;
}

/* After bytes of a page with code were written: blocks of it may be stale. */
static void code_written(struct vcpu *v, struct code_page *code, uint64_t physical, unsigned size)
{
	unsigned first = physical % PAGE_BYTES / 64, last = (physical % PAGE_BYTES + size - 1) / 64;
	uint64_t mask =
		(last == 63 ? UINT64_MAX : (1ull << (last + 1)) - 1) & ~((1ull << first) - 1);

	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&code->granules) & mask) {
		atomic_fetch_add(&code->version, 1);
		/* It may be the block that runs. */
		atomic_store(&v->stop, 1);
	}
}

static void after_write(struct vcpu *v, uint64_t physical, unsigned size)
{
	struct code_page *code;
	uint8_t *host;
	bool readonly;

	memory_dirty(v->cpu->memory, physical, size);
	code = mmu_code_page(v->cpu, physical, &host, &readonly);
	if (code)
		code_written(v, code, physical, size);
}

static void store(uint8_t *host, uint64_t value, unsigned size)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)host = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)host = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)host = (uint32_t)value;
		break;
	case 8:
		*(volatile uint64_t *)host = value;
		break;
	default:
		memcpy(host, &value, size);
	}
}

static void write_physical(
	struct vcpu *v, uint8_t *host, uint64_t physical, uint64_t value, unsigned size)
{
	const struct memory_region *r;

	if (!host) {
		vcpu_write(v->link, physical, value, size);
		return;
	}
	r = memory_find(v->cpu->memory, physical);
	if (r && r->readonly)
		return;
	store(host, value, size);
	after_write(v, physical, size);
}

void mmu_write_slow(struct vcpu *v, uint64_t linear, uint64_t value, unsigned size, unsigned table)
{
	uint64_t physical[2] = { 0, 0 };
	uint8_t *host[2];
	unsigned first = size;

	check_access(v, linear, size, true, table);
	if (crosses(linear, size))
		first = PAGE_BYTES - (unsigned)(linear % PAGE_BYTES);
	host[0] = fill(v, linear, PF_WRITE, table, &physical[0]);
	if (first == size && holds(tlb_slot(v->tables[table], linear)->write, linear, size)) {
		store(host[0], value, size);
		return;
	}
	if (first == size) {
		write_physical(v, host[0], physical[0], value, size);
		return;
	}
	/* Both pages must allow it before either is written; pages may share a slot of the TLB. */
	host[1] = fill(v, next_page(v, linear), PF_WRITE, table, &physical[1]);
	for (unsigned n = 0; n < size; n++, value >>= 8) {
		unsigned p = n >= first;
		unsigned offset = p ? n - first : n;

		write_physical(v, host[p] ? host[p] + offset : NULL, physical[p] + offset,
			value & 0xff, 1);
	}
}

void *mmu_rw_slow(struct vcpu *v, uint64_t linear, unsigned size, unsigned table)
{
	uint64_t physical, value[2];
	struct code_page *code;
	bool readonly = false;
	uint8_t *host, *page;

	check_access(v, linear, size, true, table);
	host = fill(v, linear, PF_WRITE, table, &physical);
	if (holds(tlb_slot(v->tables[table], linear)->write, linear, size))
		return host;
	v->rw_linear = linear;
	v->rw_size = size;
	code = mmu_code_page(v->cpu, physical, &page, &readonly);
	if (host && code && !readonly && !crosses(linear, size)) {
		v->rw_kind = RW_CODE;
		v->rw_physical = physical;
		return host;
	}
	if (crosses(linear, size))
		mmu_translate(v, next_page(v, linear), PF_WRITE, table);
	value[0] = mmu_read_slow(v, linear, size > 8 ? 8 : size, table);
	if (size > 8)
		value[1] = mmu_read_slow(v, linear + 8, size - 8, table);
	memcpy(v->bounce, value, size);
	v->rw_kind = RW_BOUNCE;
	return v->bounce;
}

void mmu_rw_finish(struct vcpu *v)
{
	enum rw_kind kind = v->rw_kind;
	uint64_t value[2] = { 0, 0 };

	v->rw_kind = RW_DIRECT;
	if (kind == RW_CODE) {
		after_write(v, v->rw_physical, v->rw_size);
		return;
	}
	memcpy(value, v->bounce, v->rw_size);
	mmu_write_slow(
		v, v->rw_linear, value[0], v->rw_size > 8 ? 8 : v->rw_size, current_table(v));
	if (v->rw_size > 8)
		mmu_write_slow(v, v->rw_linear + 8, value[1], v->rw_size - 8, current_table(v));
}

void mmu_read_bytes(struct vcpu *v, uint64_t linear, void *data, unsigned size)
{
	uint8_t *to = data;

	/* A misaligned vector is no alignment-checked access by its parts. */
	while (size) {
		unsigned n = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
		uint64_t value = read_size(v, linear, n);

		memcpy(to, &value, n);
		to += n;
		linear += n;
		size -= n;
	}
}

void mmu_probe_write(struct vcpu *v, uint64_t linear, unsigned size)
{
	uint64_t physical;

	if (!size)
		return;
	fill(v, linear, PF_WRITE, current_table(v), &physical);
	if (crosses(linear, size))
		fill(v, next_page(v, linear), PF_WRITE, current_table(v), &physical);
}

void mmu_write_bytes(struct vcpu *v, uint64_t linear, const void *data, unsigned size)
{
	const uint8_t *from = data;

	if (crosses(linear, size))
		mmu_probe_write(v, linear, size);
	while (size) {
		unsigned n = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
		uint64_t value = 0;

		memcpy(&value, from, n);
		write_size(v, linear, value, n);
		from += n;
		linear += n;
		size -= n;
	}
}

void *mmu_direct(struct vcpu *v, uint64_t linear, bool write)
{
	const struct tlb_entry *e = tlb_slot(v->tlb, linear);

	if ((linear ^ (write ? e->write : e->read)) < PAGE_BYTES)
		return (void *)(linear + e->addend);
	return NULL;
}
