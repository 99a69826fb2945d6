#include "image/tar.h"

/*
 * The header blocks of an archive, read and written: v7, ustar, GNU and pax (tar(5); POSIX.1-2017,
 * pax, "pax Header Block" and "ustar Interchange Format"). Where the standard leaves a choice this
 * follows Go's archive/tar, whose view of an image every registry shares: a pax record outranks the
 * block, the last of equal records counts, and only files have data.
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/alloc.h"
#include "base/parse.h"

bool tar_block_is_zero(const struct tar_block *b)
{
	static const struct tar_block zero;

	return memcmp(b, &zero, sizeof(zero)) == 0;
}

/* Some old writers summed signed characters. */
static void block_sums(const struct tar_block *b, int64_t *ret_unsigned, int64_t *ret_signed)
{
	const unsigned char *p = (const unsigned char *)b;
	int64_t u = 0, s = 0;

	for (size_t i = 0; i < sizeof(*b); i++) {
		bool own = i >= offsetof(struct tar_block, checksum) &&
			   i < offsetof(struct tar_block, checksum) + sizeof(b->checksum);
		u += own ? ' ' : p[i];
		s += own ? ' ' : (signed char)p[i];
	}
	*ret_unsigned = u;
	*ret_signed = s;
}

bool tar_block_checksum_ok(const struct tar_block *b)
{
	int64_t want, u, s;

	if (tar_number(b->checksum, sizeof(b->checksum), &want) < 0)
		return false;
	block_sums(b, &u, &s);
	return want == u || want == s;
}

/* GNU's base 256: two's complement, the first bit marks the form. */
static int number_base256(const unsigned char *p, size_t size, int64_t *ret)
{
	bool negative = p[0] & 0x40;
	uint64_t v = negative ? UINT64_MAX : 0;

	for (size_t i = 0; i < size; i++) {
		unsigned char c = p[i];
		if (i == 0)
			c = negative ? c | 0x80 : c & 0x7f;
		if (v >> 55 != (negative ? 0x1ff : 0))
			return -ERANGE;
		v = v << 8 | c;
	}
	*ret = (int64_t)v;
	return 0;
}

int tar_number(const char *field, size_t size, int64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (field[0] & 0x80)
		return number_base256((const unsigned char *)field, size, ret);
	while (i < size && (field[i] == ' ' || field[i] == '\0'))
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(field[i] - '0'); /* twelve digits at most */
	for (; i < size; i++)
		if (field[i] != ' ' && field[i] != '\0')
			return -EINVAL;
	*ret = (int64_t)v;
	return 0;
}

void tar_xattr_add(struct tar_xattr **list, size_t *n, const char *name, size_t name_len,
	const void *value, size_t len)
{
	struct tar_xattr *x;

	if ((*n & (*n - 1)) == 0)
		*list = xrealloc_array(*list, *n ? 2 * *n : 1, sizeof(**list));
	x = &(*list)[(*n)++];
	x->name = xstrndup(name, name_len);
	x->value = xcalloc(1, len + 1);
	memcpy(x->value, value, len);
	x->len = len;
}

bool tar_xattr_portable(const char *name)
{
	if (strncmp(name, "user.", 5) == 0)
		return strncmp(name, "user.overlay.", 13) != 0;
	return strcmp(name, "security.capability") == 0 ||
	       strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

static void xattrs_free(struct tar_xattr **list, size_t *n)
{
	for (size_t i = 0; i < *n; i++) {
		free((*list)[i].name);
		free((*list)[i].value);
	}
	free(*list);
	*list = NULL;
	*n = 0;
}

void tar_pax_clear(struct tar_pax *pax)
{
	free(pax->path);
	free(pax->link);
	xattrs_free(&pax->xattrs, &pax->n_xattrs);
	*pax = (struct tar_pax){ 0 };
}

void tar_entry_clear(struct tar_entry *e)
{
	free(e->name);
	free(e->link);
	xattrs_free(&e->xattrs, &e->n_xattrs);
	*e = (struct tar_entry){ 0 };
}

struct record {
	const char *key, *value;
	size_t key_len, value_len;
};

/* "LENGTH KEY=VALUE\n"; returns LENGTH, or 0 when it is not one. */
static size_t next_record(const char *data, size_t len, struct record *ret)
{
	size_t n = 0, i = 0;
	const char *equals;

	for (; i < len && i < 8 && isdigit((unsigned char)data[i]); i++)
		n = 10 * n + (size_t)(data[i] - '0');
	if (i == 0 || i >= len || data[i] != ' ' || n > len || n < i + 3 || data[n - 1] != '\n')
		return 0;
	ret->key = data + i + 1;
	equals = memchr(ret->key, '=', n - i - 2);
	if (!equals || equals == ret->key)
		return 0;
	ret->key_len = (size_t)(equals - ret->key);
	ret->value = equals + 1;
	ret->value_len = (size_t)(data + n - 1 - ret->value);
	return n;
}

static bool is_key(const struct record *r, const char *key)
{
	return r->key_len == strlen(key) && memcmp(r->key, key, r->key_len) == 0;
}

/* Seconds with a fraction, "-1.25" among them, to nanoseconds; digits beyond are dropped. */
static int parse_pax_time(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	int64_t seconds = 0, ns = 0, unit = 100000000;

	s += negative;
	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++) {
		seconds = 10 * seconds + (*s - '0');
		if (seconds > INT64_MAX / 1000000000 - 1)
			return -ERANGE;
	}
	if (*s == '.')
		for (s++; isdigit((unsigned char)*s); s++, unit /= 10)
			ns += unit * (*s - '0');
	if (*s)
		return -EINVAL;
	*ret = (negative ? -1 : 1) * (seconds * 1000000000 + ns);
	return 0;
}

static int base64_value(char c)
{
	const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

static int decode_base64(const char *s, size_t len, struct buf *out)
{
	uint32_t v = 0;
	unsigned bits = 0;

	while (len && s[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++) {
		int digit = base64_value(s[i]);
		if (digit < 0)
			return -EINVAL;
		v = v << 6 | (uint32_t)digit;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_addc(out, (char)(v >> bits & 0xff));
		}
	}
	return 0;
}

static int add_xattr(struct tar_pax *pax, const char *name, size_t name_len, const void *value,
	size_t len, struct err *err)
{
	if (name_len == 0 || name_len > 255 || memchr(name, '\0', name_len))
		return err_set(err, EINVAL, "an extended attribute's name is wrong");
	if (len > TAR_MAX_XATTR_SIZE)
		return err_set(err, EINVAL, "extended attribute '%.*s' is larger than 64 KiB",
			(int)name_len, name);
	for (size_t i = 0; i < pax->n_xattrs; i++) {
		struct tar_xattr *x = &pax->xattrs[i];
		if (strlen(x->name) != name_len || memcmp(x->name, name, name_len) != 0)
			continue;
		free(x->value);
		x->value = xcalloc(1, len + 1);
		memcpy(x->value, value, len);
		x->len = len;
		return 0;
	}
	if (pax->n_xattrs >= TAR_MAX_XATTRS)
		return err_set(err, EINVAL, "more than %u extended attributes", TAR_MAX_XATTRS);
	tar_xattr_add(&pax->xattrs, &pax->n_xattrs, name, name_len, value, len);
	return 0;
}

static int set_xattr(struct tar_pax *pax, const struct record *r, bool *found, struct err *err)
{
	static const char schily[] = "SCHILY.xattr.", libarchive[] = "LIBARCHIVE.xattr.";
	cleanup(buf_free) struct buf name = { 0 };
	cleanup(buf_free) struct buf value = { 0 };
	size_t skip = sizeof(schily) - 1;

	*found = true;
	if (r->key_len > skip && memcmp(r->key, schily, skip) == 0)
		return add_xattr(
			pax, r->key + skip, r->key_len - skip, r->value, r->value_len, err);
	skip = sizeof(libarchive) - 1;
	*found = r->key_len > skip && memcmp(r->key, libarchive, skip) == 0;
	if (!*found)
		return 0;
	percent_decode(r->key + skip, r->key_len - skip, &name);
	if (decode_base64(r->value, r->value_len, &value) < 0)
		return err_set(
			err, EINVAL, "pax record '%.*s' is not base64", (int)r->key_len, r->key);
	return add_xattr(pax, name.data, name.len, value.data ? value.data : "", value.len, err);
}

static int set_string(const struct record *r, char **at, struct err *err)
{
	if (r->value_len >= PATH_MAX)
		return err_set(err, ENAMETOOLONG, "a name of %zu bytes: the longest has %d",
			r->value_len, PATH_MAX - 1);
	if (memchr(r->value, '\0', r->value_len))
		return err_set(err, EINVAL, "a name has a NUL byte in it");
	free(*at);
	*at = r->value_len ? xstrndup(r->value, r->value_len) : NULL;
	return 0;
}

static int set_number(const struct record *r, int64_t max, bool *has, int64_t *at, struct err *err)
{
	char text[32];
	uint64_t v;

	if (r->value_len == 0) { /* deletes an earlier record */
		*has = false;
		return 0;
	}
	snprintf(
		text, sizeof(text), "%.*s", (int)(r->value_len < 31 ? r->value_len : 31), r->value);
	if (parse_u64(text, (uint64_t)max, &v) < 0)
		return err_set(err, EINVAL, "pax record '%.*s': '%s' is not a number that fits",
			(int)r->key_len, r->key, text);
	*has = true;
	*at = (int64_t)v;
	return 0;
}

static int set_u32(const struct record *r, bool *has, uint32_t *at, struct err *err)
{
	int64_t v = *at;
	/* The last value is "no id" to chown(2). */
	int n = set_number(r, UINT32_MAX - 1, has, &v, err);

	*at = (uint32_t)v;
	return n;
}

static int set_time(const struct record *r, struct tar_pax *pax, struct err *err)
{
	char text[48];

	pax->has_mtime = r->value_len > 0;
	if (!pax->has_mtime)
		return 0;
	snprintf(
		text, sizeof(text), "%.*s", (int)(r->value_len < 47 ? r->value_len : 47), r->value);
	if (parse_pax_time(text, &pax->mtime) < 0)
		return err_set(err, EINVAL, "pax record 'mtime': '%s' is not a time", text);
	return 0;
}

static int apply_record(struct tar_pax *pax, const struct record *r, struct err *err)
{
	bool found;
	int n;

	if (is_key(r, "path"))
		return set_string(r, &pax->path, err);
	if (is_key(r, "linkpath"))
		return set_string(r, &pax->link, err);
	if (is_key(r, "size"))
		return set_number(r, INT64_MAX - 1024, &pax->has_size, &pax->size, err);
	if (is_key(r, "uid"))
		return set_u32(r, &pax->has_uid, &pax->uid, err);
	if (is_key(r, "gid"))
		return set_u32(r, &pax->has_gid, &pax->gid, err);
	if (is_key(r, "mtime"))
		return set_time(r, pax, err);
	if (is_key(r, "SCHILY.devmajor"))
		return set_u32(r, &pax->has_major, &pax->major, err);
	if (is_key(r, "SCHILY.devminor"))
		return set_u32(r, &pax->has_minor, &pax->minor, err);
	n = set_xattr(pax, r, &found, err);
	if (!found && r->key_len > 11 && memcmp(r->key, "GNU.sparse.", 11) == 0)
		pax->sparse = true;
	return n;
}

int tar_pax_parse(struct tar_pax *pax, const char *data, size_t len, struct err *err)
{
	struct record r;

	while (len) {
		size_t n = next_record(data, len, &r);
		int ret;
		/* Some writers pad with NULs, which belong to the block rather than to the records. */
		if (n == 0 && data[0] == '\0')
			return 0;
		if (n == 0)
			return err_set(err, EINVAL, "a pax header with a malformed record");
		ret = apply_record(pax, &r, err);
		if (ret < 0)
			return ret;
		data += n;
		len -= n;
	}
	return 0;
}

static size_t field_len(const char *s, size_t size)
{
	return strnlen(s, size);
}

static bool is_posix(const struct tar_block *b)
{
	return memcmp(b->magic, "ustar\0", 6) == 0;
}

static char *block_name(const struct tar_block *b)
{
	size_t n = field_len(b->name, sizeof(b->name)), p = 0;

	if (is_posix(b)) {
		/* Star puts times at the end of the prefix and says so in the last four bytes. */
		bool star = memcmp(b->pad + 8, "tar", 4) == 0;
		p = field_len(b->prefix, star ? 131 : sizeof(b->prefix));
	}
	return xasprintf("%.*s%s%.*s", (int)p, b->prefix, p ? "/" : "", (int)n, b->name);
}

static int entry_type(char letter, const char *name, enum tar_type *ret)
{
	size_t n = strlen(name);

	switch (letter) {
	case '\0':
	case '0':
	case '7': /* contiguous */
		*ret = letter == '\0' && n && name[n - 1] == '/' ? TAR_DIR : TAR_FILE;
		return 0;
	case '1':
		*ret = TAR_HARDLINK;
		return 0;
	case '2':
		*ret = TAR_SYMLINK;
		return 0;
	case '3':
		*ret = TAR_CHAR;
		return 0;
	case '4':
		*ret = TAR_BLOCK;
		return 0;
	case '5':
		*ret = TAR_DIR;
		return 0;
	case '6':
		*ret = TAR_FIFO;
		return 0;
	default:
		return -EINVAL;
	}
}

static int block_id(
	const char field[8], const char *what, const char *name, uint32_t *ret, struct err *err)
{
	int64_t v;

	if (tar_number(field, 8, &v) < 0 || v < 0 || v >= UINT32_MAX)
		return err_set(
			err, EINVAL, "entry '%s': its %s is no number that fits", name, what);
	*ret = (uint32_t)v;
	return 0;
}

static int entry_device(
	const struct tar_block *b, const struct tar_pax *pax, struct tar_entry *e, struct err *err)
{
	int r;

	if (e->type != TAR_CHAR && e->type != TAR_BLOCK)
		return 0;
	e->major = pax->major;
	e->minor = pax->minor;
	r = pax->has_major ? 0 : block_id(b->major, "device number", e->name, &e->major, err);
	if (r == 0 && !pax->has_minor)
		r = block_id(b->minor, "device number", e->name, &e->minor, err);
	if (r == 0 && (e->major > 0xfff || e->minor > 0xfffff)) /* MINORBITS of the kernel */
		r = err_set(err, EINVAL, "entry '%s': its device number does not fit", e->name);
	return r;
}

static int entry_size(
	const struct tar_block *b, const struct tar_pax *pax, struct tar_entry *e, struct err *err)
{
	if (pax->has_size)
		e->size = pax->size;
	else if (tar_number(b->size, sizeof(b->size), &e->size) < 0 || e->size < 0 ||
		 e->size > INT64_MAX - 1024)
		return err_set(err, EINVAL, "entry '%s': its size is no number that fits", e->name);
	/* A directory of the oldest form: readers differ on whether it has data. */
	if (e->type == TAR_DIR && b->type == '\0' && e->size)
		return err_set(err, EINVAL, "entry '%s' is a directory with data", e->name);
	if (e->type != TAR_FILE)
		e->size = 0;
	return 0;
}

static int entry_numbers(
	const struct tar_block *b, const struct tar_pax *pax, struct tar_entry *e, struct err *err)
{
	int64_t v;
	int r;

	if (tar_number(b->mode, sizeof(b->mode), &v) < 0)
		return err_set(err, EINVAL, "entry '%s': its mode is no number", e->name);
	e->mode = (mode_t)(v & 07777);
	e->uid = pax->uid;
	e->gid = pax->gid;
	e->mtime = pax->mtime;
	r = pax->has_uid ? 0 : block_id(b->uid, "owner", e->name, &e->uid, err);
	if (r == 0 && !pax->has_gid)
		r = block_id(b->gid, "group", e->name, &e->gid, err);
	if (r < 0)
		return r;
	if (!pax->has_mtime) {
		if (tar_number(b->mtime, sizeof(b->mtime), &v) < 0 || v > INT64_MAX / 1000000000 ||
			v < INT64_MIN / 1000000000)
			return err_set(err, EINVAL, "entry '%s': its time is no number that fits",
				e->name);
		e->mtime = v * 1000000000;
	}
	r = entry_size(b, pax, e, err);
	return r < 0 ? r : entry_device(b, pax, e, err);
}

int tar_entry_make(
	const struct tar_block *b, struct tar_pax *pax, struct tar_entry *ret, struct err *err)
{
	cleanup(tar_entry_clear) struct tar_entry e = { 0 };
	int r;

	e.name = pax->path ? take(pax->path) : block_name(b);
	e.link = pax->link ? take(pax->link)
			   : xstrndup(b->link, field_len(b->link, sizeof(b->link)));
	if (b->type == 'S' || pax->sparse)
		return err_set(err, EOPNOTSUPP,
			"entry '%s' is a sparse file: pack the archive without tar's --sparse",
			e.name);
	if (entry_type(b->type, e.name, &e.type) < 0)
		return err_set(err, EINVAL, "entry '%s' is of an unknown type (0x%02x)", e.name,
			(unsigned char)b->type);
	r = entry_numbers(b, pax, &e, err);
	if (r < 0)
		return r;
	e.xattrs = take(pax->xattrs);
	e.n_xattrs = pax->n_xattrs;
	pax->n_xattrs = 0;
	*ret = e;
	e = (struct tar_entry){ 0 };
	return 0;
}
