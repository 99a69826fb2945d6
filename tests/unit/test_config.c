#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/strv.h"
#include "image/config.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD "{\"architecture\":\"amd64\",\"os\":\"linux\","
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" DIGEST "\"]}"

static const char full[] =
	"{\"created\":\"2024-01-02T03:04:05.000000006Z\",\"author\":\"me\",\"architecture\":\"arm64\","
	"\"os\":\"linux\",\"variant\":\"v8\",\"config\":{\"User\":\"1000:1000\",\"ExposedPorts\":"
	"{\"80/tcp\":{},\"53/udp\":{}},\"Env\":[\"PATH=/bin\"],\"Entrypoint\":[\"/e\"],\"Cmd\":[\"-c\"],"
	"\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":1000000000,\"Retries\":3},"
	"\"Volumes\":{\"/data\":{}},\"WorkingDir\":\"/w\",\"OnBuild\":[\"RUN x\"],\"Labels\":{\"a\":\"b\"},"
	"\"StopSignal\":\"SIGINT\",\"Shell\":[\"/bin/sh\",\"-c\"]}," ROOTFS
	",\"history\":[{\"created_by\":\"make\",\"empty_layer\":true},{\"comment\":\"x\"}]}";

static int parse(const char *text, struct image_config *config, struct err *err)
{
	return image_config_parse(text, strlen(text), config, err);
}

static void round_trip(void **state)
{
	cleanup(image_config_clear) struct image_config c = { 0 };
	struct err err = { 0 };

	if (parse(full, &c, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(c.architecture, "arm64");
	assert_string_equal(c.config.exposed[1], "53/udp");
	assert_string_equal(c.config.volumes[0], "/data");
	assert_string_equal(map_get(c.config.labels, "a"), "b");
	assert_int_equal(c.config.health->retries, 3);
	assert_int_equal(c.created % 1000000000, 6);
	assert_string_equal(c.diff_ids[0], DIGEST);
	assert_int_equal(c.history.n, 2);
	cleanup(free) char *text = image_config_text(&c);
	cleanup(image_config_clear) struct image_config again = { 0 };
	assert_int_equal(parse(text, &again, &err), 0);
	cleanup(free) char *text_again = image_config_text(&again);
	assert_string_equal(text, text_again);
	assert_non_null(
		strstr(text, "\"rootfs\":{\"diff_ids\":[\"" DIGEST "\"],\"type\":\"layers\"}"));
	assert_non_null(strstr(text, "\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{}}"));
}

static void docker_nulls(void **state)
{
	cleanup(image_config_clear) struct image_config c = { 0 };

	assert_int_equal(parse(HEAD "\"config\":{\"Cmd\":null,\"Volumes\":null,\"OnBuild\":null,"
				    "\"ArgsEscaped\":true},\"container_config\":{\"Cmd\":5},"
				    "\"created\":\"0001-01-01T00:00:00Z\"," ROOTFS "}",
				 &c, NULL),
		0);
	assert_null(c.config.cmd);
	assert_int_equal(c.created, 0);
}

static void refused(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "{", "not JSON" }, { "[]", "expected an object" },
		{ "{" ROOTFS "}", "architecture: missing" },
		{ HEAD "\"config\":{}}", "rootfs: missing" },
		{ HEAD "\"rootfs\":{}}", "rootfs.diff_ids: missing" },
		{ HEAD "\"rootfs\":{\"diff_ids\":[\"sha256:../../x\"]}}",
			"rootfs.diff_ids: 'sha256:../../x'" },
		{ HEAD "\"rootfs\":{\"type\":\"base\",\"diff_ids\":[]}}", "rootfs.type" },
		{ HEAD "\"config\":{\"Cmd\":\"sh\"}," ROOTFS "}",
			"config.Cmd: expected an array of strings" },
		{ HEAD "\"config\":{\"Cmd\":[1]}," ROOTFS "}",
			"config.Cmd: expected an array of strings" },
		{ HEAD "\"config\":{\"Env\":[\"=x\"]}," ROOTFS "}",
			"config.Env: '=x' has no name" },
		{ HEAD "\"config\":{\"ExposedPorts\":[\"80\"]}," ROOTFS "}",
			"config.ExposedPorts" },
		{ HEAD "\"config\":{\"ExposedPorts\":{\"0/tcp\":{}}}," ROOTFS "}",
			"'0/tcp' is not a port" },
		{ HEAD "\"config\":{\"ExposedPorts\":{\"80/x\":{}}}," ROOTFS "}",
			"'80/x' is not a port" },
		{ HEAD "\"config\":{\"Labels\":{\"a\":1}}," ROOTFS "}", "config.Labels" },
		{ HEAD "\"config\":{\"Healthcheck\":{\"Retries\":-1}}," ROOTFS "}", "negative" },
		{ HEAD "\"created\":\"yesterday\"," ROOTFS "}", "created: 'yesterday'" },
		{ HEAD "\"history\":[{\"empty_layer\":1}]," ROOTFS "}", "history[0].empty_layer" },
		{ HEAD "\"os\":\"linux\"," ROOTFS "}", "not JSON" }, /* twice the same member */
	};
	struct image_config c = { .created = 7 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = { 0 };
		if (parse(rows[i].text, &c, &err) >= 0)
			fail_msg("%s: accepted", rows[i].text);
		if (!strstr(err.text, rows[i].error) ||
			strncmp(err.text, "the image's config: ", 20) != 0)
			fail_msg("%s: %s", rows[i].text, err.text);
	}
	assert_int_equal(c.created, 7);
}

static void limits(void **state)
{
	cleanup(buf_free) struct buf b = { 0 };
	struct image_config c = { 0 };
	struct err err;

	buf_adds(&b, HEAD "\"rootfs\":{\"diff_ids\":[");
	for (int i = 0; i <= 500; i++)
		buf_adds(&b, i ? ",\"" DIGEST "\"" : "\"" DIGEST "\"");
	buf_adds(&b, "]}}");
	assert_int_equal(parse(b.data, &c, &err), -E2BIG);
	assert_non_null(strstr(err.text, "501 layers"));
	b.len = 0;
	buf_adds(&b, HEAD ROOTFS ",\"config\":{\"User\":\"");
	for (int i = 0; i < 131073; i++)
		buf_addc(&b, 'x');
	buf_adds(&b, "\"}}");
	assert_int_equal(parse(b.data, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "config.User"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(docker_nulls),
		cmocka_unit_test(refused),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
