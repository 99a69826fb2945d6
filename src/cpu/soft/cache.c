/*
 * Decoded code. A vCPU has a hash table of blocks in an arena; when that is full all is thrown away. See
 * soft.h for how writes to code are noticed, and mmu.c for the other side of it.
 */
#include <sys/mman.h>

#include "base/alloc.h"
#include "cpu/soft/access.h"
#include "cpu/soft/forms.h"

#define ARENA_BYTES (6u << 20)
#define BUCKETS 16384u
#define BLOCK_MAX 48u /* cells */
#define FETCHES 256u
#define GRANULE 64u

/* A page of code as one of the two kinds of level sees it. */
struct fetch {
	uint64_t page, physical;
	const uint8_t *host; /* NULL: no RAM */
};

struct cache {
	uint8_t *arena;
	size_t used;
	const struct block *bucket[BUCKETS];
	struct fetch fetch[2][FETCHES];
	/* An instruction that lies in two pages, or in none of RAM, is decoded each time. */
	alignas(64) uint8_t single[sizeof(struct block) + sizeof(struct cell)];
	_Atomic uint32_t single_version;
};

struct cache *cache_new(void)
{
	struct cache *c = aligned_alloc(64, (sizeof(struct cache) + 63) & ~(size_t)63);

	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));

	c->arena =
		mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->arena == MAP_FAILED) {
		free(c);
		return NULL;
	}
	cache_flush_fetches(c);
	return c;
}

void cache_free(struct cache *cache)
{
	if (!cache)
		return;
	munmap(cache->arena, ARENA_BYTES);
	free(cache);
}

void cache_flush_fetches(struct cache *cache)
{
	for (unsigned n = 0; n < FETCHES; n++)
		cache->fetch[0][n].page = cache->fetch[1][n].page = TLB_NONE;
}

static noinline void find_page(struct vcpu *v, uint64_t linear)
{
	uint64_t page = linear & ~(uint64_t)(PAGE_BYTES - 1);
	struct fetch *f = &v->cache->fetch[v->cpl == 3][linear / PAGE_BYTES % FETCHES];
	uint8_t *host;
	bool readonly;

	if (f->page != page) {
		uint64_t physical =
			mmu_translate(v, linear, PF_FETCH, v->cpl == 3 ? TLB_USER : TLB_KERNEL);

		f->host = mmu_code_page(v->cpu, physical, &host, &readonly) ? host : NULL;
		f->physical = physical & ~(uint64_t)(PAGE_BYTES - 1);
		f->page = page;
	}
	v->fetch_page = page;
	v->fetch_physical = f->physical;
	v->fetch_host = f->host;
}

/* Sees to it that no vCPU can write to the page without noticing. */
static void stop_writes(struct vcpu *v)
{
	struct cpu *cpu = v->cpu;

	mmu_flush_writes(v);
	for (unsigned n = 0; n < cpu->memory->n_vcpus; n++) {
		struct vcpu *other = cpu->vcpus[n];

		if (!other || other == v)
			continue;
		atomic_store(&other->flush_writes, true);
		atomic_store(&other->stop, 1);
		while (atomic_load(&other->flush_writes) && atomic_load(&other->in_guest)) {
			/* The other may be waiting for this one. */
			if (atomic_load(&v->flush_writes)) {
				mmu_flush_writes(v);
				atomic_store(&v->flush_writes, false);
			}
			__builtin_ia32_pause();
		}
	}
}

static void mark(struct vcpu *v, struct code_page *code, unsigned offset)
{
	unsigned first = offset / GRANULE, last = (offset + INSN_MAX - 1) / GRANULE;
	uint64_t bits = 1ull << first | (last < 64 ? 1ull << last : 0),
		 old = atomic_load(&code->granules);

	if ((old & bits) == bits)
		return;
	old = atomic_fetch_or(&code->granules, bits);
	if (!old)
		stop_writes(v);
}

static uint16_t register_offset(const struct operand *o)
{
	return (uint16_t)(offsetof(struct vcpu, gpr) + 8 * o->reg + o->high);
}

static uint16_t address_offset(uint8_t reg)
{
	if (reg == BASE_RIP)
		return offsetof(struct vcpu, rip);
	return (uint16_t)(offsetof(struct vcpu, gpr) + 8 * (reg == BASE_NONE ? 16 : reg));
}

static void place_operands(struct cell *c)
{
	struct operand o;

	for (unsigned n = 0; insn_operand(&c->i, n, &o); n++) {
		uint8_t source = soft_specs[c->i.form->operand[n]].source;

		if (n == 0)
			c->size = (uint8_t)o.size;
		else if (n == 1)
			c->size2 = (uint8_t)o.size;
		if (o.kind != OPERAND_REG || o.class != CLASS_GPR)
			continue;
		if (source == FROM_REG || (source == FROM_FIXED && n == 1))
			c->reg = register_offset(&o);
		else if (source != FROM_VVVV && (source != FROM_FIXED || n == 0))
			c->rm = register_offset(&o);
	}
}

static void make_cell(struct vcpu *v, struct cell *c, int length)
{
	c->stub = NULL;
	if (length < 0) {
		c->i.length = 0;
		c->fn = length == DECODE_TOO_LONG ? op_too_long : op_undefined;
		return;
	}
	c->base = address_offset(c->i.base);
	c->index = address_offset(c->i.index);
	c->flat = v->code == DECODE_64 && c->i.segment < SEG_FS;
	c->lock = c->i.prefixes & PREFIX_LOCK;
	c->reg = c->rm = offsetof(struct vcpu, gpr);
	place_operands(c);
	c->fn = bind_op(v->cpu, c);
}

/* Decoded anew each time: its bytes are gathered from two pages or from a device. */
static noinline const struct block *single(struct vcpu *v, uint64_t linear)
{
	struct block *b = (struct block *)v->cache->single;
	uint8_t bytes[INSN_MAX];
	unsigned n = 0, wanted = PAGE_BYTES - linear % PAGE_BYTES;
	int length = DECODE_TRUNCATED;

	for (; n < INSN_MAX && (n < wanted || length == DECODE_TRUNCATED); n++) {
		uint64_t at = v->code == DECODE_64 ? linear + n : (uint32_t)(linear + n);

		if (!n || !(at % PAGE_BYTES))
			find_page(v, at);
		bytes[n] = v->fetch_host ? v->fetch_host[at % PAGE_BYTES]
					 : (uint8_t)vcpu_read(
						   v->link, v->fetch_physical + at % PAGE_BYTES, 1);
		length = insn_decode(&b->cells[0].i, (enum decode_mode)v->code, bytes, n + 1);
		if (length != DECODE_TRUNCATED)
			break;
	}
	v->fetch_page = TLB_NONE;
	make_cell(v, &b->cells[0], length);
	b->version = &v->cache->single_version;
	b->seen = atomic_load(b->version);
	b->n = 1;
	b->bytes = b->cells[0].i.length;
	return b;
}

static struct block *room_for(struct cache *cache)
{
	size_t most = sizeof(struct block) + BLOCK_MAX * sizeof(struct cell);

	if (cache->used + most > ARENA_BYTES) {
		memset(cache->bucket, 0, sizeof(cache->bucket));
		cache->used = 0;
	}
	return (struct block *)(cache->arena + cache->used);
}

static noinline const struct block *decode(
	struct vcpu *v, uint64_t linear, uint64_t key, const struct block **bucket)
{
	unsigned offset = linear % PAGE_BYTES;
	struct block *b = room_for(v->cache);
	struct code_page *code;
	bool readonly;
	uint8_t *host;

	code = mmu_code_page(v->cpu, v->fetch_physical, &host, &readonly);
	b->key = key;
	b->version = &code->version;
	b->seen = atomic_load(&code->version);
	b->n = b->bytes = 0;
	while (b->n < BLOCK_MAX && offset + b->bytes < PAGE_BYTES) {
		struct cell *c = &b->cells[b->n];
		unsigned at = offset + b->bytes;
		int length;

		mark(v, code, at);
		length = insn_decode(&c->i, (enum decode_mode)v->code, host + at, PAGE_BYTES - at);
		if (length == DECODE_TRUNCATED)
			break;
		make_cell(v, c, length);
		b->n++;
		b->bytes = (uint16_t)(b->bytes + c->i.length);
		if (length < 0 || bind_ends_block(c))
			break;
	}
	if (!b->n)
		return single(v, linear);
	v->cache->used += (sizeof(struct block) + b->n * sizeof(struct cell) + 63) & ~(size_t)63;
	*bucket = b;
	return b;
}

const struct block *cache_block(struct vcpu *v)
{
	uint64_t linear = v->rip, key;
	const struct block **bucket, *b;

	if (v->code != DECODE_64) {
		if (v->rip > v->seg[CPU_CS].limit)
			fault_gp(v);
		linear = (uint32_t)(v->seg[CPU_CS].base + v->rip);
	}
	if ((linear & ~(uint64_t)(PAGE_BYTES - 1)) != v->fetch_page)
		find_page(v, linear);
	if (unlikely(!v->fetch_host))
		return single(v, linear);
	key = v->fetch_physical | linear % PAGE_BYTES | (uint64_t)v->code << 62;
	bucket = &v->cache->bucket[(key ^ key >> 14) % BUCKETS];
	b = *bucket;
	if (likely(b && b->key == key &&
		    b->seen == atomic_load_explicit(b->version, memory_order_relaxed)))
		return b;
	return decode(v, linear, key, bucket);
}
