/*
 * A stub that is known to raise a SIMD exception, run with that exception not masked: SIGFPE's handler notes the
 * flags and masks the rest. A signal's action is the whole process's, so this is done by one thread at a time and
 * undone at once; it is as rare as guests that have such exceptions.
 */
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

#include "cpu/soft/soft.h"

#define MASKS 0x1f80u
#define FLAGS 0x3fu

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local volatile uint32_t caught;
static _Thread_local volatile sig_atomic_t catching;

static void on_fpe(int number, siginfo_t *info, void *data)
{
	ucontext_t *u = data;

	(void)info;
	if (!catching) {
		signal(number, SIG_DFL);
		return;
	}
	caught = u->uc_mcontext.fpregs->mxcsr & FLAGS;
	u->uc_mcontext.fpregs->mxcsr |= MASKS;
}

uint32_t trap_run(const struct stub *s, struct frame *f)
{
	struct sigaction action = { .sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO }, old;

	pthread_mutex_lock(&lock);
	sigaction(SIGFPE, &action, &old);
	caught = UINT32_MAX;
	catching = 1;
	s->run(f);
	catching = 0;
	sigaction(SIGFPE, &old, NULL);
	pthread_mutex_unlock(&lock);
	return caught == UINT32_MAX ? f->mxcsr & FLAGS : caught;
}
