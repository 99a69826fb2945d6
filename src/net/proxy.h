#pragma once
/* Inside the port proxy: its UDP half. */
#include <sys/socket.h>

#include "base/loop.h"

struct proxy_udp;
/* fd stays the caller's. NULL on failure. */
struct proxy_udp *proxy_udp_start(
	struct loop *loop, int fd, const struct sockaddr_storage *target, socklen_t target_len);
void proxy_udp_free(struct proxy_udp *u);
