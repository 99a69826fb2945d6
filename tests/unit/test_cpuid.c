#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "memory/clock.h"
#include "memory/memory.h"
#include "memory/vcpu.h"

enum { EAX, EBX, ECX, EDX };

static const struct cpuid_dynamic plain = { .apic_enabled = true };

/* A cpu that has everything. */
static void everything(struct cpuid_table *t)
{
	static const uint32_t leaves[][2] = { { 1, 0 }, { 7, 0 }, { 0xd, 1 }, { 0x80000001, 0 },
		{ 0x80000007, 0 }, { 0x80000008, 0 } };

	*t = (struct cpuid_table){ 0 };
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		struct cpuid_entry *e = cpuid_add(
			t, leaves[i][0], leaves[i][1], leaves[i][0] == 7 || leaves[i][0] == 0xd);

		e->regs = (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
	}
}

static void levels(void **state)
{
	struct cpuid_table all, t, u;
	struct err err;

	everything(&all);
	assert_int_equal(cpuid_build("x86-64-v2", &all, 1, 0, &t, &err), 0);
	assert_true(cpuid_has(&t, 1, 0, ECX, 13));
	assert_true(cpuid_has(&t, 1, 0, ECX, 31));
	assert_false(cpuid_has(&t, 1, 0, ECX, 28));
	assert_int_equal(cpuid_query(&t, 0xd, 0, &plain).eax, 0);
	assert_int_equal(cpuid_build("x86-64-v3", &all, 1, 0, &t, &err), 0);
	assert_true(cpuid_has(&t, 7, 0, EBX, 5));
	assert_false(cpuid_has(&t, 7, 0, EBX, 16));

	/* What is demanded and not there is named; the output is untouched. */
	cpuid_find(&all, 7, 0)->regs.ebx &= ~(1u << 5);
	u = t;
	assert_int_equal(cpuid_build("x86-64-v3", &all, 1, 0, &t, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "bits 0x20 of CPUID 0x7 EBX"));
	assert_memory_equal(&t, &u, sizeof(t));
	assert_int_equal(cpuid_build("host", &all, 1, 0, &t, &err), 0);
	assert_false(cpuid_has(&t, 7, 0, EBX, 5));
	assert_int_equal(cpuid_build("486", &all, 1, 0, &t, &err), -EINVAL);
}

/* Nothing that the seam cannot give, even when a cpu says that it has it. */
static void host_is_masked(void **state)
{
	struct cpuid_table all, t;

	everything(&all);
	assert_int_equal(cpuid_build("host", &all, 1, 0, &t, NULL), 0);
	assert_false(cpuid_has(&t, 1, 0, ECX, 5));          /* VMX */
	assert_false(cpuid_has(&t, 1, 0, ECX, 3));          /* MONITOR */
	assert_false(cpuid_has(&t, 7, 0, ECX, 16));         /* LA57 */
	assert_false(cpuid_has(&t, 0x80000001, 0, ECX, 2)); /* SVM */
	assert_false(cpuid_has(&t, 0xd, 1, EAX, 3));        /* XSAVES */
	assert_true(cpuid_has(&t, 7, 0, EBX, 16));
}

static void topology(void **state)
{
	struct cpuid_dynamic third = { .apic_id = 3, .apic_enabled = true };
	struct cpuid_table all, t;
	struct cpuid_regs r;

	everything(&all);
	assert_int_equal(cpuid_build("host", &all, 5, 3000000, &t, NULL), 0);
	r = cpuid_query(&t, 1, 0, &third);
	assert_int_equal(r.ebx, 3u << 24 | 5 << 16 | 8 << 8);
	assert_true(r.edx & 1u << 28);
	r = cpuid_query(&t, 0xb, 1, &third);
	assert_int_equal(r.eax, 3);
	assert_int_equal(r.ebx, 5);
	assert_int_equal(r.edx, 3);
	r = cpuid_query(&t, 0xb, 7, &third);
	assert_int_equal(r.eax | r.ebx, 0);
	assert_int_equal(r.ecx, 7);
	r = cpuid_query(&t, 0x12345, 0, &third);
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
}

static void registers(void **state)
{
	struct cpuid_dynamic d = { .cr4 = 1 << 18, .xcr0 = 7, .apic_enabled = false };
	struct cpuid_table all, t;

	everything(&all);
	assert_int_equal(cpuid_build("x86-64-v3", &all, 1, 0, &t, NULL), 0);
	assert_false(cpuid_query(&t, 1, 0, &plain).ecx & 1u << 27);
	assert_true(cpuid_query(&t, 1, 0, &plain).edx & 1u << 9);
	assert_true(cpuid_query(&t, 1, 0, &d).ecx & 1u << 27);
	assert_false(cpuid_query(&t, 1, 0, &d).edx & 1u << 9);
	/* OSPKE follows CR4.PKE, where there are protection keys. */
	assert_false(cpuid_query(&t, 7, 0, &d).ecx & 1u << 4);
	assert_int_equal(cpuid_query(&t, 0xd, 0, &d).ebx, 832);
	d.xcr0 = 3;
	assert_int_equal(cpuid_query(&t, 0xd, 0, &d).ebx, 576);
	assert_int_equal(cpuid_query(&t, 0xd, 0, &d).ecx, 832);
	assert_int_equal(cpuid_query(&t, 0xd, 2, &d).ebx, 576);
	cpuid_build("host", &all, 1, 0, &t, NULL);
	assert_false(cpuid_query(&t, 7, 0, &d).ecx & 1u << 4);
	d.cr4 |= 1 << 22;
	assert_true(cpuid_query(&t, 7, 0, &d).ecx & 1u << 4);
	assert_int_equal(cpuid_query(&t, 0xd, 0, &d).ecx, 2696);
	assert_int_equal(cpuid_query(&t, 0xd, 0, &d).eax, 0x2e7);
}

/* The double keeps to the seam's contract. */
static void null_cpu(void **state)
{
	cleanup(memory_free) struct memory *m = memory_new(2, clock_new_manual());
	const struct cpu_type *type = cpu_find("null");
	struct cpu_config config = { 0 };
	struct cpu_state s;
	struct cpu *cpu;
	struct vcpu *vcpu;
	struct err err;

	assert_null(cpu_find("abacus"));
	assert_true(type->available(&err) < 0);
	assert_int_equal(type->open(m, &config, &cpu, &err), 0);
	assert_int_equal(type->vcpu_open(cpu, 1, &vcpu, &err), 0);
	vcpu_raise(&m->vcpus[1], VCPU_STOP);
	assert_int_equal(type->run(vcpu, &err), CPU_EXIT_KICK);
	assert_int_equal(vcpu_events(&m->vcpus[1]), 0);
	assert_int_equal(type->get_state(vcpu, &s, &err), 0);
	assert_int_equal(s.activity, CPU_WAIT_FOR_SIPI);
	assert_int_equal(s.segment[CPU_CS].base + s.rip, 0xfffffff0);
	s.gpr[CPU_RBX] = 7;
	assert_int_equal(type->set_state(vcpu, &s, &err), 0);
	assert_int_equal(type->get_state(vcpu, &s, &err), 0);
	assert_int_equal(s.gpr[CPU_RBX], 7);
	type->vcpu_close(vcpu);
	type->close(cpu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(host_is_masked),
		cmocka_unit_test(topology),
		cmocka_unit_test(registers),
		cmocka_unit_test(null_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
