/*
 * The board, and life of a machine: RAM, devices, vCPUs, one thread for each vCPU and one for serial input. Whatever ends it
 * is said once, to `end`, under the lock; then all vCPUs are stopped and machine_run() returns.
 */
#include "machine/machine.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/thread.h"
#include "cpu/cpu.h"
#include "device/fwcfg.h"
#include "device/hpet.h"
#include "device/i8042.h"
#include "device/lapic.h"
#include "device/panic.h"
#include "device/pci.h"
#include "device/pit.h"
#include "device/pm.h"
#include "device/post.h"
#include "device/rtc.h"
#include "device/serial.h"
#include "device/testdev.h"
#include "device/virtio/balloon.h"
#include "device/virtio/blk.h"
#include "device/virtio/console.h"
#include "device/virtio/net.h"
#include "device/virtio/rng.h"
#include "device/virtio/vsock.h"
#include "machine/acpi.h"
#include "machine/boot.h"
#include "machine/describe.h"
#include "memory/clock.h"
#include "memory/memory.h"
#include "memory/vcpu.h"

#define LOW_RAM_MAX UINT64_C(0x80000000) /* PCI is above it */
#define HIGH_RAM UINT64_C(0x100000000)
#define MIB UINT64_C(0x100000)
#define MEMORY_MAX (UINT64_C(16) << 40)
#define DEVICES_MAX 64u
#define RETRY_MS 20 /* the guest does not take serial input */

struct processor {
	struct machine *machine;
	struct vcpu *vcpu;
	unsigned index;
	pthread_t thread;
	bool running;
};

struct machine {
	const struct cpu_type *type;
	struct err reason; /* why not the best cpu */
	struct memory *memory;
	struct cpu *cpu;
	struct cpuid_table cpuid;
	struct cpu_config cpu_config;
	struct processor *processors;
	struct device *devices[DEVICES_MAX]; /* in the order in which they were made */
	unsigned n_devices;
	struct device *serial, *pm, *fwcfg;
	struct device *console; /* or NULL */
	struct boot_config boot;
	char *append;
	struct pci_host *pci;

	int serial_in, serial_out, escape;
	int wake; /* eventfd: the input thread is to end */
	pthread_t input;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool ended;
	enum machine_end end;
	int code;
	struct err why;
};

static void stop_processors(struct machine *m)
{
	for (unsigned i = 0; i < m->memory->n_vcpus; i++)
		vcpu_raise(&m->memory->vcpus[i], VCPU_STOP);
}

/* The first reason counts. */
static void end_with(struct machine *m, enum machine_end end, int code, const struct err *why)
{
	pthread_mutex_lock(&m->lock);
	if (!m->ended) {
		m->ended = true;
		m->end = end;
		m->code = code;
		if (why)
			m->why = *why;
		pthread_cond_broadcast(&m->changed);
	}
	pthread_mutex_unlock(&m->lock);
	stop_processors(m);
}

static void on_power(void *data, enum pm_request what)
{
	end_with(data, what == PM_RESET ? MACHINE_RESET : MACHINE_POWER_OFF, 0, NULL);
}

static void on_reset(void *data)
{
	end_with(data, MACHINE_RESET, 0, NULL);
}

static void on_panic(void *data)
{
	end_with(data, MACHINE_PANIC, 0, NULL);
}

static void on_test_exit(void *data, int code)
{
	end_with(data, MACHINE_TEST_EXIT, code, NULL);
}

static void on_console(void *data, const void *bytes, size_t n)
{
	struct machine *m = data;

	/* Nobody listens any more: the guest need not know. */
	if (m->serial_out >= 0 && fd_write_all(m->serial_out, bytes, n) < 0)
		m->serial_out = -1;
}

static void on_serial(void *data, uint8_t byte)
{
	on_console(data, &byte, 1);
}

/* Reads the serial input until its end, in a thread of its own. */
static void *input_thread(void *data)
{
	struct machine *m = data;
	struct pollfd fds[2] = { { .fd = m->wake, .events = POLLIN },
		{ .fd = m->serial_in, .events = POLLIN } };
	uint8_t bytes[256];
	size_t n = 0, done = 0;

	for (;;) {
		ssize_t r;

		if (poll(fds, done < n ? 1 : 2, done < n ? RETRY_MS : -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[0].revents)
			return NULL;
		if (done == n && fds[1].revents) {
			r = read(m->serial_in, bytes, sizeof(bytes));
			if (r == 0 || (r < 0 && errno != EINTR && errno != EAGAIN))
				fds[1].fd = -1;
			n = r > 0 ? (size_t)r : 0;
			done = 0;
			if (m->escape >= 0 && memchr(bytes, m->escape, n))
				machine_stop(m);
		}
		done += m->console ? virtio_console_input(m->console, bytes + done, n - done)
				   : serial_input(m->serial, bytes + done, n - done);
	}
}

static const struct cpu_type *pick_cpu(struct err *reason)
{
	struct err why = { 0 };

	*reason = why;
	for (const struct cpu_type *const *t = cpu_types; *t; t++) {
		if ((*t)->available(&why) == 0)
			return *t;
		if (!reason->code)
			*reason = why;
	}
	return NULL;
}

const char *machine_pick_cpu(struct err *reason)
{
	const struct cpu_type *type = pick_cpu(reason);

	return type ? type->name : NULL;
}

/* Who names one insists, and hears why another would be better: it may run slowly, or stop where it cannot go on. */
static int choose_cpu(struct machine *m, const char *name, struct err *err)
{
	bool choose = strcmp(name, "auto") == 0;

	m->type = choose ? pick_cpu(&m->reason) : cpu_find(name);
	if (!m->type && choose)
		return err_set(err, ENOTSUP, "no cpu can run a machine here: %s", m->reason.text);
	if (!m->type)
		return err_set(err, EINVAL, "no cpu '%s': --cpu is auto, kvm or soft", name);
	if (!choose && m->type->available(&m->reason) == 0)
		m->reason = (struct err){ 0 };
	return 0;
}

static int add_memory(struct machine *m, const struct machine_config *c, struct err *err)
{
	uint64_t low = c->memory < LOW_RAM_MAX ? c->memory : LOW_RAM_MAX;
	int r;

	if (c->memory < 2 * MIB || c->memory % MIB)
		return err_set(err, EINVAL,
			"%llu bytes of memory: it is a multiple of 1m, and 2m at least (512m is 512 MiB)",
			(unsigned long long)c->memory);
	if (c->memory > MEMORY_MAX)
		return err_set(err, EINVAL, "a machine has 16t of memory at most");
	if (c->balloon && c->balloon_bytes >= c->memory)
		return err_set(err, EINVAL,
			"the balloon is as large as the memory: nothing would be left to the guest");
	r = memory_add(m->memory, 0, low, 0, err);
	if (r == 0 && c->memory > low)
		r = memory_add(m->memory, HIGH_RAM, c->memory - low, 0, err);
	return r;
}

static struct device *add_device(struct machine *m, struct device *device)
{
	m->devices[m->n_devices++] = device;
	return device;
}

static void add_devices(struct machine *m, const struct machine_config *c)
{
	struct serial_config serial = { .port = 0x3f8, .line = 4, .output = on_serial, .data = m };
	struct testdev_config test = { .exit = on_test_exit, .debug = on_serial, .data = m };
	uint64_t low = m->memory->regions[0].size;

	if (!m->type->irqchip)
		add_device(m, lapics_new(m->memory));
	m->pci = pci_host_new(m->memory);
	add_device(m, pci_host_device(m->pci));
	add_device(m, pit_new(m->memory));
	add_device(m, hpet_new(m->memory));
	add_device(m, rtc_new(m->memory, low, c->memory - low, (int64_t)time(NULL)));
	m->serial = add_device(m, serial_new(m->memory, &serial));
	/* After PCI, whose configuration ports lie around its reset register. */
	m->pm = add_device(m, pm_new(m->memory, on_power, m));
	add_device(m, i8042_new(m->memory, on_reset, m));
	add_device(m, post_new(m->memory));
	m->fwcfg = add_device(m, fwcfg_new(m->memory));
	add_device(m, panic_new(m->memory, PANIC_PORT, on_panic, m));
	if (c->test_devices)
		add_device(m, testdev_new(m->memory, &test));
}

static int add_disks(struct machine *m, const struct machine_config *c, struct err *err)
{
	for (unsigned i = 0; i < c->n_disks; i++) {
		struct disk *disk = NULL;
		struct device *device = NULL;
		int r = m->n_devices == DEVICES_MAX
				? err_set(err, ENOSPC, "too many disks")
				: disk_open(c->disks[i].path, NULL,
					  c->disks[i].readonly ? DISK_READONLY : 0, &disk, err);

		if (r == 0)
			r = virtio_blk_new(m->memory, m->pci, disk, &device, err);
		if (r < 0)
			return r;
		add_device(m, device);
	}
	return 0;
}

static int add_nics(struct machine *m, const struct machine_config *c, struct err *err)
{
	for (unsigned i = 0; i < c->n_nics; i++) {
		struct device *device = NULL;
		int r;

		if (m->n_devices == DEVICES_MAX)
			return err_set(err, ENOSPC, "too many network cards");
		r = virtio_net_new(
			m->memory, m->pci, take(c->nics[i].backend), c->nics[i].mac, &device, err);
		if (r < 0)
			return r;
		add_device(m, device);
	}
	return 0;
}

/* Those of which there is one, where they are asked for. */
static int add_single(struct machine *m, const struct machine_config *c, struct err *err)
{
	struct virtio_console_config console = {
		.output = on_console, .data = m, .columns = c->columns, .rows = c->rows
	};
	struct device *device = NULL;
	int r = 0;

	if (c->virtio_console) {
		r = virtio_console_new(m->memory, m->pci, &console, &device, err);
		if (r == 0)
			m->console = add_device(m, device);
	}
	if (r == 0 && c->rng) {
		r = virtio_rng_new(m->memory, m->pci, &device, err);
		if (r == 0)
			add_device(m, device);
	}
	if (r == 0 && c->balloon) {
		r = virtio_balloon_new(m->memory, m->pci, c->balloon_bytes, &device, err);
		if (r == 0)
			add_device(m, device);
	}
	if (r == 0 && c->vsock_cid) {
		r = virtio_vsock_new(m->memory, m->pci, c->vsock_cid, &c->vsock, &device, err);
		if (r == 0)
			add_device(m, device);
	}
	return r;
}

static int open_processors(struct machine *m, const struct machine_config *c, struct err *err)
{
	struct cpuid_table supported;
	int r = m->type->cpuid_supported(&supported, err);

	if (r == 0)
		r = cpuid_build(c->model ? c->model : "host", &supported, c->n_vcpus,
			clock_tsc_khz(m->memory->clock), &m->cpuid, err);
	m->cpu_config.cpuid = &m->cpuid;
	if (r == 0)
		r = m->type->open(m->memory, &m->cpu_config, &m->cpu, err);
	for (unsigned i = 0; i < c->n_vcpus && r == 0; i++) {
		m->processors[i].machine = m;
		m->processors[i].index = i;
		r = m->type->vcpu_open(m->cpu, i, &m->processors[i].vcpu, err);
	}
	return r;
}

static int open_files(struct machine *m, const struct machine_config *c, struct err *err)
{
	int r = boot_file_open("kernel", c->kernel, &m->boot.kernel, err);

	if (r == 0)
		r = boot_file_open("initrd", c->initrd, &m->boot.initrd, err);
	m->append = xstrdup(c->append ? c->append : "");
	m->boot.append = m->append;
	m->boot.rsdp = BOOT_ROM;
	return r;
}

int machine_load(struct machine *m, struct err *err)
{
	struct describe_config describe = { .n_vcpus = m->memory->n_vcpus,
		.memory = memory_ram_bytes(m->memory) };
	struct cpu_state state;
	int r = describe_machine(m->memory, m->fwcfg, &describe, err);

	if (r >= 0)
		r = m->type->get_state(m->processors[0].vcpu, &state, err);
	if (r >= 0)
		r = boot_load(m->memory, &m->boot, &state, err);
	if (r >= 0)
		r = m->type->set_state(m->processors[0].vcpu, &state, err);
	boot_file_close(&m->boot.kernel);
	boot_file_close(&m->boot.initrd);
	return r;
}

int machine_new(const struct machine_config *c, struct machine **ret, struct err *err)
{
	cleanup(machine_free) struct machine *m = xnew(struct machine);
	int r;

	m->wake = -1;
	m->serial_in = c->serial_in;
	m->serial_out = c->serial_out;
	m->escape = c->escape;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	if (c->n_vcpus < 1 || c->n_vcpus > MEMORY_VCPUS)
		return err_set(err, EINVAL, "a machine has 1 to %u processors", MEMORY_VCPUS);
	r = open_files(m, c, err);
	if (r == 0)
		r = choose_cpu(m, c->cpu, err);
	if (r < 0)
		return r;
	m->wake = eventfd(0, EFD_CLOEXEC);
	if (m->wake < 0)
		return err_errno(err, "make an event descriptor");
	m->memory = memory_new(c->n_vcpus, NULL);
	m->processors = xcalloc(c->n_vcpus, sizeof(*m->processors));
	r = add_memory(m, c, err);
	if (r < 0)
		return r;
	add_devices(m, c);
	r = add_disks(m, c, err);
	if (r == 0)
		r = add_nics(m, c, err);
	if (r == 0)
		r = add_single(m, c, err);
	if (r < 0)
		return r;
	pci_assign(m->pci);
	r = open_processors(m, c, err);
	if (r < 0)
		return r;
	*ret = take(m);
	return 0;
}

/* What runs beside the processors. */
static int start_devices(struct machine *m, struct err *err)
{
	int r = clock_start(m->memory->clock);

	if (r < 0)
		return err_code(err, r, "start the clock's thread");
	for (unsigned i = 0; i < m->n_devices && r == 0; i++)
		r = device_start(m->devices[i], err);
	return r;
}

static void *processor_thread(void *data)
{
	struct processor *p = data;
	struct machine *m = p->machine;
	struct err why = { 0 };

	switch (m->type->run(p->vcpu, &why)) {
	case CPU_EXIT_KICK:
		break;
	case CPU_EXIT_SHUTDOWN:
		err_set(&why, EIO, "processor %u had a triple fault", p->index);
		end_with(m, MACHINE_SHUTDOWN, 0, &why);
		break;
	case CPU_EXIT_FATAL:
		end_with(m, MACHINE_FATAL, 0, &why);
		break;
	}
	return NULL;
}

static int run_processors(struct machine *m, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; i < m->memory->n_vcpus && r == 0; i++) {
		r = thread_start(&m->processors[i].thread, processor_thread, &m->processors[i]);
		m->processors[i].running = r == 0;
	}
	if (r < 0)
		end_with(m, MACHINE_STOPPED, 0, NULL);
	pthread_mutex_lock(&m->lock);
	while (!m->ended)
		pthread_cond_wait(&m->changed, &m->lock);
	pthread_mutex_unlock(&m->lock);
	stop_processors(m);
	for (unsigned i = 0; i < m->memory->n_vcpus; i++)
		if (m->processors[i].running)
			pthread_join(m->processors[i].thread, NULL);
	return r < 0 ? err_code(err, r, "start a processor's thread") : 0;
}

int machine_run(struct machine *m, enum machine_end *ret_end, int *ret_code, struct err *err)
{
	bool input = m->serial_in >= 0;
	uint64_t one = 1;
	int r = start_devices(m, err);

	if (r < 0)
		return r;
	if (input)
		r = thread_start(&m->input, input_thread, m);
	if (r < 0)
		return err_code(err, r, "start the thread for serial input");
	r = run_processors(m, err);
	if (input) {
		fd_write_all(m->wake, &one, sizeof(one));
		pthread_join(m->input, NULL);
	}
	if (r < 0)
		return r;
	*ret_end = m->end;
	*ret_code = m->code;
	if (m->why.code && err)
		*err = m->why;
	return 0;
}

void machine_stop(struct machine *m)
{
	end_with(m, MACHINE_STOPPED, 0, NULL);
}

void machine_power_button(struct machine *m)
{
	pm_power_button(m->pm);
}

void machine_resize(struct machine *m, uint16_t columns, uint16_t rows)
{
	if (m->console)
		virtio_console_resize(m->console, columns, rows);
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	for (unsigned i = 0; m->processors && i < m->memory->n_vcpus; i++)
		if (m->processors[i].vcpu)
			m->type->vcpu_close(m->processors[i].vcpu);
	/* A device that goes lets its lines go, of which the cpu may be told. */
	while (m->n_devices > 0)
		device_free(m->devices[--m->n_devices]);
	if (m->cpu)
		m->type->close(m->cpu);
	memory_free(m->memory);
	boot_file_close(&m->boot.kernel);
	boot_file_close(&m->boot.initrd);
	free(m->append);
	free(m->processors);
	fd_close(m->wake);
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

const char *machine_cpu_name(const struct machine *m)
{
	return m->type->name;
}

const char *machine_cpu_reason(const struct machine *m)
{
	return m->reason.text;
}
