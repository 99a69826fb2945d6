/* See init.h. The program's bytes are linked in by the build. */
#include "container/init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/fd.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u /* Linux 6.3 */
#endif

extern const uint8_t init_program[], init_program_end[];

int init_open(void)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	cleanup(fd_close) int fd = memfd_create("holm-init", flags | MFD_EXEC);
	int r;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("holm-init", flags);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, init_program, (size_t)(init_program_end - init_program));
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return take_fd(fd);
}
