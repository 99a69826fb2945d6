/*
 * Image archives come from pipes, compressed, with their parts in any order: each file in them is
 * written to the session's tmp as it passes. A layer that is compressed becomes a blob by renaming,
 * so nothing is written twice. Names in the archive only ever serve to look members up. The process that
 * reads the archive has the session's tmp, which is empty at first, as its root (unpacker.h).
 */
#include "image/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/paths.h"
#include "image/layer.h"
#include "image/unpacker.h"

#define MAX_MEMBERS 20000
#define MAX_LINKS 8

static int by_name(const void *a, const void *b)
{
	const struct archive_member *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void member_clear(struct archive_member *m)
{
	free(m->name);
	free(m->link);
}

void archive_clear(struct archive *a)
{
	for (size_t i = 0; i < a->n; i++)
		member_clear(&a->members[i]);
	free(a->members);
	*a = (struct archive){ 0 };
}

/* A symbolic link counts from its own directory, a hard link from the root. -EPERM: it leads out. */
static char *link_target(const char *name, const struct tar_entry *e)
{
	const char *slash = strrchr(name, '/');
	char clean[PATH_MAX];
	cleanup(free) char *path = NULL;

	if (e->type == TAR_SYMLINK && e->link[0] != '/' && slash)
		path = xasprintf("%.*s/%s", (int)(slash - name), name, e->link);
	else
		path = xstrdup(e->link);
	return tar_clean_name(path, clean) < 0 ? NULL : xstrdup(clean);
}

/* A member, as the process that reads the archive tells of it: then name and link follow, without their ends. */
struct told {
	uint32_t kind;
	uint32_t is_link;
	uint32_t name_len, link_len;
	int64_t size;
};
#define TELL_MEMBER 1u

static void member_file(struct archive_member *m, size_t n)
{
	snprintf(m->file, sizeof(m->file), "member-%zu", n);
}

static int64_t spool(struct tar_reader *reader, int root, size_t n, struct err *err)
{
	cleanup(fd_close) int fd = -1;
	struct archive_member m;

	member_file(&m, n);
	fd = openat(root, m.file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "make a file for the archive's member %zu", n);
	return tar_read_to_fd(reader, fd, err);
}

static int tell(int sock, const struct told *told, const char *name, const char *link)
{
	cleanup(buf_free) struct buf b = { 0 };

	buf_add(&b, told, sizeof(*told));
	buf_add(&b, name, told->name_len);
	buf_add(&b, link, told->link_len);
	return unpacker_tell(sock, b.data, b.len, -1);
}

/* *n: the members so far. */
static int read_member(struct tar_reader *reader, const struct tar_entry *e, int root, int sock,
	size_t *n, struct err *err)
{
	struct told told = { .kind = TELL_MEMBER, .is_link = e->type != TAR_FILE };
	cleanup(free) char *link = NULL;
	char name[PATH_MAX];

	if (tar_clean_name(e->name, name) < 0)
		return err_set(err, EINVAL,
			"the archive has a member that leads out of it: '%.200s'", e->name);
	if (*n == MAX_MEMBERS)
		return err_set(err, EFBIG, "the archive has more than %d members", MAX_MEMBERS);
	if (told.is_link) {
		link = link_target(name, e);
		if (!link)
			return 0;
	} else {
		told.size = spool(reader, root, *n, err);
		if (told.size < 0)
			return (int)told.size;
	}
	++*n;
	told.name_len = (uint32_t)strlen(name);
	told.link_len = link ? (uint32_t)strlen(link) : 0;
	return tell(sock, &told, name, link ? link : "");
}

/* In both processes. */
struct reading {
	int fd;
	struct tar_reader *reader;
	struct archive *archive;
	image_progress_fn *progress;
	void *progress_data;
	uint64_t done;
};

static int prepare(void *data, struct err *err)
{
	struct reading *reading = data;

	return tar_reader_open(reading->fd, "archive", NULL, &reading->reader, err);
}

static int work(void *data, int root, int sock, struct err *err)
{
	struct reading *reading = data;
	const struct tar_entry *e;
	size_t n = 0;
	int r;

	while ((r = tar_next(reading->reader, &e, err)) > 0) {
		if (e->type != TAR_FILE && e->type != TAR_SYMLINK && e->type != TAR_HARDLINK)
			continue;
		r = read_member(reading->reader, e, root, sock, &n, err);
		if (r < 0)
			return r;
	}
	return r;
}

static bool is_clean(const char *name)
{
	char clean[PATH_MAX];

	return tar_clean_name(name, clean) == 0 && strcmp(clean, name) == 0;
}

static int receive(void *data, int sock, const void *message, size_t len, int fd, struct err *err)
{
	struct reading *reading = data;
	struct archive *a = reading->archive;
	cleanup(fd_close) int sent = fd;
	const char *text = (const char *)message + sizeof(struct told);
	struct archive_member m = { 0 };
	struct told told = { 0 };

	if (len >= sizeof(told))
		memcpy(&told, message, sizeof(told));
	if (told.kind != TELL_MEMBER || a->n == MAX_MEMBERS || told.size < 0 ||
		told.name_len >= PATH_MAX || told.link_len >= PATH_MAX ||
		len != sizeof(told) + told.name_len + told.link_len)
		return err_set(err, EBADMSG, "archive: the unpacker tells nonsense");
	m.name = xstrndup(text, told.name_len);
	if (told.is_link)
		m.link = xstrndup(text + told.name_len, told.link_len);
	else
		member_file(&m, a->n);
	m.size = told.size;
	a->members = xrealloc_array(a->members, a->n + 1, sizeof(*a->members));
	a->members[a->n++] = m;
	if (!is_clean(m.name) || (m.link && !is_clean(m.link)))
		return err_set(err, EBADMSG, "archive: the unpacker tells nonsense");
	reading->done += (uint64_t)m.size;
	if (reading->progress)
		reading->progress(reading->progress_data, "reading the archive", reading->done);
	return 0;
}

/* They are opened by their names from now on: nothing but plain files may be there. */
static int check_files(const struct archive *a, struct err *err)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct archive_member *m = &a->members[i];
		struct stat st;
		if (m->link)
			continue;
		if (fstatat(a->session->tmp, m->file, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(err, "look at '%s/tmp/%s/%s'", paths_root(),
				a->session->name, m->file);
		if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
			return err_set(err, EBADMSG, "archive: the unpacker made no plain file");
	}
	return 0;
}

static int sort_members(struct archive *a, struct err *err)
{
	if (a->n)
		qsort(a->members, a->n, sizeof(*a->members), by_name);
	for (size_t i = 1; i < a->n; i++)
		if (strcmp(a->members[i - 1].name, a->members[i].name) == 0)
			return err_set(err, EINVAL, "the archive has two members named '%.200s'",
				a->members[i].name);
	return 0;
}

int archive_read(const struct store_session *s, int fd, image_progress_fn *fn, void *data,
	struct archive *ret, struct err *err)
{
	cleanup(archive_clear) struct archive a = { .session = s };
	struct reading reading = { .fd = fd, .archive = &a, .progress = fn, .progress_data = data };
	const struct unpacker unpacker = {
		.prepare = prepare,
		.work = work,
		.receive = receive,
		.data = &reading,
		.fds = { &reading.fd },
	};
	int r = unpacker_run(&unpacker, s->tmp, "archive", err);

	if (r == 0)
		r = check_files(&a, err);
	if (r == 0)
		r = sort_members(&a, err);
	if (r < 0)
		return r;
	*ret = a;
	a = (struct archive){ 0 };
	return 0;
}

const struct archive_member *archive_find(const struct archive *a, const char *name)
{
	char clean[PATH_MAX];
	struct archive_member key = { .name = clean };

	if (!a->n || tar_clean_name(name, clean) < 0)
		return NULL;
	for (int hops = 0; hops < MAX_LINKS; hops++) {
		const struct archive_member *m =
			bsearch(&key, a->members, a->n, sizeof(*a->members), by_name);
		if (!m || !m->link)
			return m;
		key.name = m->link;
	}
	return NULL;
}

const struct archive_member *archive_blob(const struct archive *a, const char *digest)
{
	cleanup(free) char *name = xasprintf("blobs/sha256/%s", digest_hex(digest));

	return archive_find(a, name);
}

int archive_text(
	const struct archive *a, const struct archive_member *m, struct buf *out, struct err *err)
{
	int r = file_read(a->session->tmp, m->file, JSON_MAX_BYTES, out);

	if (r == -EFBIG)
		return err_set(err, EFBIG, "the archive's '%s' is larger than %u MiB", m->name,
			JSON_MAX_BYTES >> 20);
	return r < 0 ? err_code(err, r, "read the archive's '%s'", m->name) : 0;
}

int archive_blob_text(const struct archive *a, const char *digest, struct buf *out, struct err *err)
{
	const struct archive_member *m = archive_blob(a, digest);
	char got[DIGEST_LEN + 1];
	int r;

	if (!m)
		return err_set(err, ENOENT, "the archive lacks blob %s", digest);
	r = archive_text(a, m, out, err);
	if (r < 0)
		return r;
	hash_of(out->data ? out->data : "", out->len, got);
	if (strcmp(got, digest) != 0)
		return err_set(err, EBADMSG, "the archive is damaged: '%s': expected %s, got %s",
			m->name, digest, got);
	return 0;
}

json_t *archive_json(const struct archive *a, const char *name, struct err *err)
{
	cleanup(buf_free) struct buf text = { 0 };
	const struct archive_member *m = archive_find(a, name);

	if (!m) {
		err_set(err, ENOENT, "the archive lacks '%s'", name);
		return NULL;
	}
	if (archive_text(a, m, &text, err) < 0)
		return NULL;
	return json_parse(text.data ? text.data : "", text.len, name, err);
}
