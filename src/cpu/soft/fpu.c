/* The x87 and XSAVE state in memory: FXSAVE, XSAVE and their kin, FNSTENV, FNSAVE (SDM volume 1, 8.1.10, 10.5, 13). */
#include "cpu/soft/access.h"
#include "cpu/soft/ops_fn.h"

#define FX_BYTES 512u
#define XSAVE_AVX 576u
#define XSAVE_BYTES 832u
#define XSAVE_PKRU 2688u /* where the compacted form does not put it after the others */
#define HAS_PKRU 0x200u
#define MXCSR_MASK 0xffffu
#define FSW_ES 0x80u

void fpu_reset(struct vcpu *v)
{
	memset(v->frame.fx, 0, sizeof(v->frame.fx));
	v->frame.fx[0] = 0x7f;
	v->frame.fx[1] = 0x03;
	/* The host's MXCSR while a stub has it loaded. */
	v->frame.fx[24] = 0x80;
	v->frame.fx[25] = 0x1f;
	v->fpu_ip = v->fpu_dp = 0;
	v->fpu_cs = v->fpu_ds = v->fpu_op = 0;
}

static void put(uint8_t *p, uint64_t value, unsigned size)
{
	memcpy(p, &value, size);
}

static uint64_t get(const uint8_t *p, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, p, size);
	return value;
}

/* The first 160 bytes; `wide`: 64-bit pointers in place of selectors. */
static void save_x87(const struct vcpu *v, uint8_t *image, bool wide)
{
	memcpy(image, v->frame.fx, 6);
	put(image + 6, v->fpu_op, 2);
	put(image + 8, v->fpu_ip, wide ? 8 : 4);
	put(image + 16, v->fpu_dp, wide ? 8 : 4);
	if (!wide) {
		put(image + 12, v->fpu_cs, 4);
		put(image + 20, v->fpu_ds, 4);
	}
	memcpy(image + 32, v->frame.fx + 32, 128);
}

static void load_x87(struct vcpu *v, const uint8_t *image, bool wide)
{
	uint16_t control, status;

	memcpy(v->frame.fx, image, 6);
	/* Reserved: bit 6 of the control word reads as 1. ES follows from flags and masks. */
	control = (uint16_t)((get(image, 2) & 0x1f3f) | 0x40);
	status = (uint16_t)(get(image + 2, 2) & ~0x8080u);
	if (status & ~control & 0x3f)
		status |= 0x8080;
	put(v->frame.fx, control, 2);
	put(v->frame.fx + 2, status, 2);
	v->fpu_op = (uint16_t)get(image + 6, 2) & 0x7ff;
	v->fpu_ip = get(image + 8, wide ? 8 : 4);
	v->fpu_dp = get(image + 16, wide ? 8 : 4);
	if (!wide) {
		v->fpu_cs = (uint16_t)get(image + 12, 2);
		v->fpu_ds = (uint16_t)get(image + 20, 2);
	}
	for (unsigned n = 0; n < 8; n++)
		memcpy(v->frame.fx + 32 + 16 * n, image + 32 + 16 * n, 10);
}

static void save_xmm(const struct vcpu *v, uint8_t *image, unsigned n)
{
	for (unsigned r = 0; r < n; r++)
		memcpy(image + 160 + 16 * r, v->ymm[r], 16);
}

static void load_xmm(struct vcpu *v, const uint8_t *image, unsigned n)
{
	for (unsigned r = 0; r < n; r++)
		memcpy(v->ymm[r], image + 160 + 16 * r, 16);
}

static unsigned vectors(const struct vcpu *v)
{
	return v->code == DECODE_64 ? 16 : 8;
}

void fpu_xsave_image(const struct vcpu *v, uint8_t *image)
{
	memset(image, 0, CPU_XSAVE_BYTES);
	save_x87(v, image, true);
	put(image + 24, v->mxcsr, 4);
	put(image + 28, MXCSR_MASK, 4);
	save_xmm(v, image, 16);
	put(image + 512, (7 | HAS_PKRU) & v->xcr0, 8);
	put(image + XSAVE_PKRU, v->pkru, 4);
	for (unsigned r = 0; r < 16; r++)
		memcpy(image + XSAVE_AVX + 16 * r, v->ymm[r] + 16, 16);
}

void fpu_xrstor_image(struct vcpu *v, const uint8_t *image)
{
	static const uint8_t zero[FX_BYTES] = { 0x7f, 0x03 };
	uint64_t present = get(image + 512, 8);

	load_x87(v, present & 1 ? image : zero, true);
	v->mxcsr = (uint32_t)get(image + 24, 4) & MXCSR_MASK;
	load_xmm(v, present & 2 ? image : zero + 0, 16);
	if (!(present & 2))
		memset(v->ymm, 0, sizeof(v->ymm));
	for (unsigned r = 0; r < 16; r++) {
		if (present & 4)
			memcpy(v->ymm[r] + 16, image + XSAVE_AVX + 16 * r, 16);
		else
			memset(v->ymm[r] + 16, 0, 16);
	}
	v->pkru = present & HAS_PKRU ? (uint32_t)get(image + XSAVE_PKRU, 4) : 0;
}

static void check_available(struct vcpu *v)
{
	if (v->cr0 & (CR0_EM | CR0_TS))
		fault(v, VECTOR_NM);
}

void op_fxsave(struct vcpu *v, const struct cell *c)
{
	uint64_t linear;
	uint8_t image[FX_BYTES];

	check_available(v);
	linear = linear_of(v, c, FX_BYTES, true);
	if (linear & 15)
		fault_gp(v);
	/* The last 96 bytes are the program's own. */
	mmu_read_bytes(v, linear, image, FX_BYTES);
	memset(image, 0, 32);
	save_x87(v, image, c->i.w);
	put(image + 24, v->mxcsr, 4);
	put(image + 28, MXCSR_MASK, 4);
	if (v->cr4 & CR4_OSFXSR)
		save_xmm(v, image, vectors(v));
	mmu_write_bytes(v, linear, image, FX_BYTES);
}

void op_fxrstor(struct vcpu *v, const struct cell *c)
{
	uint64_t linear;
	uint8_t image[FX_BYTES];
	uint32_t mxcsr;

	check_available(v);
	linear = linear_of(v, c, FX_BYTES, false);
	if (linear & 15)
		fault_gp(v);
	mmu_read_bytes(v, linear, image, FX_BYTES);
	mxcsr = (uint32_t)get(image + 24, 4);
	if (mxcsr & ~MXCSR_MASK)
		fault_gp(v);
	load_x87(v, image, c->i.w);
	if (v->cr4 & CR4_OSFXSR) {
		v->mxcsr = mxcsr;
		load_xmm(v, image, vectors(v));
	}
}

static void check_xsave(struct vcpu *v)
{
	if (!(v->cr4 & CR4_OSXSAVE))
		fault_ud(v);
	if (v->cr0 & CR0_TS)
		fault(v, VECTOR_NM);
}

static uint64_t xsave_mask(const struct vcpu *v)
{
	return (v->gpr[2] << 32 | (uint32_t)v->gpr[0]) & v->xcr0;
}

static uint64_t xsave_linear(struct vcpu *v, const struct cell *c, bool write)
{
	uint64_t linear = linear_of(v, c, XSAVE_BYTES, write);

	if (linear & 63)
		fault_gp(v);
	return linear;
}

/* Where PKRU is in a form; `with`: the components that the compacted one has. */
static unsigned pkru_at(bool compact, uint64_t with)
{
	if (!compact)
		return XSAVE_PKRU;
	return with & 4 ? XSAVE_BYTES : XSAVE_AVX;
}

/* XSAVE, XSAVEOPT and XSAVEC: but for PKRU both forms have the same offsets, and all is always in use. */
void op_xsave(struct vcpu *v, const struct cell *c)
{
	bool compact = c->i.op == OP_XSAVEC;
	uint64_t linear, mask, present;
	uint8_t image[XSAVE_BYTES];
	uint64_t pkru = v->pkru;
	unsigned size;

	check_xsave(v);
	mask = xsave_mask(v);
	size = mask & 4 ? XSAVE_BYTES : XSAVE_AVX;
	linear = xsave_linear(v, c, true);
	mmu_probe_write(v, linear, size);
	if (mask & HAS_PKRU)
		mmu_write_bytes(v, linear + pkru_at(compact, mask), &pkru, sizeof(pkru));
	mmu_read_bytes(v, linear, image, size);
	if (mask & 1) {
		memset(image, 0, 24);
		save_x87(v, image, c->i.w);
	}
	if (mask & 6) {
		put(image + 24, v->mxcsr, 4);
		put(image + 28, MXCSR_MASK, 4);
	}
	if (mask & 2)
		save_xmm(v, image, vectors(v));
	if (mask & 4)
		for (unsigned r = 0; r < vectors(v); r++)
			memcpy(image + XSAVE_AVX + 16 * r, v->ymm[r] + 16, 16);
	present = compact ? mask : (get(image + 512, 8) & ~mask) | mask;
	put(image + 512, present, 8);
	if (compact) {
		memset(image + 520, 0, 56);
		put(image + 520, mask | 1ull << 63, 8);
	}
	mmu_write_bytes(v, linear, image, size);
}

/* The header's rules (SDM volume 1, 13.8). */
static void check_header(struct vcpu *v, const uint8_t *image)
{
	uint64_t present = get(image + 512, 8), form = get(image + 520, 8);

	if (present & ~v->xcr0)
		fault_gp(v);
	if (form >> 63) {
		if (!v->cpu->features[F_XSAVEC] || (form & INT64_MAX & ~v->xcr0) ||
			(present & ~form))
			fault_gp(v);
	} else if (form) {
		fault_gp(v);
	}
	for (unsigned n = 528; n < (form >> 63 ? 576 : 536); n++)
		if (image[n])
			fault_gp(v);
}

static void load_components(
	struct vcpu *v, const uint8_t *image, uint64_t mask, uint64_t present, bool wide)
{
	static const uint8_t initial[FX_BYTES] = { 0x7f, 0x03 };
	unsigned n = vectors(v);

	if (mask & 1)
		load_x87(v, present & 1 ? image : initial, wide);
	for (unsigned r = 0; r < n; r++) {
		if ((mask & 2) && (present & 2))
			memcpy(v->ymm[r], image + 160 + 16 * r, 16);
		else if (mask & 2)
			memset(v->ymm[r], 0, 16);
		if ((mask & 4) && (present & 4))
			memcpy(v->ymm[r] + 16, image + XSAVE_AVX + 16 * r, 16);
		else if (mask & 4)
			memset(v->ymm[r] + 16, 0, 16);
	}
}

void op_xrstor(struct vcpu *v, const struct cell *c)
{
	uint64_t linear, mask, present;
	uint8_t image[XSAVE_BYTES];
	uint32_t mxcsr, pkru = 0;
	bool compact;

	check_xsave(v);
	mask = xsave_mask(v);
	linear = xsave_linear(v, c, false);
	mmu_read_bytes(v, linear, image, mask & 4 ? XSAVE_BYTES : XSAVE_AVX);
	check_header(v, image);
	present = get(image + 512, 8);
	compact = get(image + 520, 8) >> 63;
	if (mask & present & HAS_PKRU)
		mmu_read_bytes(v, linear + pkru_at(compact, get(image + 520, 8)), &pkru, 4);
	mxcsr = (uint32_t)get(image + 24, 4);
	/* The standard form always loads MXCSR, the compacted one if SSE is there. */
	if (compact ? (mask & 2) : (mask & 6)) {
		if (compact && !(present & 2))
			mxcsr = 0x1f80;
		if (mxcsr & ~MXCSR_MASK)
			fault_gp(v);
		v->mxcsr = mxcsr;
	}
	load_components(v, image, mask, present, c->i.w);
	if (mask & HAS_PKRU)
		set_pkru(v, pkru);
}

/* Tags of the full form: empty, special, zero, valid, from what is in the registers. */
static uint16_t full_tags(const struct vcpu *v)
{
	unsigned top = v->frame.fx[3] >> 3 & 7;
	uint16_t tags = 0;

	for (unsigned n = 0; n < 8; n++) {
		const uint8_t *r = v->frame.fx + 32 + 16 * ((n - top) & 7);
		uint64_t mantissa = get(r, 8);
		unsigned exponent = get(r + 8, 2) & 0x7fff, tag = 0;

		if (!(v->frame.fx[4] >> n & 1))
			tag = 3;
		else if (!exponent && !mantissa)
			tag = 1;
		else if (exponent == 0x7fff || !exponent || !(mantissa >> 63))
			tag = 2;
		tags |= (uint16_t)(tag << 2 * n);
	}
	return tags;
}

/* The environment in its four layouts: 16 or 32 bits, real (and vm86) or protected mode. */
static unsigned make_environment(const struct vcpu *v, uint8_t *image, unsigned opsize)
{
	bool real = real_or_vm86(v);
	uint32_t ip = (uint32_t)v->fpu_ip, dp = (uint32_t)v->fpu_dp;
	uint16_t control = (uint16_t)get(v->frame.fx, 2),
		 status = (uint16_t)get(v->frame.fx + 2, 2);
	unsigned s = opsize == 2 ? 2 : 4;
	uint32_t fill = s == 4 ? 0xffff0000 : 0;

	if (real) {
		ip += (uint32_t)v->fpu_cs << 4;
		dp += (uint32_t)v->fpu_ds << 4;
	}
	put(image, control | fill, s);
	put(image + s, status | fill, s);
	put(image + 2 * s, full_tags(v) | fill, s);
	put(image + 3 * s, s == 4 && real ? (ip & 0xffff) | fill : ip, s);
	put(image + 5 * s, s == 4 && real ? (dp & 0xffff) | fill : dp, s);
	if (real) {
		put(image + 4 * s,
			s == 4 ? (ip >> 16 << 12 | v->fpu_op) : (ip >> 16 & 15) << 12 | v->fpu_op,
			s);
		put(image + 6 * s, s == 4 ? dp >> 16 << 12 : (dp >> 16 & 15) << 12, s);
	} else {
		put(image + 4 * s, s == 4 ? v->fpu_cs | (uint32_t)v->fpu_op << 16 : v->fpu_cs, s);
		put(image + 6 * s, v->fpu_ds | fill, s);
	}
	return 7 * s;
}

static void take_environment(struct vcpu *v, const uint8_t *image, unsigned opsize)
{
	unsigned s = opsize == 2 ? 2 : 4;
	uint8_t fx[32] = { 0 };
	uint16_t tags = (uint16_t)get(image + 2 * s, 2), control = (uint16_t)get(image, 2),
		 status = (uint16_t)get(image + s, 2);

	control = (control & 0x1f3f) | 0x40;
	status &= 0x7f7f;
	if (status & ~control & 0x3f)
		status |= 0x8080;
	memcpy(fx, &control, 2);
	memcpy(fx + 2, &status, 2);
	for (unsigned n = 0; n < 8; n++)
		if ((tags >> 2 * n & 3) != 3)
			fx[4] |= (uint8_t)(1u << n);
	memcpy(v->frame.fx, fx, 5);
	v->fpu_ip = get(image + 3 * s, s);
	v->fpu_dp = get(image + 5 * s, s);
	if (!real_or_vm86(v)) {
		v->fpu_cs = (uint16_t)get(image + 4 * s, 2);
		v->fpu_ds = (uint16_t)get(image + 6 * s, 2);
		v->fpu_op = s == 4 ? get(image + 4 * s + 2, 2) & 0x7ff : 0;
	}
}

void op_fnstenv(struct vcpu *v, const struct cell *c)
{
	uint8_t image[28];
	unsigned n;

	check_available(v);
	n = make_environment(v, image, c->i.opsize);
	mmu_write_bytes(v, linear_of(v, c, n, true), image, n);
	/* All exceptions are masked afterwards. */
	v->frame.fx[0] |= 0x3f;
	v->frame.fx[2] &= 0x7f;
	v->frame.fx[3] &= 0x7f;
}

static void check_pending(struct vcpu *v)
{
	check_available(v);
	if (v->frame.fx[2] & FSW_ES)
		fault(v, VECTOR_MF);
}

void op_fldenv(struct vcpu *v, const struct cell *c)
{
	unsigned n = c->i.opsize == 2 ? 14 : 28;
	uint8_t image[28];

	check_pending(v);
	mmu_read_bytes(v, linear_of(v, c, n, false), image, n);
	take_environment(v, image, c->i.opsize);
}

void op_fnsave(struct vcpu *v, const struct cell *c)
{
	uint8_t image[108];
	unsigned n;

	check_available(v);
	n = make_environment(v, image, c->i.opsize);
	for (unsigned r = 0; r < 8; r++)
		memcpy(image + n + 10 * r, v->frame.fx + 32 + 16 * r, 10);
	mmu_write_bytes(v, linear_of(v, c, n + 80, true), image, n + 80);
	fpu_reset(v);
}

void op_frstor(struct vcpu *v, const struct cell *c)
{
	unsigned n = c->i.opsize == 2 ? 14 : 28;
	uint8_t image[108];

	check_pending(v);
	mmu_read_bytes(v, linear_of(v, c, n + 80, false), image, n + 80);
	take_environment(v, image, c->i.opsize);
	for (unsigned r = 0; r < 8; r++)
		memcpy(v->frame.fx + 32 + 16 * r, image + n + 10 * r, 10);
}

/* Waits for nothing, but takes pending exceptions. */
void op_fwait(struct vcpu *v, const struct cell *c)
{
	if ((v->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		fault(v, VECTOR_NM);
	if (v->frame.fx[2] & FSW_ES)
		fault(v, VECTOR_MF);
}
