#pragma once
/*
 * The seam of disk formats: the bytes of a guest's disk, however they are kept. One file a format, one row
 * in disk.c's table; null.c is the template and the test double. queue.h makes it asynchronous.
 *
 * Offsets and lengths are bytes, multiples of 512, inside the disk's size: callers check, disk.c does so
 * too. Data that was written is on stable storage when a flush that began after it has returned.
 *
 * Threads: read, write, flush and discard are called by several threads at once, never two of
 * overlapping ranges of which one writes; the rest by one thread while nothing else is under way.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/err.h"

#define DISK_SECTOR 512u
#define DISK_READONLY 1u
#define DISK_NO_LOCK 2u /* do not take the lock that keeps a second machine from the same file */

struct disk;

struct disk_format {
	const char *name; /* "raw" */

	/* Whether the file's first bytes are of this format. Optional: only by name then. */
	bool (*probe)(const void *head, size_t len);
	/* Fills in the format's part; `fd` becomes the disk's also on failure. Mandatory. */
	int (*open)(struct disk *disk, struct err *err);

	/* All of it, or -errno. Mandatory, write not for formats that cannot. */
	int (*read)(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov);
	int (*write)(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov);
	/* Optional: nothing to flush. */
	int (*flush)(struct disk *disk);
	/* Reads as zeroes from now on, by giving space back where it can. Optional: -EOPNOTSUPP. */
	int (*discard)(struct disk *disk, uint64_t offset, uint64_t len);
	/* The format's own part; optional. */
	void (*close)(struct disk *disk);

	/* The disk's bytes are those of `fd`, at the same offsets: queues may leave it all to the kernel. */
	bool direct;
};

/* Members are set by disk_open() and the format, and read by all. */
struct disk {
	const struct disk_format *format;
	char *path;    /* for messages */
	int fd;        /* -1 where there is none */
	uint64_t size; /* bytes, a multiple of 512 */
	bool readonly;
	void *data; /* the format's */
};

/* format NULL: found by its first bytes, "raw" when nothing claims them. An exclusive lock (shared when
 * read only) is held on the file while it is open: -EBUSY, after some seconds, of which a warning tells. */
int disk_open(
	const char *path, const char *format, unsigned flags, struct disk **ret, struct err *err);
/* Does not flush. NULL is allowed. */
void disk_free(struct disk *disk);
DEFINE_CLEANUP(disk_free, struct disk *);

/* Whether a request of these bytes, and `more`, may be done: 0, -EINVAL outside the disk, -EROFS. */
int disk_check(const struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov,
	uint64_t more, bool change);

/* The format's methods with the range checked: -EINVAL outside the disk, -EROFS, -EOPNOTSUPP. */
int disk_read(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov);
int disk_write(struct disk *disk, uint64_t offset, const struct iovec *iov, int n_iov);
int disk_flush(struct disk *disk);
int disk_discard(struct disk *disk, uint64_t offset, uint64_t len);

extern const struct disk_format disk_raw, disk_null;
extern const struct disk_format *const disk_formats[];
