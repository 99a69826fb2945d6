/* The format "null": reads zeroes, forgets what is written; as large as its file. The template for a new format, and the
 * double where tests want no file to be slow. */
#include <string.h>

#include "disk/disk.h"

static int open_null(struct disk *disk, struct err *err)
{
	(void)disk;
	(void)err;
	return 0;
}

static int read_null(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov)
{
	(void)disk;
	(void)offset;
	for (int i = 0; i < n_iov; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
	return 0;
}

static int write_null(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov)
{
	(void)disk;
	(void)offset;
	(void)iov;
	(void)n_iov;
	return 0;
}

static int discard_null(struct disk *disk, uint64_t offset, uint64_t len)
{
	(void)disk;
	(void)offset;
	(void)len;
	return 0;
}

const struct disk_format disk_null = { .name = "null",
	.open = open_null,
	.read = read_null,
	.write = write_null,
	.discard = discard_null };
