/*
 * Which device nodes a group may use. v1 has files for it (devices.allow, devices.deny); on v2 an
 * eBPF program decides, made here from the rules and attached to the group. The meaning of a list of
 * rules is v1's in both: kernel security/device_cgroup.c keeps one default and exceptions from it.
 */
#include "container/cgroup_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"

#define ALL (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)
#define MAX_RULES 4096
#define INSNS_PER_RULE 7

static unsigned access_bits(const struct bundle_device_rule *r)
{
	unsigned bits = 0;

	if (!r->access || !*r->access)
		return ALL;
	/* Other runtimes take "a" too, and give it no meaning. */
	for (const char *s = r->access; *s; s++)
		bits |= *s == 'r'   ? BPF_DEVCG_ACC_READ
			: *s == 'w' ? BPF_DEVCG_ACC_WRITE
			: *s == 'm' ? BPF_DEVCG_ACC_MKNOD
				    : 0;
	return bits;
}

static int64_t number_of(const int64_t *n)
{
	return n ? *n : -1;
}

static bool is_any_type(const struct bundle_device_rule *r)
{
	return !r->type || !*r->type || *r->type == 'a';
}

/* "a" with all accesses: sets the default and forgets the exceptions. */
static bool is_everything(const struct bundle_device_rule *r)
{
	return is_any_type(r) && number_of(r->major) < 0 && number_of(r->minor) < 0 &&
	       access_bits(r) == ALL;
}

static struct cgroup_device *find(struct cgroup_devices *d, const struct cgroup_device *like)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->list[i].type == like->type && d->list[i].major == like->major &&
			d->list[i].minor == like->minor)
			return &d->list[i];
	return NULL;
}

static void add_exception(struct cgroup_devices *d, const struct cgroup_device *e)
{
	struct cgroup_device *have = find(d, e);

	if (have) {
		have->access |= e->access;
		return;
	}
	if ((d->n & (d->n - 1)) == 0)
		d->list = xrealloc_array(d->list, d->n ? 2 * d->n : 1, sizeof(*d->list));
	d->list[d->n++] = *e;
}

static void remove_exception(struct cgroup_devices *d, const struct cgroup_device *e)
{
	struct cgroup_device *have = find(d, e);

	if (have)
		have->access &= ~e->access;
	if (have && !have->access)
		*have = d->list[--d->n];
}

void cgroup_devices_fold(const struct record_list *rules, struct cgroup_devices *ret)
{
	*ret = (struct cgroup_devices){ .allow = true };
	for (size_t i = 0; i < rules->n; i++) {
		const struct bundle_device_rule *r = rules->items[i];
		if (is_everything(r)) {
			ret->allow = r->allow;
			ret->n = 0;
			continue;
		}
		for (const char *type = is_any_type(r) ? "bc" : r->type; *type; type++) {
			struct cgroup_device e = { *type, number_of(r->major), number_of(r->minor),
				access_bits(r) };
			if (r->allow == ret->allow)
				remove_exception(ret, &e);
			else
				add_exception(ret, &e);
		}
	}
}

void cgroup_devices_free(struct cgroup_devices *d)
{
	free(d->list);
	*d = (struct cgroup_devices){ 0 };
}

#define INSN(code_, dst_, src_, off_, imm_) \
	((struct bpf_insn){ .code = (code_), \
		.dst_reg = (dst_), \
		.src_reg = (src_), \
		.off = (short)(off_), \
		.imm = (imm_) })
#define LOAD(dst_, field_) \
	INSN(BPF_LDX | BPF_MEM | BPF_W, dst_, BPF_REG_1, \
		offsetof(struct bpf_cgroup_dev_ctx, field_), 0)
#define MOV(dst_, imm_) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst_, 0, 0, imm_)
/* Jumps are 64-bit, as JMP32 is of Linux 5.1: the values are zero-extended. */
#define JUMP(op_, reg_, imm_, off_) INSN(BPF_JMP | (op_) | BPF_K, reg_, 0, off_, imm_)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* r2: type, r3: access, r4: major, r5: minor. Jumps past itself when the exception does not apply. */
static size_t exception(const struct cgroup_device *e, bool allow, struct bpf_insn *out)
{
	const unsigned type = e->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
	size_t n = 0;

	out[n++] = JUMP(BPF_JNE, BPF_REG_2, (int)type, 0);
	if (e->major >= 0)
		out[n++] = JUMP(BPF_JNE, BPF_REG_4, (int)e->major, 0);
	if (e->minor >= 0)
		out[n++] = JUMP(BPF_JNE, BPF_REG_5, (int)e->minor, 0);
	/* Allowing needs all the accesses asked for, forbidding any one of them. */
	if (!allow && e->access != ALL) {
		out[n++] = JUMP(BPF_JSET, BPF_REG_3, (int)(ALL & ~e->access), 0);
	} else if (allow) {
		out[n++] = JUMP(BPF_JSET, BPF_REG_3, (int)e->access, 1);
		out[n++] = INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0);
	}
	out[n++] = MOV(BPF_REG_0, !allow);
	out[n++] = EXIT();
	for (size_t i = 0; i < n; i++)
		if (BPF_CLASS(out[i].code) == BPF_JMP && BPF_OP(out[i].code) != BPF_EXIT &&
			out[i].off == 0)
			out[i].off = (short)(n - i - 1);
	return n;
}

struct bpf_insn *cgroup_devices_program(const struct cgroup_devices *d, size_t *ret_n)
{
	struct bpf_insn *p = xcalloc(8 + d->n * INSNS_PER_RULE, sizeof(*p));
	size_t n = 0;

	p[n++] = LOAD(BPF_REG_2, access_type);
	p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
	p[n++] = INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
	p[n++] = INSN(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
	p[n++] = LOAD(BPF_REG_4, major);
	p[n++] = LOAD(BPF_REG_5, minor);
	for (size_t i = 0; i < d->n; i++)
		/* Numbers above 31 bits belong to no device. */
		if (d->list[i].major <= INT32_MAX && d->list[i].minor <= INT32_MAX)
			n += exception(&d->list[i], d->allow, p + n);
	p[n++] = MOV(BPF_REG_0, d->allow);
	p[n++] = EXIT();
	*ret_n = n;
	return p;
}

static int bpf(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

static int load(const struct bpf_insn *code, size_t n)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uintptr_t)code;
	attr.insn_cnt = (uint32_t)n;
	attr.license = (uintptr_t) "Apache-2.0";
	memcpy(attr.prog_name, "holm_devices", 12);
	return bpf(BPF_PROG_LOAD, &attr);
}

#define MAX_ATTACHED 16

static size_t attached(int dir, uint32_t ids[MAX_ATTACHED])
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = (uint32_t)dir;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.prog_ids = (uintptr_t)ids;
	attr.query.prog_cnt = MAX_ATTACHED;
	return bpf(BPF_PROG_QUERY, &attr) < 0 ? 0 : attr.query.prog_cnt;
}

static void detach(int dir, uint32_t id)
{
	cleanup(fd_close) int program = -1;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_id = id;
	program = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
	if (program < 0)
		return;
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)dir;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	bpf(BPF_PROG_DETACH, &attr);
}

static int apply_v2(
	const struct cgroup_group *g, int h, const struct cgroup_devices *d, struct err *err)
{
	cleanup(fd_close) int dir = openat(g->dir[h], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup(fd_close) int program = -1;
	cleanup(free) struct bpf_insn *code = NULL;
	uint32_t old[MAX_ATTACHED];
	size_t n, n_old;
	union bpf_attr attr;
	int r;

	if (dir < 0)
		return err_errno(err, "device rules: open cgroup '%s'", g->path);
	code = cgroup_devices_program(d, &n);
	program = load(code, n);
	if (program < 0)
		return err_code(
			err, program, "device rules: load a program of %zu instructions", n);
	n_old = g->fresh ? 0 : attached(dir, old);
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)dir;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	r = bpf(BPF_PROG_ATTACH, &attr);
	if (r < 0)
		return err_code(err, r, "device rules: attach to cgroup '%s'", g->path);
	/* Only now: while both are there, both must agree, so nothing is open in between. */
	for (size_t i = 0; i < n_old; i++)
		detach(dir, old[i]);
	return 0;
}

static void print_number(char text[24], int64_t n)
{
	if (n < 0)
		snprintf(text, 24, "*");
	else
		snprintf(text, 24, "%" PRId64, n);
}

static int write_rule(int fd, char type, const struct bundle_device_rule *r, struct err *err)
{
	char text[80], major[24], minor[24];
	unsigned a = access_bits(r);
	size_t n;

	print_number(major, number_of(r->major));
	print_number(minor, number_of(r->minor));
	n = type == 'a'
		    ? (size_t)snprintf(text, sizeof(text), "a")
		    : (size_t)snprintf(text, sizeof(text), "%c %s:%s %s%s%s", type, major, minor,
			      a & BPF_DEVCG_ACC_READ ? "r" : "", a & BPF_DEVCG_ACC_WRITE ? "w" : "",
			      a & BPF_DEVCG_ACC_MKNOD ? "m" : "");
	if (write(fd, text, n) < 0)
		return err_errno(err, "device rule %s '%s'", r->allow ? "allow" : "deny", text);
	return 0;
}

static int apply_v1(
	const struct cgroup_group *g, int h, const struct record_list *rules, struct err *err)
{
	const int flags = O_WRONLY | O_CLOEXEC | g->layout->open_flags;
	cleanup(fd_close) int allow = openat(g->dir[h], "devices.allow", flags, 0600);
	cleanup(fd_close) int deny = openat(g->dir[h], "devices.deny", flags, 0600);
	int r = 0;

	if (allow < 0 || deny < 0)
		return err_errno(err, "device rules: open cgroup '%s'", g->path);
	for (size_t i = 0; r == 0 && i < rules->n; i++) {
		const struct bundle_device_rule *d = rules->items[i];
		int fd = d->allow ? allow : deny;
		const char *types = is_everything(d) ? "a" : is_any_type(d) ? "bc" : d->type;
		for (; r == 0 && *types; types++)
			r = write_rule(fd, *types, d, err);
	}
	return r;
}

int cgroup_devices_apply(
	const struct cgroup_group *g, const struct record_list *rules, struct err *err)
{
	cleanup(cgroup_devices_free) struct cgroup_devices d = { 0 };
	int h = cgroup_find(g->layout, CG_DEVICES);

	if (h < 0 || g->dir[h] < 0)
		return err_set(err, ENOTSUP, "device rules: this host has no devices controller");
	if (rules->n > MAX_RULES)
		return err_set(err, E2BIG, "device rules: more than %d", MAX_RULES);
	if (!cgroup_is_v2(g->layout, (size_t)h))
		return apply_v1(g, h, rules, err);
	cgroup_devices_fold(rules, &d);
	return apply_v2(g, h, &d, err);
}
