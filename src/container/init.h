#pragma once
/* The init program (init/init.c), which is part of this one. */

/* A sealed memory file with it, for execveat(AT_EMPTY_PATH). The caller's; -errno. */
int init_open(void);
