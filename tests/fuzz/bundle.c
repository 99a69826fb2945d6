/* config.json of an OCI bundle; what was accepted must survive being written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(json_free) json_t *j = json_parse((const char *)data, len, "input", NULL);
	cleanup(bundle_free) struct bundle *b = NULL, *again = NULL;
	cleanup(json_free) json_t *dumped = NULL, *reread = NULL, *last = NULL;
	cleanup(free) char *text = NULL, *last_text = NULL;
	struct err err;

	if (!j || bundle_parse(j, &b, &err) < 0)
		return 0;
	dumped = bundle_dump(b);
	text = json_text(dumped, 1);
	reread = json_parse(text, strlen(text), "dump", &err);
	if (!reread || bundle_parse(reread, &again, &err) < 0)
		abort();
	last = bundle_dump(again);
	last_text = json_text(last, 1);
	if (strcmp(text, last_text) != 0)
		abort();
	return 0;
}
