#pragma once
/*
 * Copying directory trees through descriptors: volumes filled from images, `cp`. Neither side is
 * trusted: no link is followed, and what is read is what was looked at. Types, modes, times, holes,
 * extended attributes and hard links inside what is copied are kept; of /proc, /sys and their like below
 * what is copied, only the directory is.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct tree_copy {
	bool drop_privileges; /* no set-id bits, file capabilities, devices: out of a container */
	bool keep_owner;      /* else everything belongs to uid, gid */
	uid_t uid, gid;
	uint32_t from_base, to_base; /* of containers' ids, on either side: image/shift.h */
	/* Existing non-directories: replaced, else left as they are. Existing directories are
	 * entered; a directory in the place of something else, or the reverse, is an error. */
	bool replace;
};

/* One file or tree, as to_dir/name. from is the open thing itself (O_PATH). */
int tree_copy(int from, int to_dir, const char *name, const struct tree_copy *how, struct err *err);
/* What is in a directory, into another. `self`: also the directory's own owner, mode, attributes. */
int tree_copy_contents(int from, int to, bool self, const struct tree_copy *how, struct err *err);
