/* What this engine understands and this host offers: runtime-spec features.md and features-linux.md. */
#include "container/features.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "container/capability.h"
#include "container/memory_policy.h"
#include "container/mount.h"
#include "container/namespace.h"

static json_t *strings(const char *const *list)
{
	json_t *j = json_array();

	for (; *list; list++)
		json_array_append_new(j, json_string(*list));
	return j;
}

static const char *const actions[] = { "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL",
	"SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY",
	"SCMP_ACT_TRACE", "SCMP_ACT_TRAP", NULL };
static const char *const operators[] = { "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE",
	"SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE", NULL };

static const struct {
	const char *name;
	unsigned flag;
} flags[] = {
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	{ "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
	{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1u << 5 },
};

/* The names that libseccomp has, in the specification's form. */
static json_t *architectures(void)
{
	static const char *const names[] = { "AARCH64", "ARM", "LOONGARCH64", "MIPS", "MIPS64",
		"MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PARISC", "PARISC64", "PPC",
		"PPC64", "PPC64LE", "RISCV64", "S390", "S390X", "X32", "X86", "X86_64", NULL };
	json_t *j = json_array();

	for (const char *const *n = names; *n; n++) {
		char lower[16] = "", full[32];
		for (size_t i = 0; (*n)[i]; i++)
			lower[i] =
				(char)((*n)[i] >= 'A' && (*n)[i] <= 'Z' ? (*n)[i] + 32 : (*n)[i]);
		snprintf(full, sizeof(full), "SCMP_ARCH_%s", *n);
		if (seccomp_arch_resolve_name(lower))
			json_array_append_new(j, json_string(full));
	}
	return j;
}

static json_t *seccomp_features(void)
{
	json_t *known = json_array(), *supported = json_array();

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		json_array_append_new(known, json_string(flags[i].name));
		/* EFAULT: all flags are known, and the program is looked at next. The last one is for
		 * listeners only. */
		unsigned probe = flags[i].flag |
				 (flags[i].flag == 1u << 5 ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, probe, NULL) < 0 &&
			errno == EFAULT)
			json_array_append_new(supported, json_string(flags[i].name));
	}
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "enabled", 1, "actions",
		strings(actions), "operators", strings(operators), "archs", architectures(),
		"knownFlags", known, "supportedFlags", supported);
}

static json_t *names(const char *(*name)(size_t i))
{
	json_t *j = json_array();
	const char *s;

	for (size_t i = 0; (s = name(i)); i++)
		json_array_append_new(j, json_string(s));
	return j;
}

json_t *container_features(void)
{
	const struct scmp_version *v = seccomp_version();
	char version[32];

	snprintf(version, sizeof(version), "%u.%u.%u", v->major, v->minor, v->micro);
	return json_pack("{s:o, s:{s:o, s:o, s:{s:b, s:b, s:b, s:b, s:b}, s:o, s:{s:b}, s:{s:b},"
			 " s:{s:b}, s:{s:{s:b}}, s:{s:o, s:o}, s:{s:b}}, s:{s:s}}",
		"mountOptions", names(mount_option_name), "linux", "namespaces",
		names(namespace_type), "capabilities", names(capability_name), "cgroup", "v1", 1,
		"v2", 1, "systemd", 0, "systemdUser", 0, "rdma", 1, "seccomp", seccomp_features(),
		"apparmor", "enabled", 1, "selinux", "enabled", 1, "intelRdt", "enabled", 0,
		"mountExtensions", "idmap", "enabled", 1, "memoryPolicy", "modes",
		names(memory_policy_mode), "flags", names(memory_policy_flag), "netDevices",
		"enabled", 1, "annotations", "io.github.seccomp.libseccomp.version", version);
}
