/*
 * What firmware leaves behind for a kernel that goes back to real mode: interrupt vectors that return, PICs that are
 * set up for them, and the timer's 18.2 ticks a second. The boot processor does it itself, by code in the place of
 * firmware that runs before the kernel: so it works with a cpu whose interrupt controllers are not ours.
 */
#include <string.h>

#include "machine/boot_internal.h"

#define SEGMENT 0xf000u
#define TIMER_VECTORS 0x08u
#define SLAVE_VECTORS 0x70u

/* push ax; mov al, 0x20; out 0x20, al; pop ax; iret */
static const uint8_t master[] = { 0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf };
/* The same with the second controller's port first. */
static const uint8_t slave[] = { 0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf };
static const uint8_t nothing[] = { 0xcf };

/* Port and value: both PICs with their vectors, lines 0 and 2 open; channel 0 as a rate generator. */
static const uint8_t outputs[] = { 0x20, 0x11, 0x21, TIMER_VECTORS, 0x21, 0x04, 0x21, 0x01, 0x21,
	0xfa, 0xa0, 0x11, 0xa1, SLAVE_VECTORS, 0xa1, 0x02, 0xa1, 0x01, 0xa1, 0xff, 0x43, 0x34, 0x40,
	0x00, 0x40, 0x00, 0x00 };

/*
 * 32-bit: mov ecx, eax; mov esi, outputs; 1: movzx edx, byte [esi]; test edx, edx; jz 2; mov al, [esi + 1]; out dx, al;
 * add esi, 2; jmp 1; 2: mov eax, ecx; mov edx, entry; jmp edx
 */
static const uint8_t setup[] = { 0x89, 0xc1, 0xbe, 0, 0, 0, 0, 0x0f, 0xb6, 0x16, 0x85, 0xd2, 0x74,
	0x09, 0x8a, 0x46, 0x01, 0xee, 0x83, 0xc6, 0x02, 0xeb, 0xf0, 0x89, 0xc8, 0xba, 0, 0, 0, 0,
	0xff, 0xe2 };
#define SETUP_TABLE 3u
#define SETUP_ENTRY 26u

enum { AT_MASTER = 0, AT_SLAVE = 0x10, AT_NOTHING = 0x20, AT_OUTPUTS = 0x40, AT_SETUP = 0x80 };

uint64_t boot_firmware(struct memory *m, uint32_t entry)
{
	const uint32_t table = BOOT_FIRMWARE + AT_OUTPUTS;
	uint8_t code[sizeof(setup)];
	uint32_t vectors[256];

	for (unsigned i = 0; i < 256; i++) {
		unsigned at = i >= TIMER_VECTORS && i < TIMER_VECTORS + 8   ? AT_MASTER
			      : i >= SLAVE_VECTORS && i < SLAVE_VECTORS + 8 ? AT_SLAVE
									    : AT_NOTHING;

		vectors[i] = SEGMENT << 16 | (BOOT_FIRMWARE - (SEGMENT << 4) + at);
	}
	memcpy(code, setup, sizeof(code));
	memcpy(code + SETUP_TABLE, &table, sizeof(table));
	memcpy(code + SETUP_ENTRY, &entry, sizeof(entry));
	memory_write(m, 0, vectors, sizeof(vectors));
	memory_write(m, BOOT_FIRMWARE + AT_MASTER, master, sizeof(master));
	memory_write(m, BOOT_FIRMWARE + AT_SLAVE, slave, sizeof(slave));
	memory_write(m, BOOT_FIRMWARE + AT_NOTHING, nothing, sizeof(nothing));
	memory_write(m, BOOT_FIRMWARE + AT_OUTPUTS, outputs, sizeof(outputs));
	memory_write(m, BOOT_FIRMWARE + AT_SETUP, code, sizeof(code));
	return BOOT_FIRMWARE + AT_SETUP;
}
