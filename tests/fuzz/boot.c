/* Kernels' files: what is wrong in one is said, and what is right in it lies in the guest's memory. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "machine/boot.h"
#include "memory/clock.h"

#define RAM (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Once: what an input loads, the next one may find. */
static struct memory *memory(void)
{
	static struct memory *m;

	if (!m) {
		m = memory_new(1, clock_new_manual());
		if (memory_add(m, 0, RAM, 0, NULL) < 0)
			abort();
	}
	return m;
}

static int file_of(const void *data, size_t len)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd < 0 || fd_write_all(fd, data, len) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char name[] = "kernel";
	cleanup(fd_close) int kernel = file_of(data, len);
	cleanup(fd_close) int initrd = file_of(data, len < 100 ? len : 100);
	struct boot_config config = { .kernel = { name, kernel, len },
		.initrd = { name, initrd, len < 100 ? len : 100 },
		.append = "console=ttyS0",
		.rsdp = BOOT_ROM };
	struct cpu_state state = { 0 };
	struct err err = { 0 };

	if (boot_load(memory(), &config, &state, &err) < 0 && !err.text[0])
		abort();
	return 0;
}
