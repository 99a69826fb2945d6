/* The store's database as verbs see it: opened once, with every module's tables in place. */
#include "cmd/table.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/paths.h"
#include "base/reserve.h"
#include "image/image.h"
#include "instance/instance.h"
#include "instance/volume.h"
#include "net/net.h"

/* In the order in which tables may refer to each other. */
static int (*const module_init[])(struct db *db, struct err *err) = {
	image_init,
	net_init,
	volume_init,
	instance_init,
};

static struct db *the_db;

static int open_store(struct db **ret, struct err *err)
{
	cleanup(db_close) struct db *db = NULL;
	cleanup(free) char *path = xasprintf("%s/holm.db", paths_root());
	int r = db_open(path, &db, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(module_init); i++)
		r = module_init[i](db, err);
	if (r == 0)
		*ret = take(db);
	return r;
}

struct db *cmd_db(struct err *err)
{
	if (the_db)
		return the_db;
	reserve_keep();
	if (open_store(&the_db, err) < 0 && reserve_spend())
		open_store(&the_db, err);
	return the_db;
}

void cmd_db_close(void)
{
	db_close(take(the_db));
}
