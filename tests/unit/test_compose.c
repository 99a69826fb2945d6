/* Compose files: YAML, variables, short forms, merging, and what is refused and where it says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/strv.h"
#include "compose/document.h"
#include "compose/interpolate.h"
#include "compose/model.h"

static struct node *read_yaml(const char *text, struct err *err)
{
	cleanup(node_free) struct node *docs = yaml_parse(text, strlen(text), "t.yaml", err);
	struct node *n = docs && docs->n ? node_copy(docs->items[0]) : NULL;

	return n;
}

static void check_error(const char *text, const char *expected)
{
	cleanup(node_free) struct node *n = NULL;
	struct err err = { 0 };

	n = read_yaml(text, &err);
	if (n)
		assert_true(model_normalize(n, "/dir", &err) < 0);
	assert_string_equal(err.text, expected);
}

static void yaml_kinds(void **state)
{
	static const struct {
		const char *text;
		enum node_kind kind;
	} cases[] = { { "", NODE_NULL }, { "~", NODE_NULL }, { "null", NODE_NULL },
		{ "true", NODE_BOOL }, { "yes", NODE_STRING }, { "12", NODE_INT },
		{ "0o17", NODE_INT }, { "0x1f", NODE_INT }, { "-1", NODE_INT },
		{ "1.5", NODE_FLOAT }, { "1e3", NODE_FLOAT }, { "1e", NODE_STRING },
		{ ".inf", NODE_FLOAT }, { ".", NODE_STRING }, { "22:22", NODE_STRING } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (yaml_kind(cases[i].text) != cases[i].kind)
			fail_msg("'%s' is of kind %d", cases[i].text, yaml_kind(cases[i].text));
}

static void yaml_aliases(void **state)
{
	cleanup(node_free) struct node *n = NULL, *quoted = NULL;

	(void)state;
	n = read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n", NULL);
	assert_non_null(n);
	assert_int_equal(node_int(n, "b.x", 0), 1);
	assert_int_equal(node_int(n, "b.y", 0), 3);
	quoted = read_yaml("a: '1'", NULL);
	assert_int_equal(node_get(quoted, "a")->kind, NODE_STRING);
	check_error("a: &a [*a]", "t.yaml:1: an alias inside of what it names");
	check_error("a: 1\nb: 2\na: 3", "t.yaml:3: 'a' is there already, in line 1");
	check_error("a: *no", "t.yaml:1: no anchor '&no' before this alias");
	check_error("a: !!binary x",
		"t.yaml:1: the tag 'tag:yaml.org,2002:binary' is not known here (!reset, !override)");
}

static void yaml_limits(void **state)
{
	cleanup(buf_free) struct buf deep = { 0 }, laughs = { 0 };

	(void)state;
	for (int i = 0; i < 70; i++)
		buf_addc(&deep, '[');
	check_error(deep.data, "t.yaml:1: deeper than 64 levels");
	buf_adds(&laughs, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 8; i++)
		buf_addf(&laughs,
			"a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
			i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	check_error(laughs.data, "t.yaml:6: more than 100000 values, with those of aliases");
}

static void variables_replaced(void **state)
{
	static const char *const cases[][2] = { { "$A", "1" }, { "${A}b", "1b" }, { "$$A", "$A" },
		{ "${B:-x}", "x" }, { "${E:-x}", "x" }, { "${E-x}", "" }, { "${A:+y}", "y" },
		{ "${B+y}", "" }, { "${E+y}", "y" }, { "${B:-${A}${C:-}z}", "1z" },
		{ "${B:-$$}", "$" }, { "$A$A", "11" }, { "${C}", "" } };
	static const char *const errors[][2] = { { "${B:?not there}",
							 "the variable B is required: not there" },
		{ "${", "invalid '${': the } is missing" },
		{ "$1", "invalid '$1': no variable's name; a $ itself is $$" },
		{ "${A!}", "invalid '${A!}': after the name only }, :-, -, :?, ?, :+ or +" } };
	char *env[] = { (char *)"A=1", (char *)"E=", NULL };
	struct variables v = { .env = env };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup(buf_free) struct buf out = { 0 };
		assert_int_equal(interpolate(&v, cases[i][0], &out, NULL), 0);
		assert_string_equal(out.data ? out.data : "", cases[i][1]);
	}
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		cleanup(buf_free) struct buf out = { 0 };
		struct err err = { 0 };
		assert_true(interpolate(&v, errors[i][0], &out, &err) < 0);
		assert_string_equal(err.text, errors[i][1]);
	}
	assert_int_equal(strv_len(v.missing), 1);
	strv_free(v.missing);
}

static void env_files(void **state)
{
	static const char text[] =
		"# c\nexport A=1\nB = two # c\nC='a $A'\nD=\"x\\n$A\"\nE=\nH\nF=a#b\nG=\"l1\nl2\"\n";
	char *env[] = { (char *)"A=own", (char *)"H=h", NULL };
	struct variables v = { .env = env };
	cleanup(strv_free) char **out = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(dotenv_parse(&v, text, strlen(text), "e", false, &out, NULL), 0);
	assert_string_equal(strv_env_get(out, "A"), "1");
	assert_string_equal(strv_env_get(out, "B"), "two");
	assert_string_equal(strv_env_get(out, "C"), "a $A");
	assert_string_equal(strv_env_get(out, "D"), "x\nown");
	assert_string_equal(strv_env_get(out, "E"), "");
	assert_string_equal(strv_env_get(out, "F"), "a#b");
	assert_string_equal(strv_env_get(out, "G"), "l1\nl2");
	assert_string_equal(strv_env_get(out, "H"), "h");
	assert_true(dotenv_parse(&v, "A=1\nB='x", 8, "e", false, &out, &err) < 0);
	assert_string_equal(err.text, "e:2: the quote that begins here has no end");
	strv_free(v.missing);
}

static void short_forms(void **state)
{
	cleanup(node_free) struct node *n = read_yaml(
		"services:\n  w:\n    image: x\n    command: a 'b c' \"d\\\"e\"\n"
		"    ports: ['127.0.0.1:80:81/udp', 90]\n    volumes: ['./d:/d:ro', 'v:/v']\n"
		"    environment: [A=1, B]\n    depends_on: [z]\n    mem_limit: 1g\n",
		NULL);
	const struct node *w, *ports, *volumes;

	(void)state;
	assert_int_equal(model_normalize(n, "/dir", NULL), 0);
	w = node_at(n, "services.w");
	ports = node_get(w, "ports");
	volumes = node_get(w, "volumes");
	assert_string_equal(node_get(w, "command")->items[1]->text, "b c");
	assert_string_equal(node_get(w, "command")->items[2]->text, "d\"e");
	assert_string_equal(node_text(ports->items[0], "host_ip"), "127.0.0.1");
	assert_string_equal(node_text(ports->items[0], "target"), "81");
	assert_string_equal(node_text(ports->items[0], "protocol"), "udp");
	assert_null(node_text(ports->items[1], "published"));
	assert_string_equal(node_text(volumes->items[0], "source"), "/dir/d");
	assert_true(node_bool(volumes->items[0], "read_only"));
	assert_string_equal(node_text(volumes->items[1], "type"), "volume");
	assert_string_equal(node_text(w, "depends_on.z.condition"), "service_started");
	assert_string_equal(node_text(w, "mem_limit"), "1073741824");
}

static void merging(void **state)
{
	cleanup(node_free) struct node *base =
		read_yaml("services: {w: {image: a, command: x y, environment: {A: 1, B: 2}, "
			  "ports: ['80:80'], volumes: ['a:/v', '/w'], dns: 1.1.1.1, user: u}}",
			NULL);
	struct node *over = read_yaml(
		"services: {w: {image: b, command: z, environment: [B=3], ports: ['80:80', '81:81'], "
		"volumes: ['b:/v'], dns: [2.2.2.2], user: !reset null}}",
		NULL);
	const struct node *w;

	(void)state;
	assert_int_equal(model_normalize(base, "/d", NULL), 0);
	assert_int_equal(model_normalize(over, "/d", NULL), 0);
	model_merge(base, over);
	w = node_at(base, "services.w");
	assert_string_equal(node_text(w, "image"), "b");
	assert_int_equal(node_get(w, "command")->n, 1);
	assert_string_equal(node_text(w, "environment.A"), "1");
	assert_string_equal(node_text(w, "environment.B"), "3");
	assert_int_equal(node_get(w, "ports")->n, 2);
	assert_int_equal(node_get(w, "volumes")->n, 2);
	assert_string_equal(node_text(node_get(w, "volumes")->items[0], "source"), "b");
	assert_int_equal(node_get(w, "dns")->n, 2);
	assert_null(node_get(w, "user"));
	/* Without anything to reset nothing unchecked is left either. */
	over = read_yaml(
		"services: {w: {networks: !reset [1], labels: !reset 3}, v: !reset x}", NULL);
	assert_int_equal(model_normalize(over, "/d", NULL), 0);
	model_merge(base, over);
	assert_null(node_at(base, "services.w.networks"));
	assert_null(node_at(base, "services.v"));
}

static void refused(void **state)
{
	(void)state;
	check_error("services:\n  w:\n    imagee: x",
		"t.yaml:3: services.w.imagee: unknown member: did you mean 'image'?");
	check_error("services:\n  w:\n    ports: [x]",
		"t.yaml:3: services.w.ports: not a port ([[IP:]PUBLISHED:]TARGET[/PROTOCOL])");
	check_error("services: {w: {mem_limit: lots}}",
		"t.yaml:1: services.w.mem_limit: 'lots' is not a size, like 512m");
	check_error("services: {w: {depends_on: {a: {condition: up}}}}",
		"t.yaml:1: services.w.depends_on.a.condition: 'up' is not one of service_started, "
		"service_healthy, service_completed_successfully");
	check_error("services: [a]", "t.yaml:1: services: expected a map");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(yaml_kinds),
		cmocka_unit_test(yaml_aliases),
		cmocka_unit_test(yaml_limits),
		cmocka_unit_test(variables_replaced),
		cmocka_unit_test(env_files),
		cmocka_unit_test(short_forms),
		cmocka_unit_test(merging),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
