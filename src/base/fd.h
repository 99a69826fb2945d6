#pragma once
/*
 * Descriptors and files. Descriptors are CLOEXEC and -1 when empty. Leaf functions: 0 (or a useful
 * number) or -errno.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/cleanup.h"

/* Closes fd unless it is negative. Keeps errno. Returns -1, for `fd = fd_close(fd)`. */
int fd_close(int fd);
DEFINE_CLEANUP(fd_close, int);

/* All of it, whatever the number of system calls; waits where a descriptor would not block. */
int fd_write_all(int fd, const void *data, size_t len);
/* Fewer than len bytes only at the end of the file. Returns the count. */
ssize_t fd_read_full(int fd, void *data, size_t len);
/* To the end of the file, adding to out; -EFBIG beyond max bytes. */
int fd_read_to_end(int fd, size_t max, struct buf *out);
/* Copies to the end of `from` (copy_file_range, sendfile, else read and write); -EFBIG beyond max. */
int64_t fd_copy(int from, int to, int64_t max);
int fd_set_nonblock(int fd, bool on);

/* One message with one byte or more and up to 4 descriptors, over a unix socket. */
int fd_send(int sock, const void *data, size_t len, const int *fds, size_t n_fds);
/* Returns the byte count, 0 at the end. fds not sent are set to -1. */
ssize_t fd_recv(int sock, void *data, size_t len, int *fds, size_t n_fds);

/* What `open` returns in a child process, which may change its namespaces first: a descriptor, the caller's,
 * or -errno. The child runs nothing else. */
int fd_from_child(int (*open)(const void *data), const void *data);

#define FILE_SYNC 1u       /* fsync the file before, and the directory after the rename */
#define FILE_NO_REPLACE 2u /* -EEXIST when the path is there */
/*
 * What is there is exchanged, then unlinked: replaced, it would have ext4 write the new one out at once, and both
 * wait for the disk when they go. When the host crashes within the next half minute, the file may be empty.
 */
#define FILE_LAZY 4u

int file_read(int dirfd, const char *path, size_t max, struct buf *out);
/* By a temporary file and rename: readers see the old or the new contents, never a part. */
int file_write(
	int dirfd, const char *path, const void *data, size_t len, mode_t mode, unsigned flags);
/* Plainly into an existing file in one write(2): for cgroupfs, procfs, sysfs. */
int file_put(int dirfd, const char *path, const char *text);
/* One line or number from a kernel file, without the newline. */
int file_get_line(int dirfd, const char *path, char *line, size_t size);
int file_get_u64(int dirfd, const char *path, uint64_t *ret);

/* Whether something is mounted upon a name. The kernel refuses to remove or replace it only in our own mount
 * namespace; in another's, and in a tree that is in none, that would unmount it. */
bool path_is_mount(int dirfd, const char *name);

/* mkdir -p. Existing directories are left as they are. */
int dir_make(const char *path, mode_t mode);
/* rm -rf below dirfd, following no link and crossing no mount; a missing name is not an error. */
int dir_remove(int dirfd, const char *name);
/* Sum of allocated bytes (st_blocks) below; files with several links count once. */
int dir_usage(int dirfd, const char *name, uint64_t *ret_bytes);

/*
 * Opens a path that is foreign to us inside a root directory, as openat2(RESOLVE_IN_ROOT):
 * no link or ".." leads out of it, no /proc magic link is followed.
 */
int open_in_root(int rootfd, const char *path, int flags, mode_t mode);
/* The same for the parent directory, made where missing (0755, by us); *ret_name points into path. */
int open_parent_in_root(int rootfd, const char *path, bool make, const char **ret_name);

/* flock, waiting. The lock goes with the descriptor. -EWOULDBLOCK when `wait` is false and held. */
int lock_file(int dirfd, const char *path, bool wait);
