#pragma once
/* What the files of cpu/kvm share. */
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cpu/cpu.h"
#include "memory/memory.h"
#include "memory/vcpu.h"

struct cpu {
	struct memory *memory;
	struct cpuid_table cpuid;
	int kvm, vm; /* descriptors */
	size_t run_bytes;
	size_t ring_at; /* of the kept writes, in each vCPU's shared pages; 0: none are kept */
	pthread_mutex_t ring_lock; /* of whom takes writes from there, until the bus has them */
	bool log_dirty;
};

struct vcpu {
	struct cpu *cpu;
	struct vcpu_link *link;
	int fd;
	struct kvm_run *run;
	_Atomic pid_t tid; /* of the thread in run(), 0: none */
};

/* Opens /dev/kvm and sees that it has what this cpu needs. A descriptor, the caller's, or -errno. */
int kvm_open_device(struct err *err);

/* Whether KVM really executes a kernel's code here: measured once a boot, then remembered in the run
 * directory. 0, or -ENOTSUP with what is wrong. */
int kvm_measure(int kvm, struct err *err);

int kvm_get_state(struct vcpu *vcpu, struct cpu_state *ret, struct err *err);
int kvm_set_state(struct vcpu *vcpu, const struct cpu_state *state, struct err *err);
