#pragma once
/* A terminal from the container's own devpts. */
#include "bundle/bundle.h"

struct console {
	int master, terminal;
};

/*
 * In the child, inside the root (root -1: "/" is it already): opens the pair, sets its size, gives it to
 * the process' user, and binds it upon /dev/console (`bind`).
 */
int console_open(
	const struct bundle_process *p, int root, bool bind, struct console *ret, struct err *err);
/* Before anything is written to it: lines come out as they go in. */
void console_plain_lines(const struct console *c);
/* In the child: standard input, output and error, and the controlling terminal of a new session. */
int console_use(int terminal, struct err *err);
/* In the parent, without a terminal: what are pipes belongs to the process' user, for one that root made can
 * be written by others, but not opened again, as "> /dev/stderr" does. */
void stdio_give(const int stdio[3], const struct bundle *b, const struct bundle_process *p);
/* In the child, as console_use(); -1 stands for /dev/null. */
int stdio_use(const int stdio[3], struct err *err);
