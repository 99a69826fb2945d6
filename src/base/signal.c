#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

int signal_parse(const char *name)
{
	uint64_t number;
	int base = 0;

	if (parse_u64(name, (uint64_t)SIGRTMAX, &number) == 0)
		return number ? (int)number : -EINVAL;
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	for (int s = 1; s < 32; s++) {
		const char *abbreviation = sigabbrev_np(s);
		if (abbreviation && strcasecmp(abbreviation, name) == 0)
			return s;
	}
	if (strncasecmp(name, "RTMIN", 5) == 0)
		base = SIGRTMIN;
	else if (strncasecmp(name, "RTMAX", 5) == 0)
		base = SIGRTMAX;
	else
		return -EINVAL;
	if (!name[5])
		return base;
	if ((name[5] != '+' && name[5] != '-') || parse_u64(name + 6, 30, &number) < 0)
		return -EINVAL;
	base += name[5] == '+' ? (int)number : -(int)number;
	return base >= SIGRTMIN && base <= SIGRTMAX ? base : -EINVAL;
}

const char *signal_name(int signo)
{
	static _Thread_local char text[16];
	const char *abbreviation = signo > 0 && signo < 32 ? sigabbrev_np(signo) : NULL;

	if (abbreviation)
		snprintf(text, sizeof(text), "SIG%s", abbreviation);
	else
		snprintf(text, sizeof(text), "SIG%d", signo);
	return text;
}
