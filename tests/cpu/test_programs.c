/*
 * test-cpu-programs CPU: the guest programs of this directory on one cpu. Exit status 77 where that cannot be
 * opened here. Each program ends by itself: what it printed, the value it ended with and, where that is the
 * point, the state or the dirty log are compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "cpu/cpu.h"
#include "device/lapic.h"
#include "memory/bus.h"
#include "memory/clock.h"
#include "memory/irq.h"
#include "memory/memory.h"
#include "memory/vcpu.h"

#define LOAD 0x8000
#define RAM (16u << 20)
#define ECHO 0xe0000000
#define MAX_VCPUS 2u
#define TIMEOUT_S 60
#define RUNNING (-1)

static const struct cpu_type *type;
/* Why this cpu cannot be relied on here, or "": what it does not execute is skipped then, not failed. */
static struct err unreliable;

struct guest {
	struct memory *memory;
	struct device *apics; /* of a cpu that has none */
	struct cpu *cpu;
	struct vcpu *vcpus[MAX_VCPUS];
	struct bus_region ports, echo;
	struct irq_line lines[16];
	pthread_mutex_t lock;
	char text[64];
	size_t len;
	int value; /* given to port 0xf4 */
	uint8_t kept[0x800];
};

static void stop_all(struct guest *g)
{
	for (unsigned i = 0; i < g->memory->n_vcpus; i++)
		vcpu_raise(&g->memory->vcpus[i], VCPU_STOP);
}

/* 0xe0-0xef: lines, but for 0xe9, which prints; 0xf4. */
static void port_write(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct guest *g = data;

	if (offset == 9) {
		pthread_mutex_lock(&g->lock);
		if (g->len < sizeof(g->text) - 1)
			g->text[g->len++] = (char)value;
		pthread_mutex_unlock(&g->lock);
	} else if (offset == 0x14) {
		g->value = (int)value;
		stop_all(g);
	} else if (offset < 16) {
		irq_line_set(&g->lines[offset], value);
	}
}

static uint64_t port_read(void *data, uint64_t offset, unsigned size)
{
	return 0;
}

static uint64_t echo_read(void *data, uint64_t offset, unsigned size)
{
	struct guest *g = data;
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++) {
		uint64_t at = offset + i;

		value |= (uint64_t)(at < 0x800 ? (uint8_t)at : g->kept[at - 0x800]) << 8 * i;
	}
	return value;
}

static void echo_write(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct guest *g = data;

	if (offset >= 0x800)
		memcpy(&g->kept[offset - 0x800], &value, size);
}

static const struct bus_ops port_ops = { port_read, port_write, 1 },
			    echo_ops = { echo_read, echo_write, 1 | 2 | 4 | 8 };

static void load(struct guest *g, const char *name)
{
	cleanup(free) char *path = xasprintf("%s/%s.bin", GUESTS, name);
	cleanup(buf_free) struct buf program = { 0 };

	assert_int_equal(file_read(AT_FDCWD, path, 4096, &program), 0);
	assert_true(memory_write(g->memory, LOAD, program.data, program.len));
}

/* The test's, for a skip, which leaves the test without cleanup. */
static struct guest *current;

static void guest_free(struct guest *g)
{
	current = NULL;
	for (unsigned i = 0; i < MAX_VCPUS; i++)
		type->vcpu_close(g->vcpus[i]);
	type->close(g->cpu);
	device_free(g->apics);
	memory_free(g->memory);
	free(g);
}
DEFINE_CLEANUP(guest_free, struct guest *);

static struct guest *guest_of_model(const char *name, unsigned n_vcpus, const char *model)
{
	struct guest *g = current = xnew(struct guest);
	struct cpuid_table supported, cpuid;
	struct cpu_config config = { .cpuid = &cpuid };
	struct cpu_state s;
	struct err err = { 0 };

	pthread_mutex_init(&g->lock, NULL);
	g->value = RUNNING;
	g->memory = memory_new(n_vcpus, NULL);
	assert_int_equal(clock_start(g->memory->clock), 0);
	assert_int_equal(memory_add(g->memory, 0, RAM, 0, &err), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(g->lines); i++)
		irq_line_init(&g->lines[i], g->memory->irqs, i);
	bus_region_init(&g->ports, "ports", BUS_PORT, 0x15, &port_ops, g);
	bus_region_init(&g->echo, "echo", BUS_MMIO, 0x1000, &echo_ops, g);
	bus_map(g->memory->bus, &g->ports, 0xe0);
	bus_map(g->memory->bus, &g->echo, ECHO);
	if (!type->irqchip)
		g->apics = lapics_new(g->memory);
	assert_int_equal(type->cpuid_supported(&supported, &err), 0);
	assert_int_equal(cpuid_build(model, &supported, n_vcpus, 0, &cpuid, &err), 0);
	if (type->open(g->memory, &config, &g->cpu, &err) < 0)
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < n_vcpus; i++)
		if (type->vcpu_open(g->cpu, i, &g->vcpus[i], &err) < 0)
			fail_msg("%s", err.text);
	load(g, name);
	assert_int_equal(type->get_state(g->vcpus[0], &s, &err), 0);
	assert_int_equal(s.rip, 0xfff0);
	assert_int_equal(s.activity, CPU_RUN);
	s.segment[CPU_CS].base = 0;
	s.segment[CPU_CS].selector = 0;
	s.rip = LOAD;
	s.gpr[CPU_RSP] = 0x7000;
	if (type->set_state(g->vcpus[0], &s, &err) < 0)
		fail_msg("%s", err.text);
	return g;
}

/* Fails the test; skips it on a cpu that was measured and is not to be relied on, which holm refuses too. */
static void wrong(const char *fmt, ...) printf_like(1, 2);
static void wrong(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!unreliable.code)
		fail_msg("%s", text);
	printf("# skip: %s (%s)\n", text, unreliable.text);
	guest_free(current);
	skip();
}

static struct guest *guest_new(const char *name, unsigned n_vcpus)
{
	return guest_of_model(name, n_vcpus, "host");
}

struct thread {
	struct guest *guest;
	struct vcpu *vcpu;
	pthread_t id;
	enum cpu_exit end;
	struct err why;
	bool done;
};

static void *run_thread(void *data)
{
	struct thread *t = data;

	t->end = type->run(t->vcpu, &t->why);
	/* One that cannot go on takes the rest with it. */
	if (t->end != CPU_EXIT_KICK)
		stop_all(t->guest);
	return NULL;
}

/* Until all vCPUs left run(); the boot processor's reason. A guest that hangs fails the test. */
static enum cpu_exit run_for(struct guest *g, int64_t stop_after_ms)
{
	struct thread threads[MAX_VCPUS] = { 0 };
	unsigned n = g->memory->n_vcpus;
	struct timespec until;
	bool late = false;

	for (unsigned i = 0; i < n; i++) {
		threads[i] = (struct thread){ .guest = g, .vcpu = g->vcpus[i] };
		pthread_create(&threads[i].id, NULL, run_thread, &threads[i]);
	}
	if (stop_after_ms) {
		usleep((useconds_t)stop_after_ms * 1000);
		stop_all(g);
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += TIMEOUT_S;
	for (unsigned i = 0; i < n; i++)
		if (pthread_timedjoin_np(threads[i].id, NULL, &until) != 0) {
			late = true;
			stop_all(g);
			pthread_join(threads[i].id, NULL);
		}
	for (unsigned i = 0; i < n; i++)
		if (threads[i].end == CPU_EXIT_FATAL)
			wrong("processor %u, after \"%s\": %s", i, g->text, threads[i].why.text);
	if (late)
		wrong("still running after %d s, after \"%s\"", TIMEOUT_S, g->text);
	return threads[0].end;
}

static void expect_of_model(const char *name, unsigned n_vcpus, const char *model, const char *text)
{
	cleanup(guest_free) struct guest *g = guest_of_model(name, n_vcpus, model);

	if (run_for(g, 0) != CPU_EXIT_KICK)
		fail_msg("triple fault after \"%s\"", g->text);
	if (g->value != 0 || strcmp(g->text, text) != 0)
		wrong("ended with %d after \"%s\"", g->value, g->text);
}

static void expect(const char *name, unsigned n_vcpus, const char *text)
{
	expect_of_model(name, n_vcpus, "host", text);
}

static void real_mode(void **state)
{
	expect("real", 1, "real!");
}

static void protected_mode(void **state)
{
	expect("protected", 1, "PGRF");
}

static void long_mode(void **state)
{
	expect("long", 1, "L6PUGS");
}

static void gates_and_tasks(void **state)
{
	expect("gates", 1, "CITVL");
}

static void paging(void **state)
{
	expect("paging", 1, "PWRXADIUS");
}

static void debug_exceptions(void **state)
{
	expect("debug", 1, "SCDGEIMTA");
}

static void protection_keys(void **state)
{
	struct cpuid_table supported;

	assert_int_equal(type->cpuid_supported(&supported, NULL), 0);
	if (!cpuid_has(&supported, 7, 0, 2, 3)) {
		printf("# skip: no protection keys on this cpu\n");
		skip();
	}
	expect("keys", 1, "UKWSX");
}

/* What the model has not cannot be switched on, whether the cpu has it or not. */
static void hidden_features(void **state)
{
	struct cpuid_table supported, cpuid;
	struct err err = { 0 };

	assert_int_equal(type->cpuid_supported(&supported, NULL), 0);
	if (cpuid_build("x86-64-v2", &supported, 1, 0, &cpuid, &err) < 0) {
		printf("# skip: %s\n", err.text);
		skip();
	}
	expect_of_model("hidden", 1, "x86-64-v2", "h");
}

#define KVM_FEATURES 0x40000001
#define CLOCK_PAGE 0x51000
#define WALL_CLOCK 0x51040

/* What KVM's interface gives: hypercalls, and a clock that goes with ours, by the guest's TSC and from the host's date. */
static void paravirtual(void **state)
{
	struct {
		uint32_t version, unused;
		uint64_t tsc, ns;
		uint32_t multiplier;
		int8_t shift;
		uint8_t flags, unused2[2];
	} page;
	uint32_t wall[3];
	struct cpuid_table supported;
	struct guest *g;
	uint64_t tsc;
	double ns, mine;

	assert_int_equal(type->cpuid_supported(&supported, NULL), 0);
	/* A KVM that emulates its guests' code patches a hypercall for ever. */
	if (unreliable.code || !cpuid_has(&supported, KVM_FEATURES, 0, 0, 11)) {
		printf("# skip: no hypercalls on this cpu\n");
		skip();
	}
	g = guest_new("paravirt", 2);
	if (run_for(g, 0) != CPU_EXIT_KICK || g->value != 0 || strcmp(g->text, "CHTWKIU") != 0)
		wrong("ended with %d after \"%s\"", g->value, g->text);
	assert_true(memory_read(g->memory, CLOCK_PAGE, &page, sizeof(page)));
	assert_true(memory_read(g->memory, WALL_CLOCK, wall, sizeof(wall)));
	tsc = clock_tsc(g->memory->clock) - page.tsc;
	mine = (double)clock_now(g->memory->clock);
	ns = (double)page.ns +
	     (double)tsc * page.multiplier / 4294967296.0 *
		     (page.shift < 0 ? 1.0 / (1 << -page.shift) : 1 << page.shift);
	if (type == &cpu_soft)
		assert_true(ns - mine < 1e9 && mine - ns < 1e9);
	assert_in_range(wall[0] & 1, 0, 0);
	ns += wall[1] * 1e9 + wall[2] - (double)time(NULL) * 1e9;
	assert_true(ns > -2e9 && ns < 3e9);
	guest_free(g);
}

static void legacy_paging(void **state)
{
	expect("legacy_paging", 1, "4EPRXLVM");
}

static void interrupts(void **state)
{
	expect("interrupt", 1, "5c5");
}

static void second_processor(void **state)
{
	expect("smp", 2, "1:2I");
}

static void modified_code(void **state)
{
	expect("modify", 2, "sc1:m");
}

static void mapped_registers(void **state)
{
	expect("mmio", 1, "m");
}

/* The same, with a bell at a place that it writes to: a cpu that knows bells rings it, others leave it to the handler. */
static void bells(void **state)
{
	cleanup(guest_free) struct guest *g = guest_new("mmio", 1);
	cleanup(fd_close) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const struct bus_bell bell = { .offset = 0x811, .size = 2, .fd = fd };
	bool rings = bus_has_bells(g->memory->bus);
	uint64_t count = 0;

	bus_unmap(g->memory->bus, &g->echo);
	bus_region_set_bells(&g->echo, &bell, 1);
	bus_map(g->memory->bus, &g->echo, ECHO);
	if (run_for(g, 0) != CPU_EXIT_KICK)
		wrong("it stopped, after \"%s\"", g->text);
	/* What was written there is nowhere to be read, and the guest notices. */
	if (g->value != (rings ? 1 : 0))
		wrong("ended with %d", g->value);
	assert_int_equal(read(fd, &count, sizeof(count)), rings ? (int)sizeof(count) : -1);
	assert_int_equal(count, rings);
	bus_unmap(g->memory->bus, &g->echo);
}

/* Port 0x80, lazy, and 0x81, which says how many writes came. */
struct lazy {
	struct guest *guest;
	struct bus_region region;
	uint32_t n, late;
	bool in_order;
};

static uint64_t lazy_read(void *data, uint64_t offset, unsigned size)
{
	return ((struct lazy *)data)->n;
}

static void lazy_write(void *data, uint64_t offset, uint64_t value, unsigned size)
{
	struct lazy *l = data;
	uint32_t written = 0;

	memory_read(l->guest->memory, 0x50000, &written, sizeof(written));
	l->n++;
	l->late += written > l->n;
	l->in_order &= value == (uint8_t)l->n;
}

/* What need not come at once comes in its order, all of it before the guest can ask for it, and on KVM not one by one. */
static void lazy_writes(void **state)
{
	static const struct bus_ops ops = { lazy_read, lazy_write, 1 };
	cleanup(guest_free) struct guest *g = guest_new("lazy", 1);
	struct lazy l = { .guest = g, .in_order = true };

	bus_region_init(&l.region, "lazy", BUS_PORT, 2, &ops, &l);
	bus_region_set_lazy(&l.region, 0, 1);
	bus_map(g->memory->bus, &l.region, 0x80);
	if (run_for(g, 0) != CPU_EXIT_KICK || g->value != 0)
		wrong("it ended with %d after %u writes", g->value, l.n);
	assert_int_equal(l.n, 1000);
	assert_true(l.in_order);
	if (type->irqchip)
		assert_true(l.late > 800);
	else
		assert_int_equal(l.late, 0);
	bus_unmap(g->memory->bus, &l.region);
}

static void triple_fault(void **state)
{
	cleanup(guest_free) struct guest *g = guest_new("triple", 1);

	assert_int_equal(run_for(g, 0), CPU_EXIT_SHUTDOWN);
	assert_string_equal(g->text, "t");
	assert_int_equal(g->value, RUNNING);
}

static void dirty_log(void **state)
{
	cleanup(guest_free) struct guest *g = guest_new("dirty", 1);
	uint64_t words[16];

	memory_dirty_start(g->memory);
	assert_int_equal(type->dirty_log(g->cpu, true, NULL), 0);
	assert_int_equal(run_for(g, 0), CPU_EXIT_KICK);
	assert_int_equal(g->value, 0);
	if (type->dirty_sync)
		assert_int_equal(type->dirty_sync(g->cpu, NULL), 0);
	memory_dirty_take(g->memory, 0, 0, words, ARRAY_SIZE(words));
	assert_int_equal(words[0x100 / 64], 1);
	assert_int_equal(words[0x17f / 64], UINT64_C(1) << 63);
	assert_int_equal(words[0x180 / 64], 1);
	assert_int_equal(words[0x200 / 64], 0);
	assert_int_equal(type->dirty_log(g->cpu, false, NULL), 0);
}

/* For a while, and longer where a busy host has not come to it. */
static void spin(struct guest *g, uint64_t from, struct cpu_state *ret)
{
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(run_for(g, 50), CPU_EXIT_KICK);
		assert_int_equal(type->get_state(g->vcpus[0], ret, NULL), 0);
		if (ret->gpr[CPU_RBX] != from)
			return;
	}
}

/* Stopped in the middle, looked at, put back, and it goes on from there. */
static void stop_and_state(void **state)
{
	cleanup(guest_free) struct guest *g = guest_new("spin", 1);
	struct cpu_state a, b, c;

	spin(g, 0, &a);
	assert_true(a.rip >= LOAD && a.rip < LOAD + 16);
	assert_int_equal(a.gpr[CPU_RCX] & 0xffff, 0x1234);
	assert_true(a.gpr[CPU_RBX] > 0);
	a.gpr[CPU_RBX] = 0xf0000000;
	a.gpr[CPU_R8 + 7] = 0x123456789abcdef0;
	a.lstar = 0xffffffff81000000;
	a.segment[CPU_FS].base = 0x12340;
	a.segment[CPU_FS].selector = 0x1234;
	a.dr[1] = 0x5678;
	memset(a.xsave + 32, 0x3f, 10);  /* ST(0) */
	memset(a.xsave + 160, 0x5a, 16); /* XMM0 */
	memcpy(a.xsave + 512, "\3", 1);
	assert_int_equal(type->set_state(g->vcpus[0], &a, NULL), 0);
	assert_int_equal(type->get_state(g->vcpus[0], &b, NULL), 0);
	assert_memory_equal(a.gpr, b.gpr, sizeof(a.gpr));
	assert_memory_equal(a.segment, b.segment, sizeof(a.segment));
	assert_memory_equal(a.xsave + 32, b.xsave + 32, 10);
	assert_memory_equal(a.xsave + 160, b.xsave + 160, 16);
	assert_int_equal(a.lstar, b.lstar);
	assert_int_equal(a.dr[1], b.dr[1]);
	assert_int_equal(a.rflags, b.rflags);
	assert_true(b.tsc >= a.tsc);
	spin(g, a.gpr[CPU_RBX], &c);
	assert_int_not_equal(c.gpr[CPU_RBX], a.gpr[CPU_RBX]);
	assert_int_equal(c.gpr[CPU_R8 + 7], 0x123456789abcdef0);
}

static bool can_open(void)
{
	struct cpuid_table supported;
	struct err err = { 0 };

	if (type->cpuid_supported(&supported, &err) == 0)
		return true;
	printf("# skip: %s\n", err.text);
	return false;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_mode),
		cmocka_unit_test(protected_mode),
		cmocka_unit_test(long_mode),
		cmocka_unit_test(gates_and_tasks),
		cmocka_unit_test(paging),
		cmocka_unit_test(debug_exceptions),
		cmocka_unit_test(protection_keys),
		cmocka_unit_test(hidden_features),
		cmocka_unit_test(paravirtual),
		cmocka_unit_test(legacy_paging),
		cmocka_unit_test(interrupts),
		cmocka_unit_test(second_processor),
		cmocka_unit_test(modified_code),
		cmocka_unit_test(mapped_registers),
		cmocka_unit_test(bells),
		cmocka_unit_test(lazy_writes),
		cmocka_unit_test(triple_fault),
		cmocka_unit_test(dirty_log),
		cmocka_unit_test(stop_and_state),
	};

	type = argc > 1 ? cpu_find(argv[1]) : NULL;
	if (!type) {
		fprintf(stderr, "which cpu?\n");
		return 2;
	}
	type->available(&unreliable);
	return can_open() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
