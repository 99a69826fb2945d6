/* The options of mounts: runtime-spec config.md, "Linux mount options"; mount(8). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

#include "container/mount.h"

#include "base/alloc.h"
#include "base/strv.h"

enum option_kind {
	FLAG_SET, /* MS_*; for binds the attribute of the same name */
	FLAG_CLEAR,
	BELOW_SET, /* MOUNT_ATTR_*, recursively */
	BELOW_CLEAR,
	PROPAGATION,
	BIND,
	OTHER,
	IGNORED,
};

enum other { COPY_UP = 1, IDMAP, IDMAP_BELOW };

static const struct option {
	const char *name;
	enum option_kind kind;
	uint64_t value;
} table[] = {
	{ "async", FLAG_CLEAR, MS_SYNCHRONOUS },
	{ "atime", FLAG_CLEAR, MS_NOATIME },
	{ "bind", BIND, 0 },
	{ "defaults", IGNORED, 0 },
	{ "dev", FLAG_CLEAR, MS_NODEV },
	{ "diratime", FLAG_CLEAR, MS_NODIRATIME },
	{ "dirsync", FLAG_SET, MS_DIRSYNC },
	{ "exec", FLAG_CLEAR, MS_NOEXEC },
	{ "idmap", OTHER, IDMAP },
	{ "lazytime", FLAG_SET, MS_LAZYTIME },
	{ "loud", IGNORED, 0 },
	{ "mand", FLAG_SET, MS_MANDLOCK },
	{ "noatime", FLAG_SET, MS_NOATIME },
	{ "nodev", FLAG_SET, MS_NODEV },
	{ "nodiratime", FLAG_SET, MS_NODIRATIME },
	{ "noexec", FLAG_SET, MS_NOEXEC },
	{ "nolazytime", FLAG_CLEAR, MS_LAZYTIME },
	{ "nomand", FLAG_CLEAR, MS_MANDLOCK },
	{ "norelatime", FLAG_CLEAR, MS_RELATIME },
	{ "nostrictatime", FLAG_CLEAR, MS_STRICTATIME },
	{ "nosuid", FLAG_SET, MS_NOSUID },
	{ "nosymfollow", FLAG_SET, MS_NOSYMFOLLOW },
	{ "private", PROPAGATION, MS_PRIVATE },
	{ "ratime", BELOW_CLEAR, MOUNT_ATTR_NOATIME },
	{ "rbind", BIND, 1 },
	{ "rdev", BELOW_CLEAR, MOUNT_ATTR_NODEV },
	{ "rdiratime", BELOW_CLEAR, MOUNT_ATTR_NODIRATIME },
	{ "relatime", FLAG_SET, MS_RELATIME },
	{ "remount", IGNORED, 0 },
	{ "rexec", BELOW_CLEAR, MOUNT_ATTR_NOEXEC },
	{ "ridmap", OTHER, IDMAP_BELOW },
	{ "rnoatime", BELOW_SET, MOUNT_ATTR_NOATIME },
	{ "rnodev", BELOW_SET, MOUNT_ATTR_NODEV },
	{ "rnodiratime", BELOW_SET, MOUNT_ATTR_NODIRATIME },
	{ "rnoexec", BELOW_SET, MOUNT_ATTR_NOEXEC },
	{ "rnorelatime", BELOW_CLEAR, MOUNT_ATTR_RELATIME },
	{ "rnostrictatime", BELOW_CLEAR, MOUNT_ATTR_STRICTATIME },
	{ "rnosuid", BELOW_SET, MOUNT_ATTR_NOSUID },
	{ "rnosymfollow", BELOW_SET, MOUNT_ATTR_NOSYMFOLLOW },
	{ "ro", FLAG_SET, MS_RDONLY },
	{ "rprivate", PROPAGATION, MS_PRIVATE | MS_REC },
	{ "rrelatime", BELOW_SET, MOUNT_ATTR_RELATIME },
	{ "rro", BELOW_SET, MOUNT_ATTR_RDONLY },
	{ "rrw", BELOW_CLEAR, MOUNT_ATTR_RDONLY },
	{ "rshared", PROPAGATION, MS_SHARED | MS_REC },
	{ "rslave", PROPAGATION, MS_SLAVE | MS_REC },
	{ "rstrictatime", BELOW_SET, MOUNT_ATTR_STRICTATIME },
	{ "rsuid", BELOW_CLEAR, MOUNT_ATTR_NOSUID },
	{ "rsymfollow", BELOW_CLEAR, MOUNT_ATTR_NOSYMFOLLOW },
	{ "runbindable", PROPAGATION, MS_UNBINDABLE | MS_REC },
	{ "rw", FLAG_CLEAR, MS_RDONLY },
	{ "shared", PROPAGATION, MS_SHARED },
	{ "silent", IGNORED, 0 },
	{ "slave", PROPAGATION, MS_SLAVE },
	{ "strictatime", FLAG_SET, MS_STRICTATIME },
	{ "suid", FLAG_CLEAR, MS_NOSUID },
	{ "symfollow", FLAG_CLEAR, MS_NOSYMFOLLOW },
	{ "sync", FLAG_SET, MS_SYNCHRONOUS },
	{ "tmpcopyup", OTHER, COPY_UP },
	{ "unbindable", PROPAGATION, MS_UNBINDABLE },
};

const char *mount_option_name(size_t i)
{
	return i < ARRAY_SIZE(table) ? table[i].name : NULL;
}

static const struct {
	unsigned long flag;
	uint64_t attr;
} attributes[] = {
	{ MS_RDONLY, MOUNT_ATTR_RDONLY },
	{ MS_NOSUID, MOUNT_ATTR_NOSUID },
	{ MS_NODEV, MOUNT_ATTR_NODEV },
	{ MS_NOEXEC, MOUNT_ATTR_NOEXEC },
	{ MS_NODIRATIME, MOUNT_ATTR_NODIRATIME },
	{ MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
};

/* One of three values under a mask, which mount_setattr(2) wants cleared as a whole. */
#define ATIME_MODES ((unsigned long)(MS_NOATIME | MS_RELATIME | MS_STRICTATIME))

void mount_options_attributes(unsigned long flags, uint64_t *set, uint64_t *clear)
{
	bool times = flags & (ATIME_MODES | MS_NODIRATIME);

	*set = *clear = 0;
	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		if (attributes[i].flag == MS_NODIRATIME && !times)
			continue;
		*clear |= attributes[i].attr;
		if (flags & attributes[i].flag)
			*set |= attributes[i].attr;
	}
	if (!times)
		return;
	*clear |= MOUNT_ATTR__ATIME;
	*set |= flags & MS_STRICTATIME ? MOUNT_ATTR_STRICTATIME
		: flags & MS_NOATIME   ? MOUNT_ATTR_NOATIME
				       : MOUNT_ATTR_RELATIME;
}

static void set_flag(struct mount_options *o, unsigned long flag, bool on)
{
	/* Of several modes the last counts. */
	if (on && flag & ATIME_MODES)
		o->flags &= ~ATIME_MODES;
	o->flags = on ? o->flags | flag : o->flags & ~flag;
	o->cleared = on ? o->cleared & ~flag : o->cleared | flag;
	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++)
		if (attributes[i].flag & flag)
			o->set = on ? o->set | attributes[i].attr : o->set & ~attributes[i].attr;
}

static void set_below(struct mount_options *o, uint64_t attr, bool on)
{
	/* Relatime is 0, and clearing one atime mode means going back to it. */
	if (attr == MOUNT_ATTR_RELATIME || attr & MOUNT_ATTR__ATIME) {
		o->below_clear |= MOUNT_ATTR__ATIME;
		o->below_set = (o->below_set & ~(uint64_t)MOUNT_ATTR__ATIME) | (on ? attr : 0);
		return;
	}
	o->below_clear |= attr;
	if (on)
		o->below_set |= attr;
	else
		o->below_set &= ~attr;
}

static const struct option *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

static void apply(struct mount_options *o, const struct option *option)
{
	switch (option->kind) {
	case FLAG_SET:
	case FLAG_CLEAR:
		set_flag(o, (unsigned long)option->value, option->kind == FLAG_SET);
		break;
	case BELOW_SET:
	case BELOW_CLEAR:
		set_below(o, option->value, option->kind == BELOW_SET);
		break;
	case PROPAGATION:
		o->propagation = (unsigned long)option->value;
		break;
	case BIND:
		o->bind = true;
		o->recursive = option->value;
		break;
	case OTHER:
		o->copy_up |= option->value == COPY_UP;
		o->idmap |= option->value != COPY_UP;
		o->idmap_below |= option->value == IDMAP_BELOW;
		break;
	case IGNORED:
		break;
	}
}

int mount_options_parse(char *const *options, struct mount_options *ret, struct err *err)
{
	cleanup(mount_options_free) struct mount_options o = { 0 };

	strv_foreach (name, options) {
		const struct option *option = find(*name);
		if (option) {
			apply(&o, option);
			continue;
		}
		if (o.data.len)
			buf_addc(&o.data, ',');
		buf_adds(&o.data, *name);
	}
	/* mount(2) copies one page. */
	if (o.data.len >= 4096)
		return err_set(err, EINVAL, "the mount's options are longer than 4095 bytes");
	*ret = o;
	o.data = (struct buf){ 0 };
	return 0;
}

void mount_options_free(struct mount_options *o)
{
	buf_free(&o->data);
}
