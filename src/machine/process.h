#pragma once
/*
 * A machine in a process of its own, which goes to a jail (base/jail.h) before it looks at a byte of a kernel
 * or runs an instruction of a guest: no capability, no file system, no network, only the descriptors that
 * it opened and the system calls that a machine needs. What it says is taken as from the guest itself.
 *
 * Threads: one, the caller's, which must be the only one of its process when a machine is started.
 */
#include "machine/machine.h"

struct machine_process;

/* All that can be wrong with the configuration and its files is found here. The machine does not run yet. It dies with
 * the caller. */
int machine_process_start(
	const struct machine_config *config, struct machine_process **ret, struct err *err);
/* Kills it when it still runs. NULL is allowed. */
void machine_process_free(struct machine_process *process);
DEFINE_CLEANUP(machine_process_free, struct machine_process *);

/* As machine_cpu_name() and machine_cpu_reason(). */
const char *machine_process_cpu(const struct machine_process *process);
const char *machine_process_reason(const struct machine_process *process);

/* As for a machine; they do not wait. */
void machine_process_run(struct machine_process *process);
void machine_process_power_button(struct machine_process *process);
void machine_process_stop(struct machine_process *process);
void machine_process_resize(struct machine_process *process, uint16_t columns, uint16_t rows);

/* Readable when it has ended: then, or before to wait for it, machine_process_end() is as machine_run(). */
int machine_process_fd(const struct machine_process *process);
/* Readable when the machine asks for something, which machine_process_answer() does without waiting; false: it will not
 * ask again. -1: it never does. */
int machine_process_requests_fd(const struct machine_process *process);
bool machine_process_answer(struct machine_process *process);
int machine_process_end(
	struct machine_process *process, enum machine_end *ret_end, int *ret_code, struct err *err);
