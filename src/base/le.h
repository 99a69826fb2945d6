#pragma once
/* Numbers of 1 to 8 bytes in memory, the lowest first, wherever they lie. */
#include <stdint.h>

static inline void put_le(void *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		((uint8_t *)at)[i] = (uint8_t)(value >> 8 * i);
}

static inline uint64_t get_le(const void *at, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)((const uint8_t *)at)[i] << 8 * i;
	return value;
}
