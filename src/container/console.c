/* See console.h. ioctl_tty(2), pts(4). */
#include "container/console.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "container/mount.h"
#include "container/namespace.h"

static int open_master(int root, struct err *err)
{
	const int flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	cleanup(fd_close) int fd = root >= 0 ? open_in_root(root, "/dev/pts/ptmx", flags, 0)
					     : open("/dev/pts/ptmx", flags | O_NOFOLLOW);
	struct statfs fs;
	int r;

	if (fd < 0)
		return root >= 0 ? err_code(err, fd, "terminal: open '/dev/pts/ptmx'")
				 : err_errno(err, "terminal: open '/dev/pts/ptmx'");
	/* The container could have put anything there. */
	if (fstatfs(fd, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC)
		return err_set(err, ENODEV,
			"terminal: '/dev/pts' of the container is no devpts: mount one there");
	r = fd_set_nonblock(fd, false);
	return r < 0 ? err_code(err, r, "terminal") : take_fd(fd);
}

static int bind_console(int root, int terminal, struct err *err)
{
	cleanup(fd_close) int dest = mount_point_open(root, "/dev/console", /* is_dir= */ false);
	cleanup(fd_close) int tree = -1;
	int r;

	if (dest < 0)
		return err_code(err, dest, "make '/dev/console'");
	tree = tree_open(terminal, "", false);
	r = tree < 0 ? tree : tree_attach(tree, dest);
	return r < 0 ? err_code(err, r, "bind '/dev/console'") : 0;
}

static int set_up(const struct bundle_process *p, int terminal, struct err *err)
{
	if (p->console_size) {
		struct winsize size = { .ws_row = (unsigned short)p->console_size->height,
			.ws_col = (unsigned short)p->console_size->width };
		if (ioctl(terminal, TIOCSWINSZ, &size) < 0)
			return err_errno(err, "terminal: set its size");
	}
	if (fchown(terminal, p->user.uid, (gid_t)-1) < 0)
		return err_errno(err, "terminal: give it to user %u", p->user.uid);
	return 0;
}

int console_open(
	const struct bundle_process *p, int root, bool bind, struct console *ret, struct err *err)
{
	cleanup(fd_close) int master = open_master(root, err), terminal = -1;
	int unlock = 0, r;

	if (master < 0)
		return master;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_errno(err, "terminal: unlock it");
	/* No path of the container's is walked. */
	terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0)
		return err_errno(err, "terminal: open it");
	r = set_up(p, terminal, err);
	if (r == 0 && bind)
		r = bind_console(root, terminal, err);
	if (r < 0)
		return r;
	ret->master = take_fd(master);
	ret->terminal = take_fd(terminal);
	return 0;
}

void console_plain_lines(const struct console *c)
{
	struct termios t;

	if (tcgetattr(c->terminal, &t) == 0) {
		t.c_oflag &= ~(tcflag_t)ONLCR;
		tcsetattr(c->terminal, TCSANOW, &t);
	}
}

int console_use(int terminal, struct err *err)
{
	if (setsid() < 0 && errno != EPERM)
		return err_errno(err, "make a session");
	if (ioctl(terminal, TIOCSCTTY, 0) < 0)
		return err_errno(err, "terminal: take control of it");
	for (int i = 0; i < 3; i++)
		if (dup2(terminal, i) < 0)
			return err_errno(err, "terminal: use it as descriptor %d", i);
	return 0;
}

void stdio_give(const int stdio[3], const struct bundle *b, const struct bundle_process *p)
{
	const struct record_list *map = &b->linux_.uid_mappings;
	uid_t uid = map->n ? user_map_host(map, p->user.uid) : p->user.uid;
	struct stat st;

	for (int i = 0; i < 3; i++)
		if (stdio[i] >= 0 && uid != UINT32_MAX && fstat(stdio[i], &st) == 0 &&
			S_ISFIFO(st.st_mode) && st.st_uid != uid &&
			fchown(stdio[i], uid, (gid_t)-1) < 0)
			return; /* nothing but that convenience is lost */
}

static bool is_null(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

/* The container's own, which it may have removed: a pipe without a writer reads the same. */
static int open_null(bool input)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	cleanup(fd_close) int fd = open("/dev/null", flags);
	int ends[2];

	if (fd >= 0 && is_null(fd))
		return take_fd(fd);
	if (!input || pipe2(ends, O_CLOEXEC) < 0) {
		errno = ENODEV;
		return -1;
	}
	close(ends[1]);
	return ends[0];
}

int stdio_use(const int stdio[3], struct err *err)
{
	int fds[3];

	for (int i = 0; i < 3; i++) {
		/* Through a descriptor of the host's null device its mode and owner could be changed. */
		bool own = stdio[i] < 0 || is_null(stdio[i]);
		int fd = own ? open_null(/* input= */ i == 0) : stdio[i];
		/* Out of the way first: one may be another's number. */
		fds[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (own)
			fd_close(fd);
		if (fds[i] < 0)
			return err_errno(err, "open standard descriptor %d", i);
	}
	for (int i = 0; i < 3; i++) {
		if (dup2(fds[i], i) < 0)
			return err_errno(err, "set standard descriptor %d", i);
		fd_close(fds[i]);
	}
	return 0;
}
