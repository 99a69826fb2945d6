#pragma once
/* Threads of ours leave signals to those who set them up: the caller's. */
#include <pthread.h>

/* As pthread_create(), with all signals blocked. 0 or -errno. */
int thread_start(pthread_t *thread, void *(*fn)(void *data), void *data);
