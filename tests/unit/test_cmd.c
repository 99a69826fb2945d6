/* The command line's framework: options, the table, templates, filters. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/strv.h"
#include "cmd/output.h"
#include "cmd/table.h"
#include "cmd/template.h"

struct sample {
	bool interactive, tty;
	const char *name, *pull;
	char **env;
	int64_t time, memory, swap, wait;
	double cpus;
	bool time_given;
};

static const char *const pulls[] = { "always", "missing", "never", NULL };
static const struct cmd_option sample_rows[] = { OPTION(struct sample, interactive, OPT_FLAG, 'i',
							 "interactive", NULL, "i"),
	OPTION(struct sample, tty, OPT_FLAG, 't', "tty", NULL, "t"),
	OPTION(struct sample, name, OPT_STR, 'n', "name", "NAME", "n"),
	OPTION_WITH(struct sample, pull, OPT_STR, 0, "pull", "WHEN", "p", .choices = pulls),
	OPTION(struct sample, env, OPT_STRV, 'e', "env", "VAR", "e"),
	OPTION_WITH(struct sample, time, OPT_INT, 0, "time", "S", "t",
		OPTION_GIVEN(struct sample, time_given)),
	OPTION(struct sample, memory, OPT_SIZE, 'm', "memory", "SIZE", "m"),
	OPTION_WITH(
		struct sample, swap, OPT_SIZE, 0, "memory-swap", "SIZE", "m", .minus_one = true),
	OPTION(struct sample, wait, OPT_DURATION, 'w', "wait", "TIME", "w"),
	OPTION(struct sample, cpus, OPT_DOUBLE, 0, "cpus", "N", "c"), OPTION_END };
static const struct cmd sample_first = { .name = "run",
	.group = "G",
	.args = "IMAGE",
	.summary = "Run",
	.options = sample_rows,
	.options_size = sizeof(struct sample),
	.max_args = SIZE_MAX,
	.flags = CMD_OPTIONS_FIRST };
static const struct cmd sample_any = { .name = "stop",
	.group = "G",
	.alias = "container stop, c x",
	.args = "",
	.summary = "Stop",
	.options = sample_rows,
	.options_size = sizeof(struct sample),
	.max_args = SIZE_MAX };

#define PARSE(cmd_, ...) \
	const char *words[] = { "x", __VA_ARGS__, NULL }; \
	char **argv = (char **)words; \
	struct sample *s = calloc(1, sizeof(*s)); \
	struct err err = { 0 }; \
	size_t n = 0; \
	int r = options_parse(cmd_, argv, s, &n, &err)

static void options_as_docker(void **state)
{
	PARSE(&sample_first, "-it", "-eA=1", "-e", "B=2", "-e=C=3", "--name=web", "--cpus", "1.5",
		"-m512m", "--tty=false", "image", "-x", "--", "y");
	assert_int_equal(r, 0);
	assert_true(s->interactive);
	assert_false(s->tty);
	assert_string_equal(s->name, "web");
	assert_int_equal(strv_len(s->env), 3);
	assert_string_equal(s->env[0], "A=1");
	assert_string_equal(s->env[2], "C=3");
	assert_int_equal(s->memory, 512 << 20);
	assert_true(s->cpus > 1.49 && s->cpus < 1.51);
	assert_false(s->time_given);
	assert_int_equal(n, 4);
	assert_string_equal(argv[0], "image");
	assert_string_equal(argv[1], "-x");
	assert_string_equal(argv[2], "--");
	assert_null(argv[4]);
	options_free(&sample_first, s);
}

static void options_between_arguments(void **state)
{
	PARSE(&sample_any, "a", "--time", "-1", "b", "--memory-swap=-1", "-w", "3s", "--",
		"--name");
	assert_int_equal(r, 0);
	assert_int_equal(n, 3);
	assert_string_equal(argv[2], "--name");
	assert_int_equal(s->time, -1);
	assert_true(s->time_given);
	assert_int_equal(s->swap, -1);
	assert_int_equal(s->wait, INT64_C(3000000000));
	options_free(&sample_any, s);
}

static void refuse(const char *word, const char *value, const char *message)
{
	PARSE(&sample_any, word, value);
	assert_int_equal(r, -EINVAL);
	assert_string_equal(err.text, message);
	options_free(&sample_any, s);
}

static void options_refused(void **state)
{
	refuse("--memory", "12x", "--memory: '12x' is not a size (like 512m or 2g)");
	refuse("--memory", "-1", "--memory: '-1' is not a size (like 512m or 2g)");
	refuse("-m", "", "-m: '' is not a size (like 512m or 2g)");
	refuse("--time=1.5", NULL, "--time: '1.5' is not a whole number");
	refuse("--wait", "soon", "--wait: 'soon' is not a duration (like 30s or 1m30s)");
	refuse("--wait", "3", "--wait: missing unit in duration '3': write 3s for seconds");
	refuse("--cpus", "two", "--cpus: 'two' is not a number (like 1.5)");
	refuse("--tty=maybe", NULL, "--tty: 'maybe' is not true or false");
	refuse("--pull", "alway",
		"--pull: 'alway' is not one of always, missing, never: did you mean 'always'?");
	refuse("--pull=x", NULL, "--pull: 'x' is not one of always, missing, never");
	refuse("--nmae", "x", "unknown option '--nmae': did you mean '--name'?");
	refuse("--quite-unlike", NULL, "unknown option '--quite-unlike'");
	refuse("-iz", NULL, "unknown option '-z' in '-iz'");
	refuse("--name", NULL, "--name: needs a value (NAME)");
	refuse("-itn", NULL, "-n: needs a value (NAME)");
}

static void help_is_asked_for(void **state)
{
	PARSE(&sample_first, "--name", "--help", "-h");
	assert_int_equal(r, 1);
	assert_string_equal(s->name, "--help");
	options_free(&sample_first, s);
}

static void names_of_rows(void **state)
{
	char buf[NAME_MAX_LEN];

	assert_string_equal(table_name(&sample_any, 0, buf), "stop");
	assert_string_equal(table_name(&sample_any, 1, buf), "container stop");
	assert_string_equal(table_name(&sample_any, 2, buf), "c x");
	assert_null(table_name(&sample_any, 3, buf));
	assert_null(table_name(&sample_first, 1, buf));
}

static const char sample_json[] =
	"{\"Id\":\"abc\",\"State\":{\"Running\":true,\"Pid\":42},\"Names\":[\"a\",\"b\"],"
	"\"Labels\":{\"z\":\"1\",\"a.b\":\"2\"},\"Empty\":[],\"Null\":null,\"Rate\":0.5,"
	"\"Ports\":{\"80/tcp\":[{\"HostPort\":\"8080\"}]}}";

static char *render(const char *text, struct err *err)
{
	cleanup(json_free) json_t *value =
		json_parse(sample_json, strlen(sample_json), "sample", err);
	cleanup(template_free) struct template *t = NULL;
	cleanup(buf_free) struct buf b = { 0 };

	assert_non_null(value);
	if (template_parse(text, &t, err) < 0 || template_run(t, value, &b, err) < 0)
		return NULL;
	return b.data ? buf_detach(&b) : strdup("");
}

static void gives(const char *text, const char *expected)
{
	struct err err = { 0 };
	cleanup(free) char *got = render(text, &err);

	assert_string_equal(err.text, "");
	assert_string_equal(got, expected);
}

static void fails(const char *text, const char *message)
{
	struct err err = { 0 };
	cleanup(free) char *got = render(text, &err);

	assert_null(got);
	assert_string_equal(err.text, message);
}

static void templates(void **state)
{
	gives("", "");
	gives("plain } text", "plain } text");
	gives("{{.Id}}/{{ .State.Pid }}", "abc/42");
	gives("{{json .State}}", "{\"Running\":true,\"Pid\":42}");
	gives("{{json .}}", sample_json);
	gives("{{.Names}} {{.Labels}} {{.Null}} {{.Rate}}", "[a b] map[a.b:2 z:1] <no value> 0.5");
	gives("{{index .Labels \"a.b\"}}{{index .Labels \"none\"}}", "2");
	gives("{{slice \"abcdef\" 1 3}}{{slice \"abc\" 2}}{{slice .Names 1}}", "bcc[b]");
	fails("{{slice \"abc\" 1 4}}", "template: slice: it is shorter than that");
	gives("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080");
	gives("{{range $p, $c := .Ports}}{{$p}}={{(index $c 0).HostPort}}{{end}}", "80/tcp=8080");
	gives("{{range .Names}}<{{.}}{{$.Id}}>{{else}}none{{end}}", "<aabc><babc>");
	gives("{{range .Empty}}x{{else}}none{{end}}", "none");
	gives("{{if .State.Running}}up{{else}}down{{end}}", "up");
	gives("{{if not .State.Running}}a{{else if eq .Id \"abc\"}}b{{else}}c{{end}}", "b");
	gives("{{with .State}}{{.Pid}}{{end}}{{with .Null}}x{{else}}y{{end}}", "42y");
	gives("{{$x := len .Names}}{{$x}} {{join .Names \"+\" | upper}}", "2 A+B");
	gives("a {{- .Id -}}  b{{/* not this */}}", "aabcb");
	gives("{{printf \"%-5s|%d|%.2s\" .Id .State.Pid \"xyz\"}}", "abc  |42|xy");
	gives("{{println .Id}}", "abc\n");
}

static void more_templates(void **state)
{
	gives("{{truncate .Id 2}}{{pad .Id 1 2}}|{{title .Id}}", "ab abc  |Abc");
	gives("{{and .Id .State.Pid}} {{or .Empty .Id}} {{gt .State.Pid 41}}", "42 abc true");
	gives("{{.Ports.absent.deeper}}", "<no value>");
	gives("{{index (split \"a:b\" \":\") 1}}", "b");
	gives("{{print \"a\" 1 2 \"b\"}}", "a1 2b");
	fails("{{.Id", "template: missing '}}' at its end");
	fails("{{.Nope}}",
		"template: there is no 'Nope' here, only Id, State, Names, Labels, Empty, Null, Rate, Ports");
	fails("{{nope .Id}}", "template: unknown function 'nope'");
	fails("{{if .Id}}x", "template: missing {{end}} at its end");
	fails("{{end}}", "template: {{end}} without {{if}}, {{with}} or {{range}}");
	fails("{{$x}}", "template: unknown variable '$x'");
	fails("{{.Id.More}}", "template: '.More' of something that has no members");
	fails("{{range .Id}}{{end}}", "template: {{range}} needs a list or a map");
	fails("{{index .Names 7}}", "template: index: the list is shorter than that");
	fails("{{len}}", "template: len: too few arguments");
	fails("{{}}", "template: missing value at '}}'");
	fails("{{pad .Id 1 100000}}", "template: pad: takes a string and two counts of spaces");
}

static void deep_templates_end(void **state)
{
	char text[4096] = "";
	struct err err = { 0 };

	for (int i = 0; i < 500; i++)
		strcat(text, "{{((");
	assert_null(render(text, &err));
	assert_int_equal(err.code, EINVAL);
	text[0] = '\0';
	for (int i = 0; i < 400; i++)
		strcat(text, "{{if 1}}");
	assert_null(render(text, &err));
}

static void filters(void **state)
{
	static const char *const known[] = { "id", "name", "label", "status", NULL };
	char *set[] = { (char *)"status=a", (char *)"status=b", (char *)"name=^/we",
		(char *)"label=x", (char *)"label!=y=2", NULL };
	char *labels[] = { (char *)"x", (char *)"1", (char *)"y", (char *)"3", NULL };
	char *unwanted[] = { (char *)"x", (char *)"1", (char *)"y", (char *)"2", NULL };
	struct err err = { 0 };

	assert_int_equal(filter_check(set, known, &err), 0);
	assert_true(filter_match(set, "status", "b"));
	assert_false(filter_match(set, "status", "c"));
	assert_true(filter_match(set, "id", "anything"));
	assert_true(filter_match(set, "name", "web"));
	assert_false(filter_match(set, "name", "a-web"));
	assert_true(filter_labels(set, labels));
	assert_false(filter_labels(set, unwanted));
	assert_false(filter_labels(set, NULL));
	assert_true(filter_labels(NULL, NULL));
}

static void filters_refused(void **state)
{
	static const char *const known[] = { "id", "name", NULL };
	struct {
		const char *filter, *message;
	} cases[] = {
		{ "nam=x", "--filter: unknown key 'nam': did you mean 'name'?" },
		{ "colour=x", "--filter: unknown key 'colour': there are id, name" },
		{ "id", "--filter: 'id' is not KEY=VALUE" },
		{ "=x", "--filter: '=x' is not KEY=VALUE" },
		{ "name=[", "--filter: name '[' is not a regular expression" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *set[] = { (char *)cases[i].filter, NULL };
		struct err err = { 0 };
		assert_int_equal(filter_check(set, known, &err), -EINVAL);
		assert_string_equal(err.text, cases[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_as_docker),
		cmocka_unit_test(options_between_arguments),
		cmocka_unit_test(options_refused),
		cmocka_unit_test(help_is_asked_for),
		cmocka_unit_test(names_of_rows),
		cmocka_unit_test(templates),
		cmocka_unit_test(more_templates),
		cmocka_unit_test(deep_templates_end),
		cmocka_unit_test(filters),
		cmocka_unit_test(filters_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
