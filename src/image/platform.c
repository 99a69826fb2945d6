#include "image/platform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/alloc.h"
#include "base/strv.h"

/* The kernel's, Debian's and Go's names of one architecture. */
static const struct {
	const char *machine, *debian, *architecture, *variant;
} names[] = {
	{ "x86_64", "amd64", "amd64", "" },
	{ "aarch64", "arm64", "arm64", "v8" },
	{ "armv7l", "armhf", "arm", "v7" },
	{ "armv6l", "armel", "arm", "v5" },
	{ "i686", "i386", "386", "" },
	{ "ppc64le", "ppc64el", "ppc64le", "" },
	{ "riscv64", "riscv64", "riscv64", "" },
	{ "s390x", "s390x", "s390x", "" },
	{ "mips64", "mips64el", "mips64le", "" },
	{ "loongarch64", "loong64", "loong64", "" },
};

static void set(struct platform *p, const char *architecture, const char *variant)
{
	snprintf(p->os, sizeof(p->os), "linux");
	snprintf(p->architecture, sizeof(p->architecture), "%s", architecture);
	snprintf(p->variant, sizeof(p->variant), "%s", variant);
}

void platform_host(struct platform *ret)
{
	struct utsname host;

	if (uname(&host) < 0)
		host.machine[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i].machine, host.machine) == 0) {
			set(ret, names[i].architecture, names[i].variant);
			return;
		}
	}
	set(ret, host.machine, "");
}

int platform_of_debian(const char *architecture, struct platform *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i].debian, architecture) == 0) {
			set(ret, names[i].architecture, names[i].variant);
			return 0;
		}
	}
	return -ENOENT;
}

static bool part_valid(const char *s, size_t max)
{
	size_t len = strlen(s);

	return len && len < max && s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0';
}

int platform_parse(const char *text, struct platform *ret, struct err *err)
{
	cleanup(strv_free) char **parts = strv_split(text, '/');
	size_t n = strv_len(parts);
	struct platform p = { .os = "linux" };
	const char *architecture = n == 1 ? parts[0] : parts[1];

	if (n > 3 || !architecture || !part_valid(architecture, sizeof(p.architecture)) ||
		(n > 1 && !part_valid(parts[0], sizeof(p.os))) ||
		(n > 2 && !part_valid(parts[2], sizeof(p.variant))))
		return err_set(err, EINVAL,
			"'%s' is no platform: expected OS/ARCHITECTURE, such as linux/arm64", text);
	if (n > 1)
		snprintf(p.os, sizeof(p.os), "%s", parts[0]);
	snprintf(p.architecture, sizeof(p.architecture), "%s", architecture);
	if (n > 2)
		snprintf(p.variant, sizeof(p.variant), "%s", parts[2]);
	*ret = p;
	return 0;
}
