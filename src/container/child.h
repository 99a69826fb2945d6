#pragma once
/* A container's first process from its birth to the user's program. */
#include "bundle/run.h"
#include "container/hook.h"
#include "container/mount.h"
#include "container/namespace.h"
#include "container/process.h"

/* Made by the parent, complete before the child is born. */
struct container_setup {
	const struct run_create *args;
	struct namespaces ns;
	struct mount_list mounts;
	struct process_setup process;
	struct hook_state hook_state;
	char *bundle_path;
	char *cgroup;   /* path of the group, or NULL */
	int cgroup_dir; /* v2's directory, in which the child is born; or -1 */
	int root_tree;  /* root_prepare() */
	int run_dir;
	int start;                 /* listening socket: whoever connects starts the program */
	int parent_end, child_end; /* report.h */
};

/* In the child; the value is an exit status. */
int child_main(void *setup);
