#pragma once
/*
 * Allocation of our own small objects: never fails, aborts when memory is out. Sizes that come from
 * an image, a guest, a registry or a client are checked against a limit before they get here.
 */
#include <stddef.h>

#include "base/err.h"

void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc_array(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((returns_nonnull));
char *xasprintf(const char *fmt, ...) printf_like(1, 2) __attribute__((returns_nonnull));

/* strdup that passes NULL through. */
char *xstrdup_null(const char *s);

/* Replaces *dst, freeing what was there. src may be NULL. */
void str_replace(char **dst, const char *src);

/*
 * Gives the kernel back what is not needed to wait: free pages of the heap, also between what is in use, the
 * stack below the caller, and the program's and its libraries' code, which comes from the page cache again
 * as it is executed. For a process that has worked hard and now waits for long. Only in the main thread.
 */
void memory_trim(void);

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
