/* Exceptions out of operations, and what becomes of two of them at once (SDM volume 3, table 6-5). */
#include "cpu/soft/soft.h"

enum { ESCAPE_FAULT = 1, ESCAPE_FATAL = 2 };

static noreturn void escape(struct vcpu *v, int why)
{
	v->rw_kind = RW_DIRECT;
	v->pending_db = 0;
	longjmp(v->escape, why);
}

noreturn void fault(struct vcpu *v, int vector)
{
	v->shutdown = !interrupt_combine(v, vector, false, 0);
	escape(v, ESCAPE_FAULT);
}

noreturn void fault_code(struct vcpu *v, int vector, uint32_t error)
{
	v->shutdown = !interrupt_combine(v, vector, true, error);
	escape(v, ESCAPE_FAULT);
}

noreturn void fault_fatal(struct vcpu *v, const char *why)
{
	v->fatal = why;
	escape(v, ESCAPE_FATAL);
}

static bool contributory(int vector)
{
	return vector == VECTOR_DE || (vector >= VECTOR_TS && vector <= VECTOR_GP);
}

bool interrupt_combine(struct vcpu *v, int vector, bool has_error, uint32_t error)
{
	int first =
		v->event.is_interrupt || v->event.is_soft || v->event.is_nmi ? -1 : v->event.vector;
	bool doubled = (contributory(first) && contributory(vector)) ||
		       (first == VECTOR_PF && (contributory(vector) || vector == VECTOR_PF));

	if (first == VECTOR_DF && (contributory(vector) || vector == VECTOR_PF))
		return false;
	v->event.has_error = has_error;
	v->event.error = error;
	/* EXT: the fault is not the program's own doing. */
	if (v->event.vector >= 0 && !v->event.is_soft && has_error && vector != VECTOR_PF)
		v->event.error |= 1;
	v->event.vector = vector;
	v->event.is_interrupt = v->event.is_soft = v->event.is_nmi = false;
	if (doubled) {
		v->event.vector = VECTOR_DF;
		v->event.has_error = true;
		v->event.error = 0;
	}
	return true;
}
