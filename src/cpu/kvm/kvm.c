/*
 * The cpu "kvm": the processor's own virtualization, by Linux's KVM (Documentation/virt/kvm/api.rst). The
 * kernel's PICs, IOAPIC and local APICs are used; all other devices are ours, by the bus.
 *
 * A kick sets immediate_exit and sends a signal whose handler does nothing: whichever comes in time ends
 * KVM_RUN. run() clears immediate_exit before it looks at the events, so that none is lost.
 */
#include "cpu/kvm/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "memory/bus.h"
#include "memory/clock.h"
#include "memory/irq.h"

#define PAGE_SIZE PAGE_BYTES /* for KVM_COALESCED_MMIO_MAX */

#define KICK_SIGNAL SIGRTMIN
/* Four pages that Intel's processors need below 4 GiB; no RAM and no device is there. */
#define IDENTITY_MAP 0xfeffc000u
#define TSS_PAGES 0xfeffd000u
#define IOAPIC_PIT_PIN 2u /* ISA interrupt 0 goes to this one */

static const struct {
	int cap;
	const char *what;
} needed[] = { { KVM_CAP_IRQCHIP, "an interrupt controller" }, { KVM_CAP_IRQ_ROUTING, "routing" },
	{ KVM_CAP_USER_MEMORY, "memory of ours" }, { KVM_CAP_SIGNAL_MSI, "MSI" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exits" }, { KVM_CAP_MP_STATE, "processor states" },
	{ KVM_CAP_XSAVE, "XSAVE state" }, { KVM_CAP_XCRS, "XCR0" },
	{ KVM_CAP_VCPU_EVENTS, "event state" }, { KVM_CAP_DEBUGREGS, "debug registers" },
	{ KVM_CAP_EXT_CPUID, "CPUID" }, { KVM_CAP_SET_TSS_ADDR, "TSS pages" } };

int kvm_open_device(struct err *err)
{
	cleanup(fd_close) int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		return err_errno(err, "open /dev/kvm");
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return err_set(err, ENOTSUP, "/dev/kvm speaks another version of the interface");
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(kvm, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return err_set(err, ENOTSUP, "/dev/kvm lacks %s", needed[i].what);
	return take_fd(kvm);
}

static int available(struct err *err)
{
	cleanup(fd_close) int kvm = kvm_open_device(err);

	return kvm < 0 ? kvm : kvm_measure(kvm, err);
}

static struct kvm_cpuid2 *cpuid_alloc(unsigned n)
{
	struct kvm_cpuid2 *c = xcalloc(1, sizeof(*c) + n * sizeof(c->entries[0]));

	c->nent = n;
	return c;
}

static int cpuid_supported(struct cpuid_table *ret, struct err *err)
{
	cleanup(fd_close) int kvm = kvm_open_device(err);
	cleanup(free) struct kvm_cpuid2 *c = cpuid_alloc(256);
	struct cpuid_entry *e;

	if (kvm < 0)
		return kvm;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, c) < 0)
		return err_errno(err, "ask KVM for its CPUID");
	ret->n = 0;
	for (unsigned i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *k = &c->entries[i];

		e = cpuid_add(
			ret, k->function, k->index, k->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
		if (e)
			e->regs = (struct cpuid_regs){ k->eax, k->ebx, k->ecx, k->edx };
	}
	/* The local APIC's timer is the kernel's, and has this mode whatever the table says. */
	e = cpuid_find(ret, 1, 0);
	if (e && ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
		e->regs.ecx |= 1u << 24;
	/* Protection keys: where PKRU is in XSAVE's image differs between processors, and PKRS is no part of the state. */
	e = cpuid_find(ret, 7, 0);
	if (e)
		e->regs.ecx &= ~(1u << 3 | 1u << 31);
	return 0;
}

static int set_regions(struct cpu *cpu, struct err *err)
{
	for (unsigned i = 0; i < cpu->memory->n_regions; i++) {
		const struct memory_region *r = &cpu->memory->regions[i];
		struct kvm_userspace_memory_region region = { .slot = i,
			.guest_phys_addr = r->gpa,
			.memory_size = r->size,
			.userspace_addr = (uintptr_t)r->host,
			.flags = (r->readonly ? KVM_MEM_READONLY : 0u) |
				 (cpu->log_dirty && !r->readonly ? KVM_MEM_LOG_DIRTY_PAGES : 0u) };

		if (ioctl(cpu->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
			return err_errno(err, "give KVM %llu MiB of memory at 0x%llx",
				(unsigned long long)(r->size >> 20), (unsigned long long)r->gpa);
	}
	return 0;
}

static void set_line(void *data, unsigned gsi, bool level)
{
	struct cpu *cpu = data;
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	ioctl(cpu->vm, KVM_IRQ_LINE, &irq);
}

static void send_msi(void *data, uint64_t address, uint32_t value)
{
	struct cpu *cpu = data;
	struct kvm_msi msi = { .address_lo = (uint32_t)address,
		.address_hi = (uint32_t)(address >> 32),
		.data = value };

	ioctl(cpu->vm, KVM_SIGNAL_MSI, &msi);
}

static const struct irq_sink sink = { set_line, send_msi };

/* A bell that KVM does not take rings by an exit. */
static void set_bell(void *data, uint64_t address, unsigned size, int fd, bool on)
{
	struct cpu *cpu = data;
	struct kvm_ioeventfd bell = { .addr = address,
		.len = size,
		.fd = fd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN };

	ioctl(cpu->vm, KVM_IOEVENTFD, &bell);
}

/* Writes that KVM keeps (coalesced) come to the bus with the next exit of any vCPU, before that is handled. */
static void set_lazy(void *data, enum bus_space space, uint64_t address, uint64_t bytes, bool on)
{
	struct cpu *cpu = data;
	struct kvm_coalesced_mmio_zone zone = {
		.addr = address, .size = (uint32_t)bytes, .pio = space == BUS_PORT
	};

	if (cpu->ring_at)
		ioctl(cpu->vm, on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO,
			&zone);
}

static const struct bus_shortcuts shortcuts = { set_bell, set_lazy };

/* Lines 0-15 to the PICs and the IOAPIC, the rest to the IOAPIC only. Line 2 is the PICs' cascade. */
static int set_routing(struct cpu *cpu, struct err *err)
{
	cleanup(free) struct kvm_irq_routing *routing =
		xcalloc(1, sizeof(*routing) + 2 * IRQ_LINES * sizeof(routing->entries[0]));
	struct kvm_irq_routing_entry *e = routing->entries;

	for (unsigned gsi = 0; gsi < IRQ_LINES; gsi++) {
		if (gsi == IOAPIC_PIT_PIN)
			continue;
		*e = (struct kvm_irq_routing_entry){ .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP };
		e->u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		e->u.irqchip.pin = gsi == 0 ? IOAPIC_PIT_PIN : gsi;
		e++;
		if (gsi >= 16)
			continue;
		*e = (struct kvm_irq_routing_entry){ .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP };
		e->u.irqchip.irqchip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
		e->u.irqchip.pin = gsi % 8;
		e++;
	}
	routing->nr = (unsigned)(e - routing->entries);
	if (ioctl(cpu->vm, KVM_SET_GSI_ROUTING, routing) < 0)
		return err_errno(err, "route interrupts in KVM");
	return 0;
}

static int make_vm(struct cpu *cpu, struct err *err)
{
	uint64_t identity = IDENTITY_MAP;

	/* Interrupted by signals while it waits for the kernel's other users. */
	do
		cpu->vm = ioctl(cpu->kvm, KVM_CREATE_VM, 0);
	while (cpu->vm < 0 && errno == EINTR);
	if (cpu->vm < 0)
		return err_errno(err, "make a virtual machine with KVM");
	if (ioctl(cpu->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
		ioctl(cpu->vm, KVM_SET_TSS_ADDR, TSS_PAGES) < 0)
		return err_errno(err, "set KVM's own pages");
	if (ioctl(cpu->vm, KVM_CREATE_IRQCHIP, 0) < 0)
		return err_errno(err, "make KVM's interrupt controllers");
	return set_routing(cpu, err);
}

static void close_cpu(struct cpu *cpu)
{
	if (!cpu)
		return;
	bus_set_shortcuts(cpu->memory->bus, NULL, NULL);
	pthread_mutex_destroy(&cpu->ring_lock);
	fd_close(cpu->vm);
	fd_close(cpu->kvm);
	free(cpu);
}
DEFINE_CLEANUP(close_cpu, struct cpu *);

static void find_ring(struct cpu *cpu)
{
	int page = ioctl(cpu->kvm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
	size_t at = page > 0 ? (size_t)page * PAGE_BYTES : 0;

	if (at && at + PAGE_BYTES <= cpu->run_bytes &&
		ioctl(cpu->kvm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_PIO) > 0)
		cpu->ring_at = at;
}

static void on_kick_signal(int signo)
{
	(void)signo;
}

static int open_cpu(
	struct memory *memory, const struct cpu_config *config, struct cpu **ret, struct err *err)
{
	cleanup(close_cpu) struct cpu *cpu = xnew(struct cpu);
	struct sigaction action = { .sa_handler = on_kick_signal };
	int r;

	pthread_mutex_init(&cpu->ring_lock, NULL);
	cpu->memory = memory;
	cpu->cpuid = *config->cpuid;
	cpu->vm = -1;
	cpu->kvm = kvm_open_device(err);
	if (cpu->kvm < 0)
		return cpu->kvm;
	r = ioctl(cpu->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (r < (int)sizeof(struct kvm_run))
		return err_set(err, ENOTSUP, "KVM's shared page is too small");
	cpu->run_bytes = (size_t)r;
	r = make_vm(cpu, err);
	if (r == 0)
		r = set_regions(cpu, err);
	if (r < 0)
		return r;
	sigaction(KICK_SIGNAL, &action, NULL);
	irqs_add_sink(memory->irqs, &sink, cpu);
	find_ring(cpu);
	if (ioctl(cpu->kvm, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD) > 0)
		bus_set_shortcuts(memory->bus, &shortcuts, cpu);
	*ret = take(cpu);
	return 0;
}

static int set_cpuid(struct vcpu *vcpu, struct err *err)
{
	const struct cpuid_table *t = &vcpu->cpu->cpuid;
	struct cpuid_dynamic d = { .apic_id = vcpu->link->index, .apic_enabled = true, .xcr0 = 1 };
	cleanup(free) struct kvm_cpuid2 *c = cpuid_alloc(t->n);

	for (unsigned i = 0; i < t->n; i++) {
		const struct cpuid_entry *e = &t->entries[i];
		struct cpuid_regs r = cpuid_query(t, e->leaf, e->subleaf, &d);

		c->entries[i] = (struct kvm_cpuid_entry2){ .function = e->leaf,
			.index = e->subleaf,
			.flags = e->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = r.eax,
			.ebx = r.ebx,
			.ecx = r.ecx,
			.edx = r.edx };
	}
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, c) < 0)
		return err_errno(err, "set the guest's CPUID");
	return 0;
}

/* All vCPUs count from the clock's start, whenever they were made. */
static void set_tsc_offset(struct vcpu *vcpu)
{
	uint64_t offset = clock_tsc_offset(vcpu->cpu->memory->clock);
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset
	};

	/* Without it (before Linux 5.16) KVM lets vCPUs made within a second begin together at 0. */
	ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr);
}

static void vcpu_close(struct vcpu *vcpu)
{
	if (!vcpu)
		return;
	vcpu->link->kick = NULL;
	if (vcpu->run)
		munmap(vcpu->run, vcpu->cpu->run_bytes);
	fd_close(vcpu->fd);
	free(vcpu);
}
DEFINE_CLEANUP(vcpu_close, struct vcpu *);

static void kick(void *data)
{
	struct vcpu *vcpu = data;
	pid_t tid;

	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	tid = atomic_load(&vcpu->tid);
	if (tid)
		syscall(SYS_tgkill, getpid(), tid, KICK_SIGNAL);
}

static int vcpu_open(struct cpu *cpu, unsigned index, struct vcpu **ret, struct err *err)
{
	cleanup(vcpu_close) struct vcpu *vcpu = xnew(struct vcpu);
	void *run;
	int r;

	vcpu->cpu = cpu;
	vcpu->link = &cpu->memory->vcpus[index];
	vcpu->fd = ioctl(cpu->vm, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		return err_errno(err, "make processor %u with KVM", index);
	run = mmap(NULL, cpu->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return err_errno(err, "map processor %u's shared page", index);
	vcpu->run = run;
	r = set_cpuid(vcpu, err);
	if (r < 0)
		return r;
	set_tsc_offset(vcpu);
	vcpu->link->kick_data = vcpu;
	vcpu->link->kick = kick;
	*ret = take(vcpu);
	return 0;
}

static void do_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned size = run->io.size;

	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		uint32_t value = 0;

		if (run->io.direction == KVM_EXIT_IO_IN) {
			value = vcpu_in(vcpu->link, run->io.port, size);
			memcpy(data, &value, size);
		} else {
			memcpy(&value, data, size);
			vcpu_out(vcpu->link, run->io.port, value, size);
		}
	}
}

static void do_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	unsigned len = run->mmio.len;
	uint64_t value = 0;

	/* KVM gives 1 to 8 bytes; an access over a page's end may be of 3, 5, 6 or 7. */
	for (unsigned done = 0, size; done < len; done += size) {
		for (size = 8; size > len - done; size /= 2)
			;
		if (run->mmio.is_write) {
			value = 0;
			memcpy(&value, run->mmio.data + done, size);
			vcpu_write(vcpu->link, run->mmio.phys_addr + done, value, size);
		} else {
			value = vcpu_read(vcpu->link, run->mmio.phys_addr + done, size);
			memcpy(run->mmio.data + done, &value, size);
		}
	}
}

/* To the bus with what KVM kept, of any vCPU. */
static void take_kept_writes(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;
	struct kvm_coalesced_mmio_ring *ring =
		(struct kvm_coalesced_mmio_ring *)((uint8_t *)vcpu->run + cpu->ring_at);

	if (!cpu->ring_at)
		return;
	pthread_mutex_lock(&cpu->ring_lock);
	while (ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
		const struct kvm_coalesced_mmio *w = &ring->coalesced_mmio[ring->first];
		uint64_t value = 0;

		memcpy(&value, w->data, w->len);
		if (w->pio)
			vcpu_out(vcpu->link, (uint16_t)w->phys_addr, (uint32_t)value, w->len);
		else
			vcpu_write(vcpu->link, w->phys_addr, value, w->len);
		__atomic_store_n(
			&ring->first, (ring->first + 1) % KVM_COALESCED_MMIO_MAX, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&cpu->ring_lock);
}

static enum cpu_exit internal_error(struct vcpu *vcpu, struct err *why)
{
	const struct kvm_run *run = vcpu->run;
	struct kvm_regs regs = { 0 };
	char bytes[3 * 15 + 1] = "";

	ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
		run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)
		for (unsigned i = 0; i < 15 && i < run->emulation_failure.insn_size; i++)
			snprintf(bytes + 3 * i, 4, " %02x", run->emulation_failure.insn_bytes[i]);
	err_set(why, EIO,
		"KVM cannot go on at 0x%llx (internal error %u%s%s): --cpu soft executes all",
		(unsigned long long)regs.rip, run->internal.suberror,
		bytes[0] ? ", instruction" : "", bytes);
	return CPU_EXIT_FATAL;
}

/* What KVM_RUN returned with; true when that is for the machine. */
static bool handle_exit(struct vcpu *vcpu, enum cpu_exit *ret, struct err *why)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		do_io(vcpu);
		return false;
	case KVM_EXIT_MMIO:
		do_mmio(vcpu);
		return false;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return false;
	case KVM_EXIT_SHUTDOWN:
		*ret = CPU_EXIT_SHUTDOWN;
		return true;
	case KVM_EXIT_INTERNAL_ERROR:
		*ret = internal_error(vcpu, why);
		return true;
	case KVM_EXIT_FAIL_ENTRY:
		err_set(why, EIO, "the processor refuses the guest's state (0x%llx)",
			(unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		err_set(why, EIO, "KVM stopped for a reason unknown here (%u)",
			vcpu->run->exit_reason);
		break;
	}
	*ret = CPU_EXIT_FATAL;
	return true;
}

/* KVM completes an instruction that waits for its I/O at the next entry only: the state is whole after that. */
static void complete_io(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	ioctl(vcpu->fd, KVM_RUN, 0);
}

static enum cpu_exit run_vcpu(struct vcpu *vcpu, struct err *why)
{
	enum cpu_exit end = CPU_EXIT_KICK;
	sigset_t unblocked, before;
	int r;

	sigemptyset(&unblocked);
	sigaddset(&unblocked, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &unblocked, &before);
	atomic_store(&vcpu->tid, gettid());
	for (;;) {
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		if (vcpu_take(vcpu->link, VCPU_STOP)) {
			complete_io(vcpu);
			break;
		}
		r = ioctl(vcpu->fd, KVM_RUN, 0);
		take_kept_writes(vcpu);
		if (r < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			err_errno(why, "run processor %u", vcpu->link->index);
			end = CPU_EXIT_FATAL;
			break;
		}
		if (handle_exit(vcpu, &end, why))
			break;
	}
	atomic_store(&vcpu->tid, 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return end;
}

static int dirty_log(struct cpu *cpu, bool on, struct err *err)
{
	cpu->log_dirty = on;
	return set_regions(cpu, err);
}

static int dirty_sync(struct cpu *cpu, struct err *err)
{
	for (unsigned i = 0; i < cpu->memory->n_regions; i++) {
		const struct memory_region *r = &cpu->memory->regions[i];
		size_t n = (r->size / PAGE_BYTES + 63) / 64;
		cleanup(free) uint64_t *words = NULL;
		struct kvm_dirty_log log = { .slot = i };

		if (r->readonly)
			continue;
		words = xcalloc(n, sizeof(*words));
		log.dirty_bitmap = words;
		if (ioctl(cpu->vm, KVM_GET_DIRTY_LOG, &log) < 0)
			return err_errno(err, "read KVM's dirty log");
		for (size_t w = 0; w < n; w++)
			if (words[w])
				atomic_fetch_or(&r->dirty[w], words[w]);
	}
	return 0;
}

const struct cpu_type cpu_kvm = {
	.name = "kvm",
	.available = available,
	.cpuid_supported = cpuid_supported,
	.open = open_cpu,
	.irqchip = true,
	.vcpu_open = vcpu_open,
	.run = run_vcpu,
	.get_state = kvm_get_state,
	.set_state = kvm_set_state,
	.dirty_log = dirty_log,
	.dirty_sync = dirty_sync,
	.vcpu_close = vcpu_close,
	.close = close_cpu,
};
