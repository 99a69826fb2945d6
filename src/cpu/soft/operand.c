/* What the operands of a decoded instruction are, by its form's specs. */
#include "cpu/soft/decode.h"
#include "cpu/soft/forms.h"

#define SPEC_ROW(name, from, reg_class, reg_size, mem_size, num) \
	[SPEC_##name] = { FROM_##from, CLASS_##reg_class, reg_size, mem_size, num },
const struct spec_info soft_specs[SPEC_COUNT] = { SPECS(SPEC_ROW) };

#define OP_ROW(name, text) [OP_##name] = text,
static const char *const names[] = { OPS(OP_ROW) };

const char *op_name(enum op op)
{
	return names[op];
}

static uint16_t operand_size(const struct insn *i, uint8_t size)
{
	bool wide = i->mode == DECODE_64;

	switch ((enum size)size) {
	case SV:
	case SP:
		return i->opsize;
	case SY:
		return i->w && wide ? 8 : 4;
	case SZ:
		return i->opsize == 2 ? 2 : 4;
	case SX:
		return i->l ? 32 : 16;
	case SXH:
		return i->l ? 16 : 8;
	case SXQ:
		return i->l ? 8 : 4;
	case SXE:
		return i->l ? 4 : 2;
	case SDD:
		return i->l ? 32 : 8;
	case SN:
		return wide ? 8 : 4;
	case SFAR:
		return i->opsize + 2u;
	case SDESC:
		return wide ? 10 : 6;
	case SV2:
		return i->opsize * 2u;
	case SENV:
		return i->opsize == 2 ? 14 : 28;
	case SSAVE:
		return i->opsize == 2 ? 94 : 108;
	default:
		return size;
	}
}

static void set_register(
	const struct insn *i, struct operand *o, const struct spec_info *spec, uint8_t reg)
{
	o->kind = OPERAND_REG;
	o->class = spec->class;
	o->reg = reg;
	o->size = operand_size(i, spec->size);
	if (spec->class == CLASS_VEC)
		o->size = o->size == 8 ? 16 : o->size;
	if (spec->class == CLASS_MMX || spec->class == CLASS_ST || spec->class == CLASS_SEG)
		o->reg &= 7;
	if (spec->class == CLASS_VEC && i->mode != DECODE_64)
		o->reg &= 7;
	if (spec->class == CLASS_GPR && o->size == 1 && reg >= 4 && reg < 8 &&
		spec->source != FROM_FIXED && !(i->prefixes & (PREFIX_REX | PREFIX_VEX))) {
		o->high = true;
		o->reg -= 4;
	}
}

static void set_memory(const struct insn *i, struct operand *o, const struct spec_info *spec)
{
	o->kind = OPERAND_MEM;
	o->size = operand_size(i, spec->memory_size);
	o->base = i->base;
	o->index = i->index;
	o->scale = i->scale;
	o->segment = i->segment;
	o->value = (uint64_t)(int64_t)i->disp;
	o->vsib = spec->source == FROM_VSIB;
}

static void set_string(const struct insn *i, struct operand *o, const struct spec_info *spec)
{
	o->kind = OPERAND_MEM;
	o->size = operand_size(i, spec->memory_size);
	o->base = spec->source == FROM_SI ? 6 : 7;
	o->index = BASE_NONE;
	o->segment = spec->source == FROM_SI ? i->segment : SEG_ES;
	o->implicit_address = true;
}

static void set_value(const struct insn *i, struct operand *o, const struct spec_info *spec)
{
	o->kind = OPERAND_IMM;
	o->size = operand_size(i, spec->memory_size);
	o->value = spec->source == FROM_IMM2 ? i->imm2 : i->imm;
	if (spec->source == FROM_REL)
		o->kind = OPERAND_REL;
	if (spec->source == FROM_FAR)
		o->kind = OPERAND_FAR;
	if (spec->source == FROM_MOFFS) {
		o->kind = OPERAND_MEM;
		o->base = o->index = BASE_NONE;
		o->segment = i->segment;
	}
}

bool insn_operand(const struct insn *insn, unsigned n, struct operand *operand)
{
	const struct spec_info *spec;

	if (n >= 4 || !insn->form->operand[n])
		return false;
	spec = &soft_specs[insn->form->operand[n]];
	*operand = (struct operand){ .base = BASE_NONE, .index = BASE_NONE };
	switch ((enum source)spec->source) {
	case FROM_REG:
		set_register(insn, operand, spec, insn->reg);
		break;
	case FROM_RM:
		if (insn->memory)
			set_memory(insn, operand, spec);
		else
			set_register(insn, operand, spec, insn->rm);
		break;
	case FROM_RMR:
	case FROM_RM_ANY:
	case FROM_OPCODE:
		set_register(insn, operand, spec, insn->rm);
		break;
	case FROM_MEM:
	case FROM_VSIB:
		set_memory(insn, operand, spec);
		break;
	case FROM_VVVV:
		set_register(insn, operand, spec, insn->vvvv);
		break;
	case FROM_IS4:
		set_register(insn, operand, spec, (uint8_t)insn->imm >> 4);
		break;
	case FROM_FIXED:
		set_register(insn, operand, spec, spec->number);
		break;
	case FROM_SI:
	case FROM_DI:
		set_string(insn, operand, spec);
		break;
	default:
		set_value(insn, operand, spec);
	}
	return true;
}
