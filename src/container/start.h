#pragma once
/* The socket RUN_DIR/start: a created container's first process waits there, and the connection carries its
 * end of setting up (report.h) to the one who starts it, which may be any process. There is none where
 * that is whoever made it (run_create.ret_start). */
#include "base/err.h"

#define START_NAME "start"

int start_listen(int run_dir, struct err *err);
