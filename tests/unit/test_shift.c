/* Ids of containers with user namespaces (image/shift.h). */
#include <endian.h>
#include <linux/capability.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "image/shift.h"

#define BASE 0x80000000u
#define CAPABILITY "security.capability"
#define ACL "system.posix_acl_access"

static void shifts_ids(void **state)
{
	assert_int_equal(shift_to_host(BASE, 5), BASE + 5);
	assert_int_equal(shift_to_host(BASE, 65535), BASE + 65535);
	assert_int_equal(shift_to_host(BASE, 65536), SHIFT_NONE);
	assert_int_equal(shift_to_container(BASE, BASE + 5), 5);
	assert_int_equal(shift_to_container(BASE, BASE + 65536), SHIFT_NOBODY);
	assert_int_equal(shift_to_container(BASE, BASE - 1), SHIFT_NOBODY);
	assert_int_equal(shift_to_container(BASE, 0), SHIFT_NOBODY);
	assert_int_equal(shift_to_host(0, 70000), 70000);
	assert_int_equal(shift_to_container(0, 70000), 70000);
	(void)state;
}

static void shifts_capabilities(void **state)
{
	struct vfs_ns_cap_data cap = { .magic_etc = htole32(VFS_CAP_REVISION_2 | 1) }, old = cap;
	size_t len = shift_xattr_to_host(BASE, CAPABILITY, &cap, XATTR_CAPS_SZ_2);

	assert_int_equal(len, XATTR_CAPS_SZ_3);
	assert_int_equal(le32toh(cap.magic_etc), VFS_CAP_REVISION_3 | 1);
	assert_int_equal(le32toh(cap.rootid), BASE);
	/* Not for another container's root. */
	assert_int_equal(
		shift_xattr_to_container(BASE + 65536, CAPABILITY, &cap, len), XATTR_CAPS_SZ_3);
	assert_int_equal(le32toh(cap.rootid), SHIFT_NOBODY);
	cap.rootid = htole32(BASE);
	assert_int_equal(shift_xattr_to_container(BASE, CAPABILITY, &cap, len), XATTR_CAPS_SZ_2);
	assert_memory_equal(&cap, &old, XATTR_CAPS_SZ_2);
	/* Without a user namespace, or of another length: as it is. */
	assert_int_equal(
		shift_xattr_to_host(0, CAPABILITY, &cap, XATTR_CAPS_SZ_2), XATTR_CAPS_SZ_2);
	assert_int_equal(shift_xattr_to_host(BASE, CAPABILITY, &cap, 3), 3);
	assert_memory_equal(&cap, &old, XATTR_CAPS_SZ_2);
	(void)state;
}

static void shifts_acls(void **state)
{
	struct {
		struct posix_acl_xattr_header header;
		struct posix_acl_xattr_entry e[3];
	} acl = { { htole32(POSIX_ACL_XATTR_VERSION) },
		{ { htole16(ACL_USER_OBJ), 0, htole32(ACL_UNDEFINED_ID) },
			{ htole16(ACL_USER), 0, htole32(33) },
			{ htole16(ACL_GROUP), 0, htole32(4) } } };

	/* The last entry is cut short. */
	assert_int_equal(shift_xattr_to_host(BASE, ACL, &acl, sizeof(acl) - 1), sizeof(acl) - 1);
	assert_int_equal(le32toh(acl.e[1].e_id), BASE + 33);
	assert_int_equal(le32toh(acl.e[2].e_id), 4);
	acl.e[1].e_id = htole32(33);
	shift_xattr_to_host(BASE, ACL, &acl, sizeof(acl));
	assert_int_equal(le32toh(acl.e[0].e_id), (uint32_t)ACL_UNDEFINED_ID);
	assert_int_equal(le32toh(acl.e[1].e_id), BASE + 33);
	assert_int_equal(le32toh(acl.e[2].e_id), BASE + 4);
	shift_xattr_to_container(BASE, ACL, &acl, sizeof(acl));
	assert_int_equal(le32toh(acl.e[2].e_id), 4);
	assert_int_equal(shift_xattr_to_host(BASE, ACL, &acl, 2), 2);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shifts_ids),
		cmocka_unit_test(shifts_capabilities),
		cmocka_unit_test(shifts_acls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
