#pragma once
/*
 * holm for an ordinary user. All processes of holm that use one run directory live in one user
 * namespace, one mount namespace and one network namespace, the user's space, in which the user is
 * root and everything works as it does for root.
 *
 * The space is made by the first command and kept by a holder: a process of ours outside of it, which
 * has the namespaces as descriptors, does in the host's network what is asked of it, and ends when
 * nobody is in the space any more. Being in it is having a connection to the holder's socket,
 * RUN/space/holder; commands and supervisors keep theirs for as long as they live.
 *
 * A holder that dies harms nothing that runs but the way out of the network: the next command finds
 * the space by a supervisor that lives in it, and starts a holder for it.
 *
 * user_namespaces(7), setns(2), newuidmap(1), pasta(1).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

/*
 * At start, with the paths set and before any thread: an ordinary user's process moves into the space, made
 * if need be; root, and whoever is in it already, stays. Afterwards the effective user is 0.
 *
 * Without `network` it stays in the host's, to which there is no way back, until it says otherwise with a
 * process of a container: it stays for good if that one is in the host's network. 0: no such process.
 */
int rootless_enter(bool network, struct err *err);
int rootless_join_network(pid_t pid, struct err *err);

/* In the space of an ordinary user. */
bool rootless(void);
/* In the space there is one id only: that of its user. */
bool rootless_single_id(void);
/* The highest id that there is in this user namespace, as a group. */
uint32_t rootless_last_id(void);
/* The user outside; the effective user where this is no space. */
uid_t rootless_user(void);

/* The connection that keeps us in the space, not to be closed with what was inherited; -1 for none. */
int rootless_descriptor(void);
/*
 * A supervisor: watches its connection and, when the holder is gone, looks for the next one until
 * there is one. Once; nothing outside of a space.
 */
void rootless_keep(struct loop *loop);

/* A socket of the host's network: bound to an address if `len`, listening if `backlog`. Outside of a
 * space the same by ourselves. A descriptor (CLOEXEC, non-blocking) or -errno. */
struct rootless_socket {
	int family, type; /* AF_*, SOCK_STREAM or SOCK_DGRAM */
	bool reuse;       /* SO_REUSEADDR */
	bool only6;       /* IPV6_V6ONLY, for AF_INET6 */
	int backlog;
	socklen_t len;
	struct sockaddr_storage address;
};
int rootless_socket(const struct rootless_socket *what);

/* Connects the space's network with the host's, if that was not done before; waits for it, a few
 * seconds at most. -ENOTSUP with what is missing and what mends it. 0 outside of a space. */
int rootless_network(struct err *err);

/*
 * Runs this program in the space, but in the host's network: what `--network host` is about. argv[0] is its
 * name; fds[i] becomes descriptor i + 2, below which is /dev/null. It is no child of ours. In a space only.
 */
int rootless_spawn(char *const *argv, char *const *env, const int *fds, size_t n, struct err *err);

/*
 * For who makes a single container from a bundle (`holm oci`), an ordinary user: this process, of one
 * thread, gets all rights over its user's ids, which keep their numbers, in a user and a mount namespace of
 * its own. rootless() holds afterwards. Nothing for root.
 */
int rootless_take_rights(struct err *err);
/* The same rights over what such a process has made, to go to it: by any process in the container. */
int rootless_share_rights(pid_t pid, struct err *err);

/* ---- for doctor */

/* What the user has in /etc/subuid and /etc/subgid; the smaller of the two. */
uint64_t rootless_ids(uid_t uid);
/* "sudo usermod --add-subuids ... NAME", which gives the user such a range. The caller frees. */
char *rootless_ids_command(uid_t uid);
/* Why the space has one id only, or NULL: nothing to free. */
const char *rootless_single_why(void);
/* Why no network can be connected, with *ret_mend what mends it; NULL when nothing is known against it. Static. */
const char *rootless_network_missing(const char **ret_mend);
