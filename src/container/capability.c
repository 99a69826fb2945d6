/* See capability.h. */
#include "container/capability.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/strv.h"

#ifndef PR_CAP_AMBIENT
#error "needs the kernel headers of Linux 4.3"
#endif

static const char *const names[] = {
	[CAP_CHOWN] = "CAP_CHOWN",
	[CAP_DAC_OVERRIDE] = "CAP_DAC_OVERRIDE",
	[CAP_DAC_READ_SEARCH] = "CAP_DAC_READ_SEARCH",
	[CAP_FOWNER] = "CAP_FOWNER",
	[CAP_FSETID] = "CAP_FSETID",
	[CAP_KILL] = "CAP_KILL",
	[CAP_SETGID] = "CAP_SETGID",
	[CAP_SETUID] = "CAP_SETUID",
	[CAP_SETPCAP] = "CAP_SETPCAP",
	[CAP_LINUX_IMMUTABLE] = "CAP_LINUX_IMMUTABLE",
	[CAP_NET_BIND_SERVICE] = "CAP_NET_BIND_SERVICE",
	[CAP_NET_BROADCAST] = "CAP_NET_BROADCAST",
	[CAP_NET_ADMIN] = "CAP_NET_ADMIN",
	[CAP_NET_RAW] = "CAP_NET_RAW",
	[CAP_IPC_LOCK] = "CAP_IPC_LOCK",
	[CAP_IPC_OWNER] = "CAP_IPC_OWNER",
	[CAP_SYS_MODULE] = "CAP_SYS_MODULE",
	[CAP_SYS_RAWIO] = "CAP_SYS_RAWIO",
	[CAP_SYS_CHROOT] = "CAP_SYS_CHROOT",
	[CAP_SYS_PTRACE] = "CAP_SYS_PTRACE",
	[CAP_SYS_PACCT] = "CAP_SYS_PACCT",
	[CAP_SYS_ADMIN] = "CAP_SYS_ADMIN",
	[CAP_SYS_BOOT] = "CAP_SYS_BOOT",
	[CAP_SYS_NICE] = "CAP_SYS_NICE",
	[CAP_SYS_RESOURCE] = "CAP_SYS_RESOURCE",
	[CAP_SYS_TIME] = "CAP_SYS_TIME",
	[CAP_SYS_TTY_CONFIG] = "CAP_SYS_TTY_CONFIG",
	[CAP_MKNOD] = "CAP_MKNOD",
	[CAP_LEASE] = "CAP_LEASE",
	[CAP_AUDIT_WRITE] = "CAP_AUDIT_WRITE",
	[CAP_AUDIT_CONTROL] = "CAP_AUDIT_CONTROL",
	[CAP_SETFCAP] = "CAP_SETFCAP",
	[CAP_MAC_OVERRIDE] = "CAP_MAC_OVERRIDE",
	[CAP_MAC_ADMIN] = "CAP_MAC_ADMIN",
	[CAP_SYSLOG] = "CAP_SYSLOG",
	[CAP_WAKE_ALARM] = "CAP_WAKE_ALARM",
	[CAP_BLOCK_SUSPEND] = "CAP_BLOCK_SUSPEND",
	[CAP_AUDIT_READ] = "CAP_AUDIT_READ",
	[CAP_PERFMON] = "CAP_PERFMON",
	[CAP_BPF] = "CAP_BPF",
	[CAP_CHECKPOINT_RESTORE] = "CAP_CHECKPOINT_RESTORE",
};

const char *capability_name(size_t i)
{
	return i < ARRAY_SIZE(names) ? names[i] : NULL;
}

struct user_caps {
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2];
};

static int read_own(struct user_caps *u)
{
	u->header = (struct __user_cap_header_struct){ .version = _LINUX_CAPABILITY_VERSION_3 };
	return syscall(SYS_capget, &u->header, u->data) < 0 ? -errno : 0;
}

/* What holm itself may give away. In a new user namespace that is everything that the kernel knows,
 * which shows no other bits (since Linux 3.17, capget). */
static uint64_t available(void)
{
	struct user_caps u;

	return read_own(&u) < 0 ? 0 : u.data[0].permitted | (uint64_t)u.data[1].permitted << 32;
}

static uint64_t parse_set(char *const *list, uint64_t have)
{
	uint64_t set = 0;

	strv_foreach (s, list) {
		size_t i = 0;
		while (i < ARRAY_SIZE(names) && strcmp(names[i], *s) != 0)
			i++;
		if (i == ARRAY_SIZE(names))
			log_warn_once(
				"process.capabilities: unknown capability '%s' is ignored", *s);
		else if (!(have & 1ull << i))
			log_warn_once("process.capabilities: %s cannot be had on this host", *s);
		else
			set |= 1ull << i;
	}
	return set;
}

void capabilities_parse(const struct bundle_capabilities *c, struct capability_sets *ret)
{
	uint64_t have = available();

	ret->bounding = parse_set(c->bounding, have);
	ret->effective = parse_set(c->effective, have);
	ret->inheritable = parse_set(c->inheritable, have);
	ret->permitted = parse_set(c->permitted, have);
	ret->ambient = parse_set(c->ambient, have);
}

int capabilities_limit(const struct capability_sets *sets)
{
	for (unsigned i = 0; i < 64; i++)
		if (!(sets->bounding & 1ull << i) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : -errno; /* past the kernel's last */
	return 0;
}

int capabilities_set(const struct capability_sets *sets, uint64_t extra)
{
	uint64_t permitted = sets->permitted | sets->effective | extra;
	uint64_t effective = sets->effective | extra;
	struct user_caps u = { .header = { .version = _LINUX_CAPABILITY_VERSION_3 } };

	for (int i = 0; i < 2; i++) {
		u.data[i].effective = (uint32_t)(effective >> 32 * i);
		u.data[i].permitted = (uint32_t)(permitted >> 32 * i);
		u.data[i].inheritable = (uint32_t)(sets->inheritable >> 32 * i);
	}
	return syscall(SYS_capset, &u.header, u.data) < 0 ? -errno : 0;
}

int capabilities_raise_ambient(const struct capability_sets *sets)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	/* One that is not permitted and inheritable as well cannot be; callers look for the words. */
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (sets->ambient & 1ull << i &&
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
			log_warn(
				"can't raise ambient capability %s: %s", names[i], strerror(errno));
	return 0;
}
