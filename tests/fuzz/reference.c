/* Image references; the full text of an accepted one must parse to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "image/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(free) char *text = xstrndup((const char *)data, len < 4096 ? len : 4096);
	cleanup(free) char *full = NULL, *familiar = NULL;
	struct reference ref = { 0 }, again = { 0 };
	struct err err;

	if (reference_parse(text, &ref, &err) < 0)
		return 0;
	full = reference_text(&ref);
	familiar = reference_familiar(&ref);
	if (reference_parse(full, &again, &err) < 0 || strcmp(ref.domain, again.domain) != 0 ||
		strcmp(ref.path, again.path) != 0 || strcmp(ref.tag, again.tag) != 0 ||
		strcmp(ref.digest, again.digest) != 0)
		abort();
	return 0;
}
