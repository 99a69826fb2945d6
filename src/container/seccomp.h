#pragma once
/*
 * System-call filters from linux.seccomp, by libseccomp; the default profile is Docker's in effect,
 * written as a table of our own. Compiled programs are cached in RUN/seccomp by the hash of the
 * profile and of libseccomp's version, since compiling costs more than starting a container.
 */
#include <linux/filter.h>

#include "bundle/bundle.h"

struct seccomp_filter {
	struct sock_filter *code; /* owned */
	unsigned short len;
	unsigned flags; /* SECCOMP_FILTER_FLAG_* */
	bool has_listener;
};

/* The default profile for a capability set (CAP_SYS_ADMIN allows mount, and so on), as records. */
void seccomp_default(const struct bundle_capabilities *caps, struct bundle_seccomp *ret);
/* In the parent: may allocate, read and write the cache. */
int seccomp_prepare(
	const struct bundle_seccomp *profile, struct seccomp_filter *ret, struct err *err);
/* In the child, last before execve: one system call. Returns the listener's descriptor, 0, or -errno. */
int seccomp_apply(const struct seccomp_filter *filter);
void seccomp_filter_free(struct seccomp_filter *filter);
DEFINE_CLEANUP_OBJECT(seccomp_filter_free, struct seccomp_filter);
