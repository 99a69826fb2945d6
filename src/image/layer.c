#include "image/layer.h"

/* Layers: an archive read ahead into overlay's form, and a tree in that form packed again. */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "image/extract.h"
#include "image/tar.h"
#include "image/unpacker.h"

#define PROGRESS_STEP (1 << 20)

const char *layer_media_type(enum layer_compression compression)
{
	switch (compression) {
	case LAYER_GZIP:
		return "application/vnd.oci.image.layer.v1.tar+gzip";
	case LAYER_ZSTD:
		return "application/vnd.oci.image.layer.v1.tar+zstd";
	default:
		return "application/vnd.oci.image.layer.v1.tar";
	}
}

/* What the process that unpacks tells. */
enum { TELL_PROGRESS = 1, TELL_OPAQUE, TELL_RESULT };

struct progress {
	uint32_t kind;
	int64_t done;
};

struct result {
	uint32_t kind;
	struct layer_result result;
};

struct watcher {
	const struct layer_options *options;
	int sock;
	int64_t told;
};

static void tell(struct watcher *w, int64_t done)
{
	const struct layer_options *o = w->options;
	const struct progress progress = { .kind = TELL_PROGRESS, .done = done };

	if (o->progress && w->sock >= 0)
		unpacker_tell(w->sock, &progress, sizeof(progress), -1);
	else if (o->progress)
		o->progress(o->progress_data, o->what ? o->what : "layer", (uint64_t)done);
	w->told = done;
}

static void watch(struct extractor *x)
{
	struct watcher *w = x->data;
	int64_t done = stream_taken(x->reader->stream);

	if (done - w->told >= PROGRESS_STEP)
		tell(w, done);
}

/* An attribute of trusted.* takes CAP_SYS_ADMIN. */
static int ask_opaque(struct extractor *x, int fd)
{
	const uint32_t kind = TELL_OPAQUE;
	struct watcher *w = x->data;
	int32_t answer;
	int r = unpacker_tell(w->sock, &kind, sizeof(kind), fd);

	if (r < 0)
		return r;
	return fd_recv(w->sock, &answer, sizeof(answer), NULL, 0) == sizeof(answer) ? answer : -EIO;
}

int layer_unpack_into(int root, struct stream *stream, int sock,
	const struct layer_options *options, struct layer_result *ret, struct err *err)
{
	static const struct tar_extract_options as_packed;
	cleanup(tar_reader_close) struct tar_reader *reader =
		tar_reader_new(stream, "layer", &options->limits);
	struct watcher watcher = { .options = options, .sock = sock };
	cleanup(extractor_done) struct extractor x;
	int r;

	extractor_init(&x, root, reader, &as_packed);
	x.layer = !options->plain;
	x.unprivileged = options->unprivileged;
	x.one_owner = options->one_owner;
	x.progress = options->progress ? watch : NULL;
	x.data = &watcher;
	x.own_process = sock >= 0;
	if (x.own_process) {
		x.opaque = ask_opaque;
		x.umask = 0;
	}
	r = extract_all(&x, err);
	/* What follows the archive counts for the digests. */
	if (r == 0)
		r = tar_drain(reader, err);
	if (r < 0)
		return r;
	stream_result(reader->stream, ret);
	ret->size = x.size;
	ret->entries = reader->entries;
	ret->lost_capabilities = x.lost_capabilities;
	tell(&watcher, ret->compressed_size);
	return 0;
}

/* In both processes. */
struct job {
	int fd, tee_fd;
	const struct layer_options *options;
	struct stream *stream;
	struct layer_result result;
	bool has_result;
};

/* The library that inflates is out of reach later on. */
static int prepare(void *data, struct err *err)
{
	struct job *job = data;
	int r = stream_open(job->fd, job->tee_fd, /* ahead= */ true, &job->stream, err);

	return r < 0 ? err_wrap(err, "layer") : 0;
}

static int work(void *data, int root, int sock, struct err *err)
{
	struct job *job = data;
	struct result told = { .kind = TELL_RESULT };
	int r = layer_unpack_into(root, job->stream, sock, job->options, &told.result, err);

	if (r == 0)
		r = unpacker_tell(sock, &told, sizeof(told), -1);
	return r;
}

static int take_opaque(int sock, int fd)
{
	struct stat st;
	int32_t answer = 0;

	/* A directory is one of ours: no other can be opened in there. */
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
		answer = -EBADF;
	else if (fsetxattr(fd, OPAQUE_XATTR, "y", 1, 0) < 0)
		answer = -errno;
	return fd_send(sock, &answer, sizeof(answer), NULL, 0);
}

static bool is_digest(const char text[DIGEST_LEN + 1])
{
	return memchr(text, '\0', DIGEST_LEN + 1) && digest_valid(text);
}

static int take_result(struct job *job, const struct layer_result *r, struct err *err)
{
	if (!is_digest(r->digest) || !is_digest(r->diff_id) || r->size < 0 ||
		r->compressed_size < 0 || r->entries < 0 || r->compression > LAYER_ZSTD)
		return err_set(err, EBADMSG, "layer: the unpacker tells nonsense");
	job->result = *r;
	job->result.lost_capabilities = *(const unsigned char *)&r->lost_capabilities != 0;
	job->has_result = true;
	return 0;
}

static int receive(void *data, int sock, const void *message, size_t len, int fd, struct err *err)
{
	struct job *job = data;
	const struct layer_options *o = job->options;
	cleanup(fd_close) int sent = fd;
	union {
		uint32_t kind;
		struct progress progress;
		struct result result;
	} m;

	memset(&m, 0, sizeof(m));
	memcpy(&m, message, len < sizeof(m) ? len : sizeof(m));
	if (m.kind == TELL_OPAQUE)
		return take_opaque(sock, sent);
	if (m.kind == TELL_PROGRESS && len == sizeof(m.progress) && o->progress &&
		m.progress.done >= 0)
		o->progress(
			o->progress_data, o->what ? o->what : "layer", (uint64_t)m.progress.done);
	if (m.kind == TELL_RESULT && len == sizeof(m.result))
		return take_result(job, &m.result.result, err);
	return 0;
}

int layer_unpack(int fd, int tee_fd, const char *dir, const struct layer_options *options,
	struct layer_result *ret, struct err *err)
{
	static const struct layer_options defaults;
	cleanup(fd_close) int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct job job = { .fd = fd, .tee_fd = tee_fd, .options = options ? options : &defaults };
	const struct unpacker unpacker = {
		.prepare = prepare,
		.work = work,
		.receive = receive,
		.data = &job,
		.fds = { &job.fd, &job.tee_fd },
		.capabilities = 1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER |
				1ull << CAP_FSETID | 1ull << CAP_MKNOD | 1ull << CAP_SETFCAP,
	};
	int r;

	if (dirfd < 0)
		return err_errno(err, "open '%s'", dir);
	/* What the image's root is like unless the layer says. */
	if (fchmod(dirfd, 0755) < 0)
		return err_errno(err, "set the mode of '%s'", dir);
	r = unpacker_run(&unpacker, dirfd, "layer", err);
	if (r < 0)
		return r;
	if (!job.has_result)
		return err_set(err, EBADMSG, "layer: the unpacker tells nothing");
	*ret = job.result;
	return 0;
}

enum archive_kind archive_kind(const void *start, size_t len)
{
	static const struct {
		const char *magic;
		size_t len;
		enum archive_kind kind;
	} kinds[] = { { "\x1f\x8b", 2, ARCHIVE_COMPRESSED },
		{ "\x28\xb5\x2f\xfd", 4, ARCHIVE_COMPRESSED },
		{ "\xfd"
		  "7zXZ",
			5, ARCHIVE_OTHER },
		{ "BZh", 3, ARCHIVE_OTHER } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (len >= kinds[i].len && memcmp(start, kinds[i].magic, kinds[i].len) == 0)
			return kinds[i].kind;
	return len >= TAR_BLOCK && !tar_block_is_zero(start) && tar_block_checksum_ok(start)
		       ? ARCHIVE_TAR
		       : ARCHIVE_NONE;
}

int layer_pack(int rootfd, int out_fd, enum layer_compression compression, struct layer_result *ret,
	struct err *err)
{
	static const struct tar_tree_options options = { .whiteouts = true };
	cleanup(tar_writer_close) struct tar_writer *w = NULL;
	int r = tar_writer_open(out_fd, compression, &w, err);

	if (r == 0)
		r = tar_write_tree(w, rootfd, ".", &options, err);
	if (r == 0)
		r = tar_writer_finish(w, ret, err);
	return r;
}
