#include "image/stream.h"

/*
 * A ring of chunks between one producer and one consumer. `filled` counts the chunks that the
 * producer made, `used` those that the consumer is done with; both only grow, under the lock. The
 * consumer holds chunk `used` while it reads it, so the producer waits at STREAM_CHUNKS difference.
 */

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/thread.h"
#include "image/decompress.h"

#define STREAM_CHUNKS 8u
#define CHUNK_SIZE (256u << 10)

struct chunk {
	uint8_t *data;
	size_t len;
};

struct stream {
	struct decompressor *source;
	bool ahead;
	bool hash_early; /* by the producer, when it has no inflating to do */
	bool ended;      /* consumer: nothing more to wait for */
	int cancel_fd;
	struct hash hash;

	bool threaded, holding; /* consumer's: the thread runs; a chunk is out */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t filled, used;
	bool done, stop; /* done: the producer has left, with `result` */
	int result;      /* 0 or -errno, then with error */
	struct err error;
	struct chunk chunks[STREAM_CHUNKS];
};

/* Fills a chunk as far as one pass over the source goes. Returns the length or -errno. */
static ssize_t produce(struct stream *s, struct chunk *c, struct err *err)
{
	if (!c->data)
		c->data = xcalloc(1, CHUNK_SIZE);
	c->len = 0;
	do {
		ssize_t n =
			decompressor_read(s->source, c->data + c->len, CHUNK_SIZE - c->len, err);
		if (n < 0)
			return n;
		if (n == 0)
			break;
		c->len += (size_t)n;
	} while (s->ahead && c->len < CHUNK_SIZE);
	if (s->ahead && s->hash_early)
		hash_add(&s->hash, c->data, c->len);
	return (ssize_t)c->len;
}

static bool wait_for_room(struct stream *s)
{
	bool stop;

	pthread_mutex_lock(&s->lock);
	while (!s->stop && s->filled - s->used >= STREAM_CHUNKS)
		pthread_cond_wait(&s->changed, &s->lock);
	stop = s->stop;
	pthread_mutex_unlock(&s->lock);
	return !stop;
}

static void *producer(void *data)
{
	struct stream *s = data;
	ssize_t n = 1;

	while (n > 0 && wait_for_room(s)) {
		n = produce(s, &s->chunks[s->filled % STREAM_CHUNKS], &s->error);
		pthread_mutex_lock(&s->lock);
		if (n > 0)
			s->filled++;
		else
			s->done = true;
		s->result = n < 0 ? (int)n : 0;
		pthread_cond_signal(&s->changed);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

static int start_thread(struct stream *s, struct err *err)
{
	int r = thread_start(&s->thread, producer, s);

	if (r < 0)
		return err_code(err, r, "start a thread");
	s->threaded = true;
	return 0;
}

static ssize_t next_threaded(struct stream *s, const uint8_t **ret, struct err *err)
{
	ssize_t n = 0;

	pthread_mutex_lock(&s->lock);
	if (s->holding) {
		s->used++;
		s->holding = false;
		pthread_cond_signal(&s->changed);
	}
	while (s->used == s->filled && !s->done)
		pthread_cond_wait(&s->changed, &s->lock);
	if (s->used < s->filled) {
		struct chunk *c = &s->chunks[s->used % STREAM_CHUNKS];
		*ret = c->data;
		n = (ssize_t)c->len;
		s->holding = true;
	} else if (s->result < 0) {
		n = s->result;
		if (err)
			*err = s->error;
	}
	pthread_mutex_unlock(&s->lock);
	return n;
}

/* The first chunk, and all of them when not ahead. A full one means that more is worth a thread. */
static ssize_t next_inline(struct stream *s, const uint8_t **ret, struct err *err)
{
	ssize_t n = produce(s, &s->chunks[0], err);
	int r;

	if (n <= 0)
		return n;
	*ret = s->chunks[0].data;
	if (!s->ahead || n < (ssize_t)CHUNK_SIZE)
		return n;
	s->filled = 1;
	s->holding = true;
	r = start_thread(s, err);
	return r < 0 ? r : n;
}

ssize_t stream_next(struct stream *s, const uint8_t **ret, struct err *err)
{
	ssize_t n;

	if (s->ended)
		return 0;
	n = s->threaded ? next_threaded(s, ret, err) : next_inline(s, ret, err);
	s->ended = n <= 0;
	if (n > 0 && s->ahead && !s->hash_early)
		hash_add(&s->hash, *ret, (size_t)n);
	return n;
}

int stream_open(int fd, int tee_fd, bool ahead, struct stream **ret, struct err *err)
{
	cleanup(stream_close) struct stream *s = xnew(struct stream);
	int r;

	s->ahead = ahead;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	hash_init(&s->hash);
	s->cancel_fd = ahead ? eventfd(0, EFD_CLOEXEC) : -1;
	if (ahead && s->cancel_fd < 0)
		return err_errno(err, "eventfd");
	r = decompressor_open(fd, tee_fd, s->cancel_fd, ahead, &s->source, err);
	if (r < 0)
		return r;
	s->hash_early = decompressor_kind(s->source) == LAYER_PLAIN;
	*ret = take(s);
	return 0;
}

static void stop_thread(struct stream *s)
{
	uint64_t one = 1;

	fd_write_all(s->cancel_fd, &one, sizeof(one));
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	if (s->threaded)
		stop_thread(s);
	decompressor_close(s->source);
	for (size_t i = 0; i < STREAM_CHUNKS; i++)
		free(s->chunks[i].data);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	fd_close(s->cancel_fd);
	free(s);
}

int64_t stream_taken(const struct stream *s)
{
	return decompressor_taken(s->source);
}

void stream_result(struct stream *s, struct layer_result *ret)
{
	assert(s->ahead && s->ended);
	hash_end(&s->hash, ret->diff_id);
	if (!decompressor_digest(s->source, ret->digest))
		memcpy(ret->digest, ret->diff_id, sizeof(ret->digest));
	ret->compressed_size = stream_taken(s);
	ret->compression = decompressor_kind(s->source);
}
