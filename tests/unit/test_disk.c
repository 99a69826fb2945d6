#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "disk/disk.h"
#include "disk/queue.h"

#define SIZE (1 << 20)

static char path[64];

static int make_file(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/holm-disk.XXXXXX");
	fd = mkstemp(path);
	return fd < 0 || ftruncate(fd, SIZE + 100) < 0 || close(fd) < 0 ? -1 : 0;
}

static int remove_file(void **state)
{
	return unlink(path);
}

static struct disk *open_disk(const char *format, unsigned flags)
{
	struct disk *d = NULL;
	struct err err;

	if (disk_open(path, format, flags, &d, &err) < 0)
		fail_msg("%s", err.text);
	return d;
}

static void read_write(void **state)
{
	cleanup(disk_free) struct disk *d = open_disk(NULL, 0);
	char a[700], b[836], back[1536];
	struct iovec out[] = { { a, sizeof(a) }, { NULL, 0 }, { b, sizeof(b) } };
	struct iovec in[] = { { back, 1 }, { back + 1, 1535 } };

	assert_string_equal(d->format->name, "raw");
	assert_int_equal(d->size, SIZE);
	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	assert_int_equal(disk_write(d, 512, out, 3), 0);
	assert_int_equal(disk_flush(d), 0);
	assert_int_equal(disk_read(d, 512, in, 2), 0);
	assert_memory_equal(back, a, 700);
	assert_memory_equal(back + 700, b, 836);
	/* Outside, not whole sectors, around the end of the numbers. */
	assert_int_equal(disk_read(d, SIZE, in, 2), -EINVAL);
	assert_int_equal(disk_read(d, SIZE - 1024, in, 2), -EINVAL);
	assert_int_equal(disk_read(d, 100, in, 2), -EINVAL);
	assert_int_equal(disk_read(d, UINT64_MAX - 511, in, 2), -EINVAL);
	assert_int_equal(disk_read(d, 0, in, 1), -EINVAL);
	/* Discarded is zero, and the file as large as before. */
	assert_int_equal(disk_discard(d, 512, 1024), 0);
	assert_int_equal(disk_read(d, 512, in, 2), 0);
	assert_int_equal(back[0] | back[1023], 0);
	assert_int_equal(back[1024], 'b');
	assert_int_equal(disk_discard(d, 0, SIZE + 512), -EINVAL);
}

static void readonly_and_locks(void **state)
{
	struct disk *a = open_disk("raw", DISK_READONLY), *b = open_disk("raw", DISK_READONLY),
		    *c = NULL;
	char sector[512] = "";
	struct iovec iov = { sector, sizeof(sector) };
	struct err err;

	assert_int_equal(disk_write(a, 0, &iov, 1), -EROFS);
	assert_int_equal(disk_discard(a, 0, 512), -EROFS);
	assert_int_equal(disk_open(path, NULL, 0, &c, &err), -EBUSY);
	assert_int_equal(disk_open(path, NULL, DISK_NO_LOCK, &c, &err), 0);
	disk_free(c);
	disk_free(a);
	disk_free(b);
	c = open_disk(NULL, 0);
	assert_int_equal(disk_open(path, NULL, DISK_READONLY, &a, &err), -EBUSY);
	disk_free(c);
	assert_int_equal(disk_open(path, "qcow9", 0, &c, &err), -EINVAL);
	assert_int_equal(disk_open("/tmp", NULL, DISK_READONLY, &c, &err), -EINVAL);
	assert_int_equal(disk_open("/nonexistent", NULL, 0, &c, &err), -ENOENT);
	c = open_disk("null", 0);
	assert_int_equal(disk_read(c, 0, &iov, 1), 0);
	disk_free(c);
}

struct one {
	struct disk_request request;
	char data[512];
	struct iovec iov;
	int result;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned n_done;

static void on_done(struct disk_request *request, int result)
{
	pthread_mutex_lock(&lock);
	((struct one *)request)->result = result;
	n_done++;
	pthread_mutex_unlock(&lock);
}

static struct one all[100];

static struct disk_request *request(unsigned i, enum disk_op op, uint64_t offset)
{
	all[i].iov = (struct iovec){ all[i].data, 512 };
	all[i].result = 1;
	all[i].request = (struct disk_request){ .op = op, .offset = offset, .done = on_done };
	if (op == DISK_READ || op == DISK_WRITE) {
		all[i].request.iov = &all[i].iov;
		all[i].request.n_iov = 1;
	}
	return &all[i].request;
}

static int now(struct disk_queue *q, struct disk_request *r)
{
	disk_queue_submit(q, r);
	disk_queue_drain(q);
	return ((struct one *)r)->result;
}

static void use_queue(struct disk *d)
{
	struct disk_queue *q = disk_queue_new(d);
	char sector[512], zeroes[512] = "";
	struct iovec iov = { sector, sizeof(sector) };

	assert_int_equal(disk_queue_start(q, NULL), 0);
	n_done = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		memset(all[i].data, (int)i + 1, 512);
		disk_queue_submit(q, request(i, DISK_WRITE, i == 7 ? SIZE : 512 * i));
	}
	disk_queue_drain(q);
	assert_int_equal(n_done, ARRAY_SIZE(all));
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		assert_int_equal(all[i].result, i == 7 ? -EINVAL : 0);
		if (i == 7)
			continue;
		assert_int_equal(disk_read(d, 512 * i, &iov, 1), 0);
		assert_memory_equal(sector, all[i].data, 512);
	}
	memset(all[3].data, 0, 512);
	assert_int_equal(now(q, request(3, DISK_READ, 512 * 4)), 0);
	assert_memory_equal(all[3].data, all[4].data, 512);
	assert_int_equal(now(q, request(0, DISK_FLUSH, 0)), 0);
	request(0, DISK_DISCARD, 512 * 8)->len = 1024;
	assert_int_equal(now(q, &all[0].request), 0);
	assert_int_equal(now(q, request(0, DISK_DISCARD, 512)), 0); /* of nothing */
	assert_int_equal(now(q, request(0, DISK_READ, 512 * 9)), 0);
	assert_memory_equal(all[0].data, zeroes, 512);
	assert_int_equal(now(q, request(0, DISK_READ, 512 * 10)), 0);
	assert_memory_equal(all[0].data, all[10].data, 512);
	/* The file became shorter than the disk. */
	assert_int_equal(truncate(path, SIZE - 100), 0);
	assert_int_equal(now(q, request(0, DISK_READ, SIZE - 512)), -EIO);
	assert_int_equal(truncate(path, SIZE), 0);
	/* Freeing does what is still waiting. */
	n_done = 0;
	disk_queue_submit(q, request(0, DISK_FLUSH, 0));
	disk_queue_free(q);
	assert_int_equal(n_done, 1);
}

static void queue_of_the_kernel(void **state)
{
	cleanup(disk_free) struct disk *d = open_disk(NULL, 0);

	assert_true(d->format->direct);
	use_queue(d);
}

static void queue_of_threads(void **state)
{
	cleanup(disk_free) struct disk *d = open_disk(NULL, 0);
	struct disk_format indirect = *d->format;
	const struct disk_format *format = d->format;

	indirect.direct = false;
	d->format = &indirect;
	use_queue(d);
	d->format = format;
}

static void queue_of_a_readonly_disk(void **state)
{
	cleanup(disk_free) struct disk *d = open_disk(NULL, DISK_READONLY);
	struct disk_queue *q = disk_queue_new(d);

	assert_int_equal(disk_queue_start(q, NULL), 0);
	assert_int_equal(now(q, request(0, DISK_WRITE, 0)), -EROFS);
	assert_int_equal(now(q, request(0, DISK_DISCARD, 0)), -EROFS);
	assert_int_equal(now(q, request(0, DISK_FLUSH, 0)), 0);
	assert_int_equal(now(q, request(0, DISK_READ, 0)), 0);
	disk_queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(read_write, make_file, remove_file),
		cmocka_unit_test_setup_teardown(readonly_and_locks, make_file, remove_file),
		cmocka_unit_test_setup_teardown(queue_of_the_kernel, make_file, remove_file),
		cmocka_unit_test_setup_teardown(queue_of_threads, make_file, remove_file),
		cmocka_unit_test_setup_teardown(queue_of_a_readonly_disk, make_file, remove_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
