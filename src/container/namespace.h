#pragma once
/*
 * The namespaces of linux.namespaces: which are new, which are joined by path, which are the host's.
 * namespaces(7), user_namespaces(7), time_namespaces(7).
 */
#include <stdbool.h>
#include <sched.h>
#include <stdint.h>
#include <sys/types.h>

#include "bundle/bundle.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define NAMESPACES 8

struct namespaces {
	uint64_t created, joined; /* CLONE_NEW* */
	int fds[NAMESPACES];      /* of the joined ones, in the order of the table; else -1 */
};

/* Checks, and opens what is to be joined. */
int namespaces_prepare(const struct bundle *b, struct namespaces *ret, struct err *err);
void namespaces_free(struct namespaces *ns);
DEFINE_CLEANUP_OBJECT(namespaces_free, struct namespaces);
/* CLONE_NEW* of "network" and so on; 0 when unknown. */
uint64_t namespace_flag(const char *type);
/* All types, NULL after the last. */
const char *namespace_type(size_t i);

struct child_args {
	int cgroup;             /* v2 directory to be born in, or -1 */
	int (*run)(void *data); /* in the child; its value is the exit status */
	void *data;
};
/*
 * A child process in its namespaces: new ones from birth (but for cgroup and time, which
 * namespaces_enter() makes), the pid namespace and, where user namespaces are concerned, all joined
 * ones too. The caller's own namespaces stay as they were. The child cannot be traced or looked into
 * by other processes (PR_SET_DUMPABLE). Returns the pid, as the caller sees it.
 */
pid_t namespaces_clone(const struct namespaces *ns, const struct child_args *args, struct err *err);
/* The same beside a running process: in its pid namespace if that is among `namespaces`, in the caller's
 * others. */
pid_t namespaces_clone_beside(
	int pidfd, uint64_t namespaces, const struct child_args *args, struct err *err);
/* Whether the parent is to write the offsets of a time namespace, after namespaces_enter() and before the child
 * forks: in a user namespace the child's own files in /proc are not the child's, who is hidden. */
bool namespaces_offsets_by_parent(const struct namespaces *ns);
int namespaces_write_offsets(pid_t pid, const json_t *time_offsets, struct err *err);
/* In the child: joins the rest, makes a time namespace. */
int namespaces_enter(const struct namespaces *ns, const json_t *time_offsets, struct err *err);
/* In the child, once it is in its cgroup, which becomes the namespace's root. */
int namespaces_enter_cgroup(const struct namespaces *ns, struct err *err);
/* In the child of a new or joined user namespace: becomes its root. */
int namespaces_become_root(struct err *err);

/* uid_map and gid_map of a process in a new user namespace. */
int user_map_write(
	pid_t pid, const struct record_list *uids, const struct record_list *gids, struct err *err);
/* A user namespace with that mapping that nobody is in, for idmapped mounts. */
int user_map_open(const struct record_list *uids, const struct record_list *gids, struct err *err);
/* The host's id of one inside; UINT32_MAX when it has none. */
uint32_t user_map_host(const struct record_list *map, uint32_t id);
