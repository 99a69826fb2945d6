#pragma once
/*
 * A project: the services, networks and volumes of one or more Compose files. Names and labels are those of
 * docker compose (PROJECT-SERVICE-1, PROJECT_default, com.docker.compose.*), so that tools that
 * look for them work.
 */
#include "base/db.h"
#include "compose/node.h"
#include "instance/instance.h"

struct compose_options {
	char **files, **env_files, **profiles;
	const char *project_name, *project_directory;
};

struct compose_project {
	char *name, *dir;
	char **files; /* absolute; "-" for standard input */
	char **env;   /* what variables are replaced from: the caller's over those of .env */
	char **profiles;
	struct node *root; /* checked and merged */
	char **services;   /* that are wanted, each after those that it depends on */
};

/* Warns of variables that are not set. The caller frees with compose_free(). */
int compose_load(const struct compose_options *o, struct compose_project *ret, struct err *err);
void compose_free(struct compose_project *p);
DEFINE_CLEANUP_OBJECT(compose_free, struct compose_project);
/* Chooses services: those named with what they depend on, or, when none is, those whose profiles are on. */
int compose_select(
	struct compose_project *p, char *const *names, bool dependencies, struct err *err);
const struct node *compose_service(const struct compose_project *p, const char *name);
/* Number of containers. */
int64_t compose_scale(const struct node *service);
/* "SERVICE=NUMBER". */
int compose_set_scale(struct compose_project *p, const char *text, struct err *err);
/* Of a network or volume ("networks", "volumes"): its name in the store. The caller frees. */
char *compose_resource_name(const struct compose_project *p, const char *section, const char *name);
/* The image's name: `image`, or PROJECT-SERVICE for one that is built. The caller frees. */
char *compose_image(const struct compose_project *p, const char *service);
/* The caller frees. */
char *compose_container_name(const struct compose_project *p, const char *service, int64_t number);
/* What makes a container of the service out of date when it changes; with what its env_files say. */
int compose_hash(
	const struct compose_project *p, const char *service, char digest[65], struct err *err);
/* What the service's env_files and `environment` come to. The caller frees with strv_free(). */
int compose_environment(
	const struct compose_project *p, const char *service, char ***ret, struct err *err);

/* The store, which processes that work side by side each open for themselves. */
struct compose_store {
	struct db *(*open)(struct err *err); /* or what is open */
	void (*close)(void);
};

/* What happens, for a person to see: "Container p-web-1", "Started". From any process that works for us. */
struct compose_report {
	void (*fn)(void *data, const char *what, const char *did);
	void *data;
};
void compose_tell(const struct compose_report *report, const char *did, const char *fmt, ...)
	printf_like(3, 4);

struct compose_up {
	bool force_recreate, no_recreate, no_start, remove_orphans, wait, no_deps;
	int64_t timeout; /* s; -1: each container's own */
};
/* What does not depend on each other comes up at the same time, and goes so. `store` is open or closed afterwards. */
int compose_up(const struct compose_store *store, struct compose_project *p,
	const struct compose_up *how, const struct compose_report *report, struct err *err);
struct compose_down {
	bool volumes, remove_orphans;
	bool part; /* only the containers of the chosen services */
	int64_t timeout;
};
int compose_down(const struct compose_store *store, struct compose_project *p,
	const struct compose_down *how, const struct compose_report *report, struct err *err);
/* The project's containers: of one service, or of all (NULL), by service and number; one_off: those of
 * `compose run`, too. */
int compose_containers(struct db *db, const struct compose_project *p, const char *service,
	bool one_off, struct instance_list *ret, struct err *err);
#define COMPOSE_LABEL "com.docker.compose."
const char *compose_label(const struct instance *i, const char *name); /* "service"; "" without */
bool compose_one_off(const struct instance *i);

/* What is done to each container of the chosen services, in the order of dependencies or against it. */
struct compose_each {
	bool backwards;
	/* In a process that may be its own. *did: what to tell, or NULL. */
	int (*work)(
		void *data, struct db *db, struct instance *i, const char **did, struct err *err);
	void *data;
};
/* The number of containers. */
int compose_each(const struct compose_store *store, const struct compose_project *p,
	const struct compose_each *each, const struct compose_report *report, struct err *err);

/* Makes the networks and volumes of the chosen services and, with `wait`, waits for what they depend on. */
int compose_prepare(const struct compose_store *store, const struct compose_project *p, bool wait,
	const struct compose_report *report, struct err *err);

/* A container for one command; strings and lists as in a file. */
struct compose_run {
	bool no_deps, service_ports, remove, tty, interactive;
	char *const *env, *const *labels, *const *publish, *const *volumes;
	const char *entrypoint, *name, *user, *workdir;
	char *const *command; /* empty: the service's */
};
/* Brings up what the service depends on, and creates the container, whose configuration is in ret. The service is
 * what the container is afterwards. */
int compose_run(const struct compose_store *store, struct compose_project *p, const char *service,
	const struct compose_run *how, const struct compose_report *report,
	struct instance_config *ret, struct err *err);

/* Of network_mode, pid and ipc: "service:NAME" as "container:ID", its first one; others as they are. The caller
 * frees. */
int compose_shared(struct db *db, const struct compose_project *p, const char *mode, char **ret,
	struct err *err);
/* service.c: a container's configuration; number from 1, or 0 for one of `compose run`. */
int compose_configure(struct db *db, const struct compose_project *p, const char *service,
	int64_t number, struct instance_config *c, struct err *err);
