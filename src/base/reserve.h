#pragma once
/*
 * Space kept back beside the store, ROOT/reserve, so that things can be removed from it when the disk
 * is full: that takes writing too. Leaf functions without errors, since nothing depends on it.
 */
#include <stdbool.h>

/* Makes it when it is not there and there is plenty of space. */
void reserve_keep(void);
/* Gives it up when the disk is full; true when that has freed something. */
bool reserve_spend(void);
