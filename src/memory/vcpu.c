/* Events of a vCPU as a futex word, and its way to the bus. */
#include "memory/vcpu.h"

#include <linux/futex.h>
#include <limits.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory/bus.h"
#include "memory/memory.h"

#define APIC_PAGE_BYTES 4096u

static void wake(struct vcpu_link *link)
{
	syscall(SYS_futex, &link->events, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	if (link->kick)
		link->kick(link->kick_data);
}

void vcpu_raise(struct vcpu_link *link, uint32_t events)
{
	uint32_t before = atomic_fetch_or(&link->events, events);

	if ((before & events) == events)
		return;
	wake(link);
}

void vcpu_raise_nmi(struct vcpu_link *link)
{
	if (atomic_fetch_or(&link->events, VCPU_NMI) & VCPU_NMI)
		vcpu_raise(link, VCPU_NMI_NEXT);
	else
		wake(link);
}

void vcpu_raise_sipi(struct vcpu_link *link, uint8_t vector)
{
	atomic_store(&link->sipi_vector, vector);
	vcpu_raise(link, VCPU_SIPI);
}

uint32_t vcpu_take(struct vcpu_link *link, uint32_t events)
{
	return atomic_fetch_and(&link->events, ~events) & events;
}

uint32_t vcpu_wait(struct vcpu_link *link, uint32_t events)
{
	for (;;) {
		uint32_t now = atomic_load(&link->events);

		if (now & events)
			return now & events;
		syscall(SYS_futex, &link->events, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
	}
}

static bool in_apic_page(const struct vcpu_link *link, uint64_t gpa, unsigned size)
{
	return gpa - link->apic_page < APIC_PAGE_BYTES &&
	       size <= APIC_PAGE_BYTES - (gpa - link->apic_page);
}

uint64_t vcpu_read(struct vcpu_link *link, uint64_t gpa, unsigned size)
{
	if (in_apic_page(link, gpa, size))
		return link->apic->read(link->apic_data, gpa - link->apic_page, size);
	return bus_read(link->memory->bus, BUS_MMIO, gpa, size);
}

void vcpu_write(struct vcpu_link *link, uint64_t gpa, uint64_t value, unsigned size)
{
	if (in_apic_page(link, gpa, size))
		link->apic->write(link->apic_data, gpa - link->apic_page, value, size);
	else
		bus_write(link->memory->bus, BUS_MMIO, gpa, value, size);
}

uint32_t vcpu_in(struct vcpu_link *link, uint16_t port, unsigned size)
{
	return bus_read(link->memory->bus, BUS_PORT, port, size);
}

void vcpu_out(struct vcpu_link *link, uint16_t port, uint32_t value, unsigned size)
{
	bus_write(link->memory->bus, BUS_PORT, port, value, size);
}
