#pragma once
/* What the verbs that put a person in front of an instance share: run, start -a, attach, exec. */
#include <stdbool.h>

#include "base/err.h"
#include "instance/instance.h"
#include "instance/stream.h"

/* -i -t wants a terminal to read from. -ENOTTY. */
int foreground_check(bool tty, bool stdin_on, const char *detach_keys, struct err *err);
/* What the terminal looks like, into the request. */
void foreground_size(bool tty, struct instance_start *how);
/* Of a failed start or exec ("exec 'PROGRAM': reason" by the engine seam's rule): 127 for a program
 * that is not there, 126 for one that cannot be executed; `other` for all else. */
int foreground_status(const struct err *err, int other);
/* Follows the stream to its end and closes it: the exit status, 0 after detaching. Prints errors. */
int foreground_follow(int stream, const struct stream_attach *how);
