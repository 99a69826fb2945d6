/* `holm supervise`: how a supervisor is started (instance/start.c). Not for people. */
#include "cmd/cmd.h"

#include "instance/instance.h"
#include "instance/state.h"

static int run(struct cmd_call *call)
{
	return supervisor_main(call->args[0], call->args[1], cmd_db);
}

const struct cmd cmd_supervise = {
	.name = "supervise",
	.args = "ID STREAMS",
	.summary = "own a running instance; started by holm itself",
	.min_args = 2,
	.max_args = 2,
	.flags = CMD_HIDDEN,
	.run = run,
};
