/* Compose files: whatever is accepted can be written, read again and accepted again. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "compose/document.h"
#include "compose/interpolate.h"
#include "compose/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct node *read_all(const char *text, size_t len)
{
	char *env[] = { (char *)"A=1", (char *)"EMPTY=", NULL };
	cleanup(node_free) struct node *docs = yaml_parse(text, len, "fuzz.yaml", NULL);
	struct node *root;

	if (!docs)
		return NULL;
	root = node_new(NODE_MAP, NULL);
	for (size_t i = 0; i < docs->n; i++) {
		struct variables v = { .env = env };
		struct node *doc = node_copy(docs->items[i]);
		bool ok = interpolate_node(&v, doc, NULL) == 0 &&
			  model_normalize(doc, "/fuzz", NULL) == 0;
		for (char **m = v.missing; m && *m; m++)
			free(*m);
		free(v.missing);
		if (!ok) {
			node_free(doc);
			node_free(root);
			return NULL;
		}
		model_merge(root, doc);
	}
	model_check(root, NULL);
	return root;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	cleanup(node_free) struct node *root = read_all((const char *)data, len), *again = NULL;
	cleanup(buf_free) struct buf text = { 0 };

	if (root && yaml_write(root, &text, NULL) == 0) {
		again = yaml_parse(text.data, text.len, "again.yaml", NULL);
		if (!again && text.len < YAML_MAX_BYTES)
			abort();
	}
	return 0;
}
