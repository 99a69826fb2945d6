/*
 * Whether a /dev/kvm that opens is worth anything. Hosts that nest badly run guest kernel mode in an
 * instruction emulator, a thousand times too slow and with instructions missing: a kernel boots there to a
 * crash. So a small program (probe.S) is run in guest kernel mode, timed and watched.
 *
 * The verdict holds for this boot of this kernel, and is kept as one line "BOOT-ID VERDICT" in the run
 * directory, where that can be written.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <time.h>

#include "cpu/kvm/internal.h"

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"

#define LOOPS 20000u /* of two instructions: 10 us on a processor, 13 ms in an emulator */
#define SLOWEST_KIPS 100000
#define TRIES 3u
#define GUEST_BYTES 0x200000u
#define PORT 0x10
#define XCR0 3u

/* Guest addresses. */
enum { CODE = 0x1000, TABLES = 0x4000, IDT = 0x8000, DATA = 0x9000, STACK = 0x10000 };

extern const uint8_t kvm_probe_code[], kvm_probe_int3[], kvm_probe_end[];

/* What each step tries, from the first on. */
static const char *const steps[] = { "its first instruction", "a loop", "cmpxchg16b", "fxsave",
	"xrstor", "int3" };

#define STEPS 6u
#define LOOP_STEP 2u

struct probe {
	int vm, vcpu;
	uint8_t *memory;
	struct kvm_run *run;
	size_t run_bytes;
};

static void probe_finish(struct probe *p)
{
	if (p->run)
		munmap(p->run, p->run_bytes);
	if (p->memory)
		munmap(p->memory, GUEST_BYTES);
	fd_close(p->vcpu);
	fd_close(p->vm);
}
DEFINE_CLEANUP_OBJECT(probe_finish, struct probe);

static void put64(struct probe *p, uint32_t at, uint64_t value)
{
	memcpy(p->memory + at, &value, sizeof(value));
}

static void fill_memory(struct probe *p)
{
	uint32_t handler = CODE + (uint32_t)(kvm_probe_int3 - kvm_probe_code);

	memcpy(p->memory + CODE, kvm_probe_code, (size_t)(kvm_probe_end - kvm_probe_code));
	put64(p, TABLES, (TABLES + 0x1000) | 3);
	put64(p, TABLES + 0x1000, (TABLES + 0x2000) | 3);
	put64(p, TABLES + 0x2000, 0x83); /* one page of 2 MiB */
	/* Vector 3: a 64-bit interrupt gate to code segment 8. */
	put64(p, IDT + 3 * 16,
		0x00008e0000080000 | (handler & 0xffff) | (uint64_t)(handler >> 16) << 48);
	put64(p, 0x3000 + 8, 0x00af9b000000ffff);
	put64(p, 0x3000 + 16, 0x00cf93000000ffff);
}

static int set_registers(struct probe *p)
{
	struct kvm_segment code = {
		.limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	struct kvm_segment data = {
		.limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rflags = 2, .rbx = DATA, .r8 = LOOPS };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = XCR0 };
	struct kvm_sregs s;

	if (ioctl(p->vcpu, KVM_GET_SREGS, &s) < 0)
		return -errno;
	s.cs = code;
	s.ds = s.es = s.ss = s.fs = s.gs = data;
	s.gdt.base = 0x3000;
	s.gdt.limit = 23;
	s.idt.base = IDT;
	s.idt.limit = 4 * 16 - 1;
	s.cr3 = TABLES;
	s.cr4 = 0x40620;    /* OSXSAVE, OSXMMEXCPT, OSFXSR, PAE */
	s.cr0 = 0x80000033; /* PG, NE, ET, MP, PE */
	s.efer = 0x500;     /* LMA, LME */
	if (ioctl(p->vcpu, KVM_SET_SREGS, &s) < 0 || ioctl(p->vcpu, KVM_SET_REGS, &regs) < 0 ||
		ioctl(p->vcpu, KVM_SET_XCRS, &xcrs) < 0)
		return -errno;
	return 0;
}

static int make_probe(int kvm, struct probe *p)
{
	cleanup(free) struct kvm_cpuid2 *cpuid =
		xcalloc(1, sizeof(*cpuid) + 256 * sizeof(cpuid->entries[0]));
	struct kvm_userspace_memory_region region = { .memory_size = GUEST_BYTES };
	uint64_t identity = 0xfeffc000;
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *map =
		mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (size < 0 || map == MAP_FAILED)
		return -errno;
	p->memory = map;
	p->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (p->vm < 0 || ioctl(p->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
		ioctl(p->vm, KVM_SET_TSS_ADDR, 0xfeffd000) < 0)
		return -errno;
	region.userspace_addr = (uintptr_t)p->memory;
	if (ioctl(p->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return -errno;
	p->vcpu = ioctl(p->vm, KVM_CREATE_VCPU, 0);
	if (p->vcpu < 0)
		return -errno;
	map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
	if (map == MAP_FAILED)
		return -errno;
	p->run = map;
	p->run_bytes = (size_t)size;
	cpuid->nent = 256;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 ||
		ioctl(p->vcpu, KVM_SET_CPUID2, cpuid) < 0)
		return -errno;
	fill_memory(p);
	return set_registers(p);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Runs to the next step; its number, or 0 when the guest is dead. */
static unsigned next(struct probe *p)
{
	while (ioctl(p->vcpu, KVM_RUN, 0) < 0)
		if (errno != EINTR && errno != EAGAIN)
			return 0;
	if (p->run->exit_reason != KVM_EXIT_IO || p->run->io.port != PORT)
		return 0;
	return *((uint8_t *)p->run + p->run->io.data_offset);
}

/* Runs all steps. The number of the one that the guest died in, or 0; *ret_kips: the loop's thousands of
 * instructions a second, the exit's time, up to a tenth of a millisecond, being in it. */
static unsigned run_steps(struct probe *p, int64_t *ret_kips)
{
	for (unsigned step = 1; step <= STEPS; step++) {
		int64_t before = now();

		if (next(p) != step)
			return step;
		if (step == LOOP_STEP)
			*ret_kips = 2 * LOOPS * INT64_C(1000000) / (now() - before + 1);
	}
	return 0;
}

/* "good" in verdict, or what is wrong. The best of a few tries: this host may be busy. */
static int probe(int kvm, char *verdict, size_t size, struct err *err)
{
	int64_t best = 0;

	for (unsigned i = 0; i < TRIES && best < SLOWEST_KIPS; i++) {
		cleanup(probe_finish) struct probe p = { .vm = -1, .vcpu = -1 };
		int64_t kips = 0;
		unsigned died;
		int r = make_probe(kvm, &p);

		if (r < 0)
			return err_code(err, r, "measure KVM");
		died = run_steps(&p, &kips);
		best = kips > best ? kips : best;
		if (died && kips >= SLOWEST_KIPS) {
			snprintf(verdict, size, "guest kernel code does not survive %s",
				steps[died - 1]);
			return 0;
		}
	}
	snprintf(verdict, size, "good");
	if (best < SLOWEST_KIPS)
		snprintf(verdict, size,
			"guest kernel code runs at %lld thousand instructions a second, so this host "
			"emulates it",
			(long long)best);
	return 0;
}

static void boot_id(char *id, size_t size)
{
	if (file_get_line(AT_FDCWD, "/proc/sys/kernel/random/boot_id", id, size) < 0)
		snprintf(id, size, "unknown");
}

int kvm_measure(int kvm, struct err *err)
{
	cleanup(free) char *path = paths_run() ? xasprintf("%s/kvm", paths_run()) : NULL;
	char id[64], line[512], verdict[256] = "";
	size_t n;
	int r;

	boot_id(id, sizeof(id));
	n = strlen(id);
	if (path && file_get_line(AT_FDCWD, path, line, sizeof(line)) == 0 &&
		strncmp(line, id, n) == 0 && line[n] == ' ') {
		snprintf(verdict, sizeof(verdict), "%s", line + n + 1);
	} else {
		r = probe(kvm, verdict, sizeof(verdict), err);
		if (r < 0)
			return r;
		n = (size_t)snprintf(line, sizeof(line), "%s %s\n", id, verdict);
		/* Measured again next time where this fails. */
		if (path)
			file_write(AT_FDCWD, path, line, n, 0644, 0);
	}
	if (strcmp(verdict, "good") == 0)
		return 0;
	return err_set(err, ENOTSUP, "KVM is of no use here: %s", verdict);
}
