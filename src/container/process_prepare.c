/* The parent's half of process.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "container/process.h"

#include "base/alloc.h"
#include "base/fd.h"
#include "base/strv.h"
#include "container/init.h"

static int parse_personality(const json_t *j, int64_t *ret, struct err *err)
{
	const char *domain = json_string_value(json_object_get(j, "domain"));

	*ret = -1;
	if (!j)
		return 0;
	if (domain && strcmp(domain, "LINUX") == 0)
		*ret = PER_LINUX;
	else if (domain && strcmp(domain, "LINUX32") == 0)
		*ret = PER_LINUX32;
	else
		return err_set(err, EINVAL, "linux.personality.domain: neither LINUX nor LINUX32");
	if (json_array_size(json_object_get(j, "flags")))
		return err_set(err, EINVAL, "linux.personality.flags: none are known");
	return 0;
}

static int connect_listener(const char *path, struct err *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(err, "make a socket");
	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(err, ENAMETOOLONG, "linux.seccomp.listenerPath: '%s'", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_errno(err,
			"linux.seccomp.listenerPath: failed to connect with seccomp agent '%s'",
			path);
	return take_fd(fd);
}

/* "Container Process State" of the runtime-spec. The receiver knows the pid from the socket's credentials. */
static int prepare_listener(const struct bundle *b, const struct bundle_seccomp *profile,
	const char *id, struct process_setup *s, struct err *err)
{
	cleanup(json_free) json_t *j = NULL;

	if (!profile->listener_path || !*profile->listener_path)
		return err_set(err, EINVAL, "linux.seccomp: SCMP_ACT_NOTIFY needs a listenerPath");
	s->listener = connect_listener(profile->listener_path, err);
	if (s->listener < 0)
		return s->listener;
	j = json_pack("{s:s, s:[s], s:i, s:s*, s:{s:s, s:s, s:s}}", "ociVersion", b->oci_version,
		"fds", "seccompFd", "pid", 0, "metadata", profile->listener_metadata, "state",
		"ociVersion", b->oci_version, "id", id ? id : "", "status", "creating");
	if (!j)
		return err_set(err, EINVAL, "linux.seccomp.listenerMetadata: not UTF-8");
	s->listener_state = json_text(j, 0);
	return 0;
}

static int prepare_filter(const struct bundle *b, const struct bundle_process *p, const char *id,
	struct process_setup *s, struct err *err)
{
	static const struct bundle_capabilities none;
	const char *name = b->holm.seccomp_profile;
	/* Whole, for it knows how to free the profile. */
	cleanup(bundle_free) struct bundle *own = NULL;
	const struct bundle_seccomp *profile = b->linux_.seccomp;
	int r;

	if (!profile && (!name || strcmp(name, "default") != 0))
		return 0;
	if (!profile) {
		own = xnew(struct bundle);
		own->linux_.seccomp = xnew(struct bundle_seccomp);
		seccomp_default(p->capabilities ? p->capabilities : &none, own->linux_.seccomp);
		profile = own->linux_.seccomp;
	}
	r = seccomp_prepare(profile, &s->filter, err);
	if (r < 0)
		return r;
	s->has_filter = true;
	return s->filter.has_listener ? prepare_listener(b, profile, id, s, err) : 0;
}

static void prepare_capabilities(const struct bundle_process *p, struct process_setup *s)
{
	if (p->capabilities) {
		capabilities_parse(p->capabilities, &s->caps);
		s->has_caps = true;
	} else if (p->user.uid) {
		/* As execve would leave them. */
		s->caps = (struct capability_sets){ .bounding = UINT64_MAX };
		s->has_caps = true;
	}
}

int process_prepare(const struct bundle *b, const struct bundle_process *p, bool first,
	const char *id, struct process_setup *ret, struct err *err)
{
	cleanup(process_setup_free) struct process_setup s = {
		.process = p, .init = -1, .parent = -1, .listener = -1
	};
	int r = parse_personality(b->linux_.personality, &s.personality, err);

	if (r == 0)
		r = memory_policy_parse(b->linux_.memory_policy, &s.memory, err);
	if (r < 0)
		return r;
	prepare_capabilities(p, &s);
	r = prepare_filter(b, p, id, &s, err);
	if (r < 0)
		return r;
	s.init = init_open();
	if (s.init < 0)
		return err_code(err, s.init, "make the init program");
	s.reaper = first && b->holm.init;
	/* Only instances have a supervisor; who makes an OCI container leaves it to itself. */
	if (first && b->holm.id && *b->holm.id) {
		s.parent = (int)syscall(SYS_pidfd_open, getpid(), 0);
		if (s.parent < 0)
			return err_errno(err, "open our own process");
	}
	*ret = s;
	s = (struct process_setup){ .init = -1, .parent = -1, .listener = -1 };
	return 0;
}

void process_setup_free(struct process_setup *s)
{
	seccomp_filter_free(&s->filter);
	s->init = fd_close(s->init);
	s->parent = fd_close(s->parent);
	s->listener = fd_close(s->listener);
	strv_free(s->env);
	s->env = NULL;
	free(s->program);
	s->program = NULL;
	free(s->listener_state);
	s->listener_state = NULL;
}
