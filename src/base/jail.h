#pragma once
/*
 * Least privilege for a process of ours that handles foreign bytes: what it needs was opened before, and
 * nothing else can be reached from then on. namespaces(7), pivot_root(2), capabilities(7), seccomp(2),
 * landlock(7).
 *
 * What it takes away: the file system (an empty root, or one directory), the network, other processes'
 * System V objects and host name, every capability but those named, every system call but those allowed,
 * the way to new privileges by execve(), core dumps. What stays: open descriptors. A call that is not
 * allowed ends the process by SIGSYS; opening a file fails with EACCES, since libraries try that on the way.
 */
#include <stdint.h>

#include "base/err.h"

/* What happens to a system call: the first entry that fits decides. */
struct jail_call {
	int number; /* SYS_* */
	/* Only when (argument `arg`, counted from 1, & mask) == value; arg 0: always. */
	unsigned arg;
	uint64_t mask, value;
	int error; /* it fails with this errno; 0: it is allowed */
};
#define JAIL_CALLS_END \
	{ \
		-1, 0, 0, 0, 0 \
	}

struct jail {
	/* Beside those that any program needs (memory that is not executable, threads, time, reading and
	 * writing what is open), which come after; ends with JAIL_CALLS_END. NULL: none. The most frequent
	 * first. */
	const struct jail_call *calls;
	uint64_t capabilities; /* to keep, as a mask of 1 << CAP_*; only root has any */
	/* A directory, without what mounts it holds, devices and set-id programs; descriptors that are open stay
	 * outside. -1: an empty one that cannot be written to. */
	int root;
	/* CLONE_NEW*: namespaces that it stays in, which take longer to make than a process lives that the system
	 * calls keep from them anyway. */
	int shared;
	/* A root process without capabilities becomes this user and group, who own nothing: one that no other
	 * process is. 0: it stays root in name. */
	uint32_t id;
};

/* For good. The process must have one thread only. An ordinary user who may make no namespaces goes without
 * those, in what the system calls leave. On failure the process is in between, and must end. */
int jail_enter(const struct jail *jail, struct err *err);
