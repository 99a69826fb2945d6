/* `holm build-keeper`: how the container of a RUN is started (build/keeper.h). Not for people. */
#include "base/parse.h"
#include "build/keeper.h"
#include "cmd/cmd.h"

static int run(struct cmd_call *call)
{
	uint64_t control, output;

	if (parse_u64(call->args[1], INT32_MAX, &control) < 0 ||
		parse_u64(call->args[2], INT32_MAX, &output) < 0)
		return cmd_usage(call, "expected two descriptors");
	return keeper_main(call->args[0], (int)control, (int)output);
}

const struct cmd cmd_build_keeper = {
	.name = "build-keeper",
	.args = "DIRECTORY CONTROL OUTPUT",
	.summary = "own the container of a build's RUN; started by holm itself",
	.min_args = 3,
	.max_args = 3,
	.flags = CMD_HIDDEN,
	.run = run,
};
