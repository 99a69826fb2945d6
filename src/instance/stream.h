#pragma once
/*
 * The supervisor's socket (RUN/instances/ID/ctl, SOCK_STREAM). A client's first line is a request
 * in JSON; the answer is one line of JSON, {} or {"error": text, "code": errno}. After "attach" and
 * "wait" the connection carries frames, both ways: 8 bytes [type, 0, 0, 0, length BE32] and that many
 * bytes, Docker's framing with further types.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

enum frame_type {
	FRAME_STDIN = 0,  /* to the supervisor; length 0 closes stdin */
	FRAME_STDOUT = 1, /* from it; also a terminal's output */
	FRAME_STDERR = 2,
	FRAME_RESIZE = 3, /* to it: rows BE16, columns BE16 */
	FRAME_EXIT = 4,   /* from it, last: exit code BE32, flags byte (1: OOM) */
	FRAME_SIGNAL = 5, /* to it: BE32 */
};

#define FRAME_MAX (64u << 10)
#define FRAME_HEADER 8u

int frame_send(int fd, enum frame_type type, const void *data, size_t len);
/* Blocking. Payload into data (FRAME_MAX bytes). The payload's length; -ECONNRESET at the end. */
int frame_recv(int fd, enum frame_type *type, void *data);
/* For those who may not block: the frame at the front of what came in so far. Its payload's length,
 * with *data pointing into `in` (consume FRAME_HEADER + length after use); -EAGAIN: not there yet;
 * -EPROTO, -EMSGSIZE: not a frame. */
int frame_peek(const struct buf *in, enum frame_type *type, const char **data);

/* One request, one answer: connects, sends, waits. The connection stays open in *ret_fd unless NULL. */
int supervisor_ask(
	const char *run_dir, json_t *request, json_t **ret_answer, int *ret_fd, struct err *err);

/*
 * A person's end of an attached stream: copies between this process's stdio (raw mode and SIGWINCH when
 * `tty`) and the stream until the instance ends or the detach keys (ctrl-p,ctrl-q form) are
 * typed. proxy_signals: forwards SIGINT, SIGTERM and so on, unless the terminal is in raw mode: then its
 * keys reach the instance as bytes, and a signal that ends this process ends it as it would have,
 * after the terminal was put back. *ret_code: exit code; -1 detached.
 */
struct stream_attach {
	bool tty, stdin_on, proxy_signals;
	const char *detach_keys; /* NULL or "": ctrl-p,ctrl-q */
	/* console_attach() alone: all that is typed and every signal is the process's, which cannot be
	 * detached from; the end of our input is not told. */
	bool transparent;
};
int stream_attach(int stream, const struct stream_attach *how, int64_t *ret_code, struct err *err);

/* The same with the master of a terminal (`exec -t`) until the process of pidfd has ended and all its
 * output was copied. 0; 1: detached. The console stays the caller's, non-blocking. */
int console_attach(int console, int pidfd, const struct stream_attach *how, struct err *err);

/* For a process without a terminal (`exec`): copies our stdin to `in` (-1: none), and `out` and
 * `errors` to our stdout and stderr, until the process of pidfd has ended and what it had written was
 * copied. Signals that would end us go to the process instead. The three descriptors are pipes' ends
 * that become the callee's. */
int pipes_attach(int pidfd, int in, int out, int errors, struct err *err);

/* Single characters and ctrl-X (a-z @ [ \ ] ^ _), separated by commas. The number of keys. */
#define DETACH_KEYS_MAX 16
int detach_keys_parse(const char *text, char keys[DETACH_KEYS_MAX], struct err *err);

/* The size of this process's terminal, from whichever of stdout, stdin, stderr is one; else 0 and 0. */
void terminal_size(uint16_t *rows, uint16_t *columns);
