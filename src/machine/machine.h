#pragma once
/*
 * A machine: a board with RAM, devices and vCPUs, from configuration to its end. Names no cpu: it takes what
 * cpu/'s table has.
 *
 * Threads: one (the caller's) makes, runs and frees it; machine_run() starts one thread a vCPU and ends
 * them. machine_stop() and machine_power_button() are for any thread, not for signal handlers.
 *
 * process.h is this in a process of its own, in a jail: what all but tests use.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "device/virtio/vsock.h"

struct machine;
struct net_backend;

struct machine_disk {
	const char *path;
	bool readonly;
};

/* A network card. */
struct machine_nic {
	struct net_backend *backend; /* NULL when machine_new() has taken it over */
	uint8_t mac[6];
};

/* Borrowed until machine_new() returns. */
struct machine_config {
	const char *cpu;   /* "auto", or one by its name */
	const char *model; /* cpuid.h; NULL: "host" */
	unsigned n_vcpus;
	uint64_t memory;                  /* bytes, a multiple of 1 MiB */
	const char *kernel;               /* bzImage, PVH or multiboot ELF */
	const char *initrd;               /* or NULL */
	const char *append;               /* kernel's command line, or NULL */
	const struct machine_disk *disks; /* virtio block devices, in this order */
	unsigned n_disks;
	struct machine_nic *nics;
	unsigned n_nics;
	int serial_in, serial_out; /* descriptors of the caller's; -1: none */
	int escape;                /* a byte of serial_in that stops the machine, or -1 */
	bool virtio_console;       /* what comes in goes to hvc0, which also puts out there */
	uint16_t columns, rows;    /* the terminal's size, for that; 0: not known */
	bool rng;                  /* a virtio source of entropy */
	bool balloon;              /* a virtio balloon, of balloon_bytes at first */
	uint64_t balloon_bytes;
	uint32_t vsock_cid; /* the guest's address for sockets; 0: none */
	struct vsock_host vsock;
	const char
		*vsock_path; /* for process.h, which makes `vsock` of it: device/virtio/vsock.h */
	bool test_devices;   /* isa-debug-exit and what unit tests of processors expect */
};

enum machine_end {
	MACHINE_POWER_OFF, /* the guest switched itself off */
	MACHINE_RESET,     /* it asked for a reset */
	MACHINE_PANIC,     /* it said so, by its panic device */
	MACHINE_SHUTDOWN,  /* a processor's triple fault */
	MACHINE_FATAL,     /* the cpu cannot go on: the error says why */
	MACHINE_STOPPED,   /* machine_stop() */
	MACHINE_TEST_EXIT, /* isa-debug-exit; *ret_code is (value << 1) | 1 */
};

/* Opens all files and devices of the host; what is in the files is looked at by machine_load() only, so that the
 * process can go to a jail between the two, and starts no thread. */
int machine_new(const struct machine_config *config, struct machine **ret, struct err *err);
/* Puts the kernel and what it is told into memory, once, before machine_run(). */
int machine_load(struct machine *machine, struct err *err);
/* Until it ends, once. A negative value: it could not be started. For MACHINE_SHUTDOWN and MACHINE_FATAL *err says
 * more. */
int machine_run(struct machine *machine, enum machine_end *ret_end, int *ret_code, struct err *err);
void machine_stop(struct machine *machine);
/* Presses the power button: a guest that has ACPI shuts down. Any thread. */
void machine_power_button(struct machine *machine);
/* The terminal's size, for a virtio console whose size was known when it was made. Any thread. */
void machine_resize(struct machine *machine, uint16_t columns, uint16_t rows);
void machine_free(struct machine *machine);
DEFINE_CLEANUP(machine_free, struct machine *);

/* Which cpu "auto" takes here, or NULL; *reason is why not the best one, empty when it is that. */
const char *machine_pick_cpu(struct err *reason);

/* The name of the cpu that it runs on; and, when "auto" took another than the best, why, else "". */
const char *machine_cpu_name(const struct machine *machine);
const char *machine_cpu_reason(const struct machine *machine);
