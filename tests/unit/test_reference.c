#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "image/reference.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX64

static void accepted(void **state)
{
	static const struct {
		const char *text, *full, *familiar;
	} rows[] = {
		{ "debian", "docker.io/library/debian:latest", "debian:latest" },
		{ "debian:12", "docker.io/library/debian:12", "debian:12" },
		{ "docker.io/debian", "docker.io/library/debian:latest", "debian:latest" },
		{ "index.docker.io/library/debian:12", "docker.io/library/debian:12", "debian:12" },
		{ "user/app", "docker.io/user/app:latest", "user/app:latest" },
		{ "localhost/app", "localhost/app:latest", "localhost/app:latest" },
		{ "localhost:5000/app:v1.2", "localhost:5000/app:v1.2", "localhost:5000/app:v1.2" },
		{ "reg.example.com/a/b_c/d--e.f__g", "reg.example.com/a/b_c/d--e.f__g:latest",
			"reg.example.com/a/b_c/d--e.f__g:latest" },
		{ "[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest" },
		{ "Upper/app", "Upper/app:latest", "Upper/app:latest" },
		{ "debian@" DIGEST, "docker.io/library/debian@" DIGEST, "debian@" DIGEST },
		{ "debian:12@" DIGEST, "docker.io/library/debian:12@" DIGEST, "debian:12@" DIGEST },
		{ "library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest" },
		{ "app:UPPER_tag.1-x", "docker.io/library/app:UPPER_tag.1-x", "app:UPPER_tag.1-x" },
		{ "docker.io/" HEX64, "docker.io/library/" HEX64 ":latest", HEX64 ":latest" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reference ref;
		struct err err = { 0 };
		if (reference_parse(rows[i].text, &ref, &err) < 0)
			fail_msg("%s: %s", rows[i].text, err.text);
		cleanup(free) char *full = reference_text(&ref);
		cleanup(free) char *familiar = reference_familiar(&ref);
		assert_string_equal(full, rows[i].full);
		assert_string_equal(familiar, rows[i].familiar);
	}
}

static void refused(void **state)
{
	static const char *const rows[] = { "", ":12", "debian:", "debian:-x", "debian:.x",
		"debian@", "debian@sha256:12", "debian@md5:00", "-debian", "debian-", "a__.b",
		"a___b", "a..b", "a//b", "/a", "a/", "a b", "../../etc", "reg.example.com:port/a",
		"reg.example.com:/a", "-x.y/a", "x.-y/a", "[::1/a", "[]/a", "a:b:c", HEX64,
		"debian\n", "debi\xc3\xa4n" };
	struct reference ref = { .path = "untouched" };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = { 0 };
		if (reference_parse(rows[i], &ref, &err) != -EINVAL)
			fail_msg("'%s' is accepted", rows[i]);
		assert_true(err.text[0]);
	}
	assert_string_equal(ref.path, "untouched");
}

static void messages(void **state)
{
	struct reference ref;
	struct err err;

	assert_int_equal(reference_parse("Debian", &ref, &err), -EINVAL);
	assert_string_equal(err.text,
		"invalid reference format: repository name (library/Debian) must be lowercase");
	assert_int_equal(reference_parse("a@sha512:00", &ref, &err), -EINVAL);
	assert_string_equal(err.text, "'a@sha512:00': digests other than sha256 are not supported");
	assert_int_equal(reference_parse(HEX64, &ref, &err), -EINVAL);
	assert_non_null(strstr(err.text, "cannot specify 64-byte hexadecimal strings"));
}

static void lengths(void **state)
{
	char text[400];
	struct reference ref;

	/* With "docker.io/library/" it is exactly 255. */
	memset(text, 'a', sizeof(text));
	text[255 - 18] = '\0';
	assert_int_equal(reference_parse(text, &ref, NULL), 0);
	text[255 - 18] = 'a';
	text[255 - 17] = '\0';
	assert_int_equal(reference_parse(text, &ref, NULL), -EINVAL);
	memset(text, 'a', 300);
	memcpy(text, "x:", 2);
	text[2 + 128] = '\0';
	assert_int_equal(reference_parse(text, &ref, NULL), 0);
	assert_int_equal(strlen(ref.tag), 128);
	text[2 + 128] = 'a';
	text[2 + 129] = '\0';
	assert_int_equal(reference_parse(text, &ref, NULL), -EINVAL);
	memset(text, 'a', 300);
	memcpy(text + 290, ".b/c", 5);
	assert_int_equal(reference_parse(text, &ref, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(refused),
		cmocka_unit_test(messages),
		cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
