#include "base/alloc.h"

#include <link.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_TRIM (128u << 10) /* no call of ours goes deeper than that */

static void *check(void *p)
{
	if (!p) {
		fputs("holm: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return check(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc_array(void *p, size_t n, size_t size)
{
	return check(reallocarray(p, n ? n : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return check(strdup(s));
}

char *xstrdup_null(const char *s)
{
	return s ? xstrdup(s) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	return check(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return check(s);
}

void str_replace(char **dst, const char *src)
{
	char *copy = xstrdup_null(src);

	free(*dst);
	*dst = copy;
}

/* What is never written to is the file's: code and constants. */
static int drop_code(struct dl_phdr_info *info, size_t size, void *page)
{
	uintptr_t mask = *(uintptr_t *)page - 1;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t begin = (info->dlpi_addr + h->p_vaddr) & ~mask;
		uintptr_t end = (info->dlpi_addr + h->p_vaddr + h->p_memsz + mask) & ~mask;
		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W))
			madvise((void *)begin, end - begin, MADV_DONTNEED);
	}
	return 0;
}

__attribute__((noinline)) void memory_trim(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	/* A page is left for our own frame and the calls below. */
	uintptr_t end = ((uintptr_t)__builtin_frame_address(0) & ~(page - 1)) - page;

	malloc_trim(0);
	/* What lies below a frame is nobody's. Where the stack has not grown that far yet the call fails
	 * half-way, which is no harm: there is nothing to give back. */
	madvise((void *)(end - STACK_TRIM), STACK_TRIM, MADV_DONTNEED);
	dl_iterate_phdr(drop_code, &page);
}
