#pragma once
/*
 * Scope cleanup. `cleanup(disk_free) struct disk *d = NULL;` calls disk_free(d) when d goes out of
 * scope; `return take(d);` hands it on. Every destructor so used is made known once, beside its
 * declaration, with DEFINE_CLEANUP, and accepts NULL (or -1) and half-built objects.
 */
#include <stdlib.h>

/* Some variables are there to be cleaned up only: clang would call those unused. */
#define cleanup(destructor) __attribute__((cleanup(destructor##_cleanup), unused))

/* For destructors that take the variable's value: void disk_free(struct disk *). */
#define DEFINE_CLEANUP(destructor, type) \
	static inline void destructor##_cleanup(type *p) \
	{ \
		destructor(*p); \
	} \
	struct cleanup_needs_a_semicolon

/* For those that take the object's address: void buf_free(struct buf *). */
#define DEFINE_CLEANUP_OBJECT(destructor, type) \
	static inline void destructor##_cleanup(type *p) \
	{ \
		destructor(p); \
	} \
	struct cleanup_needs_a_semicolon

#define take(p) \
	__extension__({ \
		__typeof__(p) taken_ = (p); \
		(p) = NULL; \
		taken_; \
	})

#define take_fd(fd) \
	__extension__({ \
		int taken_ = (fd); \
		(fd) = -1; \
		taken_; \
	})

/* cleanup(free) char *s = NULL; */
static inline void free_cleanup(void *p)
{
	free(*(void **)p);
}
