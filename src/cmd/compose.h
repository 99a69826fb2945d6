#pragma once
/* What the verbs of `holm compose` share: the options in front of the verb, and the project they mean. */
#include "cmd/cmd.h"
#include "compose/compose.h"

/* `holm compose [OPTIONS] VERB ...`: parses the options in front; the words of the verb, "compose" the
 * first, or NULL with the exit status. */
char **compose_words(char **words, int *ret_status);
/* Images of services that are not here and that nothing builds, as their pull_policy says. */
int compose_pull(struct db *db, const struct compose_project *p, struct err *err);
/* Builds the images of the chosen services that have a `build`; missing_only: those that are not
 * there, or whose pull_policy is "build". */
int compose_build(struct db *db, const struct compose_project *p, bool missing_only, bool no_cache,
	struct err *err);
/* The id of a service's container, by its number (0: the first there is). The caller frees. */
int compose_container(const char *service, int64_t number, char **ret, struct err *err);
/* Loads the project and selects services by name (or all). */
int compose_project(
	char *const *services, bool dependencies, struct compose_project *ret, struct err *err);
/* The containers of the chosen services; one_off: those of `compose run`, too. */
int compose_chosen(
	const struct compose_project *p, bool one_off, struct instance_list *ret, struct err *err);
/* What happens, on standard error. */
extern const struct compose_report compose_shown;
extern const struct compose_store compose_store;
/* What the verbs that act on containers are asked. */
struct life_options {
	int64_t timeout; /* s */
	bool timeout_given, force, stop, volumes, no_deps;
	const char *signal;
	char *const *also; /* services that are restarted only if they run */
};
/* Does what `start`, `stop`, `restart`, `kill`, `rm`, `pause` or `unpause` does to the chosen services'
 * containers, and says so; their number. */
int compose_act(const struct cmd *cmd, const struct compose_project *p,
	const struct life_options *o, struct err *err);

struct compose_foreground {
	struct life_options life; /* how what runs is stopped */
	bool abort; /* stop all when one has ended, but well where another waits for that */
	const char *exit_code_from;
};
/* From `up` to its parent: a container has started. One that is left over does no harm, as its default is to be
 * ignored. */
#define COMPOSE_STARTED SIGURG
/* Runs `up` in a process of its own, and shows what the chosen services' containers write until all have ended; a signal stops them, a second one kills them. The exit status. */
int compose_foreground(struct compose_project *p, const struct compose_foreground *how,
	int (*up)(void *data), void *data);
