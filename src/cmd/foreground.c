#include "cmd/foreground.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "cmd/cmd.h"

int foreground_check(bool tty, bool stdin_on, const char *detach_keys, struct err *err)
{
	char keys[DETACH_KEYS_MAX];
	int n = detach_keys_parse(detach_keys, keys, err);

	if (n < 0)
		return err_wrap(err, "--detach-keys");
	if (tty && stdin_on && !isatty(STDIN_FILENO))
		return err_set(err, ENOTTY,
			"the input device is not a TTY: leave out -t, or -i, to go without a terminal");
	return 0;
}

void foreground_size(bool tty, struct instance_start *how)
{
	if (tty)
		terminal_size(&how->rows, &how->columns);
}

int foreground_status(const struct err *err, int other)
{
	/* Other things may be missing or forbidden too; those are holm's own failures. */
	if (strncmp(err->text, "exec '", 6) != 0)
		return other;
	return err->code == ENOENT ? 127 : 126;
}

int foreground_follow(int stream, const struct stream_attach *how)
{
	struct err err = { 0 };
	int64_t code = 0;
	int r = stream_attach(stream, how, &code, &err);

	fd_close(stream);
	if (r < 0)
		return cmd_fail(&err, 125);
	return code < 0 ? 0 : (int)(code & 0xff);
}
