#pragma once
/*
 * Flows that the kernel remembers. A UDP flow keeps the translation (or the lack of one) that it
 * began with for as long as packets come: when a port is published or no longer so, its flows are
 * forgotten, and the next packet is looked at anew. TCP needs none of it.
 */

/* elements: as in nft.h. Never fails the caller: without connection tracking there is no flow. */
void conntrack_forget(char *const *elements);
