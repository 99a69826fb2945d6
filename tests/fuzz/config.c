/* An image's configuration; what was accepted must survive being written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(image_config_clear) struct image_config config = { 0 }, again = { 0 };
	cleanup(free) char *text = NULL;
	struct err err;

	if (image_config_parse((const char *)data, len, &config, &err) < 0)
		return 0;
	text = image_config_text(&config);
	if (!text || image_config_parse(text, strlen(text), &again, &err) < 0)
		abort();
	return 0;
}
