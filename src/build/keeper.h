#pragma once
/*
 * The process that runs a RUN's container: `holm build-keeper DIR CONTROL OUTPUT`, executed, because the engine needs
 * a process of one thread, and because an ordinary user's process may only look after containers when it was executed
 * in his space. DIR has the bundle. It ends the container when CONTROL, a socket, is closed at the other end, and tells
 * a struct keeper_result there when the container is gone.
 */
#include <stdbool.h>

#include "base/err.h"

#define KEEPER_BUNDLE "bundle.json"

struct keeper_result {
	int status; /* as waitpid(2) has it */
	bool oom;
	struct err err; /* it could not run */
};

/* The exit status. */
int keeper_main(const char *dir, int control, int output);
