#pragma once
/*
 * sd_notify(3) for programs in containers, as runc has it: who is started with $NOTIFY_SOCKET gives the container
 * a socket of its own at /run/notify/notify.sock, and hands on from there that the program is ready, and nothing
 * else. Without that variable nothing is done.
 */
#include "oci/oci.h"

/* Before the container is made: a directory for the socket, its mount and the variable, in c->bundle. */
int oci_notify_prepare(struct oci_container *c, struct err *err);
/* Before it is started: *ret_fd is the socket, the caller's; untouched when there is nobody to be told. */
int oci_notify_listen(const struct oci_container *c, int *ret_fd, struct err *err);
/* fd -1: nothing. Until it has said that it is ready, or is gone; main_pid: the service's process from now on, or 0. */
void oci_notify_wait(const struct oci_container *c, int fd, pid_t main_pid);
/* The same in a child of the caller's, which ends with the caller. */
void oci_notify_fork(const struct oci_container *c, int fd);
