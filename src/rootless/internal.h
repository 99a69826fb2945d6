#pragma once
/*
 * Inside rootless/: the space's namespaces, and what passes between its members and its holder.
 *
 * The socket is SOCK_SEQPACKET. The holder greets with a struct hello and the three namespaces as
 * descriptors; a member then sends requests, each answered by one struct answer, with a descriptor for
 * a socket. Both ends are this very program or one of another version: `version` tells.
 */
#include "rootless/rootless.h"

#define SPACE_VERSION 1u
#define SPACE_DIR "space"
#define SPACE_SOCKET SPACE_DIR "/holder"

enum { SPACE_USER, SPACE_MOUNT, SPACE_NETWORK, SPACE_NAMESPACES };

struct space {
	int fds[SPACE_NAMESPACES];
	bool single;
	char why[256]; /* it has one id only */
};
#define SPACE_NONE \
	{ \
		.fds = { -1, -1, -1 } \
	}

struct hello {
	uint32_t version;
	uint32_t single;
	uint64_t user_namespace; /* its inode */
	uint32_t uid;            /* the user's, outside */
	char why[256];
};

enum request_kind { REQUEST_SOCKET = 1, REQUEST_NETWORK, REQUEST_SPAWN };

struct request {
	uint32_t kind;
	union {
		struct rootless_socket socket;
		struct {
			uint32_t n_argv, n_env, len; /* strings that follow, each with its NUL */
		} spawn;
	};
};
#define SPAWN_MAX (128u << 10)
#define SPAWN_FDS 4

struct answer {
	int32_t code; /* 0 or errno */
	char text[500];
};

/* ids.c */
bool in_path(const char *program);
/* Gives a process in a new user namespace its ids: by newuidmap and newgidmap all that the user has, or
 * (single) the user's alone. */
int ids_map(pid_t pid, struct err *err);
int ids_map_single(pid_t pid, struct err *err);
/* Those that there are, each to its own number. */
int ids_map_same(pid_t pid, struct err *err);

/* space.c */
/* What to say to errno of who may not make user namespaces, or may not use them. */
int space_refused(int code, struct err *err);
int space_make(struct space *ret, struct err *err);
/* The space that a process lives in, which must be the user's. -ENOENT when it is in another network
 * than the space's, unless any will do: then the space gets a new one. */
int space_of_process(pid_t pid, bool any_network, struct space *ret);
void space_free(struct space *s);
DEFINE_CLEANUP_OBJECT(space_free, struct space);
/* Moves this process, which has one thread, into the space; not into its network unless asked. */
int space_enter(const int fds[SPACE_NAMESPACES], bool network, struct err *err);
uint64_t namespace_inode(int fd); /* 0: none */
/* A socket's address below a directory, however long that one's path is. */
int space_socket(int dir, bool listening);

/* holder.c */
/* In a new process, which it becomes: reports {code, text} on `report` once it listens. The listener is
 * made in `dir`. Takes the space over. */
_Noreturn void holder_main(int dir, int report, struct space *space);

/* member.c: rights.c has made it so. */
void rootless_has_rights(uid_t uid);

/* holder_pasta.c: pasta, started with the first request, and again when it died; `done` is called
 * once for every call of pasta_want(), maybe at once. */
struct pasta;
struct pasta *pasta_new(struct loop *loop, int dir);
void pasta_free(struct pasta *p);
/* member: a process in the space, alive until it has its answer. */
void pasta_want(
	struct pasta *p, pid_t member, void (*done)(void *data, const struct err *err), void *data);
void pasta_forget(struct pasta *p, void *data); /* who is no longer interested */
void pasta_ended(struct pasta *p, pid_t pid);   /* a child of ours */

/* holder_spawn.c */
int spawn_in_space(const int space[SPACE_NAMESPACES], const struct request *q, const char *strings,
	size_t len, const int fds[SPAWN_FDS], struct err *err);
