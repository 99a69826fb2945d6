#pragma once
/*
 * Ids of a container with a user namespace of its own. What is mounted in it shows its files to the host
 * with ids from `base` on, which are 0 and up inside; a base of 0 stands for no user namespace, and
 * shifts nothing. user_namespaces(7), capabilities(7) "Namespaced file capabilities", acl(5).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHIFT_IDS 65536u      /* that such a container has */
#define SHIFT_NOBODY 65534u   /* who owns files of others, seen from inside (overflowuid) */
#define SHIFT_NONE UINT32_MAX /* as chown(2) has it */
#define SHIFT_XATTR_GROWTH 4u /* bytes */

/* SHIFT_NONE for what the container does not have. */
uint32_t shift_to_host(uint32_t base, uint32_t id);
uint32_t shift_to_container(uint32_t base, uint32_t id);
/* Whether the value of an extended attribute has ids in it. */
bool shift_has_ids(const char *xattr);
/* Changes such a value, which has room for SHIFT_XATTR_GROWTH more bytes. Returns the length. */
size_t shift_xattr_to_host(uint32_t base, const char *xattr, void *value, size_t len);
size_t shift_xattr_to_container(uint32_t base, const char *xattr, void *value, size_t len);
