/*
 * Blobs being written: hashed on the way to a temporary file of the session, synced, and only then
 * named by what they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/paths.h"
#include "image/store.h"

int blob_create(const struct store_session *s, struct blob_writer *ret, struct err *err)
{
	struct blob_writer w = { .session = s };
	char id[ID_LEN + 1];

	id_random(id);
	snprintf(w.name, sizeof(w.name), "%.16s", id);
	hash_init(&w.hash);
	w.fd = openat(s->tmp, w.name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (w.fd < 0)
		return err_errno(err, "make a blob in '%s/tmp'", paths_root());
	*ret = w;
	return 0;
}

int blob_write(struct blob_writer *w, const void *data, size_t len, struct err *err)
{
	int r = fd_write_all(w->fd, data, len);

	if (r < 0)
		return err_code(err, r, "write a blob in '%s'", paths_root());
	hash_add(&w->hash, data, len);
	w->size += len;
	return 0;
}

int blob_finish(struct blob_writer *w, char digest[DIGEST_LEN + 1], struct err *err)
{
	if (fsync(w->fd) < 0)
		return err_errno(err, "write a blob in '%s'", paths_root());
	hash_end(&w->hash, digest);
	return 0;
}

int blob_keep(struct blob_writer *w, const char *digest, struct err *err)
{
	cleanup(free) char *to = xasprintf("blobs/sha256/%s", digest_hex(digest));

	if (renameat(w->session->tmp, w->name, w->session->root, to) < 0)
		return err_errno(err, "keep blob %s", digest);
	w->fd = fd_close(w->fd);
	return 0;
}

void blob_abort(struct blob_writer *w)
{
	if (w->fd < 0)
		return;
	unlinkat(w->session->tmp, w->name, 0);
	w->fd = fd_close(w->fd);
}
