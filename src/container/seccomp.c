/*
 * Filters: compiled by libseccomp, cached, applied.
 *
 * Before libseccomp's program goes a short one of ours. System calls newer than any that a profile
 * names fail with ENOSYS rather than with the profile's errno, since programs probe for new calls and
 * fall back on ENOSYS only (the same is done by runc). Calls that the profile names and the linked
 * libseccomp is too old to know get their action there too.
 *
 * The cache file is a header and the program; whoever can write it is root already, so the checks
 * are against accidents.
 */
#include "container/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/strv.h"

#define CACHE_VERSION "holm seccomp 1" /* what else the program depends on: our prologue */
#define CACHE_MAGIC 0x31706d73u
#define X32_BIT 0x40000000u
#define MAX_ARCHES 8
#define MAX_ARGS 6

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

struct cache_header {
	uint32_t magic, checksum;
};

static void context_free(scmp_filter_ctx ctx)
{
	if (ctx)
		seccomp_release(ctx);
}
DEFINE_CLEANUP(context_free, scmp_filter_ctx);

/* Since Linux 5.1 the numbers are the same on all architectures. */
static const struct {
	const char *name;
	int number;
} newer[] = {
	{ "cachestat", 451 },
	{ "fchmodat2", 452 },
	{ "map_shadow_stack", 453 },
	{ "futex_wake", 454 },
	{ "futex_wait", 455 },
	{ "futex_requeue", 456 },
	{ "statmount", 457 },
	{ "listmount", 458 },
	{ "lsm_get_self_attr", 459 },
	{ "lsm_set_self_attr", 460 },
	{ "lsm_list_modules", 461 },
	{ "mseal", 462 },
	{ "setxattrat", 463 },
	{ "getxattrat", 464 },
	{ "listxattrat", 465 },
	{ "removexattrat", 466 },
	{ "open_tree_attr", 467 },
	{ "file_getattr", 468 },
	{ "file_setattr", 469 },
};

struct compilation {
	const struct bundle_seccomp *profile;
	scmp_filter_ctx ctx;
	uint32_t default_action;
	uint32_t arches[MAX_ARCHES]; /* libseccomp's tokens, which are AUDIT_ARCH_* but for x32 */
	int newest[MAX_ARCHES];      /* greatest number that the profile names */
	size_t n_arches;
	uint32_t extra[ARRAY_SIZE(newer)]; /* action of newer[i], where has_extra[i] */
	bool has_extra[ARRAY_SIZE(newer)];
	struct err *err;
};

static int action_of(const char *name, const int64_t *errno_ret, uint32_t *ret, struct err *err)
{
	static const struct {
		const char *name;
		uint32_t action;
	} actions[] = {
		{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
		{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
		{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
		{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
		{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) },
		{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) },
		{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
		{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
		{ "SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY },
	};
	uint32_t data = errno_ret ? (uint32_t)*errno_ret & 0xffff : EPERM;

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (strcmp(name, actions[i].name) == 0) {
			bool takes_data = strcmp(name, "SCMP_ACT_ERRNO") == 0 ||
					  strcmp(name, "SCMP_ACT_TRACE") == 0;
			*ret = actions[i].action | (takes_data ? data : 0);
			return 0;
		}
	return err_set(err, EINVAL, "seccomp: unknown action '%s'", name);
}

static int compare_of(const char *name, enum scmp_compare *ret, struct err *err)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} ops[] = {
		{ "SCMP_CMP_NE", SCMP_CMP_NE },
		{ "SCMP_CMP_LT", SCMP_CMP_LT },
		{ "SCMP_CMP_LE", SCMP_CMP_LE },
		{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
		{ "SCMP_CMP_GE", SCMP_CMP_GE },
		{ "SCMP_CMP_GT", SCMP_CMP_GT },
		{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (strcmp(name, ops[i].name) == 0) {
			*ret = ops[i].op;
			return 0;
		}
	return err_set(err, EINVAL, "seccomp: unknown operator '%s'", name);
}

static int flags_of(char *const *names, unsigned *ret, struct err *err)
{
	static const struct {
		const char *name;
		unsigned flag;
	} flags[] = {
		/* Whoever sets the filter has one thread. */
		{ "SECCOMP_FILTER_FLAG_TSYNC", 0 },
		{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
		{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
		{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
			SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
	};

	strv_foreach (name, names) {
		size_t i = 0;
		while (i < ARRAY_SIZE(flags) && strcmp(*name, flags[i].name) != 0)
			i++;
		if (i == ARRAY_SIZE(flags))
			return err_set(err, EINVAL, "seccomp: unknown flag '%s'", *name);
		*ret |= flags[i].flag;
	}
	return 0;
}

/* "SCMP_ARCH_X86_64" is "x86_64" to libseccomp. */
static uint32_t arch_of(const char *name)
{
	char lower[24];
	size_t n = 0;

	if (strncmp(name, "SCMP_ARCH_", 10) != 0 || strlen(name + 10) >= sizeof(lower))
		return 0;
	for (const char *s = name + 10; *s; s++)
		lower[n++] = (char)(*s >= 'A' && *s <= 'Z' ? *s + 'a' - 'A' : *s);
	lower[n] = '\0';
	return seccomp_arch_resolve_name(lower);
}

static int add_arches(struct compilation *c)
{
	int r;

	c->arches[c->n_arches++] = seccomp_arch_native();
	strv_foreach (name, c->profile->architectures) {
		uint32_t arch = arch_of(*name);
		if (!arch)
			return err_set(c->err, EINVAL, "seccomp: unknown architecture '%s'", *name);
		if (c->n_arches == MAX_ARCHES)
			return err_set(
				c->err, E2BIG, "seccomp: more than %d architectures", MAX_ARCHES);
		r = seccomp_arch_add(c->ctx, arch);
		if (r == -EEXIST)
			continue;
		if (r < 0)
			return err_code(c->err, r, "seccomp: add architecture '%s'", *name);
		c->arches[c->n_arches++] = arch;
	}
	for (size_t i = 0; i < c->n_arches; i++)
		c->newest[i] = -1;
	return 0;
}

static void add_newer(struct compilation *c, const struct bundle_seccomp_rule *rule,
	const char *name, uint32_t action)
{
	for (size_t i = 0; i < ARRAY_SIZE(newer); i++)
		/* With conditions on arguments it would need a compiler: then it stays unknown. */
		if (!rule->args.n && strcmp(name, newer[i].name) == 0) {
			c->extra[i] = action;
			c->has_extra[i] = true;
		}
}

static int add_call(struct compilation *c, const char *name, uint32_t action,
	const struct scmp_arg_cmp *args, unsigned n, bool any)
{
	int nr = seccomp_syscall_resolve_name(name), r = 0;

	for (size_t i = 0; i < c->n_arches; i++) {
		int known = seccomp_syscall_resolve_name_arch(c->arches[i], name) & ~(int)X32_BIT;
		if (known > c->newest[i] && known < 4096)
			c->newest[i] = known;
	}
	if (action == c->default_action)
		return 0;
	if (!any)
		r = seccomp_rule_add_array(c->ctx, action, nr, n, args);
	for (unsigned i = 0; any && i < n && r == 0; i++)
		r = seccomp_rule_add_array(c->ctx, action, nr, 1, args + i);
	return r < 0 ? err_code(c->err, r, "seccomp: rule for '%s'", name) : 0;
}

static int add_rule(struct compilation *c, const struct bundle_seccomp_rule *rule)
{
	struct scmp_arg_cmp args[MAX_ARGS];
	unsigned used = 0;
	bool twice = false;
	uint32_t action;
	int r = action_of(rule->action, rule->errno_ret, &action, c->err);

	if (r < 0)
		return r;
	if (rule->args.n > MAX_ARGS)
		return err_set(c->err, E2BIG, "seccomp: rule for '%s': more than %d arguments",
			rule->names[0], MAX_ARGS);
	for (size_t i = 0; i < rule->args.n; i++) {
		const struct bundle_seccomp_arg *a = rule->args.items[i];
		if (a->index >= MAX_ARGS)
			return err_set(c->err, EINVAL, "seccomp: rule for '%s': no argument %u",
				rule->names[0], a->index);
		args[i] = (struct scmp_arg_cmp){
			.arg = a->index, .datum_a = a->value, .datum_b = a->value_two
		};
		r = compare_of(a->op, &args[i].op, c->err);
		if (r < 0)
			return r;
		twice |= used & 1u << a->index;
		used |= 1u << a->index;
	}
	/* Conditions on one argument are alternatives, as libseccomp cannot say "both" of them. */
	strv_foreach (name, rule->names) {
		if (seccomp_syscall_resolve_name(*name) == __NR_SCMP_ERROR)
			add_newer(c, rule, *name, action);
		else
			r = add_call(c, *name, action, args, (unsigned)rule->args.n, twice);
		if (r < 0)
			return r;
	}
	return 0;
}

#define STMT(code_, k_) ((struct sock_filter)BPF_STMT(code_, k_))
#define JUMP(code_, k_, jt_, jf_) ((struct sock_filter)BPF_JUMP(code_, k_, jt_, jf_))
#define PROLOGUE_MAX (2 + 4 * MAX_ARCHES + 2 * ARRAY_SIZE(newer) + 1)

/* Falls out at its end, where the main program starts, for all calls up to the newest one named. */
static size_t prologue(const struct compilation *c, struct sock_filter *out)
{
	size_t n = 0, n_extra = 0, extras, end;
	uint8_t tails = 0;

	if ((c->default_action & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO ||
		c->default_action == SCMP_ACT_ERRNO(ENOSYS))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(newer); i++)
		n_extra += c->has_extra[i];
	for (size_t i = 0; i < c->n_arches; i++)
		tails += c->arches[i] != SCMP_ARCH_X32 && c->newest[i] >= 0;
	extras = 1 + 4 * (size_t)tails + 1;
	end = extras + 2 * n_extra + 1;
	out[n++] = STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	for (size_t i = 0; i < c->n_arches; i++) {
		if (c->arches[i] == SCMP_ARCH_X32 || c->newest[i] < 0)
			continue;
		out[n++] = JUMP(BPF_JMP | BPF_JEQ | BPF_K, c->arches[i], 0, 3);
		out[n++] = STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
		/* x32's numbers, and -1 that a tracer may have put there. */
		out[n] = JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, (uint8_t)(end - n - 1), 0);
		n++;
		out[n] = JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)c->newest[i],
			(uint8_t)(extras - n - 1), (uint8_t)(end - n - 1));
		n++;
	}
	out[n] = STMT(BPF_JMP | BPF_JA, (uint32_t)(end - n - 1));
	n++;
	for (size_t i = 0; i < ARRAY_SIZE(newer); i++) {
		if (!c->has_extra[i])
			continue;
		out[n++] = JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)newer[i].number, 0, 1);
		out[n++] = STMT(BPF_RET | BPF_K, c->extra[i]);
	}
	out[n++] = STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	return n;
}

static int export_program(struct compilation *c, struct seccomp_filter *ret)
{
	cleanup(fd_close) int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct sock_filter *code;
	size_t head, count;
	struct stat st;
	int r;

	if (fd < 0)
		return err_errno(c->err, "seccomp: memfd_create");
	r = seccomp_export_bpf(c->ctx, fd);
	if (r < 0)
		return err_code(c->err, r, "seccomp: compile the profile");
	if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(c->err, "seccomp: memfd");
	count = (size_t)st.st_size / sizeof(*code);
	code = xcalloc(PROLOGUE_MAX + count, sizeof(*code));
	head = prologue(c, code);
	if (head + count > BPF_MAXINSNS ||
		fd_read_full(fd, code + head, count * sizeof(*code)) != st.st_size) {
		free(code);
		return err_set(c->err, E2BIG,
			"seccomp: the profile needs %zu instructions, the kernel takes %d",
			head + count, BPF_MAXINSNS);
	}
	ret->code = code;
	ret->len = (unsigned short)(head + count);
	return 0;
}

static int compile(
	const struct bundle_seccomp *profile, struct seccomp_filter *ret, struct err *err)
{
	struct compilation c = { .profile = profile, .err = err };
	cleanup(context_free) scmp_filter_ctx ctx = NULL;
	int r = action_of(
		profile->default_action, profile->default_errno_ret, &c.default_action, err);

	if (r < 0)
		return r;
	ctx = c.ctx = seccomp_init(c.default_action);
	if (!ctx)
		return err_set(err, EINVAL, "seccomp: default action '%s' is not supported",
			profile->default_action);
	r = add_arches(&c);
	for (size_t i = 0; r == 0 && i < profile->syscalls.n; i++)
		r = add_rule(&c, profile->syscalls.items[i]);
	if (r < 0)
		return r;
	seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* A binary tree over the numbers: most calls pass a handful of instructions. */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return export_program(&c, ret);
}

static void hash_text(struct hash *h, const char *s)
{
	hash_add(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

static void hash_strv(struct hash *h, char *const *v)
{
	strv_foreach (s, v)
		hash_text(h, *s);
	hash_text(h, NULL);
}

static void hash_number(struct hash *h, const int64_t *n)
{
	uint8_t present = n != NULL;

	hash_add(h, &present, 1);
	if (n)
		hash_add(h, n, sizeof(*n));
}

static void hash_rule(struct hash *h, const struct bundle_seccomp_rule *rule)
{
	hash_strv(h, rule->names);
	hash_text(h, rule->action);
	hash_number(h, rule->errno_ret);
	hash_add(h, &rule->args.n, sizeof(rule->args.n));
	for (size_t i = 0; i < rule->args.n; i++) {
		const struct bundle_seccomp_arg *a = rule->args.items[i];
		hash_add(h, &a->index, sizeof(a->index));
		hash_add(h, &a->value, sizeof(a->value));
		hash_add(h, &a->value_two, sizeof(a->value_two));
		hash_text(h, a->op);
	}
}

/* All that the program depends on. Flags and listener are given to the kernel beside it. */
static void hash_profile(const struct bundle_seccomp *p, char digest[DIGEST_LEN + 1])
{
	const struct scmp_version *v = seccomp_version();
	uint32_t native = seccomp_arch_native();
	struct hash h;

	hash_init(&h);
	hash_text(&h, CACHE_VERSION);
	hash_add(&h, v, sizeof(*v));
	hash_add(&h, &native, sizeof(native));
	hash_text(&h, p->default_action);
	hash_number(&h, p->default_errno_ret);
	hash_strv(&h, p->architectures);
	for (size_t i = 0; i < p->syscalls.n; i++)
		hash_rule(&h, p->syscalls.items[i]);
	hash_end(&h, digest);
}

/* FNV-1a: a torn or zeroed file after a crash must not become a filter. */
static uint32_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t v = 2166136261u;

	for (size_t i = 0; i < len; i++)
		v = (v ^ p[i]) * 16777619u;
	return v;
}

static bool cache_load(const char *path, struct seccomp_filter *ret)
{
	cleanup(fd_close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	cleanup(free) char *data = NULL;
	struct cache_header header;
	struct stat st;
	size_t len;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
		(st.st_mode & 022) || st.st_size <= (off_t)sizeof(header) ||
		st.st_size % (off_t)sizeof(struct sock_filter) != 0 ||
		st.st_size > (off_t)(sizeof(header) + BPF_MAXINSNS * sizeof(struct sock_filter)))
		return false;
	len = (size_t)st.st_size - sizeof(header);
	data = xcalloc(1, (size_t)st.st_size);
	if (fd_read_full(fd, data, (size_t)st.st_size) != st.st_size)
		return false;
	memcpy(&header, data, sizeof(header));
	if (header.magic != CACHE_MAGIC || header.checksum != checksum(data + sizeof(header), len))
		return false;
	ret->code = xcalloc(1, len);
	memcpy(ret->code, data + sizeof(header), len);
	ret->len = (unsigned short)(len / sizeof(struct sock_filter));
	return true;
}

/* A failure costs time at the next start, nothing else. */
static void cache_store(const char *dir, const char *path, const struct seccomp_filter *f)
{
	size_t len = f->len * sizeof(*f->code);
	struct cache_header header = { CACHE_MAGIC, checksum(f->code, len) };
	cleanup(buf_free) struct buf b = { 0 };

	buf_add(&b, &header, sizeof(header));
	buf_add(&b, f->code, len);
	if (dir_make(dir, 0700) == 0)
		file_write(AT_FDCWD, path, b.data, b.len, 0600, 0);
}

static bool notifies(const struct bundle_seccomp *p)
{
	for (size_t i = 0; i < p->syscalls.n; i++)
		if (strcmp(((const struct bundle_seccomp_rule *)p->syscalls.items[i])->action,
			    "SCMP_ACT_NOTIFY") == 0)
			return true;
	return false;
}

/* Into the cache, by a child: what compiling leaves of the heap, a supervisor would keep for its life. */
static void compile_apart(const struct bundle_seccomp *profile, const char *dir, const char *path)
{
	struct seccomp_filter f = { 0 };
	pid_t pid = fork();

	if (pid == 0) {
		if (compile(profile, &f, NULL) == 0)
			cache_store(dir, path, &f);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static bool cache_make(const struct bundle_seccomp *profile, const char *dir, const char *path,
	struct seccomp_filter *ret)
{
	if (cache_load(path, ret))
		return true;
	compile_apart(profile, dir, path);
	return cache_load(path, ret);
}

static bool notifies_of(const struct bundle_seccomp *p, const char *name)
{
	for (size_t i = 0; i < p->syscalls.n; i++) {
		const struct bundle_seccomp_rule *rule = p->syscalls.items[i];
		if (strcmp(rule->action, "SCMP_ACT_NOTIFY") == 0 &&
			strv_contains(rule->names, name))
			return true;
	}
	return false;
}

int seccomp_prepare(
	const struct bundle_seccomp *profile, struct seccomp_filter *ret, struct err *err)
{
	cleanup(seccomp_filter_free) struct seccomp_filter f = { 0 };
	cleanup(free) char *dir = NULL, *path = NULL;
	char digest[DIGEST_LEN + 1];
	int r = flags_of(profile->flags, &f.flags, err);

	if (r < 0)
		return r;
	/* As in other runtimes: a filter is no reason to slow a program down (before Linux 5.16). */
	if (strv_len(profile->flags) == 0 && !profile->no_flags)
		f.flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	f.has_listener = notifies(profile);
	/* The descriptor is handed over with the filter in place. */
	if (notifies_of(profile, "write"))
		return err_set(err, EINVAL,
			"seccomp: SCMP_ACT_NOTIFY cannot be used for the write syscall");
	if (f.has_listener)
		f.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	else
		f.flags &= ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	log_debug("seccomp", "seccomp filter flags: %u", f.flags);
	if (paths_run()) {
		hash_profile(profile, digest);
		dir = xasprintf("%s/seccomp", paths_run());
		path = xasprintf("%s/%s.bpf", dir, digest_hex(digest));
	}
	/* Ourselves where there is no cache, and for the error's text. */
	if (!path || !cache_make(profile, dir, path, &f)) {
		r = compile(profile, &f, err);
		if (r < 0)
			return r;
	}
	*ret = f;
	f = (struct seccomp_filter){ 0 };
	return 0;
}

int seccomp_apply(const struct seccomp_filter *filter)
{
	const struct sock_fprog program = { .len = filter->len, .filter = filter->code };
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, filter->flags, &program);

	return r < 0 ? -errno : (int)r;
}

void seccomp_filter_free(struct seccomp_filter *filter)
{
	free(filter->code);
	*filter = (struct seccomp_filter){ 0 };
}
