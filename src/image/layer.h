#pragma once
/*
 * Layers and tar archives: OCI image-spec layer.md; POSIX pax and ustar, GNU tar's extensions.
 *
 * A layer is read once: the digest of the compressed bytes and the diff id (that of the tar) are
 * computed while it is unpacked. Everything in an archive is foreign: names, links, numbers and
 * sizes are checked, and nothing is made outside of the directory that was given. A failed call
 * leaves a half-made directory, which is the caller's to remove.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"

enum layer_compression {
	LAYER_PLAIN,
	LAYER_GZIP,
	LAYER_ZSTD,
};
/* "application/vnd.oci.image.layer.v1.tar+gzip" */
const char *layer_media_type(enum layer_compression compression);

struct layer_result {
	char digest[DIGEST_LEN + 1];  /* of the bytes as stored or sent */
	char diff_id[DIGEST_LEN + 1]; /* of the tar */
	int64_t size;                 /* bytes of the files' contents */
	int64_t compressed_size;
	int64_t entries;
	enum layer_compression compression;
	bool lost_capabilities; /* of files: the file system keeps none */
};

/* What an archive may hold; 0 stands for the generous default. */
struct tar_limits {
	int64_t bytes;   /* of the tar, uncompressed: 1 TiB */
	int64_t entries; /* 10 million */
};

struct layer_options {
	struct tar_limits limits;
	/* For overlay mounted with userxattr: opacity is a user.overlay.* attribute. Device nodes that
	 * may not be made are left out. */
	bool unprivileged;
	bool one_owner; /* ownership is not restored: there is one id only */
	bool plain;     /* not a layer: names that begin with .wh. are names */
	/* Told the compressed bytes done, on the calling thread. May be NULL; as image_progress_fn. */
	void (*progress)(void *data, const char *what, uint64_t done);
	void *progress_data;
	const char *what; /* for progress; NULL: "layer" */
};

/*
 * Unpacks what fd holds from its position to its end into `dir`, an existing empty directory, in
 * overlay's form: whiteouts as character devices 0/0, opaque directories by attribute. The
 * compression is told by its magic number. The compressed bytes also go to tee_fd unless it is -1.
 * options may be NULL. A process of its own does it, with no way to anything else (base/jail.h), and a
 * second thread for large layers.
 */
int layer_unpack(int fd, int tee_fd, const char *dir, const struct layer_options *options,
	struct layer_result *ret, struct err *err);

/* By its first bytes (512): whether something is a tar, or compressed, in one of our ways or another's. */
enum archive_kind { ARCHIVE_NONE, ARCHIVE_TAR, ARCHIVE_COMPRESSED, ARCHIVE_OTHER };
enum archive_kind archive_kind(const void *start, size_t len);

/* Once for each process: of those file capabilities. */
void layer_warn_of_lost_capabilities(void);

/*
 * The tree at rootfd as a layer: entries sorted by name, pax records only where needed, hard links,
 * attributes and devices kept, overlay's whiteouts turned back into OCI's. The same tree gives the
 * same bytes.
 */
int layer_pack(int rootfd, int out_fd, enum layer_compression compression, struct layer_result *ret,
	struct err *err);

/* One entry of an archive. */
enum tar_type {
	TAR_FILE,
	TAR_HARDLINK,
	TAR_SYMLINK,
	TAR_CHAR,
	TAR_BLOCK,
	TAR_DIR,
	TAR_FIFO,
};

struct tar_xattr {
	char *name;
	void *value;
	size_t len;
};

struct tar_entry {
	enum tar_type type;
	char *name;  /* as it stands in the archive: clean it with tar_clean_name() before use */
	char *link;  /* of links, "" otherwise */
	mode_t mode; /* 07777 */
	uid_t uid;
	gid_t gid;
	int64_t size;  /* of files; 0 otherwise */
	int64_t mtime; /* ns since the epoch */
	uint32_t major, minor;
	struct tar_xattr *xattrs;
	size_t n_xattrs;
};

/*
 * The name inside the root: relative, without empty, "." and ".." parts; "" is the root itself.
 * out has PATH_MAX bytes. -EPERM for a name that leads out, -ENAMETOOLONG.
 */
int tar_clean_name(const char *name, char *out);

/*
 * Reads an archive from fd (plain, gzip or zstd, a file or a pipe) entry by entry. The descriptor
 * stays the caller's. limits may be NULL. `what` heads every error: "archive".
 */
struct tar_reader;
int tar_reader_open(int fd, const char *what, const struct tar_limits *limits,
	struct tar_reader **ret, struct err *err);
void tar_reader_close(struct tar_reader *reader);
DEFINE_CLEANUP(tar_reader_close, struct tar_reader *);
/* 1 and the next entry, which is the reader's and good until the next call; 0 at the end. What was
 * not read of the last entry's data is skipped. */
int tar_next(struct tar_reader *reader, const struct tar_entry **ret, struct err *err);
/* The current entry's data: the count, 0 at its end. */
ssize_t tar_read(struct tar_reader *reader, void *to, size_t size, struct err *err);
/* The current entry's remaining data into fd, at its position. Returns the count. */
int64_t tar_read_to_fd(struct tar_reader *reader, int fd, struct err *err);
/* Reads to the end of the stream, past the end of the archive: for digests, and for pipes. */
int tar_drain(struct tar_reader *reader, struct err *err);

struct tar_extract_options {
	const char *into; /* directory inside the root, followed through links; NULL: the root */
	const char
		*rename_from;  /* the first part of names that is replaced by rename_to, or NULL */
	const char *rename_to; /* "" strips it */
	bool no_overwrite_dir_nondir; /* refuse to replace a directory by something else, or the reverse */
	bool set_owner; /* everything belongs to uid and gid; else to whom the archive says */
	uid_t uid;
	gid_t gid;
	bool keep_owner_of_caller; /* no chown at all */
	/* Of a container's ids (shift.h), to whose root the files that the caller makes belong. */
	uint32_t base;
};

/* All that is left of the archive into a root directory which may be a hostile container's, live. */
int tar_extract(int rootfd, struct tar_reader *reader, const struct tar_extract_options *options,
	struct err *err);

/* Writes an archive to fd. The descriptor stays the caller's. */
struct tar_writer;
int tar_writer_open(
	int fd, enum layer_compression compression, struct tar_writer **ret, struct err *err);
void tar_writer_close(struct tar_writer *writer);
DEFINE_CLEANUP(tar_writer_close, struct tar_writer *);
/* entry->size bytes of data must follow, by tar_write() or tar_write_fd(). */
int tar_write_entry(struct tar_writer *writer, const struct tar_entry *entry, struct err *err);
int tar_write(struct tar_writer *writer, const void *data, size_t len, struct err *err);
/* Exactly len bytes from fd's position: padded with zeros should the file have shrunk. */
int tar_write_fd(struct tar_writer *writer, int fd, int64_t len, struct err *err);
/* A file (0644, root, mtime 0 when not given) with the contents given: for manifests and the like. */
int tar_write_file(struct tar_writer *writer, const char *name, const void *data, size_t len,
	int64_t mtime, struct err *err);
/* The end of the archive, flushed; ret (may be NULL) gets digests and sizes. */
int tar_writer_finish(struct tar_writer *writer, struct layer_result *ret, struct err *err);

struct stat;

struct tar_tree_options {
	const char *name; /* what `path` is called in the archive; "" or NULL: its children only */
	bool whiteouts;   /* overlay's form into OCI's */
	bool one_file_system; /* mount points appear as empty directories */
	uint32_t base;        /* of a container's ids: shift.h */
	/* Says yes to what is not to be in the archive, by its name there; or NULL. */
	bool (*leave_out)(void *data, const char *name, const struct stat *st);
	void *leave_out_data;
};

/* A file or a tree: `path` inside the root, its parents resolved inside, itself not followed. */
int tar_write_tree(struct tar_writer *writer, int rootfd, const char *path,
	const struct tar_tree_options *options, struct err *err);
