/* --filter KEY=VALUE. */
#include "cmd/output.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/record.h"
#include "base/strv.h"

/* The filter's value when its key is this one, else NULL. */
static const char *value_of(const char *filter, const char *key)
{
	size_t len = strlen(key);

	return strncmp(filter, key, len) == 0 && filter[len] == '=' ? filter + len + 1 : NULL;
}

static int unknown(const char *filter, const char *const *known, struct err *err)
{
	cleanup(buf_free) struct buf list = { 0 };
	cleanup(free) char *key = xstrndup(filter, strcspn(filter, "!="));
	const char *near = NULL;

	for (const char *const *k = known; *k; k++) {
		buf_addf(&list, "%s%s", list.len ? ", " : "", *k);
		if (!near && str_distance(key, *k) <= 2)
			near = *k;
	}
	if (near)
		return err_set(
			err, EINVAL, "--filter: unknown key '%s': did you mean '%s'?", key, near);
	return err_set(err, EINVAL, "--filter: unknown key '%s': there are %s", key,
		list.len ? list.data : "none");
}

int filter_check(char *const *filters, const char *const *known, struct err *err)
{
	strv_foreach (f, filters) {
		size_t len = strcspn(*f, "=");
		const char *const *k = known;
		const char *name = value_of(*f, "name");
		regex_t re;
		if (!(*f)[len] || !len)
			return err_set(err, EINVAL, "--filter: '%s' is not KEY=VALUE", *f);
		/* label!=KEY */
		if (len > 1 && (*f)[len - 1] == '!')
			len--;
		while (*k && (strncmp(*k, *f, len) != 0 || (*k)[len]))
			k++;
		if (!*k || ((*f)[len] == '!' && strncmp(*f, "label", len) != 0))
			return unknown(*f, known, err);
		if (name && regcomp(&re, name, REG_EXTENDED | REG_NOSUB) != 0)
			return err_set(err, EINVAL,
				"--filter: name '%s' is not a regular expression", name);
		if (name)
			regfree(&re);
	}
	return 0;
}

static bool matches(const char *key, const char *wanted, const char *value)
{
	cleanup(free) char *pattern = NULL;
	bool found;
	regex_t re;

	if (strcmp(key, "id") == 0)
		return strncmp(value, wanted, strlen(wanted)) == 0;
	if (strcmp(key, "name") != 0)
		return strcmp(value, wanted) == 0;
	/* Docker's names begin with a slash inside, which some people anchor at: ^/web$ */
	if (strncmp(wanted, "^/", 2) == 0)
		pattern = xasprintf("^%s", wanted + 2);
	else
		pattern = xstrdup(wanted + (wanted[0] == '/'));
	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	found = regexec(&re, value, 0, NULL, 0) == 0;
	regfree(&re);
	return found;
}

bool filter_match(char *const *filters, const char *key, const char *value)
{
	bool any = false;

	strv_foreach (f, filters) {
		const char *wanted = value_of(*f, key);
		if (!wanted)
			continue;
		if (value && matches(key, wanted, value))
			return true;
		any = true;
	}
	return !any;
}

/* "k" or "k=v". */
static bool has_label(char *const *labels, const char *wanted)
{
	cleanup(free) char *key = xstrndup(wanted, strcspn(wanted, "="));
	const char *have = map_get(labels, key);
	const char *value = strchr(wanted, '=');

	return have && (!value || strcmp(have, value + 1) == 0);
}

bool filter_labels(char *const *filters, char *const *labels)
{
	strv_foreach (f, filters) {
		const char *wanted = value_of(*f, "label");
		const char *unwanted = value_of(*f, "label!");
		if ((wanted && !has_label(labels, wanted)) ||
			(unwanted && has_label(labels, unwanted)))
			return false;
	}
	return true;
}
