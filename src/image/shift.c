/*
 * See shift.h. Two kinds of attributes hold ids, little-endian: POSIX ACLs (linux/posix_acl_xattr.h), and
 * file capabilities (linux/capability.h), which outside of the initial user namespace are of version 3,
 * with the id of the root that they are for at their end.
 */
#include "image/shift.h"

#include <endian.h>
#include <linux/capability.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>

uint32_t shift_to_host(uint32_t base, uint32_t id)
{
	if (!base)
		return id;
	return id < SHIFT_IDS ? base + id : SHIFT_NONE;
}

uint32_t shift_to_container(uint32_t base, uint32_t id)
{
	if (!base)
		return id;
	return id >= base && id - base < SHIFT_IDS ? id - base : SHIFT_NOBODY;
}

static bool is_capability(const char *xattr)
{
	return strcmp(xattr, "security.capability") == 0;
}

bool shift_has_ids(const char *xattr)
{
	return is_capability(xattr) || strncmp(xattr, "system.posix_acl_", 17) == 0;
}

static void shift_acl(
	uint32_t base, uint32_t (*shift)(uint32_t base, uint32_t id), void *value, size_t len)
{
	char *end = (char *)value + len, *p = (char *)value + sizeof(struct posix_acl_xattr_header);

	for (; len >= sizeof(struct posix_acl_xattr_header) &&
		(size_t)(end - p) >= sizeof(struct posix_acl_xattr_entry);
		p += sizeof(struct posix_acl_xattr_entry)) {
		struct posix_acl_xattr_entry e;
		memcpy(&e, p, sizeof(e));
		if (e.e_tag == htole16(ACL_USER) || e.e_tag == htole16(ACL_GROUP))
			e.e_id = htole32(shift(base, le32toh(e.e_id)));
		memcpy(p, &e, sizeof(e));
	}
}

static uint32_t revision(const struct vfs_ns_cap_data *cap)
{
	return le32toh(cap->magic_etc) & VFS_CAP_REVISION_MASK;
}

static void set_revision(struct vfs_ns_cap_data *cap, uint32_t to)
{
	cap->magic_etc = htole32((le32toh(cap->magic_etc) & ~VFS_CAP_REVISION_MASK) | to);
}

size_t shift_xattr_to_host(uint32_t base, const char *xattr, void *value, size_t len)
{
	struct vfs_ns_cap_data cap = { 0 };

	if (!base || !is_capability(xattr)) {
		if (base && shift_has_ids(xattr))
			shift_acl(base, shift_to_host, value, len);
		return len;
	}
	if (len != XATTR_CAPS_SZ_2 && len != XATTR_CAPS_SZ_3)
		return len;
	memcpy(&cap, value, len);
	if (len == XATTR_CAPS_SZ_2 && revision(&cap) == VFS_CAP_REVISION_2)
		set_revision(&cap, VFS_CAP_REVISION_3);
	cap.rootid = htole32(shift_to_host(base, le32toh(cap.rootid)));
	memcpy(value, &cap, XATTR_CAPS_SZ_3);
	return XATTR_CAPS_SZ_3;
}

size_t shift_xattr_to_container(uint32_t base, const char *xattr, void *value, size_t len)
{
	struct vfs_ns_cap_data cap;

	if (!base || !is_capability(xattr)) {
		if (base && shift_has_ids(xattr))
			shift_acl(base, shift_to_container, value, len);
		return len;
	}
	if (len != XATTR_CAPS_SZ_3)
		return len;
	memcpy(&cap, value, sizeof(cap));
	cap.rootid = htole32(shift_to_container(base, le32toh(cap.rootid)));
	if (cap.rootid == 0 && revision(&cap) == VFS_CAP_REVISION_3) {
		set_revision(&cap, VFS_CAP_REVISION_2);
		len = XATTR_CAPS_SZ_2;
	}
	memcpy(value, &cap, len);
	return len;
}
