/* The table of formats, opening and range checks. */
#include "disk/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/log.h"

#define HEAD_BYTES 4096u
#define LOCK_WAIT_MS 3000u
#define LOCK_SAY_MS 400u /* by then a process that was killed is gone */
#define LOCK_STEP_MS 20u

const struct disk_format *const disk_formats[] = { &disk_raw, &disk_null, NULL };

static const struct disk_format *find_format(const char *name)
{
	for (const struct disk_format *const *f = disk_formats; *f; f++)
		if (strcmp((*f)->name, name) == 0)
			return *f;
	return NULL;
}

static const struct disk_format *probe(int fd)
{
	uint8_t head[HEAD_BYTES];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	for (const struct disk_format *const *f = disk_formats; *f && n > 0; f++)
		if ((*f)->probe && (*f)->probe(head, (size_t)n))
			return *f;
	return &disk_raw;
}

/* Two machines that write to one file destroy it. The kernel takes down the ring of a process that was killed, and with it
 * what holds the lock, a little after the process: a reset, or a machine that is started again, waits for that. */
static int lock(int fd, const char *path, unsigned flags, struct err *err)
{
	if (flags & DISK_NO_LOCK)
		return 0;
	for (unsigned waited = 0; waited < LOCK_WAIT_MS; waited += LOCK_STEP_MS) {
		if (flock(fd, (flags & DISK_READONLY ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			break;
		if (waited == LOCK_SAY_MS)
			log_warn("disk '%s' is in use: waiting a moment for it", path);
		usleep(LOCK_STEP_MS * 1000);
	}
	if (errno == EWOULDBLOCK)
		return err_set(err, EBUSY, "disk '%s' is in use by another machine", path);
	return err_errno(err, "lock disk '%s'", path);
}

static int file_size(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISBLK(st.st_mode))
		return ioctl(fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret = (uint64_t)st.st_size;
	return 0;
}

int disk_open(
	const char *path, const char *format, unsigned flags, struct disk **ret, struct err *err)
{
	cleanup(disk_free) struct disk *d = xnew(struct disk);
	uint64_t size = 0;
	int r;

	d->path = xstrdup(path);
	d->readonly = flags & DISK_READONLY;
	d->fd = open(path, (d->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (d->fd < 0)
		return err_errno(err, "open disk '%s'", path);
	r = file_size(d->fd, &size);
	if (r == -EINVAL)
		return err_set(err, EINVAL, "disk '%s' is neither a file nor a block device", path);
	if (r < 0)
		return err_code(err, r, "size of disk '%s'", path);
	d->size = size / DISK_SECTOR * DISK_SECTOR;
	r = lock(d->fd, path, flags, err);
	if (r < 0)
		return r;
	d->format = format ? find_format(format) : probe(d->fd);
	if (!d->format)
		return err_set(err, EINVAL, "disk '%s': no format '%s'", path, format);
	r = d->format->open(d, err);
	if (r < 0)
		return r;
	*ret = take(d);
	return 0;
}

void disk_free(struct disk *disk)
{
	if (!disk)
		return;
	if (disk->format && disk->format->close)
		disk->format->close(disk);
	fd_close(disk->fd);
	free(disk->path);
	free(disk);
}

static bool in_range(const struct disk *disk, uint64_t offset, uint64_t len)
{
	return (offset | len) % DISK_SECTOR == 0 && offset <= disk->size &&
	       len <= disk->size - offset;
}

static uint64_t total(const struct iovec *iov, int n_iov)
{
	uint64_t sum = 0;

	for (int i = 0; i < n_iov; i++)
		sum += iov[i].iov_len;
	return sum;
}

int disk_check(const struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov,
	uint64_t more, bool change)
{
	if (change && disk->readonly)
		return -EROFS;
	return in_range(disk, offset, total(iov, n_iov) + more) ? 0 : -EINVAL;
}

int disk_read(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov)
{
	int r = disk_check(disk, offset, iov, n_iov, 0, false);

	return r < 0 ? r : disk->format->read(disk, offset, iov, n_iov);
}

int disk_write(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov)
{
	int r = disk_check(disk, offset, iov, n_iov, 0, true);

	if (r < 0)
		return r;
	return disk->format->write ? disk->format->write(disk, offset, iov, n_iov) : -EOPNOTSUPP;
}

int disk_flush(struct disk *disk)
{
	return disk->format->flush && !disk->readonly ? disk->format->flush(disk) : 0;
}

int disk_discard(struct disk *disk, uint64_t offset, uint64_t len)
{
	int r = disk_check(disk, offset, NULL, 0, len, true);

	if (r < 0)
		return r;
	return disk->format->discard ? disk->format->discard(disk, offset, len) : -EOPNOTSUPP;
}
