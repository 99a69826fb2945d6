/* --format's templates: parsed and run over a value that has every kind of member. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cmd/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char sample[] = "{\"A\":{\"B\":[1,2.5,\"x\",null,true]},\"L\":{\"k\":\"v\"},\"N\":-1}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(free) char *text = xstrndup((const char *)data, len < 4096 ? len : 4096);
	cleanup(json_free) json_t *value = json_parse(sample, strlen(sample), "sample", NULL);
	cleanup(template_free) struct template *t = NULL;
	cleanup(buf_free) struct buf out = { 0 };
	struct err err;

	if (template_parse(text, &t, &err) == 0)
		template_run(t, value, &out, &err);
	return 0;
}
