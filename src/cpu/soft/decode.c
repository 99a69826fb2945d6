/* Prefixes, opcode lookup, ModRM and immediates. See decode.h; tables are in forms_*.c. */
#include "cpu/soft/decode.h"

#include <string.h>

#include "cpu/soft/forms.h"

struct reader {
	const uint8_t *bytes;
	size_t n, at;
	int failed; /* 0 or DECODE_ */
};

static uint64_t take_bytes(struct reader *r, unsigned n)
{
	uint64_t value = 0;

	if (r->failed)
		return 0;
	if (r->at + n > INSN_MAX) {
		r->failed = DECODE_TOO_LONG;
		return 0;
	}
	if (r->at + n > r->n) {
		r->failed = DECODE_TRUNCATED;
		return 0;
	}
	memcpy(&value, r->bytes + r->at, n);
	r->at += n;
	return value;
}

static uint64_t take_signed(struct reader *r, unsigned n)
{
	unsigned shift = 64 - 8 * n;

	return (uint64_t)((int64_t)(take_bytes(r, n) << shift) >> shift);
}

/* What has been gathered before ModRM. */
struct state {
	struct reader in;
	uint8_t rex, segment; /* segment: 0xff none */
	uint8_t vex_r, vex_x, vex_b, vvvv;
};

static bool take_legacy_prefix(struct insn *i, struct state *s, uint8_t byte)
{
	switch (byte) {
	case 0x66:
		i->prefixes |= PREFIX_OPSIZE;
		return true;
	case 0x67:
		i->prefixes |= PREFIX_ADDRSIZE;
		return true;
	case 0xf0:
		i->prefixes |= PREFIX_LOCK;
		return true;
	case 0xf2:
		i->prefixes = (uint8_t)((i->prefixes & ~PREFIX_REP) | PREFIX_REPNE);
		return true;
	case 0xf3:
		i->prefixes = (uint8_t)((i->prefixes & ~PREFIX_REPNE) | PREFIX_REP);
		return true;
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		i->prefixes |= PREFIX_SEGMENT;
		/* Without effect in 64-bit mode, also on an earlier FS or GS. */
		if (i->mode != DECODE_64)
			s->segment = byte >> 3 & 3;
		return true;
	case 0x64:
	case 0x65:
		i->prefixes |= PREFIX_SEGMENT;
		s->segment = byte & 7;
		return true;
	}
	return false;
}

/* Leaves `at` on the first byte that is no prefix. */
static uint8_t take_prefixes(struct insn *i, struct state *s)
{
	for (;;) {
		uint8_t byte = (uint8_t)take_bytes(&s->in, 1);

		if (s->in.failed)
			return 0;
		if (i->mode == DECODE_64 && (byte & 0xf0) == 0x40) {
			s->rex = byte;
			i->prefixes |= PREFIX_REX;
		} else if (take_legacy_prefix(i, s, byte)) {
			/* A REX that is not the last prefix is ignored. */
			s->rex = 0;
			i->prefixes &= (uint8_t)~PREFIX_REX;
		} else {
			return byte;
		}
	}
}

static bool peek(struct state *s, uint8_t *byte)
{
	if (s->in.at >= s->in.n || s->in.at >= INSN_MAX)
		return false;
	*byte = s->in.bytes[s->in.at];
	return true;
}

static int take_vex(struct insn *i, struct state *s, uint8_t first)
{
	uint8_t byte = (uint8_t)take_bytes(&s->in, 1);

	if (i->prefixes & (PREFIX_REX | PREFIX_LOCK | PREFIX_OPSIZE | PREFIX_REP | PREFIX_REPNE))
		return DECODE_UNDEFINED;
	i->prefixes |= PREFIX_VEX;
	s->vex_r = (~byte >> 7) & 1;
	i->map = 1;
	if (first == 0xc4) {
		i->map = byte & 31;
		s->vex_x = (~byte >> 6) & 1;
		s->vex_b = (~byte >> 5) & 1;
		byte = (uint8_t)take_bytes(&s->in, 1);
		i->w = byte >> 7;
	}
	s->vvvv = (~byte >> 3) & 15;
	i->l = (byte >> 2) & 1;
	/* VEX counts 66, F3, F2 as this decoder does. */
	i->pp = byte & 3;
	if (i->mode != DECODE_64)
		s->vex_r = s->vex_x = s->vex_b = 0;
	if (i->map < 1 || i->map > 3)
		return s->in.failed ? s->in.failed : DECODE_UNDEFINED;
	i->opcode = (uint8_t)take_bytes(&s->in, 1);
	return s->in.failed;
}

static int take_opcode(struct insn *i, struct state *s)
{
	uint8_t next, byte = take_prefixes(i, s);

	if (s->in.failed)
		return s->in.failed;
	if (byte == 0xc4 || byte == 0xc5) {
		/* Outside 64-bit mode LES and LDS, whose ModRM names memory, come first. */
		if (i->mode == DECODE_64)
			return take_vex(i, s, byte);
		if (!peek(s, &next))
			return s->in.at >= INSN_MAX ? DECODE_TOO_LONG : DECODE_TRUNCATED;
		if (next >= 0xc0)
			return take_vex(i, s, byte);
	}
	if (byte == 0x0f) {
		byte = (uint8_t)take_bytes(&s->in, 1);
		i->map = 1;
		if (byte == 0x38 || byte == 0x3a) {
			i->map = byte == 0x38 ? 2 : 3;
			byte = (uint8_t)take_bytes(&s->in, 1);
		}
	}
	i->opcode = byte;
	i->w = (s->rex >> 3) & 1;
	if (i->prefixes & (PREFIX_REP | PREFIX_REPNE))
		i->pp = i->prefixes & PREFIX_REP ? 2 : 3;
	else
		i->pp = i->prefixes & PREFIX_OPSIZE ? 1 : 0;
	return s->in.failed;
}

static const struct form *first_row(const struct form_map *map, uint8_t opcode)
{
	unsigned low = 0, high = map->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (map->rows[middle].opcode < opcode)
			low = middle + 1;
		else
			high = middle;
	}
	return low < map->count && map->rows[low].opcode == opcode ? &map->rows[low] : NULL;
}

static bool has_modrm(const struct form *f)
{
	if (f->when & (D(7) | RM(7) | MEM | REG))
		return true;
	for (unsigned n = 0; n < 4 && f->operand[n]; n++) {
		switch (soft_specs[f->operand[n]].source) {
		case FROM_REG:
		case FROM_RM:
		case FROM_MEM:
		case FROM_RMR:
		case FROM_RM_ANY:
		case FROM_VSIB:
			return true;
		}
	}
	return false;
}

static bool when_modrm(uint32_t when, uint8_t modrm)
{
	if ((when & 8) && (when & 7) != ((modrm >> 3) & 7u))
		return false;
	if ((when & 0x80) && (when >> 4 & 7) != (modrm & 7u))
		return false;
	if ((when & MEM) && modrm >= 0xc0)
		return false;
	return !(when & REG) || modrm >= 0xc0;
}

static bool when_holds(const struct form *f, const struct insn *i, const struct state *s)
{
	static const uint32_t prefix[4] = { NP, P66, PF3, PF2 };
	uint32_t when = f->when;

	if ((when & (NP | P66 | PF3 | PF2)) && !(when & prefix[i->pp]))
		return false;
	if ((when & (W0 | W1)) && !(when & (i->w ? W1 : W0)))
		return false;
	if ((when & (L0 | L1)) && !(when & (i->l ? L1 : L0)))
		return false;
	if ((when & X64) && i->mode != DECODE_64)
		return false;
	if ((when & X32) && i->mode == DECODE_64)
		return false;
	return !(when & NOREXB) || !(s->rex & 1);
}

/* A row whose operand can only be memory, or only a register, is not for the other. */
static bool operands_allow(const struct form *f, uint8_t modrm)
{
	for (unsigned n = 0; n < 4 && f->operand[n]; n++) {
		uint8_t source = soft_specs[f->operand[n]].source;

		if ((source == FROM_MEM || source == FROM_VSIB) && modrm >= 0xc0)
			return false;
		if (source == FROM_RMR && modrm < 0xc0)
			return false;
	}
	return true;
}

static int find_in(const struct form_map *map, struct insn *i, struct state *s)
{
	const struct form *f = first_row(map, i->opcode), *end = map->rows + map->count;
	uint8_t modrm = 0;

	if (!f)
		return DECODE_UNDEFINED;
	if (has_modrm(f) && !peek(s, &modrm))
		return s->in.at >= INSN_MAX ? DECODE_TOO_LONG : DECODE_TRUNCATED;
	for (; f < end && f->opcode == i->opcode; f++) {
		if (when_modrm(f->when, modrm) && when_holds(f, i, s) && operands_allow(f, modrm)) {
			i->form = f;
			return 0;
		}
	}
	return DECODE_UNDEFINED;
}

static int find_form(struct insn *i, struct state *s)
{
	static const struct form_map *const legacy[4] = { &soft_map_one, &soft_map_0f,
		&soft_map_0f38, &soft_map_0f3a };
	static const struct form_map *const vex[4] = { NULL, &soft_map_vex_0f, &soft_map_vex_0f38,
		&soft_map_vex_0f3a };
	int r;

	if (i->prefixes & PREFIX_VEX)
		return find_in(vex[i->map], i, s);
	r = find_in(legacy[i->map], i, s);
	if (r == DECODE_UNDEFINED && i->map == 1)
		r = find_in(&soft_map_sse_0f, i, s);
	return r;
}

static void set_sizes(struct insn *i, const struct state *s)
{
	static const uint8_t normal[3] = { 2, 4, 4 };
	uint32_t flags = i->form->flags;

	i->opsize = normal[i->mode];
	if (i->prefixes & PREFIX_OPSIZE)
		i->opsize ^= 6;
	if (i->mode == DECODE_64) {
		if ((flags & FORM_FORCE64) || i->w)
			i->opsize = 8;
		else if ((flags & FORM_DEF64) && i->opsize == 4)
			i->opsize = 8;
	}
	/* A 66 that selects the instruction is no operand size. */
	if ((i->form->when & P66) && !(i->form->when & NP) && i->opsize == 2)
		i->opsize = 4;
	i->addrsize = i->mode == DECODE_64 ? 8 : normal[i->mode];
	if (i->prefixes & PREFIX_ADDRSIZE)
		i->addrsize = i->mode == DECODE_64 ? 4 : i->addrsize ^ 6;
}

static void take_memory_16(struct insn *i, struct state *s)
{
	static const uint8_t base[8] = { 3, 3, 5, 5, 6, 7, 5, 3 };
	static const uint8_t index[4] = { 6, 7, 6, 7 };
	uint8_t mod = i->modrm >> 6, rm = i->modrm & 7;

	i->base = base[rm];
	if (rm < 4)
		i->index = index[rm];
	if (mod == 0 && rm == 6) {
		i->base = BASE_NONE;
		i->disp = (int32_t)take_signed(&s->in, 2);
	} else if (mod) {
		i->disp = (int32_t)take_signed(&s->in, mod);
	}
}

static void take_sib(struct insn *i, struct state *s)
{
	uint8_t sib = (uint8_t)take_bytes(&s->in, 1);
	uint8_t index = (sib >> 3 & 7) | (uint8_t)(s->vex_x << 3);

	i->scale = sib >> 6;
	i->index = index == 4 && soft_specs[i->form->operand[1]].source != FROM_VSIB ? BASE_NONE
										     : index;
	i->base = (sib & 7) | (uint8_t)(s->vex_b << 3);
	if ((sib & 7) == 5 && i->modrm < 0x40) {
		i->base = BASE_NONE;
		i->disp = (int32_t)take_signed(&s->in, 4);
	}
}

static void take_memory(struct insn *i, struct state *s)
{
	uint8_t mod = i->modrm >> 6, rm = i->modrm & 7;

	if (i->addrsize == 2) {
		take_memory_16(i, s);
		return;
	}
	i->base = rm | (uint8_t)(s->vex_b << 3);
	if (rm == 4) {
		take_sib(i, s);
	} else if (mod == 0 && rm == 5) {
		i->base = i->mode == DECODE_64 ? BASE_RIP : BASE_NONE;
		i->disp = (int32_t)take_signed(&s->in, 4);
	}
	if (mod)
		i->disp = (int32_t)take_signed(&s->in, mod == 1 ? 1 : 4);
}

static void take_modrm(struct insn *i, struct state *s)
{
	i->modrm = (uint8_t)take_bytes(&s->in, 1);
	i->reg = (i->modrm >> 3 & 7) | (uint8_t)(s->vex_r << 3);
	i->rm = (i->modrm & 7) | (uint8_t)(s->vex_b << 3);
	i->memory = i->modrm < 0xc0;
	for (unsigned n = 0; n < 4 && i->form->operand[n]; n++)
		if (soft_specs[i->form->operand[n]].source == FROM_RM_ANY)
			i->memory = false;
	if (i->memory)
		take_memory(i, s);
	if (i->memory && (i->segment == SEG_DS) && s->segment == 0xff &&
		(i->base == 4 || (i->base == 5)))
		i->segment = SEG_SS;
}

static unsigned immediate_size(const struct insn *i, uint8_t size)
{
	if (size == SV)
		return i->opsize;
	if (size == SZ)
		return i->opsize == 2 ? 2 : 4;
	return size;
}

static void take_immediates(struct insn *i, struct state *s)
{
	for (unsigned n = 0; n < 4 && i->form->operand[n]; n++) {
		const struct spec_info *spec = &soft_specs[i->form->operand[n]];
		unsigned size = immediate_size(i, spec->memory_size);

		switch (spec->source) {
		case FROM_IMM:
			i->imm = take_bytes(&s->in, size);
			break;
		case FROM_SIMM:
		case FROM_REL:
			i->imm = take_signed(&s->in, size);
			break;
		case FROM_IMM2:
			i->imm2 = (uint16_t)take_bytes(&s->in, 1);
			break;
		case FROM_FAR:
			i->imm = take_bytes(&s->in, i->opsize);
			i->imm2 = (uint16_t)take_bytes(&s->in, 2);
			break;
		case FROM_MOFFS:
			i->imm = take_bytes(&s->in, i->addrsize);
			break;
		case FROM_IS4:
			i->imm = take_bytes(&s->in, 1);
			break;
		case FROM_ONE:
			i->imm = 1;
			break;
		}
	}
}

static bool lock_allowed(const struct insn *i)
{
	return (i->form->flags & FORM_LOCK) && i->memory &&
	       soft_specs[i->form->operand[0]].source != FROM_REG;
}

static bool register_exists(const struct insn *i, const struct spec_info *spec)
{
	if (spec->source != FROM_REG)
		return true;
	switch (spec->class) {
	case CLASS_CR:
		return 0x11d >> i->reg & 1;
	case CLASS_DR:
		return i->reg < 8;
	case CLASS_SEG:
		/* Only reading CS is possible. */
		return (i->reg & 7) < 6 &&
		       ((i->reg & 7) != SEG_CS || spec != &soft_specs[i->form->operand[0]]);
	}
	return true;
}

static bool is_gather(const struct insn *i)
{
	return i->form->operand[1] && soft_specs[i->form->operand[1]].source == FROM_VSIB;
}

/* A gather needs a SIB byte and three different registers. */
static bool gather_legal(const struct insn *i)
{
	return i->addrsize != 2 && (i->modrm & 7) == 4 && i->reg != i->index && i->reg != i->vvvv &&
	       i->index != i->vvvv;
}

static bool legal(const struct insn *i, uint8_t vvvv)
{
	bool uses_vvvv = false;

	if ((i->prefixes & PREFIX_LOCK) && !lock_allowed(i))
		return false;
	for (unsigned n = 0; n < 4 && i->form->operand[n]; n++) {
		const struct spec_info *spec = &soft_specs[i->form->operand[n]];

		if (spec->source == FROM_VVVV)
			uses_vvvv = true;
		if (!register_exists(i, spec))
			return false;
	}
	if (!uses_vvvv && vvvv)
		return false;
	return !is_gather(i) || gather_legal(i);
}

int insn_decode(struct insn *insn, enum decode_mode mode, const uint8_t *bytes, size_t n)
{
	struct state s = { .in = { bytes, n, 0, 0 }, .segment = 0xff };
	int r;

	*insn = (struct insn){ .mode = (uint8_t)mode, .base = BASE_NONE, .index = BASE_NONE };
	r = take_opcode(insn, &s);
	if (r)
		return r;
	if (!(insn->prefixes & PREFIX_VEX)) {
		s.vex_r = s.rex >> 2 & 1;
		s.vex_x = s.rex >> 1 & 1;
		s.vex_b = s.rex & 1;
	}
	r = find_form(insn, &s);
	if (r)
		return r;
	insn->op = insn->form->op;
	insn->segment = s.segment == 0xff ? SEG_DS : s.segment;
	/* Registers beyond seven do not exist outside 64-bit mode; vvvv's top bit is ignored there. */
	insn->vvvv = mode == DECODE_64 ? s.vvvv : s.vvvv & 7;
	set_sizes(insn, &s);
	if (has_modrm(insn->form))
		take_modrm(insn, &s);
	else
		insn->rm = (insn->opcode & 7) | (uint8_t)(s.vex_b << 3);
	take_immediates(insn, &s);
	if (s.in.failed)
		return s.in.failed;
	if (!legal(insn, s.vvvv))
		return DECODE_UNDEFINED;
	insn->length = (uint8_t)s.in.at;
	return insn->length;
}
