#pragma once
/*
 * The guest's physical world: what a cpu and the devices share, and all that they know of each
 * other. RAM is here; the rest has headers of its own:
 *
 *	bus.h    memory-mapped and port I/O: who answers at which address
 *	irq.h    interrupt lines and message-signalled interrupts: from devices to controllers
 *	vcpu.h   one link a vCPU: events for it, and its local APIC
 *	clock.h  time: the guest's TSC, and timers for devices
 *
 * Addresses are guest-physical bytes ("gpa"). Guest memory is shared with a guest that changes it at any
 * time: whoever reads a structure there copies it once and then checks the copy.
 *
 * Threads: regions are added before the first vCPU runs, and stay; all else may be called by any thread.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

#define PAGE_BITS 12
#define PAGE_BYTES 4096u
#define MEMORY_REGIONS 16u /* at most */
#define MEMORY_VCPUS 64u   /* at most */

/* One range of RAM or ROM, a mapping of a memfd; in memory.regions sorted by gpa. Read only. */
struct memory_region {
	uint64_t gpa, size; /* multiples of 4 KiB */
	uint8_t *host;
	int fd;                  /* the memfd, from offset 0 */
	bool readonly;           /* the guest's writes are dropped; the host may write */
	_Atomic uint64_t *dirty; /* a bit a page; only written to while logging */
};

/* Members are there to be used; none is replaced after memory_new(). */
struct memory {
	struct bus *bus;
	struct irqs *irqs;
	struct clock *clock;
	struct vcpu_link *vcpus; /* n_vcpus, by index */
	unsigned n_vcpus;

	struct memory_region regions[MEMORY_REGIONS];
	unsigned n_regions;
	atomic_bool dirty_logging;
};

/* No RAM yet. `clock` becomes the memory's; NULL: a real clock. */
struct memory *memory_new(unsigned n_vcpus, struct clock *clock);
/* No vCPU may be running, no device be left. */
void memory_free(struct memory *m);
DEFINE_CLEANUP(memory_free, struct memory *);

#define MEMORY_READONLY 1u
/* Zeroed RAM, allocated by the host as it is touched. -EINVAL when unaligned or overlapping, -ENOSPC for
 * more than MEMORY_REGIONS. */
int memory_add(struct memory *m, uint64_t gpa, uint64_t size, unsigned flags, struct err *err);

/* The region that holds gpa, or NULL. Host pointers are good up to the region's end only: regions that
 * touch for the guest do not touch in the host. */
const struct memory_region *memory_find(const struct memory *m, uint64_t gpa);

/* Host pointer to gpa when all len bytes are in one region, else NULL. For writing, a readonly region gives
 * NULL, and the caller calls memory_dirty() after it wrote. */
void *memory_host(const struct memory *m, uint64_t gpa, uint64_t len, bool write);

/* A device's DMA: across regions, dirty logged. False, and nothing or only a part done, when a byte of it
 * is no RAM (or is read only, for writing). Copies are not atomic; aligned 2, 4 and 8 bytes are. */
bool memory_read(const struct memory *m, uint64_t gpa, void *data, uint64_t len);
bool memory_write(struct memory *m, uint64_t gpa, const void *data, uint64_t len);

/* The guest does not need what is in these bytes any more: the host has the whole pages among them back, which are zero when
 * they are touched again. What is no RAM is passed over. */
void memory_discard(struct memory *m, uint64_t gpa, uint64_t len);

/* Sum of the regions' sizes, without readonly ones. */
uint64_t memory_ram_bytes(const struct memory *m);

/*
 * The dirty log: which pages were written to. Switched on and off by the machine, through the cpu
 * (cpu.h, dirty_log), which has its vCPUs notice. A cpu with a log of its own adds it by dirty_sync.
 */
void memory_dirty_start(struct memory *m); /* all clean */
void memory_dirty_stop(struct memory *m);
/* These bytes were written to. Cheap when nothing logs. Bytes outside RAM are ignored. */
void memory_dirty(struct memory *m, uint64_t gpa, uint64_t len);
/* Takes the bits of pages [first, first + 64 * n_words) of a region, which are clean then. */
void memory_dirty_take(
	struct memory *m, unsigned region, uint64_t first_page, uint64_t *words, size_t n_words);
