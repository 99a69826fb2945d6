/*
 * Vector and x87 instructions run on the host's own units. For each instruction that a guest uses, a stub
 * is generated: load a struct frame's registers, the same instruction with its operands in fixed registers
 * (ModRM.reg in xmm1 or r10, vvvv in xmm2 or r8, ModRM.rm in xmm3 or r11, memory at r9), store back. SIMD
 * exceptions are masked while it runs and read from MXCSR; those of the x87 do not come before the next
 * x87 instruction, and the guest's image is taken away before that. So a stub never traps.
 *
 * The code is written through one mapping of a memfd and executed through another.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cpu/soft/forms.h"
#include "cpu/soft/soft.h"

#define CODE_BYTES (2u << 20)
#define STUB_BYTES 320u
#define BUCKETS 2048u

struct stubs {
	pthread_mutex_t lock;
	uint8_t *write, *execute;
	size_t used;
	bool avx;
	struct stub *bucket[BUCKETS];
	struct stub scratch[MEMORY_VCPUS];
};

struct emit {
	uint8_t *p;
	bool avx;
};

static void emit(struct emit *e, unsigned n, const uint8_t *bytes)
{
	memcpy(e->p, bytes, n);
	e->p += n;
}
#define EMIT(e, ...) emit(e, sizeof((uint8_t[]){ __VA_ARGS__ }), (const uint8_t[]){ __VA_ARGS__ })

/* ModRM for [rdi + disp32]. */
static void emit_frame(struct emit *e, unsigned reg, size_t offset)
{
	uint32_t disp = (uint32_t)offset;

	EMIT(e, (uint8_t)(0x87 | (reg & 7) << 3));
	emit(e, 4, (const uint8_t *)&disp);
}

static void emit_vec(struct emit *e, unsigned n, bool store)
{
	if (e->avx)
		EMIT(e, 0xc5, 0xfc, 0x10 | store);
	else
		EMIT(e, 0x0f, 0x10 | store);
	emit_frame(e, n, offsetof(struct frame, vec) + 32 * n);
}

static void emit_gpr(struct emit *e, unsigned reg, size_t offset, bool store)
{
	EMIT(e, (uint8_t)(0x48 | (reg >= 8) << 2), store ? 0x89 : 0x8b);
	emit_frame(e, reg, offset);
}

static void emit_0fae(struct emit *e, unsigned digit, size_t offset, bool wide)
{
	if (wide)
		EMIT(e, 0x48);
	EMIT(e, 0x0f, 0xae);
	emit_frame(e, digit, offset);
}

static const struct {
	uint16_t load;
	uint8_t reg, slot;
} gprs[] = {
	{ LOAD_GPR_FIXED, 0, FRAME_RAX },
	{ LOAD_GPR_FIXED, 1, FRAME_RCX },
	{ LOAD_GPR_FIXED, 2, FRAME_RDX },
	{ LOAD_GPR_REG, 10, FRAME_GPR_REG },
	{ LOAD_GPR_RM, 11, FRAME_GPR_RM },
	{ LOAD_GPR_VVVV, 8, FRAME_GPR_VVVV },
};

static void emit_registers(struct emit *e, unsigned loads, bool store)
{
	for (unsigned n = 0; n < 5; n++)
		if (loads >> n & 1)
			emit_vec(e, n, store);
	for (size_t n = 0; n < sizeof(gprs) / sizeof(gprs[0]); n++)
		if (loads & gprs[n].load)
			emit_gpr(e, gprs[n].reg, offsetof(struct frame, gpr) + 8 * gprs[n].slot,
				store);
}

static void emit_before(struct emit *e, const struct stub *s)
{
	if (s->is_x87 || s->is_mmx)
		emit_0fae(e, 1, offsetof(struct frame, fx), true);
	emit_registers(e, s->loads, false);
	emit_gpr(e, 9, offsetof(struct frame, memory), false);
	if (s->is_fp)
		emit_0fae(e, 2, offsetof(struct frame, mxcsr), false);
	if (s->loads & LOAD_FLAGS) {
		EMIT(e, 0xff);
		emit_frame(e, 6, offsetof(struct frame, flags));
		EMIT(e, 0x9d);
	}
}

static void emit_after(struct emit *e, const struct stub *s)
{
	if (s->loads & LOAD_FLAGS) {
		EMIT(e, 0x9c, 0x8f);
		emit_frame(e, 0, offsetof(struct frame, flags));
	}
	if (s->is_fp) {
		emit_0fae(e, 3, offsetof(struct frame, mxcsr), false);
		emit_0fae(e, 2, offsetof(struct frame, host_mxcsr), false);
	}
	emit_registers(e, s->loads, true);
	if (s->is_x87 || s->is_mmx) {
		emit_0fae(e, 0, offsetof(struct frame, fx), true);
		/* fninit: the compiler's code finds the unit as it left it. */
		EMIT(e, 0xdb, 0xe3);
	}
	if (e->avx)
		EMIT(e, 0xc5, 0xf8, 0x77);
	EMIT(e, 0xc3);
}

/* What the ModRM fields and VEX.vvvv are in the stub. */
struct fields {
	uint8_t modrm, vvvv;
	bool r, b;
};

static void set_reg_field(struct fields *f, const struct insn *i, const struct spec_info *spec)
{
	unsigned reg = spec->class == CLASS_VEC ? 1 : spec->class == CLASS_GPR ? 2 : i->reg & 7;

	f->modrm = (uint8_t)((f->modrm & ~0x38) | reg << 3);
	f->r = spec->class == CLASS_GPR;
}

static void set_rm_field(struct fields *f, const struct insn *i, const struct spec_info *spec)
{
	if (i->memory) {
		f->modrm = (uint8_t)((f->modrm & 0x38) | 1);
		f->b = true;
	} else if (spec->class == CLASS_VEC || spec->class == CLASS_GPR) {
		f->modrm = (uint8_t)((f->modrm & 0x38) | 0xc3);
		f->b = spec->class == CLASS_GPR;
	}
}

static struct fields fields_of(const struct insn *i)
{
	struct fields f = { .modrm = i->modrm };

	for (unsigned n = 0; n < 4 && i->form->operand[n]; n++) {
		const struct spec_info *spec = &soft_specs[i->form->operand[n]];

		if (spec->source == FROM_REG)
			set_reg_field(&f, i, spec);
		else if (spec->source == FROM_RM || spec->source == FROM_RMR ||
			 spec->source == FROM_MEM)
			set_rm_field(&f, i, spec);
		else if (spec->source == FROM_VVVV)
			f.vvvv = spec->class == CLASS_VEC ? 2 : 8;
	}
	return f;
}

static bool has_modrm(const struct insn *i)
{
	return i->map == 0 || i->form->operand[0] || (i->form->when & (REG | MEM | 8));
}

static void emit_vex(struct emit *e, const struct insn *i, const struct fields *f)
{
	/* Outside 64-bit code W counts only where it is part of the opcode. */
	bool w = i->w && (i->mode == DECODE_64 || (i->form->when & W1));

	EMIT(e, 0xc4, (uint8_t)((f->r ? 0 : 0x80) | 0x40 | (f->b ? 0 : 0x20) | i->map),
		(uint8_t)(w << 7 | (~f->vvvv & 15) << 3 | i->l << 2 | i->pp), i->opcode);
}

static void emit_legacy(struct emit *e, const struct insn *i, const struct fields *f)
{
	static const uint8_t mandatory[4] = { 0, 0x66, 0xf3, 0xf2 };
	uint8_t rex = (uint8_t)(0x40 | i->w << 3 | f->r << 2 | f->b);

	if (i->map && (i->prefixes & PREFIX_OPSIZE))
		EMIT(e, 0x66);
	if (i->map && i->pp > 1)
		EMIT(e, mandatory[i->pp]);
	if (rex != 0x40)
		EMIT(e, rex);
	if (i->map)
		EMIT(e, 0x0f);
	if (i->map > 1)
		EMIT(e, i->map == 2 ? 0x38 : 0x3a);
	EMIT(e, i->opcode);
}

static void emit_instruction(struct emit *e, const struct insn *i)
{
	struct fields f = fields_of(i);

	if (i->prefixes & PREFIX_VEX)
		emit_vex(e, i, &f);
	else
		emit_legacy(e, i, &f);
	if (has_modrm(i))
		EMIT(e, f.modrm);
	for (unsigned n = 0; n < 4 && i->form->operand[n]; n++) {
		if (soft_specs[i->form->operand[n]].source == FROM_IMM)
			EMIT(e, (uint8_t)i->imm);
		if (soft_specs[i->form->operand[n]].source == FROM_IS4)
			EMIT(e, 4 << 4);
	}
}

/* Operations with operands that their forms do not show. */
static uint16_t implicit_loads(enum op op)
{
	switch (op) {
	case OP_PBLENDVB:
	case OP_BLENDVPS:
	case OP_BLENDVPD:
	case OP_SHA256RNDS2:
		return LOAD_XMM0;
	case OP_PCMPESTRI:
	case OP_VPCMPESTRI:
	case OP_PCMPISTRI:
	case OP_VPCMPISTRI:
		return LOAD_GPR_FIXED | LOAD_FLAGS;
	case OP_PCMPESTRM:
	case OP_VPCMPESTRM:
	case OP_PCMPISTRM:
	case OP_VPCMPISTRM:
		return LOAD_GPR_FIXED | LOAD_FLAGS | LOAD_XMM0;
	case OP_MULX:
	case OP_FNSTSW:
		return LOAD_GPR_FIXED;
	case OP_COMISS:
	case OP_COMISD:
	case OP_UCOMISS:
	case OP_UCOMISD:
	case OP_VCOMISS:
	case OP_VCOMISD:
	case OP_VUCOMISS:
	case OP_VUCOMISD:
	case OP_PTEST:
	case OP_VPTEST:
	case OP_VTESTPS:
	case OP_VTESTPD:
	case OP_ANDN:
	case OP_BLSR:
	case OP_BLSMSK:
	case OP_BLSI:
	case OP_BZHI:
	case OP_BEXTR:
	case OP_ADCX:
	case OP_ADOX:
	case OP_FCOMI:
	case OP_FCOMIP:
	case OP_FUCOMI:
	case OP_FUCOMIP:
	case OP_FCMOVB:
	case OP_FCMOVE:
	case OP_FCMOVBE:
	case OP_FCMOVU:
	case OP_FCMOVNB:
	case OP_FCMOVNE:
	case OP_FCMOVNBE:
	case OP_FCMOVNU:
		return LOAD_FLAGS;
	default:
		return 0;
	}
}

/* The first operand of x87 instructions is what they read, except of these. */
static bool x87_stores(enum op op)
{
	switch (op) {
	case OP_FST:
	case OP_FSTP:
	case OP_FIST:
	case OP_FISTP:
	case OP_FISTTP:
	case OP_FBSTP:
	case OP_FNSTCW:
	case OP_FNSTSW:
		return true;
	default:
		return false;
	}
}

static void plan_memory(struct stub *s, const struct insn *i, const struct operand *o, unsigned n)
{
	bool align = i->form->flags & FORM_ALIGNED;

	s->memory_size = o->size;
	s->writes_memory = n == 0 && (!s->is_x87 || x87_stores(i->op));
	s->reads_memory = !s->writes_memory;
	if (!s->is_vex && o->size == 16 && !(i->form->flags & FORM_UNALIGNED))
		align = true;
	if (align)
		s->align = (uint8_t)o->size;
}

static void plan_operand(struct stub *s, const struct insn *i, unsigned n)
{
	static const uint16_t vec[] = { [FROM_REG] = LOAD_REG,
		[FROM_RM] = LOAD_RM,
		[FROM_RMR] = LOAD_RM,
		[FROM_VVVV] = LOAD_VVVV,
		[FROM_IS4] = LOAD_IS4 };
	static const uint16_t gpr[] = { [FROM_REG] = LOAD_GPR_REG,
		[FROM_RM] = LOAD_GPR_RM,
		[FROM_RMR] = LOAD_GPR_RM,
		[FROM_VVVV] = LOAD_GPR_VVVV };
	const struct spec_info *spec = &soft_specs[i->form->operand[n]];
	uint8_t source = spec->source;
	struct operand o;

	insn_operand(i, n, &o);
	if (o.kind == OPERAND_MEM) {
		plan_memory(s, i, &o, n);
		return;
	}
	if (o.kind != OPERAND_REG || source > FROM_IS4)
		return;
	s->is_vector |= o.class == CLASS_VEC;
	s->is_mmx |= o.class == CLASS_MMX;
	if (o.class == CLASS_VEC)
		s->loads |= vec[source];
	else if (o.class == CLASS_GPR)
		s->loads |= gpr[source];
	if (n == 0 && o.class == CLASS_VEC)
		s->target = source == FROM_REG    ? TARGET_VEC_REG
			    : source == FROM_VVVV ? TARGET_VEC_VVVV
						  : TARGET_VEC_RM;
	else if (n == 0 && o.class == CLASS_GPR)
		s->target = source == FROM_REG    ? TARGET_GPR_REG
			    : source == FROM_VVVV ? TARGET_GPR_VVVV
						  : TARGET_GPR_RM;
}

static void plan(struct stub *s, const struct insn *i)
{
	s->form = i->form;
	s->is_x87 = (i->form->flags & FORM_FEATURE) == F_X87;
	s->is_mmx = i->op == OP_EMMS;
	s->is_fp = i->form->flags & FORM_FP;
	s->is_vex = i->prefixes & PREFIX_VEX;
	s->loads = implicit_loads(i->op);
	for (unsigned n = 0; n < 4 && i->form->operand[n]; n++)
		plan_operand(s, i, n);
}

/* All that the stub's bytes depend on beside the form. */
static uint64_t key_of(const struct insn *i)
{
	uint64_t fixed = i->modrm;
	bool registers_stay = false;

	for (unsigned n = 0; n < 4 && i->form->operand[n]; n++) {
		uint8_t class = soft_specs[i->form->operand[n]].class;

		registers_stay |= class == CLASS_MMX || class == CLASS_ST;
	}
	if (!registers_stay && i->map)
		fixed = 0;
	return (uint64_t)(i->imm & 0xff) | fixed << 8 | (uint64_t)i->memory << 16 |
	       (uint64_t)i->w << 17 | (uint64_t)i->l << 18 |
	       (uint64_t)(i->prefixes & PREFIX_OPSIZE) << 19 | (uint64_t)i->mode << 24;
}

/* Fills in the stub and writes its code at `offset`; where it ends. */
static size_t generate(struct stubs *stubs, struct stub *s, const struct insn *i, size_t offset)
{
	struct emit e = { stubs->write + offset, stubs->avx };

	plan(s, i);
	emit_before(&e, s);
	emit_instruction(&e, i);
	emit_after(&e, s);
	s->run = (void (*)(struct frame *))(void *)(stubs->execute + offset);
	return (size_t)(e.p - stubs->write);
}

static struct stub *generate_shared(struct stubs *stubs, const struct insn *i, uint64_t key)
{
	struct stub *s;

	if (stubs->used + STUB_BYTES > CODE_BYTES)
		return NULL;
	s = xnew(struct stub);
	s->key = key;
	stubs->used = (generate(stubs, s, i, stubs->used) + 15) & ~(size_t)15;
	return s;
}

/* IRET to the next instruction: processors take note of changed code at a serializing instruction. */
static void serialize(void)
{
	uint64_t scratch;

	__asm__ volatile(
		"mov %%ss, %k0; push %0; lea 8(%%rsp), %0; push %0; pushfq; mov %%cs, %k0; push %0; "
		"lea 1f(%%rip), %0; push %0; iretq; 1:"
		: "=&r"(scratch)
		:
		: "memory", "cc");
}

const struct stub *stub_scratch(struct cpu *cpu, unsigned vcpu, const struct insn *i)
{
	struct stub *s = &cpu->stubs->scratch[vcpu];

	*s = (struct stub){ 0 };
	generate(cpu->stubs, s, i, (size_t)vcpu * STUB_BYTES);
	serialize();
	return s;
}

const struct stub *stub_for(struct cpu *cpu, const struct insn *i)
{
	struct stubs *stubs = cpu->stubs;
	uint64_t key = key_of(i);
	size_t hash = ((uintptr_t)i->form / sizeof(struct form) * 31 + key * 0x9e3779b1u) % BUCKETS;
	struct stub *s;

	pthread_mutex_lock(&stubs->lock);
	for (s = stubs->bucket[hash]; s; s = s->next)
		if (s->form == i->form && s->key == key)
			break;
	if (!s) {
		s = generate_shared(stubs, i, key);
		if (s) {
			s->next = stubs->bucket[hash];
			stubs->bucket[hash] = s;
		}
	}
	pthread_mutex_unlock(&stubs->lock);
	return s;
}

struct stubs *stubs_new(void)
{
	struct stubs *s = xnew(struct stubs);
	int fd = memfd_create("holm-stubs", MFD_CLOEXEC);

	pthread_mutex_init(&s->lock, NULL);
	s->used = MEMORY_VCPUS * STUB_BYTES;
	s->avx = __builtin_cpu_supports("avx");
	s->write = s->execute = MAP_FAILED;
	if (fd >= 0 && ftruncate(fd, CODE_BYTES) == 0) {
		s->write = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		s->execute = mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	}
	if (fd >= 0)
		close(fd);
	if (s->write == MAP_FAILED || s->execute == MAP_FAILED) {
		stubs_free(s);
		return NULL;
	}
	return s;
}

void stubs_free(struct stubs *s)
{
	if (!s)
		return;
	if (s->write != MAP_FAILED)
		munmap(s->write, CODE_BYTES);
	if (s->execute != MAP_FAILED)
		munmap(s->execute, CODE_BYTES);
	for (unsigned n = 0; n < BUCKETS; n++) {
		while (s->bucket[n]) {
			struct stub *next = s->bucket[n]->next;

			free(s->bucket[n]);
			s->bucket[n] = next;
		}
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}
