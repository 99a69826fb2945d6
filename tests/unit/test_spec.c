#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/strv.h"
#include "instance/spec.h"
#include "skip.h"

static char top[] = "/tmp/holm-spec.XXXXXX";
static char *low_dir, *high_dir;

static void put(const char *dir, const char *name, const char *text)
{
	cleanup(free) char *path = xasprintf("%s/etc/%s", dir, name);

	assert_int_equal(file_write(-1, path, text, strlen(text), 0644, 0), 0);
}

static int set_up(void **state)
{
	if (!mkdtemp(top))
		return -1;
	low_dir = xasprintf("%s/low", top);
	high_dir = xasprintf("%s/high", top);
	for (int n = 0; n < 2; n++) {
		cleanup(free) char *etc = xasprintf("%s/etc", n ? high_dir : low_dir);
		dir_make(etc, 0755);
	}
	put(low_dir, "passwd",
		"root:x:0:0:root:/root:/bin/bash\nbroken line\nweb:x:33:33::/var/www:\n");
	put(low_dir, "group", "root:x:0:\nadm:x:4:web,root\nwww:x:33:\nvideo:x:44:web\n");
	return 0;
}

static int tear_down(void **state)
{
	dir_remove(-1, top);
	free(low_dir);
	free(high_dir);
	return 0;
}

static int resolve(const char *user, char *const *groups, struct bundle_user *ret, char **home,
	struct err *err)
{
	char *layers[] = { low_dir, high_dir, NULL };
	struct image image = { .layer_dirs = layers };

	return spec_user(&image, NULL, user, groups, ret, home, err);
}

static void users_by_name_have_their_groups(void **state)
{
	struct bundle_user u = { 0 };
	struct err err = { 0 };
	char *home = NULL;

	assert_int_equal(resolve("web", NULL, &u, &home, &err), 0);
	assert_int_equal(u.uid, 33);
	assert_int_equal(u.gid, 33);
	assert_int_equal(u.additional_gids.n, 3);
	assert_int_equal(u.additional_gids.v[0], 33);
	assert_int_equal(u.additional_gids.v[2], 44);
	assert_string_equal(home, "/var/www");
	free(home);
	free(u.additional_gids.v);
}

static void numbers_need_not_exist(void **state)
{
	struct bundle_user u = { 0 };
	cleanup(strv_free) char **groups = strv_split("video,1234", ',');
	char *home = NULL;

	assert_int_equal(resolve("4711:adm", groups, &u, &home, NULL), 0);
	assert_int_equal(u.uid, 4711);
	assert_int_equal(u.gid, 4);
	/* The primary one is among them, so that it cannot be shed. */
	assert_int_equal(u.additional_gids.n, 3);
	assert_int_equal(u.additional_gids.v[0], 4);
	assert_int_equal(u.additional_gids.v[2], 1234);
	assert_null(home);
	free(u.additional_gids.v);
}

static void unknown_names_are_refused(void **state)
{
	struct bundle_user u = { 0 };
	struct err err = { 0 };

	assert_int_equal(resolve("nobody", NULL, &u, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.text, "nobody"));
	assert_int_equal(resolve("web:nogroup", NULL, &u, NULL, &err), -ENOENT);
	assert_int_equal(resolve(":", NULL, &u, NULL, &err), -EINVAL);
	assert_int_equal(resolve("a:b:c", NULL, &u, NULL, &err), -EINVAL);
}

static void upper_layers_hide_lower_ones(void **state)
{
	struct bundle_user u = { 0 };
	cleanup(free) char *whiteout = xasprintf("%s/etc/passwd", high_dir);

	put(high_dir, "passwd", "web:x:99:99::/:\n");
	assert_int_equal(resolve("web", NULL, &u, NULL, NULL), 0);
	assert_int_equal(u.uid, 99);
	free(u.additional_gids.v);
	unlink(whiteout);
	if (mknod(whiteout, S_IFCHR, 0) < 0)
		skip_because("no whiteout can be made: needs CAP_MKNOD");
	assert_int_equal(resolve("web", NULL, &u, NULL, NULL), -ENOENT);
	unlink(whiteout);
}

static void a_link_out_of_the_layer_is_not_followed(void **state)
{
	struct bundle_user u = { 0 };
	cleanup(free) char *link = xasprintf("%s/etc/passwd", high_dir);

	assert_int_equal(symlink("../../../../../../etc/passwd", link), 0);
	/* Inside the layer the link leads nowhere, so the layer below counts. */
	assert_int_equal(resolve("web", NULL, &u, NULL, NULL), 0);
	assert_int_equal(u.uid, 33);
	free(u.additional_gids.v);
	unlink(link);
}

static bool has(const struct instance_config *c, const char *capability)
{
	cleanup(strv_free) char **names = NULL;

	assert_int_equal(spec_capabilities(c, &names, NULL), 0);
	return strv_contains(names, capability);
}

static void capabilities(void **state)
{
	cleanup(strv_free) char **all = strv_split("ALL", ','),
				**one = strv_split("net_admin", ',');
	cleanup(strv_free) char **kill = strv_split("CAP_KILL", ','),
				**wrong = strv_split("FLY", ',');
	struct instance_config plain = { 0 }, none = { .cap_drop = all };
	struct instance_config only = { .cap_drop = all, .cap_add = one };
	struct instance_config most = { .cap_add = all, .cap_drop = kill };
	struct instance_config bad = { .cap_add = wrong };
	cleanup(strv_free) char **names = NULL;

	assert_true(has(&plain, "CAP_CHOWN"));
	assert_false(has(&plain, "CAP_SYS_ADMIN"));
	assert_false(has(&none, "CAP_CHOWN"));
	assert_true(has(&only, "CAP_NET_ADMIN"));
	assert_false(has(&only, "CAP_CHOWN"));
	assert_true(has(&most, "CAP_SYS_ADMIN"));
	assert_false(has(&most, "CAP_KILL"));
	assert_int_equal(spec_capabilities(&bad, &names, NULL), -EINVAL);
}

static void limits(void **state)
{
	struct instance_config c = {
		.limits = { .memory = 64 << 20, .cpus = 0.5, .pids = 10, .memory_swappiness = -1 }
	};
	struct bundle *b = xnew(struct bundle);

	b->linux_.resources = xnew(struct bundle_resources);
	assert_int_equal(spec_resources(&c, b->linux_.resources, NULL), 0);
	assert_int_equal(*b->linux_.resources->memory.limit, 64 << 20);
	assert_int_equal(*b->linux_.resources->memory.swap, 128 << 20);
	assert_null(b->linux_.resources->memory.swappiness);
	assert_int_equal(*b->linux_.resources->cpu.quota, 50000);
	assert_int_equal(*b->linux_.resources->pids.limit, 10);
	assert_false(((struct bundle_device_rule *)b->linux_.resources->devices.items[0])->allow);
	bundle_free(b);
}

static void device_rules_are_checked(void **state)
{
	cleanup(strv_free) char **wrong = strv_split("c 10:200", ',');
	struct instance_config c = { .limits = { .device_rules = wrong, .memory_swappiness = -1 } };
	struct bundle *b = xnew(struct bundle);
	struct err err = { 0 };

	b->linux_.resources = xnew(struct bundle_resources);
	assert_int_equal(spec_resources(&c, b->linux_.resources, &err), -EINVAL);
	assert_non_null(strstr(err.text, "c 10:200"));
	bundle_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_by_name_have_their_groups),
		cmocka_unit_test(numbers_need_not_exist),
		cmocka_unit_test(unknown_names_are_refused),
		cmocka_unit_test(upper_layers_hide_lower_ones),
		cmocka_unit_test(a_link_out_of_the_layer_is_not_followed),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(limits),
		cmocka_unit_test(device_rules_are_checked),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
