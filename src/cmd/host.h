#pragma once
/*
 * What this host offers, found out by doing it: mounts in a mount namespace of a child process, links
 * in a network namespace that ends with it. Nothing on the host changes.
 */
#include <stdbool.h>
#include <stddef.h>

enum host_status {
	HOST_OK,
	HOST_LIMITED, /* containers run, something is missing */
	HOST_MISSING, /* containers do not run */
};

struct host_check {
	const char *name; /* "overlay" */
	const char *what; /* what it is for */
	enum host_status status;
	char detail[160];
	char mend[200]; /* a command, or "" */
};

/* All checks; the caller frees the array. Without a store (paths_root() is NULL) they say so. */
size_t host_check_all(struct host_check **ret);
/* "ext4", "tmpfs"; "unknown" for what has no name here. */
const char *host_file_system(const char *path);
