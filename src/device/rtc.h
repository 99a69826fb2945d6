#pragma once
/* The MC146818 real-time clock with 128 bytes of CMOS memory, at ports 0x70 and 0x71, line 8. UTC. */
#include <stdint.h>

#include "device/device.h"
#include "memory/memory.h"

/* below_4g, above_4g: bytes of RAM, which firmware finds in CMOS. unix_now: what time it is, in seconds, when
 * the clock (memory/clock.h) is at 0. */
struct device *rtc_new(struct memory *m, uint64_t below_4g, uint64_t above_4g, int64_t unix_now);
