/* See ring.h. */
#include "disk/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"

#define ENTRIES 256u
#define FILE_INDEX 0 /* of the registered files: there is one */

struct ring {
	struct io_uring uring;
};

/* What it may be used for, for ever; liburing.a of Debian 12 has these two calls not. */
static int restrict_to(int ring, int fd)
{
	const uint8_t ops[] = { IORING_OP_NOP, IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
		IORING_OP_FALLOCATE };
	struct io_uring_restriction r[ARRAY_SIZE(ops) + 3] = { 0 };
	unsigned n = 0;

	for (; n < ARRAY_SIZE(ops); n++)
		r[n] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_OP,
			.sqe_op = ops[n] };
	r[n++] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_REGISTER_OP,
		.register_op = IORING_UNREGISTER_FILES };
	r[n++] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
		.sqe_flags = IOSQE_FIXED_FILE };
	r[n++] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
		.sqe_flags = IOSQE_FIXED_FILE };
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1) < 0 ||
		syscall(SYS_io_uring_register, ring, IORING_REGISTER_RESTRICTIONS, r, n) < 0 ||
		syscall(SYS_io_uring_register, ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
		return -errno;
	return 0;
}

struct ring *ring_new(struct disk *disk)
{
	struct io_uring_params params = { .flags = IORING_SETUP_R_DISABLED };
	struct ring *ring;

	if (!disk->format->direct)
		return NULL;
	ring = xnew(struct ring);
	if (io_uring_queue_init_params(ENTRIES, &ring->uring, &params) < 0) {
		free(ring);
		return NULL;
	}
	if (restrict_to(ring->uring.ring_fd, disk->fd) < 0) {
		ring_free(ring);
		return NULL;
	}
	return ring;
}

void ring_free(struct ring *ring)
{
	if (!ring)
		return;
	/* Else the file would be held until the kernel comes to it. */
	io_uring_unregister_files(&ring->uring);
	io_uring_queue_exit(&ring->uring);
	free(ring);
}

/* Entries that wait go first when there is none left. */
static struct io_uring_sqe *entry(struct ring *ring)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring->uring)))
		io_uring_submit(&ring->uring);
	return sqe;
}

static void prepare(struct io_uring_sqe *sqe, const struct disk_request *r)
{
	if (r->here || r->n_iov > IOV_MAX) {
		io_uring_prep_nop(sqe);
		return;
	}
	switch (r->op) {
	case DISK_READ:
		io_uring_prep_readv(sqe, FILE_INDEX, r->iov, (unsigned)r->n_iov, r->offset);
		break;
	case DISK_WRITE:
		io_uring_prep_writev(sqe, FILE_INDEX, r->iov, (unsigned)r->n_iov, r->offset);
		break;
	case DISK_FLUSH:
		io_uring_prep_fsync(sqe, FILE_INDEX, IORING_FSYNC_DATASYNC);
		break;
	case DISK_DISCARD:
		io_uring_prep_fallocate(sqe, FILE_INDEX, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)r->offset, (off_t)r->len);
		break;
	}
}

void ring_put(struct ring *ring, struct disk_request *request)
{
	struct io_uring_sqe *sqe = entry(ring);

	prepare(sqe, request);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, request);
}

void ring_go(struct ring *ring)
{
	if (io_uring_sq_ready(&ring->uring) > 0)
		io_uring_submit(&ring->uring);
}

void ring_stop(struct ring *ring)
{
	struct io_uring_sqe *sqe = entry(ring);

	io_uring_prep_nop(sqe);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, NULL);
	io_uring_submit(&ring->uring);
}

static uint64_t bytes(const struct disk_request *r)
{
	uint64_t sum = 0;

	for (int i = 0; i < r->n_iov && (r->op == DISK_READ || r->op == DISK_WRITE); i++)
		sum += r->iov[i].iov_len;
	return sum;
}

/* A part was done, or nothing for a reason that passes. */
static int judge(const struct disk_request *r, int result)
{
	if (r->here || r->n_iov > IOV_MAX || result == -EINTR)
		return -EAGAIN;
	if (result < 0)
		return result;
	return (uint64_t)result < bytes(r) ? -EAGAIN : 0;
}

struct disk_request *ring_wait(struct ring *ring, int *ret_result)
{
	struct io_uring_cqe *cqe;
	struct disk_request *r;

	while (io_uring_wait_cqe(&ring->uring, &cqe) < 0)
		;
	r = io_uring_cqe_get_data(cqe);
	if (r)
		*ret_result = judge(r, cqe->res);
	io_uring_cqe_seen(&ring->uring, cqe);
	return r;
}
