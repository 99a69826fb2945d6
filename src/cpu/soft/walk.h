#pragma once
/* Page table walks; for mmu.c. */
#include "cpu/soft/soft.h"

/* Walks for an access (PF_WRITE, PF_FETCH), by a user or not, sets accessed and dirty bits, and fills in
 * the mapping. 0, or the page fault's error code + 0x100. */
unsigned walk(
	struct vcpu *v, uint64_t linear, unsigned access, bool user, bool ac, struct mapping *ret);
