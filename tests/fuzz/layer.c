/* A layer, unpacked; nothing may appear beside its root, and what was made must pack again. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "image/extract.h"
#include "image/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char top[64], root[80];

static void remove_top(void)
{
	dir_remove(AT_FDCWD, top);
}

static void make_top(void)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(top, sizeof(top), "%s/fuzz-layer-XXXXXX", base);
	if (!mkdtemp(top))
		abort();
	snprintf(root, sizeof(root), "%s/root", top);
	atexit(remove_top);
}

static void check_outside(void)
{
	struct stat st;

	if (stat(top, &st) < 0 || st.st_nlink != 3 || access("/evil", F_OK) == 0 ||
		access("/tmp/evil", F_OK) == 0)
		abort();
}

static void pack_again(void)
{
	cleanup(fd_close) int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	cleanup(fd_close) int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct layer_result result;
	struct err err;

	if (layer_pack(fd, out, LAYER_PLAIN, &result, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
}

/* Gives every header the right checksum, without which hardly an input would be read. */
static void mend(uint8_t *data, size_t len)
{
	size_t at = 0;

	if (len >= 2 && (memcmp(data, "\x1f\x8b", 2) == 0 || memcmp(data, "\x28\xb5", 2) == 0))
		return;
	while (len - at >= TAR_BLOCK) {
		struct tar_block b;
		int64_t size = 0;
		unsigned sum = 0;
		memcpy(&b, data + at, sizeof(b));
		if (!tar_block_is_zero(&b)) {
			memset(b.checksum, ' ', sizeof(b.checksum));
			for (size_t i = 0; i < sizeof(b); i++)
				sum += ((uint8_t *)&b)[i];
			snprintf(b.checksum, sizeof(b.checksum), "%06o", sum);
			memcpy(data + at, &b, sizeof(b));
			if (tar_number(b.size, sizeof(b.size), &size) < 0 || size < 0 ||
				(b.type && strchr("123456", b.type)))
				size = 0;
		}
		at += TAR_BLOCK;
		if (size > (int64_t)(len - at))
			return;
		at += (size_t)(size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
		if (at > len)
			return;
	}
}

static int unpack(
	int fd, const struct layer_options *options, struct layer_result *ret, struct err *err)
{
	cleanup(fd_close) int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stream *stream;
	int r = stream_open(fd, -1, /* ahead= */ true, &stream, err);

	if (dir < 0)
		abort();
	return r < 0 ? r : layer_unpack_into(dir, stream, -1, options, ret, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(free) uint8_t *mended = xcalloc(1, len + 1);
	struct layer_options options = { .limits = { .bytes = 4 << 20, .entries = 1000 } };
	cleanup(fd_close) int fd = memfd_create("layer", MFD_CLOEXEC);
	struct layer_result result;
	struct err err;
	int r;

	if (!*top)
		make_top();
	memcpy(mended, data, len);
	mend(mended, len);
	if (fd < 0 || fd_write_all(fd, mended, len) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
		mkdir(root, 0700) < 0)
		abort();
	/* By this process: the other one would cost most of the time. */
	r = unpack(fd, &options, &result, &err);
	check_outside();
	if (r == 0)
		pack_again();
	if (dir_remove(AT_FDCWD, root) < 0)
		abort();
	return 0;
}
