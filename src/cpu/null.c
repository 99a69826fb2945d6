/*
 * The cpu "null": executes nothing. A vCPU waits until it is stopped. The template for a new cpu, and the
 * double in tests of what a machine does around its cpu.
 */
#include <errno.h>

#include "cpu/cpu.h"

#include "base/alloc.h"
#include "memory/memory.h"
#include "memory/vcpu.h"

struct cpu {
	struct memory *memory;
};

struct vcpu {
	struct vcpu_link *link;
	struct cpu_state state;
};

static int available(struct err *err)
{
	return err_set(err, ENOTSUP, "the cpu 'null' executes nothing: it is for tests");
}

static int cpuid_supported(struct cpuid_table *ret, struct err *err)
{
	(void)err;
	cpuid_host(ret);
	return 0;
}

static int open_cpu(
	struct memory *memory, const struct cpu_config *config, struct cpu **ret, struct err *err)
{
	struct cpu *cpu = xnew(struct cpu);

	(void)config;
	(void)err;
	cpu->memory = memory;
	*ret = cpu;
	return 0;
}

static int vcpu_open(struct cpu *cpu, unsigned index, struct vcpu **ret, struct err *err)
{
	struct vcpu *vcpu = xnew(struct vcpu);

	(void)err;
	vcpu->link = &cpu->memory->vcpus[index];
	cpu_state_reset(&vcpu->state, index == 0);
	*ret = vcpu;
	return 0;
}

static enum cpu_exit run(struct vcpu *vcpu, struct err *why)
{
	(void)why;
	vcpu_wait(vcpu->link, VCPU_STOP);
	vcpu_take(vcpu->link, VCPU_STOP);
	return CPU_EXIT_KICK;
}

static int get_state(struct vcpu *vcpu, struct cpu_state *ret, struct err *err)
{
	(void)err;
	*ret = vcpu->state;
	return 0;
}

static int set_state(struct vcpu *vcpu, const struct cpu_state *state, struct err *err)
{
	(void)err;
	vcpu->state = *state;
	return 0;
}

static int dirty_log(struct cpu *cpu, bool on, struct err *err)
{
	(void)cpu;
	(void)on;
	(void)err;
	return 0;
}

static void vcpu_close(struct vcpu *vcpu)
{
	free(vcpu);
}

static void close_cpu(struct cpu *cpu)
{
	free(cpu);
}

const struct cpu_type cpu_null = {
	.name = "null",
	.available = available,
	.cpuid_supported = cpuid_supported,
	.open = open_cpu,
	.vcpu_open = vcpu_open,
	.run = run,
	.get_state = get_state,
	.set_state = set_state,
	.dirty_log = dirty_log,
	.vcpu_close = vcpu_close,
	.close = close_cpu,
};
