/* The format "raw": the file is the disk. What was discarded is a hole. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "disk/disk.h"

static int open_raw(struct disk *disk, struct err *err)
{
	if (disk->size == 0)
		return err_set(err, EINVAL, "disk '%s' is empty: truncate -s 1G makes it large",
			disk->path);
	return 0;
}

/* After a part was done: from where it ended, piece by piece. */
static int finish(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov,
	size_t done, bool write)
{
	for (int i = 0; i < n_iov; i++) {
		size_t len = iov[i].iov_len;

		if (done >= len) {
			done -= len;
			offset += len;
			continue;
		}
		for (; done < len;) {
			char *at = (char *)iov[i].iov_base + done;
			ssize_t n = write ? pwrite(disk->fd, at, len - done, (off_t)(offset + done))
					  : pread(disk->fd, at, len - done, (off_t)(offset + done));

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return n < 0 ? -errno : -EIO; /* the file became shorter */
			done += (size_t)n;
		}
		offset += len;
		done = 0;
	}
	return 0;
}

static int transfer(
	struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov, bool write)
{
	ssize_t n = 0;

	if (n_iov <= IOV_MAX)
		n = write ? pwritev(disk->fd, iov, n_iov, (off_t)offset)
			  : preadv(disk->fd, iov, n_iov, (off_t)offset);
	if (n < 0 && errno != EINTR)
		return -errno;
	return finish(disk, offset, iov, n_iov, n > 0 ? (size_t)n : 0, write);
}

static int read_raw(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov)
{
	return transfer(disk, offset, iov, n_iov, false);
}

static int write_raw(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov)
{
	return transfer(disk, offset, iov, n_iov, true);
}

static int flush_raw(struct disk *disk)
{
	return fdatasync(disk->fd) < 0 ? -errno : 0;
}

static int discard_raw(struct disk *disk, uint64_t offset, uint64_t len)
{
	if (len == 0)
		return 0;
	return fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		       (off_t)len) < 0
		       ? -errno
		       : 0;
}

const struct disk_format disk_raw = {
	.name = "raw",
	.open = open_raw,
	.read = read_raw,
	.write = write_raw,
	.flush = flush_raw,
	.discard = discard_raw,
	.direct = true,
};
