#pragma once
/* Inside the machine verbs: network cards. */
#include "base/db.h"
#include "base/err.h"
#include "base/loop.h"
#include "machine/machine.h"

/* The cards of one machine and what they are plugged into; kept over resets. */
struct machine_nets;

/* From the values of --net; instance name for networks, or NULL: one made up. Needs no store but for networks of holm's. */
int machine_nets_parse(
	char *const *specs, const char *name, struct machine_nets **ret, struct err *err);
/* Plugs them in, for one life of the machine, whose process takes its copies. The array and the backends stay ours until
 * the next life, or the end; names are resolved by the loop, which stays until then. */
int machine_nets_open(struct machine_nets *nets, struct loop *loop, struct machine_nic **ret,
	unsigned *ret_n, struct err *err);
/* Gives back the places of machines that died, so that their networks can go. */
int machine_nets_sweep(struct db *db, struct err *err);
/* Gives back what networks gave. NULL is allowed. */
void machine_nets_free(struct machine_nets *nets);
DEFINE_CLEANUP(machine_nets_free, struct machine_nets *);
