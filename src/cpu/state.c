/* Power-up state: Intel SDM volume 3, "Processor state after power-up, reset, or INIT". */
#include "cpu/state.h"

#include <string.h>

#define SEG_CODE 0x9bu
#define SEG_DATA 0x93u
#define SEG_LDT 0x82u
#define SEG_TSS 0x8bu
#define FCW_RESET 0x0040u
#define MXCSR_RESET 0x1f80u

void cpu_state_reset(struct cpu_state *s, bool boot_processor)
{
	const uint16_t fcw = FCW_RESET;
	const uint32_t mxcsr = MXCSR_RESET;

	memset(s, 0, sizeof(*s));
	s->rip = 0xfff0;
	s->rflags = 2;
	s->gpr[CPU_RDX] = 0x600; /* family 6 */
	for (unsigned i = 0; i < CPU_SEGMENTS; i++)
		s->segment[i] = (struct cpu_segment){ .limit = 0xffff, .access = SEG_DATA };
	s->segment[CPU_CS].selector = 0xf000;
	s->segment[CPU_CS].base = 0xffff0000;
	s->segment[CPU_CS].access = SEG_CODE;
	s->segment[CPU_LDTR].access = SEG_LDT;
	s->segment[CPU_TR].access = SEG_TSS;
	s->gdtr.limit = s->idtr.limit = 0xffff;
	s->cr0 = 0x60000010;
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	s->pat = 0x0007040600070406;
	s->misc_enable = 1; /* fast strings */
	s->apic_base = 0xfee00800 | (boot_processor ? 0x100 : 0);
	s->xcr0 = 1;
	memcpy(s->xsave, &fcw, sizeof(fcw));
	memcpy(s->xsave + 24, &mxcsr, sizeof(mxcsr));
	s->event.vector = -1;
	s->activity = boot_processor ? CPU_RUN : CPU_WAIT_FOR_SIPI;
}
