/*
 * --security-opt seccomp=FILE: a profile in Docker's form, which is linux.seccomp of the runtime-spec with
 * conditions on each rule (includes and excludes by capability, architecture, kernel version). The
 * conditions are decided here; what is left is read as a bundle's.
 */
#include "instance/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/strv.h"

static bool any_string_is(json_t *array, const char *a, const char *b)
{
	size_t n;
	json_t *item;

	json_array_foreach (array, n, item) {
		const char *s = json_string_value(item);
		if (s && (strcmp(s, a) == 0 || strcmp(s, b) == 0))
			return true;
	}
	return false;
}

static bool has_all(json_t *wanted, char *const *capabilities)
{
	size_t n;
	json_t *item;

	json_array_foreach (wanted, n, item) {
		const char *s = json_string_value(item);
		if (!s || !strv_contains(capabilities, s))
			return false;
	}
	return true;
}

static bool has_any(json_t *named, char *const *capabilities)
{
	size_t n;
	json_t *item;

	json_array_foreach (named, n, item) {
		const char *s = json_string_value(item);
		if (s && strv_contains(capabilities, s))
			return true;
	}
	return false;
}

static bool kernel_at_least(const char *version)
{
	struct utsname host;
	unsigned want[2] = { 0 }, have[2] = { 0 };

	uname(&host);
	sscanf(version, "%u.%u", &want[0], &want[1]);
	sscanf(host.release, "%u.%u", &have[0], &have[1]);
	return have[0] != want[0] ? have[0] > want[0] : have[1] >= want[1];
}

static bool applies(json_t *rule, char *const *capabilities)
{
	json_t *in = json_object_get(rule, "includes"), *out = json_object_get(rule, "excludes");
	json_t *arches = json_object_get(in, "arches");
	const char *kernel = json_string_value(json_object_get(in, "minKernel"));

	if (!has_all(json_object_get(in, "caps"), capabilities))
		return false;
	if (json_array_size(arches) && !any_string_is(arches, "amd64", "x86_64"))
		return false;
	if (kernel && !kernel_at_least(kernel))
		return false;
	return !has_any(json_object_get(out, "caps"), capabilities) &&
	       !any_string_is(json_object_get(out, "arches"), "amd64", "x86_64");
}

static void decide_conditions(json_t *profile, char *const *capabilities)
{
	json_t *rules = json_object_get(profile, "syscalls");

	for (size_t n = json_array_size(rules); n-- > 0;) {
		json_t *rule = json_array_get(rules, n);
		if (json_is_object(rule) && !applies(rule, capabilities))
			json_array_remove(rules, n);
	}
	/* Docker's archMap stands where the runtime-spec has architectures. */
	if (json_object_get(profile, "archMap") && !json_object_get(profile, "architectures"))
		json_object_set_new(profile, "architectures",
			json_pack(
				"[s, s, s]", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"));
}

int spec_seccomp_file(
	const struct instance_config *c, const char *path, struct bundle *b, struct err *err)
{
	cleanup(bundle_free) struct bundle *wrapped = NULL;
	cleanup(strv_free) char **capabilities = NULL;
	cleanup(json_free) json_t *doc = NULL, *profile = json_read(AT_FDCWD, path, err);
	int r;

	if (!profile)
		return err_wrap(err, "seccomp profile");
	if (!json_is_object(profile))
		return err_set(err, EINVAL, "seccomp profile '%s': expected an object", path);
	r = spec_capabilities(c, &capabilities, err);
	if (r < 0)
		return r;
	decide_conditions(profile, capabilities);
	/* The profile is linux.seccomp of an otherwise empty bundle: one reader for both. */
	doc = json_pack("{s:s, s:{s:s}, s:{s:O}}", "ociVersion", "1.2.0", "root", "path", "/",
		"linux", "seccomp", profile);
	r = bundle_parse(doc, &wrapped, err);
	if (r < 0)
		return err_wrap(err, "seccomp profile '%s'", path);
	b->linux_.seccomp = take(wrapped->linux_.seccomp);
	return 0;
}
