/* Runs a fuzz target over the files of a directory: its seeds, as an ordinary test. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

#define MAX_SEED (1 << 20)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

int main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	struct dirent *entry;
	int n = 0;

	if (!dir) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(dir))) {
		cleanup(buf_free) struct buf b = { 0 };
		if (entry->d_name[0] == '.')
			continue;
		if (file_read(dirfd(dir), entry->d_name, MAX_SEED, &b) < 0) {
			fprintf(stderr, "cannot read %s/%s\n", argv[1], entry->d_name);
			return 1;
		}
		printf("%s\n", entry->d_name);
		fflush(stdout);
		LLVMFuzzerTestOneInput((const unsigned char *)(b.data ? b.data : ""), b.len);
		n++;
	}
	closedir(dir);
	/* A directory without seeds would be a test that cannot fail. */
	return n > 0 ? 0 : 1;
}
