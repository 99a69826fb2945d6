#pragma once
/* A test that cannot run here says why: tools/check prints these lines and counts them. After <cmocka.h>. */

/* Leaves the test; what `cleanup` would free is not. */
#define skip_because(reason) \
	do { \
		print_message("# skip: %s\n", reason); \
		skip(); \
	} while (0)
