#pragma once
/* Two trees of files, and what differs between them. */
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

struct tree_change {
	char kind;  /* 'A' only in the second, 'D' only in the first, 'C' in both, but different */
	char *path; /* "/etc/passwd" */
	int64_t before, after; /* bytes of a file; 0 where it is none */
};

struct tree_changes {
	struct tree_change *items; /* by path; what is in a directory follows it */
	size_t n;
};

/* Modification times count, too, as between what should be copies. */
#define TREE_TIMES 1u

/*
 * a and b are directories, with O_PATH or without; -1 stands for an empty one. Two things are the same when
 * their type, mode, owner, extended attributes and contents are; what is one file anyway (the same device and
 * inode) is not read. Links are never followed.
 */
int tree_compare(int a, int b, unsigned flags, struct tree_changes *ret, struct err *err);
void tree_changes_clear(struct tree_changes *changes);
DEFINE_CLEANUP_OBJECT(tree_changes_clear, struct tree_changes);
