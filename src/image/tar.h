#pragma once
/* What reading and writing archives share: blocks and pax records. See tar(5), pax in POSIX.1-2017. */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "image/layer.h"

#define TAR_BLOCK 512u
/* GNU and pax headers that describe the next entry; larger ones are refused, as Go's reader does. */
#define TAR_MAX_EXTENSION (1u << 20)
#define TAR_MAX_XATTRS 256u
#define TAR_MAX_XATTR_SIZE (64u << 10) /* XATTR_SIZE_MAX */

struct tar_block {
	char name[100];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[8]; /* with the version */
	char uname[32], gname[32];
	char major[8], minor[8];
	char prefix[155];
	char pad[12];
};
_Static_assert(sizeof(struct tar_block) == TAR_BLOCK, "a block has 512 bytes");

/* What extension headers say of the next entry; a member not given leaves the block's in force. */
struct tar_pax {
	char *path, *link;
	bool has_size, has_uid, has_gid, has_mtime, has_major, has_minor;
	int64_t size, mtime;
	uint32_t uid, gid, major, minor;
	bool sparse;
	struct tar_xattr *xattrs;
	size_t n_xattrs;
};
void tar_pax_clear(struct tar_pax *pax);
DEFINE_CLEANUP_OBJECT(tar_pax_clear, struct tar_pax);
/* The records of one pax header. -EINVAL says what is wrong with them. */
int tar_pax_parse(struct tar_pax *pax, const char *data, size_t len, struct err *err);

bool tar_block_is_zero(const struct tar_block *b);
bool tar_block_checksum_ok(const struct tar_block *b);
/* Octal, or base 256 with the first bit set; padding of spaces and NULs. -EINVAL, -ERANGE. */
int tar_number(const char *field, size_t size, int64_t *ret);

/*
 * The entry that a block and what went before it describe; pax's parts move into it. The type is
 * the block's letter. Fills a cleared entry.
 */
int tar_entry_make(
	const struct tar_block *b, struct tar_pax *pax, struct tar_entry *ret, struct err *err);
void tar_entry_clear(struct tar_entry *e);
DEFINE_CLEANUP_OBJECT(tar_entry_clear, struct tar_entry);
void tar_xattr_add(struct tar_xattr **list, size_t *n, const char *name, size_t name_len,
	const void *value, size_t len);

/*
 * Whether an attribute belongs to the image. Overlay's own would steer the mount that a layer becomes
 * a part of; the rest of trusted.* and the labels of security modules are the host's.
 */
bool tar_xattr_portable(const char *name);

/* An entry's headers (a pax header where one is needed, then its block) appended to out. */
int tar_entry_format(const struct tar_entry *e, struct buf *out, struct err *err);
