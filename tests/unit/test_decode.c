/*
 * The decoder against Zydis: length, validity, operation and operands of strings that are random, random
 * behind plausible prefixes and opcodes, and cut from this program's own code, in 16-, 32- and 64-bit code.
 *
 *   test-decode [STRINGS [SEED]]     how many; `make conformance` runs 10^8
 *
 * Zydis knows more extensions than the decoder, which takes their opcodes as undefined: see not_ours().
 * Where Zydis differs from the manuals is in deviates().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <link.h>

#include <Zydis/Zydis.h>

#include "cpu/soft/decode.h"

static uint64_t seed = 1;
static unsigned long strings = 300000;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

struct text {
	const uint8_t *start;
	size_t n;
};

/* The largest executable segment among those loaded. */
static int find_text(struct dl_phdr_info *info, size_t size, void *data)
{
	struct text *t = data;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (p->p_flags & PF_X) && p->p_memsz > t->n)
			*t = (struct text){ (const uint8_t *)info->dlpi_addr + p->p_vaddr,
				p->p_memsz };
	}
	return 0;
}

static void make_string(uint8_t *s, const struct text *text)
{
	static const uint8_t prefixes[] = { 0x66, 0x66, 0xf2, 0xf3, 0xf0, 0x67, 0x2e, 0x64, 0x48,
		0x41, 0x44, 0x4f, 0x3e, 0x36 };
	uint64_t r = random64();
	unsigned n = 0, count = r >> 8 & 3;

	for (unsigned i = 0; i < INSN_MAX + 1; i++)
		s[i] = (uint8_t)(random64() >> 32);
	if ((r & 7) == 0)
		return;
	if ((r & 7) == 1) {
		memcpy(s, text->start + random64() % (text->n - 16), 16);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		s[n++] = prefixes[random64() % sizeof(prefixes)];
	switch (r >> 16 & 7) {
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
}

/* Extensions that the decoder does not have. */
static bool not_ours(const ZydisDecodedInstruction *z)
{
	static const char *const sets[] = { "AVX512", "XOP", "FMA4", "TBM", "AMD3DNOW", "AMD3DNOW_",
		"3DNOW", "VTX", "SVM", "SGX", "MPX", "CET", "SSE4A", "RTM", "GFNI", "KNC", "AMX",
		"MOVDIR", "ENQCMD", "WAITPKG", "SERIALIZE", "PTWRITE", "PT", "CLZERO", "MONITOR",
		"MONITORX", "PCONFIG", "RDPRU", "SNP", "MCOMMIT", "TSX", "PADLOCK", "CYRIX",
		"UINTR", "HRESET", "KEYLOCKER", "TDX", "AVX_VNNI", "AMD_INVLPGB", "LWP", "CLDEMOTE",
		"WBNOINVD", "PBNDKB", "VMFUNC", "SMX", "TSX_LDTRK", "AVX_GFNI", "KEYLOCKER_WIDE",
		"XSAVES_" };
	const char *name = ZydisISASetGetString(z->meta.isa_set);

	if (z->mnemonic == ZYDIS_MNEMONIC_VMCALL || z->mnemonic == ZYDIS_MNEMONIC_VMMCALL)
		return false;
	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
		z->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return true;
	for (size_t i = 0; name && i < sizeof(sets) / sizeof(sets[0]); i++)
		if (!strncmp(name, sets[i], strlen(sets[i])))
			return true;
	return false;
}

static bool same_name(const struct insn *i, const ZydisDecodedInstruction *z)
{
	static const struct {
		enum op op;
		const char *by_size[3];
	} sized[] = {
		{ OP_PUSHF, { "pushf", "pushfd", "pushfq" } },
		{ OP_POPF, { "popf", "popfd", "popfq" } },
		{ OP_PUSHA, { "pusha", "pushad" } },
		{ OP_POPA, { "popa", "popad" } },
		{ OP_IRET, { "iret", "iretd", "iretq" } },
		{ OP_CBW, { "cbw", "cwde", "cdqe" } },
		{ OP_CWD, { "cwd", "cdq", "cqo" } },
	};
	static const char *const conditions[16] = { "o", "no", "b", "nb", "z", "nz", "be", "nbe",
		"s", "ns", "p", "np", "l", "nl", "le", "nle" };
	const char *theirs = ZydisMnemonicGetString(z->mnemonic);
	char ours[40];
	unsigned size = i->opsize / 4;
	struct operand o;

	snprintf(ours, sizeof(ours), "%s", op_name(i->op));
	for (size_t n = 0; n < sizeof(sized) / sizeof(sized[0]); n++)
		if (sized[n].op == i->op)
			snprintf(ours, sizeof(ours), "%s", sized[n].by_size[size]);
	switch (i->op) {
	case OP_JCC:
	case OP_SETCC:
	case OP_CMOVCC:
		strcat(ours, conditions[insn_condition(i)]);
		break;
	case OP_JCXZ:
		snprintf(ours, sizeof(ours), "%s",
			(const char *[]){ "jcxz", "jecxz", "jrcxz" }[i->addrsize / 4]);
		break;
	case OP_MOVS:
	case OP_CMPS:
	case OP_STOS:
	case OP_LODS:
	case OP_SCAS:
	case OP_INS:
	case OP_OUTS:
		insn_operand(i, i->op == OP_LODS || i->op == OP_SCAS || i->op == OP_OUTS, &o);
		strcat(ours, (const char *[]){ "b", "w", "d", "", "q" }[o.size / 2]);
		break;
	case OP_PREFETCH:
		return !strncmp(theirs, "prefetch", 8);
	}
	return !strncmp(ours, theirs, strlen(ours)) &&
	       (!theirs[strlen(ours)] ||
		       (theirs[0] != 'c' && !strcmp(theirs + strlen(ours), "64")));
}

static bool same_register(const struct operand *o, ZydisRegister reg)
{
	static const ZydisRegisterClass gpr[] = { ZYDIS_REGCLASS_GPR8, ZYDIS_REGCLASS_GPR16,
		ZYDIS_REGCLASS_GPR32, ZYDIS_REGCLASS_INVALID, ZYDIS_REGCLASS_GPR64 };
	static const ZydisRegisterClass others[] = { [CLASS_MMX] = ZYDIS_REGCLASS_MMX,
		[CLASS_SEG] = ZYDIS_REGCLASS_SEGMENT,
		[CLASS_CR] = ZYDIS_REGCLASS_CONTROL,
		[CLASS_DR] = ZYDIS_REGCLASS_DEBUG,
		[CLASS_ST] = ZYDIS_REGCLASS_X87 };

	if (o->class == CLASS_VEC)
		return ZydisRegisterEncode(o->size == 32 ? ZYDIS_REGCLASS_YMM : ZYDIS_REGCLASS_XMM,
			       o->reg) == reg;
	if (o->class != CLASS_GPR)
		return ZydisRegisterEncode(others[o->class], o->reg) == reg;
	if (o->size == 1)
		return (o->high             ? ZYDIS_REGISTER_AH + o->reg
			       : o->reg < 4 ? ZYDIS_REGISTER_AL + o->reg
					    : ZYDIS_REGISTER_SPL + (o->reg - 4)) == (int)reg;
	return ZydisRegisterEncode(gpr[o->size / 2], o->reg) == reg;
}

static bool same_address(
	const struct insn *i, const struct operand *o, const ZydisDecodedOperand *z)
{
	static const ZydisRegisterClass gpr[] = { ZYDIS_REGCLASS_INVALID, ZYDIS_REGCLASS_GPR16,
		ZYDIS_REGCLASS_GPR32, ZYDIS_REGCLASS_INVALID, ZYDIS_REGCLASS_GPR64 };
	ZydisRegister base = ZYDIS_REGISTER_NONE, index = ZYDIS_REGISTER_NONE;

	if (o->base == BASE_RIP)
		base = i->addrsize == 8 ? ZYDIS_REGISTER_RIP : ZYDIS_REGISTER_EIP;
	else if (o->base != BASE_NONE)
		base = ZydisRegisterEncode(gpr[i->addrsize / 2], o->base);
	if (o->vsib)
		index = ZydisRegisterEncode(z->mem.index >= ZYDIS_REGISTER_YMM0
						    ? ZYDIS_REGCLASS_YMM
						    : ZYDIS_REGCLASS_XMM,
			o->index);
	else if (o->index != BASE_NONE)
		index = ZydisRegisterEncode(gpr[i->addrsize / 2], o->index);
	if (base != z->mem.base || index != z->mem.index)
		return false;
	if (index != ZYDIS_REGISTER_NONE && 1 << o->scale != z->mem.scale)
		return false;
	if (i->op != OP_LEA &&
		ZydisRegisterEncode(ZYDIS_REGCLASS_SEGMENT, o->segment) != z->mem.segment)
		return false;
	/* Beyond the address size the two extend differently, without consequence. */
	return ((o->value ^ (uint64_t)z->mem.disp.value) &
		       (i->addrsize == 8 ? ~0ull : (1ull << i->addrsize * 8) - 1)) == 0;
}

static bool same_operand(
	const struct insn *i, const struct operand *o, const ZydisDecodedOperand *z)
{
	switch (z->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return o->kind == OPERAND_REG && same_register(o, z->reg.value);
	case ZYDIS_OPERAND_TYPE_MEMORY:
		if (o->kind != OPERAND_MEM || (o->size && o->size * 8 != z->size))
			return false;
		return same_address(i, o, z);
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return (o->kind == OPERAND_IMM || o->kind == OPERAND_REL) &&
		       ((o->value ^ z->imm.value.u) &
			       (z->size == 64 ? ~0ull : (1ull << z->size) - 1)) == 0;
	case ZYDIS_OPERAND_TYPE_POINTER:
		return o->kind == OPERAND_FAR && i->imm == z->ptr.offset &&
		       i->imm2 == z->ptr.segment;
	default:
		return false;
	}
}

static bool is_string(uint16_t op)
{
	static const enum op strings_ops[] = { OP_MOVS, OP_CMPS, OP_STOS, OP_LODS, OP_SCAS, OP_INS,
		OP_OUTS };

	for (size_t n = 0; n < sizeof(strings_ops) / sizeof(strings_ops[0]); n++)
		if (strings_ops[n] == op)
			return true;
	return false;
}

static const char *compare(
	const struct insn *i, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *operands)
{
	unsigned n, count = z->operand_count_visible;
	struct operand o;

	/* Zydis has the operands of string instructions, but hides them. */
	if (!count && is_string(i->op))
		count = 2;
	if (i->length != z->length)
		return "length";
	if (!same_name(i, z))
		return "operation";
	/* Operands that nobody ever looks at. */
	if (i->op == OP_NOP || i->op == OP_UD0 || i->op == OP_UD1)
		return NULL;
	for (n = 0; n < count; n++)
		if (!insn_operand(i, n, &o) || !same_operand(i, &o, &operands[n]))
			return "operand";
	return insn_operand(i, n, &o) ? "operand count" : NULL;
}

/* Where Zydis, not the decoder, departs from the processors. */
static bool deviates(const struct insn *i, int r, const ZydisDecodedInstruction *z)
{
	/* With a 32-bit address, Zydis takes REX.B into account where the SIB byte says that there is no base. */
	if (r == z->length && i->mode == DECODE_64 && i->addrsize == 4 && i->memory &&
		(i->modrm & 0xc7) == 4 && i->base == BASE_NONE)
		return true;
	/* F3 41 90 exchanges r8 with rax, on processors of Intel and AMD; only F3 90 is PAUSE. */
	return r > 0 && i->op == OP_XCHG && i->opcode == 0x90 &&
	       z->mnemonic == ZYDIS_MNEMONIC_PAUSE;
}

static void report(const char *what, const uint8_t *s, int r, const struct insn *i,
	ZyanStatus status, const ZydisDecodedInstruction *z)
{
	static const char *const modes[] = { "16", "32", "64" };

	printf("%s: mode %s:", what, modes[i->mode]);
	for (unsigned n = 0; n < INSN_MAX; n++)
		printf(" %02x", s[n]);
	printf(": ours %d %s, Zydis ", r, r > 0 ? op_name(i->op) : "-");
	if (ZYAN_SUCCESS(status))
		printf("%d %s (%s, visible %d)\n", z->length, ZydisMnemonicGetString(z->mnemonic),
			ZydisISASetGetString(z->meta.isa_set), z->operand_count_visible);
	else
		printf("status %x\n", ZYAN_STATUS_CODE(status));
}

static bool check_one(const ZydisDecoder *decoder, enum decode_mode mode, const uint8_t *s)
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct insn insn;
	const char *what = NULL;
	ZyanStatus status = ZydisDecoderDecodeFull(decoder, s, INSN_MAX + 1, &z, operands);
	int r = insn_decode(&insn, mode, s, INSN_MAX + 1);

	if (ZYAN_SUCCESS(status) && !not_ours(&z)) {
		what = r < 0 ? "refused" : compare(&insn, &z, operands);
	} else if (r > 0) {
		what = "accepted";
	} else if (r == DECODE_TRUNCATED) {
		what = "truncated";
	}
	if (!what || deviates(&insn, r, &z))
		return true;
	report(what, s, r, &insn, status, &z);
	return false;
}

static void agrees_with_zydis(void **state)
{
	static const ZydisMachineMode modes[] = { ZYDIS_MACHINE_MODE_LEGACY_16,
		ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_MACHINE_MODE_LONG_64 };
	static const ZydisStackWidth widths[] = { ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
		ZYDIS_STACK_WIDTH_64 };
	static const ZydisDecoderMode off[] = { ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
		ZYDIS_DECODER_MODE_CLDEMOTE, ZYDIS_DECODER_MODE_WBNOINVD, ZYDIS_DECODER_MODE_KNC };
	ZydisDecoder decoder[3];
	struct text text = { NULL, 0 };
	uint8_t s[INSN_MAX + 1];
	unsigned differences = 0;

	dl_iterate_phdr(find_text, &text);
	for (unsigned m = 0; m < 3; m++) {
		ZydisDecoderInit(&decoder[m], modes[m], widths[m]);
		for (size_t n = 0; n < sizeof(off) / sizeof(off[0]); n++)
			ZydisDecoderEnableMode(&decoder[m], off[n], ZYAN_FALSE);
	}
	for (unsigned long n = 0; n < strings && differences < 50; n++) {
		unsigned m = n % 4 == 3 ? DECODE_64 : (unsigned)(n % 4);

		make_string(s, &text);
		if (!check_one(&decoder[m], (enum decode_mode)m, s))
			differences++;
	}
	assert_int_equal(differences, 0);
}

/* A string that ends early is DECODE_TRUNCATED at every length short of the instruction's own. */
static void truncation_is_told(void **state)
{
	static const uint8_t strings_64[][INSN_MAX] = {
		{ 0x48, 0x8b, 0x84, 0xc8, 1, 2, 3, 4 },
		{ 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8 },
		{ 0x66, 0x0f, 0x3a, 0x0f, 0xc1, 7 },
		{ 0xc4, 0xe2, 0x7d, 0x58, 0x05, 1, 2, 3, 4 },
		{ 0xf0, 0x48, 0x0f, 0xc7, 0x0e },
	};
	struct insn insn;

	for (size_t i = 0; i < sizeof(strings_64) / sizeof(strings_64[0]); i++) {
		int length = insn_decode(&insn, DECODE_64, strings_64[i], INSN_MAX);

		assert_true(length > 0);
		for (int n = 0; n < length; n++)
			assert_int_equal(insn_decode(&insn, DECODE_64, strings_64[i], (size_t)n),
				DECODE_TRUNCATED);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(truncation_is_told),
		cmocka_unit_test(agrees_with_zydis),
	};

	if (argc > 1)
		strings = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		seed = strtoul(argv[2], NULL, 0) | 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
