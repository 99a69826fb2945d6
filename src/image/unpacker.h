#pragma once
/*
 * Foreign archives are read in a process of their own, which has a directory, what it reads from, what it
 * writes to, and no right to anything else (base/jail.h). It tells its maker what it finds, in messages,
 * which are as foreign as the archive: whoever receives them checks them. Only src/image includes this.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define UNPACKER_MESSAGE_MAX 16384u

struct unpacker {
	/* In the process, which has the umask 0 and ends afterwards; nothing needs to be freed. 0, or -errno and an error. */
	int (*prepare)(void *data, struct err *err); /* not confined yet; or NULL */
	int (*work)(void *data, int root, int sock, struct err *err);
	/* In the caller: one message, with a descriptor or -1, which stays the callee's. -errno ends it all. */
	int (*receive)(
		void *data, int sock, const void *message, size_t len, int fd, struct err *err);
	void *data;
	int *fds[2];           /* what else the process keeps; in there they change their numbers */
	uint64_t capabilities; /* 1 << CAP_* */
};

/* `what` heads errors of its own: "layer". Any thread. */
int unpacker_run(const struct unpacker *u, int root, const char *what, struct err *err);

/* In the process: one message, of which the first four bytes are not 0, with a descriptor or without (-1). */
int unpacker_tell(int sock, const void *message, size_t len, int fd);
