#include "image/tar.h"

/*
 * Headers as holm writes them: ustar blocks (POSIX.1-2017), with a pax header before those whose
 * names, numbers, times or attributes do not fit. The same entry always gives the same bytes.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* LENGTH counts itself. */
static void add_record(struct buf *out, const char *key, const void *value, size_t len)
{
	size_t rest = strlen(key) + len + 3, total = rest + 1;
	char digits[24];

	while (total != rest + (size_t)snprintf(digits, sizeof(digits), "%zu", total))
		total = rest + strlen(digits);
	buf_addf(out, "%s %s=", digits, key);
	buf_add(out, value, len);
	buf_addc(out, '\n');
}

static void add_number_record(struct buf *out, const char *key, int64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)v);
	add_record(out, key, text, strlen(text));
}

/* Octal with a final NUL; false when it takes a record. */
static bool put_octal(char *field, size_t size, int64_t v)
{
	char text[32];

	if (v < 0 || v >= INT64_C(1) << 3 * (size - 1)) {
		memset(field, '0', size - 1);
		return false;
	}
	snprintf(text, sizeof(text), "%0*llo", (int)size - 1, (long long)v);
	memcpy(field, text, size);
	return true;
}

/* Into name and prefix. Old readers take bytes beyond ASCII for who knows what: pax is UTF-8. */
static bool put_name(struct tar_block *b, const char *name)
{
	size_t len = strlen(name), cut;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] >= 0x80) {
			memcpy(b->name, name, len < sizeof(b->name) ? len : sizeof(b->name) - 1);
			return false;
		}
	if (len <= sizeof(b->name)) {
		memcpy(b->name, name, len);
		return true;
	}
	for (cut = len - sizeof(b->name) - 1; cut < len && cut <= sizeof(b->prefix); cut++)
		if (cut > 0 && name[cut] == '/' && cut + 1 < len) {
			memcpy(b->prefix, name, cut);
			memcpy(b->name, name + cut + 1, len - cut - 1);
			return true;
		}
	memcpy(b->name, name, sizeof(b->name) - 1);
	return false;
}

static char type_letter(enum tar_type type)
{
	return "0123456"[(const int[]){ [TAR_FILE] = 0,
		[TAR_HARDLINK] = 1,
		[TAR_SYMLINK] = 2,
		[TAR_CHAR] = 3,
		[TAR_BLOCK] = 4,
		[TAR_DIR] = 5,
		[TAR_FIFO] = 6 }[type]];
}

static void finish_block(struct tar_block *b, char type)
{
	const unsigned char *p = (const unsigned char *)b;
	unsigned sum = 0;

	b->type = type;
	memcpy(b->magic,
		"ustar\0"
		"00",
		8);
	memset(b->checksum, ' ', sizeof(b->checksum));
	for (size_t i = 0; i < sizeof(*b); i++)
		sum += p[i];
	snprintf(b->checksum, sizeof(b->checksum), "%06o", sum);
	b->checksum[7] = ' ';
}

static void add_time_record(struct buf *pax, int64_t mtime)
{
	bool negative = mtime < 0;
	uint64_t ns = negative ? 0 - (uint64_t)mtime : (uint64_t)mtime;
	char text[48];
	int n = snprintf(text, sizeof(text), "%s%llu.%09llu", negative ? "-" : "",
		(unsigned long long)(ns / 1000000000), (unsigned long long)(ns % 1000000000));

	while (text[n - 1] == '0')
		n--;
	if (text[n - 1] == '.')
		n--;
	add_record(pax, "mtime", text, (size_t)n);
}

static void put_numbers(struct tar_block *b, const struct tar_entry *e, struct buf *pax)
{
	bool is_device = e->type == TAR_CHAR || e->type == TAR_BLOCK;

	put_octal(b->mode, sizeof(b->mode), e->mode & 07777);
	if (!put_octal(b->uid, sizeof(b->uid), e->uid))
		add_number_record(pax, "uid", e->uid);
	if (!put_octal(b->gid, sizeof(b->gid), e->gid))
		add_number_record(pax, "gid", e->gid);
	if (!put_octal(b->size, sizeof(b->size), e->size))
		add_number_record(pax, "size", e->size);
	if (!put_octal(b->mtime, sizeof(b->mtime), e->mtime / 1000000000) || e->mtime < 0 ||
		e->mtime % 1000000000)
		add_time_record(pax, e->mtime);
	put_octal(b->major, sizeof(b->major), is_device ? e->major : 0);
	put_octal(b->minor, sizeof(b->minor), is_device ? e->minor : 0);
}

static void put_strings(
	struct tar_block *b, const struct tar_entry *e, const char *name, struct buf *pax)
{
	const char *link = e->link ? e->link : "";
	size_t len = strlen(link);
	bool plain = len <= sizeof(b->link);

	if (!put_name(b, name))
		add_record(pax, "path", name, strlen(name));
	for (size_t i = 0; i < len; i++)
		plain &= (unsigned char)link[i] < 0x80;
	memcpy(b->link, link, len < sizeof(b->link) ? len : sizeof(b->link));
	if (!plain)
		add_record(pax, "linkpath", link, len);
}

static void add_padding(struct buf *out)
{
	size_t n = -out->len % TAR_BLOCK;

	memset(buf_reserve(out, n), 0, n);
	out->len += n;
}

/* The pax header's own block: named as the entry, since only old readers will ever see it. */
static void add_pax_header(struct buf *out, const struct buf *pax)
{
	struct tar_block b = { .name = "PaxHeader" };

	put_octal(b.mode, sizeof(b.mode), 0644);
	put_octal(b.uid, sizeof(b.uid), 0);
	put_octal(b.gid, sizeof(b.gid), 0);
	put_octal(b.size, sizeof(b.size), (int64_t)pax->len);
	put_octal(b.mtime, sizeof(b.mtime), 0);
	finish_block(&b, 'x');
	buf_add(out, &b, sizeof(b));
	buf_add(out, pax->data, pax->len);
	add_padding(out);
}

int tar_entry_format(const struct tar_entry *e, struct buf *out, struct err *err)
{
	struct tar_block b = { .type = 0 };
	cleanup(buf_free) struct buf pax = { 0 };
	size_t len = strlen(e->name);
	/* Directories end with a slash, by which the oldest readers know them. */
	cleanup(free) char *name = xasprintf(
		"%s%s", e->name, e->type == TAR_DIR && len && e->name[len - 1] != '/' ? "/" : "");

	if (*name == '\0')
		return err_set(err, EINVAL, "an archive's entry needs a name");
	put_strings(&b, e, name, &pax);
	put_numbers(&b, e, &pax);
	for (size_t i = 0; i < e->n_xattrs; i++) {
		cleanup(free) char *key = xasprintf("SCHILY.xattr.%s", e->xattrs[i].name);
		add_record(&pax, key, e->xattrs[i].value, e->xattrs[i].len);
	}
	if (pax.len > TAR_MAX_EXTENSION)
		return err_set(err, E2BIG, "'%s': its attributes are larger than %u KiB", e->name,
			TAR_MAX_EXTENSION >> 10);
	if (pax.len)
		add_pax_header(out, &pax);
	finish_block(&b, type_letter(e->type));
	buf_add(out, &b, sizeof(b));
	return 0;
}
