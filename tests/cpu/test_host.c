/*
 * The interpreter against the processor that this runs on: short random sequences of instructions in ring 3, of 64-bit
 * code and of 32-bit code in compatibility mode, from the same random state, at the same addresses. Registers, all flags,
 * vector and x87 registers, memory, and the exception with its error code must be the same.
 *
 *   test-host [CASES [SEED]]      of each; `make conformance` runs 10^7
 *
 * Left out is what depends on the system around (segments, CPUID, TSC, system calls), what a process must not do to
 * itself (TF and AC through POPF), and the x87 instruction pointers, which vendors treat differently.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmocka.h>
#include <cpuid.h>

#include "cpu/soft/access.h"
#include "cpu/soft/forms.h"

#ifdef __SANITIZE_ADDRESS__
#define ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER
#endif
#endif

#define CODE 0x10000000ull
#define DATA 0x20000000ull
#define DATA_BYTES 0x4000u
#define RAM_BYTES 0x100000u
#define XSAVE_BYTES 832u
#define COMPARED_FLAGS (FL_ARITH | FL_DF | FL_ID)
#define SEQUENCE 3u
/* Linux' selectors. */
#define SELECTOR_32 0x23u
#define SELECTOR_64 0x33u
#define SELECTOR_DATA 0x2bu

struct state {
	alignas(64) uint8_t xsave[XSAVE_BYTES];
	uint64_t gpr[16];
	uint64_t rip, flags;
	int vector;
	uint64_t error, cr2;
};

static enum decode_mode mode; /* DECODE_64 or DECODE_32 */
static uint64_t seed = 1;
static unsigned long cases = 100000;
static uint8_t initial[DATA_BYTES];

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

/*
 * The processor's side. native_enter() loads a state and jumps; what comes back is a signal, whose handler takes the
 * state out of the frame and has the process go on at native_back.
 */
struct state native_state;
uint64_t native_sp;
void (*native_target)(void);
void native_enter(void);
void native_back(void);
void native_code(void);
void native_code32(void);
__asm__(".text\n"
	".globl native_enter, native_back, native_code, native_code32\n"
	"native_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, native_sp(%rip)\n"
	"	lea native_state(%rip), %rdi\n"
	"	mov $7, %eax; xor %edx, %edx\n"
	"	xrstor64 (%rdi)\n"
	"	push 968(%rdi)\n" /* flags: 832 + 128 + 8 */
	"	popf\n"
	"	mov 832(%rdi), %rax; mov 840(%rdi), %rcx; mov 848(%rdi), %rdx; mov 856(%rdi), %rbx\n"
	"	mov 864(%rdi), %rsp; mov 872(%rdi), %rbp; mov 880(%rdi), %rsi\n"
	"	mov 896(%rdi), %r8; mov 904(%rdi), %r9; mov 912(%rdi), %r10; mov 920(%rdi), %r11\n"
	"	mov 928(%rdi), %r12; mov 936(%rdi), %r13; mov 944(%rdi), %r14; mov 952(%rdi), %r15\n"
	"	mov 888(%rdi), %rdi\n"
	"	jmp *native_target(%rip)\n"
	"native_back:\n"
	"	mov native_sp(%rip), %rsp\n"
	"	cld\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
	"native_code:\n"
	"	.byte 0xff, 0x25; .long 0; .quad 0x10000000\n"
	"native_code32:\n" /* far, to SELECTOR_32 */
	"	.byte 0xff, 0x2d; .long 0; .long 0x10000000; .word 0x23\n");

/* Set while the sequence runs: any other fault is this program's own. */
static volatile sig_atomic_t running;

static void on_signal(int number, siginfo_t *info, void *data)
{
	if (!running)
		abort();
	running = 0;

	static const uint8_t order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
		REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14,
		REG_R15 };
	ucontext_t *u = data;
	greg_t *g = u->uc_mcontext.gregs;
	struct state *s = &native_state;

	for (unsigned n = 0; n < 16; n++)
		s->gpr[n] = (uint64_t)g[order[n]];
	s->rip = (uint64_t)g[REG_RIP];
	s->flags = (uint64_t)g[REG_EFL];
	s->vector = (int)g[REG_TRAPNO];
	s->error = (uint64_t)g[REG_ERR];
	s->cr2 = (uint64_t)g[REG_CR2];
	memcpy(s->xsave, u->uc_mcontext.fpregs, XSAVE_BYTES);
	/* The handler's return restores the unit: leave it as a C program expects it. */
	u->uc_mcontext.fpregs->cwd = 0x37f;
	u->uc_mcontext.fpregs->swd = 0;
	u->uc_mcontext.fpregs->ftw = 0;
	u->uc_mcontext.fpregs->mxcsr = 0x1f80;
	g[REG_RIP] = (greg_t)(uintptr_t)native_back;
	g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffffll) | SELECTOR_64;
	g[REG_EFL] = 0x202;
}

/* The interpreter's side: a machine with one page of code and some of data for ring 3. */
static struct memory *memory;
static struct cpu *cpu;
static struct vcpu *vcpu;
static struct cpuid_table cpuid;

/* Guest-physical: tables from 0x1000, code at 0x10000, data at 0x20000. */
#define GPA_CODE 0x10000u
#define GPA_DATA 0x20000u

static void map_page(uint64_t linear, uint64_t gpa, uint64_t bits)
{
	static uint64_t next = 0x2000;
	uint64_t table = 0x1000;

	for (unsigned shift = 39; shift > 12; shift -= 9) {
		uint64_t *entry = memory_host(memory, table + (linear >> shift & 511) * 8, 8, true);

		if (!*entry) {
			*entry = next | 7;
			next += 0x1000;
		}
		table = *entry & ~0xfffull;
	}
	*(uint64_t *)memory_host(memory, table + (linear >> 12 & 511) * 8, 8, true) = gpa | bits;
}

static int make_guest(void **state)
{
	struct cpuid_table supported;
	struct cpu_config config = { &cpuid };

	memory = memory_new(1, NULL);
	assert_int_equal(memory_add(memory, 0, RAM_BYTES, 0, NULL), 0);
	assert_int_equal(cpu_soft.cpuid_supported(&supported, NULL), 0);
	assert_int_equal(cpuid_build("host", &supported, 1, 0, &cpuid, NULL), 0);
	assert_int_equal(cpu_soft.open(memory, &config, &cpu, NULL), 0);
	assert_int_equal(cpu_soft.vcpu_open(cpu, 0, &vcpu, NULL), 0);
	map_page(CODE, GPA_CODE, 5);
	for (unsigned n = 0; n < DATA_BYTES; n += 0x1000)
		map_page(DATA + n, GPA_DATA + n, 7 | 1ull << 63);
	for (unsigned n = 0; n < DATA_BYTES; n += 8)
		*(uint64_t *)(initial + n) = random64();
	return 0;
}

static int end_guest(void **state)
{
	cpu_soft.vcpu_close(vcpu);
	cpu_soft.close(cpu);
	memory_free(memory);
	return 0;
}

static void set_guest(const struct state *s)
{
	struct cpu_state c;

	cpu_state_reset(&c, true);
	memcpy(c.gpr, s->gpr, sizeof(c.gpr));
	c.rip = CODE;
	c.rflags = s->flags;
	c.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	c.cr3 = 0x1000;
	c.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	c.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	c.xcr0 = 7;
	c.segment[CPU_CS] = mode == DECODE_64
				    ? (struct cpu_segment){ 0, UINT32_MAX, 0xa0fb, SELECTOR_64 }
				    : (struct cpu_segment){ 0, UINT32_MAX, 0xc0fb, SELECTOR_32 };
	c.segment[CPU_SS] = c.segment[CPU_DS] = c.segment[CPU_ES] =
		(struct cpu_segment){ 0, UINT32_MAX, 0xc0f3, SELECTOR_DATA };
	memcpy(c.xsave, s->xsave, XSAVE_BYTES);
	c.event.vector = -1;
	assert_int_equal(cpu_soft.set_state(vcpu, &c, NULL), 0);
}

static void run_guest(const struct state *s, struct state *ret)
{
	set_guest(s);
	if (!_setjmp(vcpu->escape)) {
		while (vcpu->event.vector < 0) {
			atomic_store(&vcpu->stop, 0);
			soft_step(vcpu);
		}
	} else {
		vcpu->rip = vcpu->start;
	}
	memcpy(ret->gpr, vcpu->gpr, sizeof(ret->gpr));
	ret->rip = vcpu->rip;
	ret->flags = vcpu->flags;
	ret->vector = vcpu->event.vector;
	ret->error = vcpu->event.has_error ? vcpu->event.error : 0;
	ret->cr2 = vcpu->cr2;
	uint8_t image[CPU_XSAVE_BYTES];
	fpu_xsave_image(vcpu, image);
	memcpy(ret->xsave, image, XSAVE_BYTES);
}

/* What cannot be compared this way. */
static bool left_out(const struct insn *i)
{
	static const enum op ops[] = { OP_MOV_FROM_SEG, OP_MOV_TO_SEG, OP_LSS, OP_LFS, OP_LGS,
		OP_LAR, OP_LSL, OP_VERR, OP_VERW, OP_SLDT, OP_STR, OP_SMSW, OP_SGDT, OP_SIDT,
		OP_CPUID, OP_RDTSC, OP_RDTSCP, OP_RDPID, OP_RDPMC, OP_RDRAND, OP_RDSEED, OP_XGETBV,
		OP_RDFSBASE, OP_WRFSBASE, OP_RDGSBASE, OP_WRGSBASE, OP_SYSCALL, OP_SYSENTER, OP_INT,
		OP_INT3, OP_INT1, OP_POPF, OP_PUSHF, OP_CALL_FAR, OP_CALL_FAR_IND, OP_JMP_FAR,
		OP_JMP_FAR_IND, OP_LES, OP_LDS, OP_RETF, OP_IRET, OP_JMP, OP_JMP_IND, OP_CALL,
		OP_CALL_IND, OP_RET, OP_LOOP, OP_LOOPE, OP_LOOPNE, OP_JCXZ, OP_JCC, OP_XSAVE,
		OP_XSAVEOPT, OP_XSAVEC, OP_XSAVES, OP_XRSTOR, OP_XRSTORS, OP_FXSAVE, OP_FXRSTOR,
		OP_FNSAVE, OP_FNSTENV, OP_FLDENV, OP_FRSTOR, OP_STI, OP_CLI, OP_IN, OP_OUT, OP_INS,
		OP_OUTS, OP_CLFLUSH, OP_CLWB, OP_CLFLUSHOPT, OP_UD0, OP_UD1, OP_UD2, OP_SYSEXIT,
		OP_SYSRET, OP_CLAC, OP_STAC, OP_SWAPGS, OP_RDPKRU, OP_WRPKRU, OP_VMCALL,
		OP_VMMCALL };

	for (size_t n = 0; n < sizeof(ops) / sizeof(ops[0]); n++)
		if (ops[n] == i->op)
			return true;
	if ((i->op == OP_PUSH || i->op == OP_POP) && (i->map == 1))
		return true;
	/* Of a segment register. */
	if (i->op == OP_POP && i->map == 0 && i->opcode < 0x20)
		return true;
	/* With a register AMD has it undefined, Intel a NOP. */
	if (i->op == OP_NOP && i->opcode == 0x0d)
		return true;
	return i->segment >= SEG_FS;
}

/* Flags that the manuals leave undefined, and processors differ in. */
static uint64_t undefined_flags(enum op op)
{
	switch (op) {
	case OP_DAA:
	case OP_DAS:
		return FL_OF;
	case OP_AAA:
	case OP_AAS:
		return FL_OF | FL_SF | FL_ZF | FL_PF;
	case OP_AAM:
	case OP_AAD:
		return FL_OF | FL_AF | FL_CF;
	default:
		return 0;
	}
}

/* Its length. *undefined: flags that are not to be looked at after it. */
static unsigned make_instruction(uint8_t *p, uint64_t *undefined)
{
	static const uint8_t prefixes[] = { 0x66, 0x66, 0xf2, 0xf3, 0xf0, 0x67, 0x48, 0x41, 0x44,
		0x4f };
	struct insn insn;
	uint8_t s[INSN_MAX];
	int length;

	for (;;) {
		uint64_t r = random64();
		unsigned n = 0;

		for (unsigned i = 0; i < INSN_MAX; i++)
			s[i] = (uint8_t)(random64() >> 32);
		for (unsigned i = r & 1 ? 0 : 1 + (r >> 1 & 1); i > 0; i--)
			s[n++] = prefixes[random64() % sizeof(prefixes)];
		switch (r >> 8 & 7) {
		case 0:
			s[n++] = 0xc5;
			break;
		case 1:
		case 2:
			s[n++] = 0xc4;
			s[n] = (s[n] & 0xe0) | (uint8_t)(1 + (r >> 24) % 3);
			n++;
			break;
		case 3:
		case 4:
			s[n++] = 0x0f;
			break;
		case 5:
			s[n++] = 0x0f;
			s[n++] = r >> 24 & 1 ? 0x38 : 0x3a;
			break;
		}
		length = insn_decode(&insn, mode, s, INSN_MAX);
		/* Far displacements mostly fault: keep a few only. */
		if (length > 0 && insn.memory && (insn.disp > 0x400 || insn.disp < -0x400) &&
			(r >> 32 & 15))
			continue;
		if (length > 0 && !left_out(&insn) &&
			cpu->features[insn.form->flags & FORM_FEATURE])
			break;
	}
	memcpy(p, s, (size_t)length);
	*undefined = undefined_flags(insn.op);
	return (unsigned)length;
}

static void make_x87(uint8_t *x)
{
	static const uint16_t exponents[] = { 0, 0x3fff, 0xbfff, 0x7fff, 0xffff, 0x4000, 0x3ffe,
		0x403e, 1, 0x7ffe };
	uint16_t control = random64() & 7 ? 0x37f : (uint16_t)((random64() & 0xf3f) | 0x40),
		 status = (uint16_t)(random64() & 0x7f00);

	memset(x, 0, 160);
	memcpy(x, &control, 2);
	if (random64() & 1)
		status &= 0x4700;
	memcpy(x + 2, &status, 2);
	x[4] = random64() & 3 ? (uint8_t)random64() : 0xff;
	for (unsigned n = 0; n < 8; n++) {
		uint64_t mantissa = random64() | 1ull << 63;
		uint16_t exponent = exponents[random64() % 10];

		if (random64() & 1)
			mantissa = random64() & 1 ? 1ull << 63
						  : (random64() & 0xff) << 56 | 1ull << 63;
		if (!exponent)
			mantissa = random64() & 1 ? 0 : mantissa;
		memcpy(x + 32 + 16 * n, &mantissa, 8);
		memcpy(x + 40 + 16 * n, &exponent, 2);
	}
}

/* Lanes that are interesting to floating-point and integer instructions alike. */
static uint64_t make_lane(void)
{
	static const uint64_t special[] = { 0, 0x3ff0000000000000, 0xbff0000000000000,
		0x7ff0000000000000, 0x7ff8000000000001, 0x7ff0000000000001, 0x3f8000003f800000,
		0x7f8000007fc00001, 0x7f80000180000000, 0x0000000100000001, 0x4024000000000000,
		0x8000000000000000, UINT64_MAX };
	uint64_t r = random64();

	return r & 3 ? random64() : special[(r >> 8) % (sizeof(special) / 8)];
}

static void make_state(struct state *s)
{
	uint32_t mxcsr = 0x1f80;

	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < 16; n++) {
		uint64_t r = random64();

		s->gpr[n] = DATA + 0x1000 + (random64() & 0x1fff);
		if (r & 1)
			s->gpr[n] &= ~63ull;
		if ((r >> 1 & 7) == 0)
			s->gpr[n] = random64();
		if ((r >> 1 & 7) == 1)
			s->gpr[n] = random64() & 0x3f;
		if ((r >> 1 & 7) == 2)
			s->gpr[n] = UINT64_MAX << (random64() & 63);
	}
	s->gpr[4] = DATA + 0x2000 + (random64() & 0xff8);
	for (unsigned n = 0; n < 16 && mode == DECODE_32; n++)
		s->gpr[n] = n < 8 ? (uint32_t)s->gpr[n] : 0;
	s->flags = 0x202 | (random64() & (FL_ARITH | FL_DF));
	make_x87(s->xsave);
	if (!(random64() & 7))
		mxcsr = (uint32_t)random64() & 0xffff;
	else if (random64() & 1)
		mxcsr |= (uint32_t)random64() & 0xe07f & ~0x3fu;
	/* Denormals as zeros may hide differences: seldom. */
	memcpy(s->xsave + 24, &mxcsr, 4);
	for (unsigned n = 0; n < 32; n++) {
		uint64_t lane = make_lane(), high = make_lane();

		memcpy(s->xsave + 160 + 8 * n, &lane, 8);
		memcpy(s->xsave + 576 + 8 * n, &high, 8);
	}
	s->xsave[512] = 7;
}

/* With the parts that are not compared made equal. */
static void normalize(struct state *s, uint64_t undefined)
{
	uint64_t present;

	memcpy(&present, s->xsave + 512, 8);
	if (!(present & 1)) {
		memset(s->xsave, 0, 6);
		s->xsave[0] = 0x7f, s->xsave[1] = 3;
		memset(s->xsave + 32, 0, 128);
	}
	if (!(present & 2))
		memset(s->xsave + 160, 0, 256);
	if (!(present & 4))
		memset(s->xsave + 576, 0, 256);
	memset(s->xsave + 6, 0, 18);
	memset(s->xsave + 28, 0, 4);
	for (unsigned n = 0; n < 8; n++)
		memset(s->xsave + 42 + 16 * n, 0, 6);
	memset(s->xsave + 416, 0, 160);
	s->flags &= COMPARED_FLAGS & ~undefined;
	if (s->vector != VECTOR_PF)
		s->cr2 = 0;
	/* Present or not: other mappings of this process are not the guest's. */
	if (s->vector == VECTOR_PF)
		s->error &= PF_WRITE | PF_USER | PF_FETCH;
	if (s->vector == VECTOR_SS && !s->error)
		s->vector = VECTOR_SS;
}

static void show(const char *what, uint64_t native, uint64_t guest)
{
	if (native != guest)
		printf("  %s: processor %016llx, interpreter %016llx\n", what,
			(unsigned long long)native, (unsigned long long)guest);
}

static void report(const uint8_t *code, unsigned length, const struct state *before,
	const struct state *n, const struct state *g, bool same_memory)
{
	char name[16];

	printf("code:");
	for (unsigned i = 0; i < length;) {
		struct insn insn;
		int r = insn_decode(&insn, mode, code + i, length - i);

		for (int k = 0; k < r; k++)
			printf(" %02x", code[i + (unsigned)k]);
		printf(" (%s)", r > 0 ? op_name(insn.op) : "?");
		i += r > 0 ? (unsigned)r : 1;
	}
	printf("\n");
	for (unsigned i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "gpr%u", i);
		show(name, n->gpr[i], g->gpr[i]);
	}
	show("rip", n->rip, g->rip);
	show("flags", n->flags, g->flags);
	show("vector", (uint64_t)n->vector, (uint64_t)g->vector);
	show("error", n->error, g->error);
	show("cr2", n->cr2, g->cr2);
	for (unsigned i = 0; i < XSAVE_BYTES; i += 8) {
		uint64_t a, b;

		memcpy(&a, n->xsave + i, 8);
		memcpy(&b, g->xsave + i, 8);
		snprintf(name, sizeof(name), "xsave+%u", i);
		show(name, a, b);
	}
	if (!same_memory)
		printf("  memory differs\n");
}

/* An operand over the end of 4 GiB that is made of parts: the first one's page is missing, the last one's address is beyond the
 * limit, and which of them a processor looks at first is its own. */
static void forgive_the_end(const struct state *native, struct state *guest)
{
	bool beyond = guest->vector == VECTOR_GP || guest->vector == VECTOR_SS;

	if (mode == DECODE_32 && native->vector == VECTOR_PF && native->cr2 > UINT32_MAX - 16 &&
		beyond) {
		guest->vector = native->vector;
		guest->error = native->error;
		guest->cr2 = native->cr2;
	}
}

static bool check_case(uint8_t *native_code, uint8_t *native_data)
{
	static struct state before, guest, native;
	uint8_t code[SEQUENCE * INSN_MAX + 1],
		*guest_data = memory_host(memory, GPA_DATA, DATA_BYTES, true), *page;
	unsigned length = 0, n = 1 + (unsigned)(random64() % SEQUENCE);
	bool readonly, same, same_memory;
	uint64_t undefined = 0;

	while (n-- && !undefined)
		length += make_instruction(code + length, &undefined);
	code[length] = 0xf4;
	make_state(&before);
	memcpy(native_code, code, length + 1);
	memcpy(native_data, initial, DATA_BYTES);
	memcpy(guest_data, initial, DATA_BYTES);
	memcpy(memory_host(memory, GPA_CODE, sizeof(code), true), code, length + 1);
	atomic_fetch_add(&mmu_code_page(cpu, GPA_CODE, &page, &readonly)->version, 1);
	native_state = before;
	running = 1;
	native_enter();
	native = native_state;
	run_guest(&before, &guest);
	normalize(&native, undefined);
	normalize(&guest, undefined);
	forgive_the_end(&native, &guest);
	same_memory = !memcmp(native_data, guest_data, DATA_BYTES);
	same = same_memory && !memcmp(native.gpr, guest.gpr, sizeof(native.gpr)) &&
	       native.rip == guest.rip && native.flags == guest.flags &&
	       native.vector == guest.vector && native.error == guest.error &&
	       native.cr2 == guest.cr2 && !memcmp(native.xsave, guest.xsave, XSAVE_BYTES);
	if (!same)
		report(code, length, &before, &native, &guest, same_memory);
	return same;
}

static void agree(void)
{
	static const int signals[] = { SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP };
	static uint8_t stack[1 << 16];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	struct sigaction old[5];
	uint8_t *code, *data, *alias;
	unsigned differences = 0;
	int fd = memfd_create("code", 0);

	/* The code is written through another mapping, so that the sequence itself cannot write there. */
	assert_int_equal(ftruncate(fd, 4096), 0);
	code = mmap(
		(void *)CODE, 4096, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	alias = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	data = mmap((void *)DATA, DATA_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_true(code != MAP_FAILED && alias != MAP_FAILED && data != MAP_FAILED);
	sigaltstack(&alternate, NULL);
	for (unsigned n = 0; n < 5; n++)
		sigaction(signals[n], &action, &old[n]);
	for (unsigned long n = 0; n < cases && differences < 30; n++)
		differences += !check_case(alias, data);
	for (unsigned n = 0; n < 5; n++)
		sigaction(signals[n], &old[n], NULL);
	munmap(code, 4096);
	munmap(alias, 4096);
	munmap(data, DATA_BYTES);
	close(fd);
	assert_int_equal(differences, 0);
}

static void agrees_with_the_processor(void **state)
{
	mode = DECODE_64;
	native_target = native_code;
	agree();
}

static void agrees_in_compatibility_mode(void **state)
{
	mode = DECODE_32;
	native_target = native_code32;
	/* 64-bit programs have none there. */
	__asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(SELECTOR_DATA));
	agree();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(agrees_with_the_processor, make_guest, end_guest),
		cmocka_unit_test_setup_teardown(
			agrees_in_compatibility_mode, make_guest, end_guest),
	};

	if (argc > 1)
		cases = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		seed = strtoul(argv[2], NULL, 0) | 1;
	if (!__builtin_cpu_supports("avx2")) {
		printf("skipped: this processor has no AVX2\n");
		return 77;
	}
#ifdef ADDRESS_SANITIZER
	/* Its shadow lies where sequences with 32-bit addresses would find it. */
	printf("skipped: not under AddressSanitizer\n");
	return 77;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
