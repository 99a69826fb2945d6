/* The namespaces of a space: made, found again, entered. */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rootless/internal.h"

#include "base/fd.h"

static const struct {
	const char *file; /* below /proc/PID/ns */
	int flag;
} kinds[SPACE_NAMESPACES] = {
	[SPACE_USER] = { "user", CLONE_NEWUSER },
	[SPACE_MOUNT] = { "mnt", CLONE_NEWNS },
	[SPACE_NETWORK] = { "net", CLONE_NEWNET },
};

void space_free(struct space *s)
{
	for (int i = 0; i < SPACE_NAMESPACES; i++)
		s->fds[i] = fd_close(s->fds[i]);
}

uint64_t namespace_inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_ino;
}

int space_socket(int dir, bool listening)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	cleanup(fd_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dir, SPACE_SOCKET);
	if (listening)
		r = bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -1 : listen(fd, 64);
	else
		r = connect(fd, (struct sockaddr *)&a, sizeof(a));
	return r < 0 ? -errno : take_fd(fd);
}

/* ---- making */

static int loopback_up(void)
{
	cleanup(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo" };

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

enum step { STEP_USER = 1, STEP_ROOT, STEP_REST, STEP_MOUNTS, STEP_LOOPBACK, STEP_DONE };

/* What the child tells: how far it got, and errno where it stopped. */
struct progress {
	int step, code;
};

static void tell(int fd, int step, int code)
{
	struct progress p = { step, code };

	fd_write_all(fd, &p, sizeof(p));
}

static _Noreturn void finish(int fd, int code_of_namespaces)
{
	char c;

	if (code_of_namespaces)
		tell(fd, STEP_REST, code_of_namespaces);
	else if (loopback_up() < 0)
		tell(fd, STEP_LOOPBACK, errno);
	else
		tell(fd, STEP_DONE, 0);
	/* Until our namespaces are opened, or whoever wants that is gone. */
	_exit(read(fd, &c, 1) < 0);
}

static _Noreturn void be_first(int fd)
{
	char c;

	if (unshare(CLONE_NEWUSER) < 0) {
		tell(fd, STEP_USER, errno);
		_exit(1);
	}
	tell(fd, STEP_USER, 0);
	if (read(fd, &c, 1) != 1)
		_exit(1);
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		tell(fd, STEP_ROOT, errno);
	else if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0)
		finish(fd, errno);
	/* What the host mounts later is seen; what we mount is not seen by the host. */
	else if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		tell(fd, STEP_MOUNTS, errno);
	else
		finish(fd, 0);
	_exit(1);
}

static bool switched_on(const char *path)
{
	uint64_t value = 0;

	return file_get_u64(AT_FDCWD, path, &value) == 0 && value != 0;
}

int space_refused(int code, struct err *err)
{
	static const char lsm[] = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
	static const char debian[] = "/proc/sys/kernel/unprivileged_userns_clone";

	if (code == ENOSPC || !switched_on("/proc/sys/user/max_user_namespaces"))
		return err_set(err, code,
			"containers of an ordinary user need user namespaces, and there may be no more of "
			"them: sudo sysctl -w user.max_user_namespaces=28633");
	if (access(debian, F_OK) == 0 && !switched_on(debian))
		return err_set(err, code,
			"this host lets only root make user namespaces: "
			"sudo sysctl -w kernel.unprivileged_userns_clone=1");
	if (switched_on(lsm))
		return err_set(err, code,
			"AppArmor keeps ordinary users from using user namespaces here: "
			"sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
	return err_code(err, -code,
		"make a user namespace, which containers of an ordinary user need ('holm doctor' tells more)");
}

static int read_progress(int fd, int want, struct err *err)
{
	static const char *const what[] = { [STEP_ROOT] = "become root in the user namespace",
		[STEP_MOUNTS] = "separate its mounts from the host's",
		[STEP_LOOPBACK] = "set the loopback interface up" };
	struct progress p;

	if (fd_read_full(fd, &p, sizeof(p)) != sizeof(p))
		return err_set(err, EIO, "the first process of the user namespace died");
	if (p.code == 0 && p.step == want)
		return 0;
	if (p.step == STEP_USER || p.step == STEP_REST)
		return space_refused(p.code, err);
	return err_code(err, -p.code, "%s", p.step > 0 && p.step < STEP_DONE ? what[p.step] : "");
}

static int open_namespaces(pid_t pid, struct space *ret, struct err *err)
{
	for (int i = 0; i < SPACE_NAMESPACES; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kinds[i].file);
		ret->fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (ret->fds[i] < 0)
			return err_errno(err, "open '%s'", path);
	}
	return 0;
}

static int make(bool single, struct space *ret, struct err *err)
{
	cleanup(space_free) struct space s = SPACE_NONE;
	int pair[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, "make a socket");
	pid = fork();
	if (pid == 0) {
		fd_close(pair[0]);
		be_first(pair[1]);
	}
	fd_close(pair[1]);
	r = pid < 0 ? err_errno(err, "make a process") : read_progress(pair[0], STEP_USER, err);
	if (r == 0)
		r = single ? ids_map_single(pid, err) : ids_map(pid, err);
	if (r == 0 && fd_write_all(pair[0], "", 1) < 0)
		r = err_set(err, EIO, "the first process of the user namespace died");
	if (r == 0)
		r = read_progress(pair[0], STEP_DONE, err);
	if (r == 0)
		r = open_namespaces(pid, &s, err);
	fd_close(pair[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return r;
	s.single = single;
	*ret = s;
	s = (struct space)SPACE_NONE;
	return 0;
}

int space_make(struct space *ret, struct err *err)
{
	struct err why = { 0 };
	int r;

	if (make(/* single= */ false, ret, &why) == 0)
		return 0;
	/* A map is written once only: so from the beginning. */
	r = make(/* single= */ true, ret, err);
	if (r == 0)
		snprintf(ret->why, sizeof(ret->why), "%s", why.text);
	return r;
}

/* A supervisor in the host's network has all of the space but that: a new one takes its place. */
static int renew_network(struct space *s)
{
	int pair[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		fd_close(pair[0]);
		r = space_enter(s->fds, /* network= */ false, NULL);
		finish(pair[1], r < 0 ? -r : unshare(CLONE_NEWNET) < 0 ? errno : 0);
	}
	fd_close(pair[1]);
	r = pid < 0 ? -errno : read_progress(pair[0], STEP_DONE, NULL);
	space_free(s);
	if (r == 0)
		r = open_namespaces(pid, s, NULL);
	fd_close(pair[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

static bool owns_network(const struct space *s)
{
	cleanup(fd_close) int owner = ioctl(s->fds[SPACE_NETWORK], NS_GET_USERNS);

	return owner >= 0 && namespace_inode(owner) == namespace_inode(s->fds[SPACE_USER]);
}

int space_of_process(pid_t pid, bool any_network, struct space *ret)
{
	cleanup(space_free) struct space s = SPACE_NONE;
	char path[64], line[64];
	uid_t owner;
	int r = open_namespaces(pid, &s, NULL);

	if (r < 0)
		return r;
	if (ioctl(s.fds[SPACE_USER], NS_GET_OWNER_UID, &owner) < 0 || owner != geteuid())
		return -EPERM;
	snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
	s.single =
		file_get_line(AT_FDCWD, path, line, sizeof(line)) == 0 && strcmp(line, "deny") == 0;
	if (s.single)
		snprintf(s.why, sizeof(s.why), "it had no others when it was made");
	if (!owns_network(&s)) {
		r = any_network ? renew_network(&s) : -ENOENT;
		if (r < 0)
			return r;
	}
	*ret = s;
	s = (struct space)SPACE_NONE;
	return 0;
}

int space_enter(const int fds[SPACE_NAMESPACES], bool network, struct err *err)
{
	char cwd[PATH_MAX];

	/* Changing the mount namespace puts one into its root. */
	if (!getcwd(cwd, sizeof(cwd)))
		snprintf(cwd, sizeof(cwd), "/");
	for (int i = 0; i < SPACE_NAMESPACES; i++)
		if ((i != SPACE_NETWORK || network) && setns(fds[i], kinds[i].flag) < 0)
			return err_errno(
				err, "join the %s namespace of your containers", kinds[i].file);
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_errno(err, "become root among your containers");
	if (chdir(cwd) < 0 && chdir("/") < 0)
		return err_errno(err, "enter '/'");
	return 0;
}
