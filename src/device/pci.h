#pragma once
/*
 * PCI Express: a root bus as Q35's, with its host bridge (00:00.0) and LPC bridge (00:1f.0), configuration by
 * ECAM and by ports 0xcf8 and 0xcfc; and what a device on it needs: configuration space, BARs that move, one
 * INTx pin, MSI-X.
 *
 * A device embeds a struct pci_function, fills it in by the functions below in its constructor, and adds it.
 * Bus 0 only, function 0 of each slot.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"
#include "memory/bus.h"
#include "memory/irq.h"
#include "memory/memory.h"

#define PCI_ECAM 0xb0000000u
#define PCI_ECAM_BYTES 0x100000u /* bus 0 */
#define PCI_WINDOW 0xc0000000u   /* BARs are put here */
#define PCI_WINDOW_END 0xfe000000u
#define PCI_SLOTS 32u
#define PCI_CONFIG 256u
#define PCI_BARS 6u
#define PCI_MSIX_MAX 64u
#define PCI_GSI 16u /* slot n's pin A is line PCI_GSI + n % 8 */
#define PCI_NO_VECTOR 0xffffu

struct pci_msix_entry {
	uint64_t address;
	uint32_t value, control;
};

struct pci_function {
	struct pci_host *host;
	struct memory *memory;
	unsigned slot;
	uint8_t config[PCI_CONFIG], writable[PCI_CONFIG];
	struct bus_region bars[PCI_BARS]; /* size 0: none */
	bool bar_64[PCI_BARS];
	unsigned next_capability, last_capability;
	unsigned window; /* offset of a capability that gives access to BARs, or 0 */
	struct irq_line intx;
	bool intx_level;

	pthread_mutex_t msix_lock;
	unsigned msix_capability, n_msix;
	struct pci_msix_entry msix[PCI_MSIX_MAX];
	uint64_t msix_pending;
};

struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class; /* class, subclass, interface: 0x010000 */
	uint8_t revision;
};

/* The bus. Functions are removed, with their devices, before it. */
struct pci_host *pci_host_new(struct memory *m);
struct device *pci_host_device(struct pci_host *host);

void pci_init(struct pci_function *f, struct memory *m, const struct pci_ids *ids);
/* A memory BAR, size a power of two from 16 on; `is_64` takes the next number too. */
void pci_add_bar(struct pci_function *f, unsigned n, bool is_64, uint64_t size, const char *name,
	const struct bus_ops *ops, void *data);
/* Room for a capability of len bytes, its id and link filled in; its offset. What is written there by the guest is
 * said in f->writable. */
unsigned pci_add_capability(struct pci_function *f, uint8_t id, unsigned len);
/* The capability at this offset is virtio's window (virtio 1.2, 4.1.4.9): which BAR at + 4, where in it at + 8, how many
 * bytes at + 12; reading and writing the four bytes at + 16 reads and writes there. */
void pci_set_window(struct pci_function *f, unsigned at);
/* MSI-X with n vectors, in a BAR of its own. */
void pci_add_msix(struct pci_function *f, unsigned bar, unsigned n);

/* Into the next free slot. -ENOSPC. */
int pci_add(struct pci_host *host, struct pci_function *f, struct err *err);
/* Takes it off the bus and unmaps its BARs; also one that was never added. */
void pci_finish(struct pci_function *f);
/* Configuration as after power-up; MSI-X off. */
void pci_reset(struct pci_function *f);

/* Gives every BAR an address and switches memory and DMA on, as firmware does, where there is none. */
void pci_assign(struct pci_host *host);

/* Interrupts of a device. Any thread. */
bool pci_msix_enabled(struct pci_function *f);
void pci_msix_notify(struct pci_function *f, unsigned vector);
void pci_intx_set(struct pci_function *f, bool level);
/* Whether the guest lets the device read and write memory. */
bool pci_is_master(const struct pci_function *f);
