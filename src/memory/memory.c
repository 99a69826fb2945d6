/* RAM as memfds, and the dirty log. Regions are sorted by gpa and never overlap. */
#include "memory/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "memory/bus.h"
#include "memory/clock.h"
#include "memory/irq.h"
#include "memory/vcpu.h"

#define GPA_MAX (UINT64_C(1) << 46)

static size_t dirty_words(const struct memory_region *r)
{
	return (r->size / PAGE_BYTES + 63) / 64;
}

struct memory *memory_new(unsigned n_vcpus, struct clock *clock)
{
	struct memory *m = xnew(struct memory);

	m->bus = bus_new();
	m->irqs = irqs_new();
	m->clock = clock ? clock : clock_new();
	m->vcpus = xcalloc(n_vcpus, sizeof(*m->vcpus));
	m->n_vcpus = n_vcpus;
	for (unsigned i = 0; i < n_vcpus; i++) {
		m->vcpus[i].memory = m;
		m->vcpus[i].index = i;
		m->vcpus[i].apic_page = UINT64_MAX;
	}
	return m;
}

static void region_finish(struct memory_region *r)
{
	munmap(r->host, r->size);
	fd_close(r->fd);
	free((void *)r->dirty);
}

void memory_free(struct memory *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->n_regions; i++)
		region_finish(&m->regions[i]);
	free(m->vcpus);
	clock_free(m->clock);
	irqs_free(m->irqs);
	bus_free(m->bus);
	free(m);
}

static bool overlaps(const struct memory *m, uint64_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < m->n_regions; i++)
		if (gpa < m->regions[i].gpa + m->regions[i].size && m->regions[i].gpa < gpa + size)
			return true;
	return false;
}

static int region_init(
	struct memory_region *r, uint64_t gpa, uint64_t size, unsigned flags, struct err *err)
{
	cleanup(fd_close) int fd = memfd_create("guest-memory", MFD_CLOEXEC);
	void *host;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return err_errno(
			err, "make %llu MiB of guest memory", (unsigned long long)(size >> 20));
	host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (host == MAP_FAILED)
		return err_errno(
			err, "map %llu MiB of guest memory", (unsigned long long)(size >> 20));
	/* It is the guest's: large, and no part of a core dump. */
	madvise(host, size, MADV_DONTDUMP);
	*r = (struct memory_region){ .gpa = gpa,
		.size = size,
		.host = host,
		.fd = take_fd(fd),
		.readonly = flags & MEMORY_READONLY };
	r->dirty = xcalloc(dirty_words(r), sizeof(*r->dirty));
	return 0;
}

int memory_add(struct memory *m, uint64_t gpa, uint64_t size, unsigned flags, struct err *err)
{
	struct memory_region region;
	unsigned at = m->n_regions;
	int r;

	if (size == 0 || (gpa | size) % PAGE_BYTES || size > GPA_MAX || gpa > GPA_MAX - size ||
		overlaps(m, gpa, size))
		return err_set(err, EINVAL, "no place for %llu bytes of memory at 0x%llx",
			(unsigned long long)size, (unsigned long long)gpa);
	if (m->n_regions == MEMORY_REGIONS)
		return err_set(err, ENOSPC, "more than %u regions of memory", MEMORY_REGIONS);
	r = region_init(&region, gpa, size, flags, err);
	if (r < 0)
		return r;
	for (; at > 0 && m->regions[at - 1].gpa > gpa; at--)
		m->regions[at] = m->regions[at - 1];
	m->regions[at] = region;
	m->n_regions++;
	return 0;
}

const struct memory_region *memory_find(const struct memory *m, uint64_t gpa)
{
	for (unsigned i = 0; i < m->n_regions; i++)
		if (gpa - m->regions[i].gpa < m->regions[i].size)
			return &m->regions[i];
	return NULL;
}

void *memory_host(const struct memory *m, uint64_t gpa, uint64_t len, bool write)
{
	const struct memory_region *r = memory_find(m, gpa);

	if (!r || (write && r->readonly) || len > r->size - (gpa - r->gpa))
		return NULL;
	return r->host + (gpa - r->gpa);
}

/* One plain access where the size allows, so that a vCPU sees all of a value or nothing. */
static void copy(void *to, const void *from, uint64_t len)
{
	uintptr_t both = (uintptr_t)to | (uintptr_t)from;

	if (len == 8 && both % 8 == 0)
		__atomic_store_n((uint64_t *)to,
			__atomic_load_n((const uint64_t *)from, __ATOMIC_RELAXED),
			__ATOMIC_RELAXED);
	else if (len == 4 && both % 4 == 0)
		__atomic_store_n((uint32_t *)to,
			__atomic_load_n((const uint32_t *)from, __ATOMIC_RELAXED),
			__ATOMIC_RELAXED);
	else if (len == 2 && both % 2 == 0)
		__atomic_store_n((uint16_t *)to,
			__atomic_load_n((const uint16_t *)from, __ATOMIC_RELAXED),
			__ATOMIC_RELAXED);
	else
		memcpy(to, from, len);
}

/* The part of [gpa, gpa + len) that is in the region of gpa; NULL when there is none. */
static uint8_t *part(
	const struct memory *m, uint64_t gpa, uint64_t len, bool write, uint64_t *ret_len)
{
	const struct memory_region *r = memory_find(m, gpa);
	uint64_t left;

	if (!r || (write && r->readonly))
		return NULL;
	left = r->size - (gpa - r->gpa);
	*ret_len = len < left ? len : left;
	return r->host + (gpa - r->gpa);
}

bool memory_read(const struct memory *m, uint64_t gpa, void *data, uint64_t len)
{
	uint64_t n;

	for (; len > 0; gpa += n, len -= n, data = (uint8_t *)data + n) {
		const uint8_t *host = part(m, gpa, len, false, &n);

		if (!host)
			return false;
		copy(data, host, n);
	}
	return true;
}

bool memory_write(struct memory *m, uint64_t gpa, const void *data, uint64_t len)
{
	uint64_t n;

	for (; len > 0; gpa += n, len -= n, data = (const uint8_t *)data + n) {
		uint8_t *host = part(m, gpa, len, true, &n);

		if (!host)
			return false;
		copy(host, data, n);
		memory_dirty(m, gpa, n);
	}
	return true;
}

void memory_discard(struct memory *m, uint64_t gpa, uint64_t len)
{
	uint64_t end = len > GPA_MAX || gpa > GPA_MAX - len ? gpa : gpa + len;

	for (unsigned i = 0; i < m->n_regions; i++) {
		const struct memory_region *r = &m->regions[i];
		uint64_t from = gpa > r->gpa ? gpa : r->gpa;
		uint64_t to = end < r->gpa + r->size ? end : r->gpa + r->size;

		from = (from + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
		to &= ~(uint64_t)(PAGE_BYTES - 1);
		if (from >= to || r->readonly)
			continue;
		memory_dirty(m, from, to - from);
		fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(from - r->gpa),
			(off_t)(to - from));
	}
}

uint64_t memory_ram_bytes(const struct memory *m)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->n_regions; i++)
		if (!m->regions[i].readonly)
			sum += m->regions[i].size;
	return sum;
}

void memory_dirty_start(struct memory *m)
{
	for (unsigned i = 0; i < m->n_regions; i++)
		for (size_t w = 0; w < dirty_words(&m->regions[i]); w++)
			atomic_store(&m->regions[i].dirty[w], 0);
	atomic_store(&m->dirty_logging, true);
}

void memory_dirty_stop(struct memory *m)
{
	atomic_store(&m->dirty_logging, false);
}

void memory_dirty(struct memory *m, uint64_t gpa, uint64_t len)
{
	uint64_t n;

	if (!atomic_load_explicit(&m->dirty_logging, memory_order_relaxed))
		return;
	for (; len > 0; gpa += n, len -= n) {
		const struct memory_region *r = memory_find(m, gpa);
		uint64_t page;

		n = PAGE_BYTES - gpa % PAGE_BYTES;
		n = len < n ? len : n;
		if (!r)
			continue;
		page = (gpa - r->gpa) / PAGE_BYTES;
		atomic_fetch_or(&r->dirty[page / 64], UINT64_C(1) << page % 64);
	}
}

void memory_dirty_take(
	struct memory *m, unsigned region, uint64_t first_page, uint64_t *words, size_t n_words)
{
	const struct memory_region *r = &m->regions[region];

	for (size_t i = 0; i < n_words; i++) {
		size_t at = first_page / 64 + i;

		words[i] = at < dirty_words(r) ? atomic_exchange(&r->dirty[at], 0) : 0;
	}
}
