#pragma once
/* Inside vsock: one connection as the host has it. The device's lock guards all of it. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define VSOCK_BUFFER 65536u /* what the guest may send before the host has taken it */
#define VSOCK_LINE 32u

enum vsock_op {
	VSOCK_REQUEST = 1,
	VSOCK_RESPONSE = 2,
	VSOCK_RESET = 3,
	VSOCK_SHUTDOWN = 4,
	VSOCK_DATA = 5,
	VSOCK_CREDIT = 6,
	VSOCK_ASK_CREDIT = 7
};

#define VSOCK_NO_RECEIVE 1u /* flags of VSOCK_SHUTDOWN: who says it will not receive, or send */
#define VSOCK_NO_SEND 2u

/* virtio 1.2, 5.10.6; little-endian, packed to 44 bytes. */
struct vsock_header {
	uint64_t from_cid, to_cid;
	uint32_t from_port, to_port, len;
	uint16_t type, op;
	uint32_t flags, room,
		taken; /* the sender's buffer, and how much of what it got it is through with */
} __attribute__((packed));

enum vsock_state {
	VSOCK_FREE,
	VSOCK_LINE_STATE, /* a host's program has yet to say which port */
	VSOCK_ASKED,      /* the guest has yet to answer */
	VSOCK_OPEN,
	VSOCK_DYING /* a reset has to be sent */
};

struct vsock_link {
	enum vsock_state state;
	int fd;
	uint32_t port, guest_port;
	char line[VSOCK_LINE];
	unsigned line_len;
	unsigned owed; /* bits of operations that are to be sent, 1 << VSOCK_... */

	/* To the guest: its buffer, what it was sent, what it is through with. */
	uint32_t guest_room, sent, guest_taken;
	bool host_done; /* no more comes from the host's program */
	/* From the guest: what it sent, what the host's program took, and what of that the guest was told. */
	uint32_t got, taken, told;
	uint8_t *
		buffer; /* what the program does not take yet, got - taken bytes from `first` on; a ring */
	uint32_t first;
	bool guest_done; /* no more comes from the guest */
	bool guest_deaf; /* it takes no more */
};

/* The guest's data, for the program: now, or kept. False: more than it was given room for, or the program is gone. */
bool vsock_link_take(struct vsock_link *l, const struct iovec *iov, unsigned n_iov, uint32_t len);
/* Gives the program what is kept. False: it is gone. */
bool vsock_link_flush(struct vsock_link *l);
/* Bytes that the guest has room for. */
uint32_t vsock_link_credit(const struct vsock_link *l);
static inline uint32_t vsock_link_kept(const struct vsock_link *l)
{
	return l->got - l->taken;
}
/* Reads on in the line "CONNECT PORT\n": 1 and guest_port is set, 0: not all of it is there, negative: it is none. */
int vsock_link_read_line(struct vsock_link *l);
/* Closes and frees what is in it. */
void vsock_link_finish(struct vsock_link *l);
