#pragma once
/*
 * What a container's first process says to those who make and start it: one message a step over a
 * SOCK_SEQPACKET socket. Between holm and its own child, so neither side is foreign; the init program
 * (init/init.c) writes the same struct without a C library.
 */
#include <stdint.h>

#include "base/err.h"

enum report_type {
	REPORT_JOINED = 1, /* in all namespaces that are joined by path, and in that of time */
	REPORT_MOUNTED,    /* waits for the hooks of the runtime namespace */
	REPORT_READY,      /* with the console's master if there is a terminal */
	REPORT_ERROR,      /* err is complete */
	REPORT_EXEC, /* err.text names the program, err.code says why; the cause's text is to be added */
};

struct report {
	uint32_t type;
	struct err err;
};

/* fd: to be handed over, or -1. */
int report_send(int sock, enum report_type type, const struct err *err, int fd);
/* Waits for a message of that type. ret_fd may be NULL. -errno with the other side's error when there
 * was one; -ESRCH when it went without a word. */
int report_wait(int sock, enum report_type type, int *ret_fd, struct err *err);
/* Waits until the other side is closed by execve: 0, or its error. */
int report_wait_exec(int sock, struct err *err);

/* The other direction has one message only: go on. -EPIPE when the other side is gone. */
int report_go(int sock);
int report_wait_go(int sock);
