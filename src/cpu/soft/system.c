/* System instructions: control and debug registers, descriptor tables, ports, and what reads the processor. */
#include "cpu/soft/access.h"
#include "cpu/soft/desc.h"
#include "cpu/soft/ops_fn.h"
#include "memory/clock.h"

#include <sched.h>
#include <x86intrin.h>

#define PAUSES_BEFORE_YIELD 64u

static void need_cpl0(struct vcpu *v)
{
	if (v->cpl)
		fault_gp(v);
}

/* SGDT, SIDT, SLDT, STR, SMSW. */
static void need_umip(struct vcpu *v)
{
	if (v->cpl && (v->cr4 & CR4_UMIP))
		fault_gp(v);
}

void set_flags_checked(struct vcpu *v, uint64_t value, unsigned opsize)
{
	uint64_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT;

	if (opsize > 2)
		mask |= FL_AC | FL_ID;
	if (!(v->cr0 & CR0_PE) || (!v->cpl && !(v->flags & FL_VM)))
		mask |= FL_IOPL | FL_IF;
	else if (v->cpl <= (v->flags & FL_IOPL) >> 12)
		mask |= FL_IF;
	v->flags = (v->flags & ~(mask | FL_RF)) | (value & mask) | FL_FIXED;
	mmu_select(v);
}

static uint64_t cr4_allowed(const struct vcpu *v)
{
	const uint32_t *f = v->cpu->features;

	return CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR |
	       CR4_OSXMMEXCPT | (f[F_UMIP] ? CR4_UMIP : 0) | (f[F_PCID] ? CR4_PCIDE : 0) |
	       (f[F_SMEP] ? CR4_SMEP : 0) | (f[F_SMAP] ? CR4_SMAP : 0) | (f[F_PKU] ? CR4_PKE : 0) |
	       (f[F_PKS] ? CR4_PKS : 0) | (f[F_FSGSBASE] ? CR4_FSGSBASE : 0) |
	       (f[F_XSAVE] ? CR4_OSXSAVE : 0);
}

static void check_cr0(struct vcpu *v, uint64_t value)
{
	if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) ||
		((value & CR0_NW) && !(value & CR0_CD)))
		fault_gp(v);
	if (!(value & CR0_PG) && (v->cr0 & CR0_PG) &&
		(v->code == DECODE_64 || (v->cr4 & CR4_PCIDE)))
		fault_gp(v);
	if ((value & CR0_PG) && !(v->cr0 & CR0_PG) && (v->efer & EFER_LME) &&
		(!(v->cr4 & CR4_PAE) || (v->seg[CPU_CS].access & CPU_SEG_L)))
		fault_gp(v);
}

void set_cr0(struct vcpu *v, uint64_t value)
{
	uint64_t changed;

	check_cr0(v, value);
	value = (value & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW |
				 CR0_CD | CR0_PG)) |
		CR0_ET;
	changed = v->cr0 ^ value;
	if ((changed & CR0_PG) && (value & CR0_PG) && !(v->efer & EFER_LME) && (v->cr4 & CR4_PAE))
		mmu_load_pdptes(v, v->cr3);
	v->cr0 = value;
	if (changed & CR0_PG) {
		v->long_mode = (value & CR0_PG) && (v->efer & EFER_LME);
		v->efer = (v->efer & ~(uint64_t)EFER_LMA) | (v->long_mode ? EFER_LMA : 0);
	}
	if (changed & (CR0_PG | CR0_WP | CR0_PE))
		mmu_flush(v);
	if ((changed & CR0_PE) && (value & CR0_PE))
		v->cpl = 0;
	segment_changed_cs(v);
	mmu_select(v);
}

void set_cr3(struct vcpu *v, uint64_t value)
{
	bool keep = (v->cr4 & CR4_PCIDE) && value >> 63;

	if (v->cr4 & CR4_PCIDE)
		value &= INT64_MAX;
	if (v->long_mode ? (value & ~v->cpu->physical_mask & ~0xfffull) : value >> 32)
		fault_gp(v);
	if ((v->cr0 & CR0_PG) && (v->cr4 & CR4_PAE) && !v->long_mode)
		mmu_load_pdptes(v, value);
	/* One address space is kept at a time: no flush only where nothing changes. */
	keep = keep && value == v->cr3;
	v->cr3 = value;
	if (!keep)
		mmu_flush(v);
}

void set_cr4(struct vcpu *v, uint64_t value)
{
	uint64_t changed = v->cr4 ^ value;

	if (value & ~cr4_allowed(v))
		fault_gp(v);
	if (v->long_mode && !(value & CR4_PAE))
		fault_gp(v);
	if ((changed & value & CR4_PCIDE) && (!v->long_mode || (v->cr3 & 0xfff)))
		fault_gp(v);
	if ((v->cr0 & CR0_PG) && (value & CR4_PAE) && !v->long_mode &&
		(changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)))
		mmu_load_pdptes(v, v->cr3);
	v->cr4 = value;
	if (changed &
		(CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS))
		mmu_flush(v);
	mmu_select(v);
}

static uint64_t get_cr8(const struct vcpu *v)
{
	return v->link->apic ? v->link->apic->get_cr8(v->link->apic_data) : v->cr8;
}

static void set_cr8(struct vcpu *v, uint64_t value)
{
	if (value > 15)
		fault_gp(v);
	v->cr8 = value;
	if (v->link->apic)
		v->link->apic->set_cr8(v->link->apic_data, (uint8_t)value);
}

void op_mov_from_cr(struct vcpu *v, const struct cell *c)
{
	uint64_t value;

	need_cpl0(v);
	switch (c->i.reg) {
	case 0:
		value = v->cr0;
		break;
	case 2:
		value = v->cr2;
		break;
	case 3:
		value = v->cr3;
		break;
	case 4:
		value = v->cr4;
		break;
	default:
		value = get_cr8(v);
	}
	gpr_set(v, c->i.rm, value, v->code == DECODE_64 ? 8 : 4);
}

void op_mov_to_cr(struct vcpu *v, const struct cell *c)
{
	uint64_t value = v->code == DECODE_64 ? v->gpr[c->i.rm] : (uint32_t)v->gpr[c->i.rm];

	need_cpl0(v);
	switch (c->i.reg) {
	case 0:
		set_cr0(v, value);
		break;
	case 2:
		v->cr2 = value;
		break;
	case 3:
		set_cr3(v, value);
		break;
	case 4:
		set_cr4(v, value);
		break;
	default:
		set_cr8(v, value);
	}
}

/* The register that is meant: 4 and 5 are 6 and 7 unless CR4.DE. */
static unsigned debug_register(struct vcpu *v, const struct cell *c)
{
	unsigned n = c->i.reg;

	if (n == 4 || n == 5) {
		if (v->cr4 & CR4_DE)
			fault_ud(v);
		n += 2;
	}
	need_cpl0(v);
	if (v->dr7 & 0x2000) {
		v->dr7 &= ~0x2000ull;
		v->dr6 = (v->dr6 & ~DR6_HITS) | 0x2000;
		fault(v, VECTOR_DB);
	}
	return n;
}

void op_mov_from_dr(struct vcpu *v, const struct cell *c)
{
	unsigned n = debug_register(v, c);

	gpr_set(v, c->i.rm,
		n < 4    ? v->dr[n]
		: n == 6 ? v->dr6
			 : v->dr7,
		v->code == DECODE_64 ? 8 : 4);
}

void op_mov_to_dr(struct vcpu *v, const struct cell *c)
{
	unsigned n = debug_register(v, c);
	uint64_t value = v->code == DECODE_64 ? v->gpr[c->i.rm] : (uint32_t)v->gpr[c->i.rm];

	if (n >= 6 && value >> 32)
		fault_gp(v);
	if (n < 4)
		v->dr[n] = value;
	else if (n == 6)
		v->dr6 = (value & 0xe00f) | 0xffff0ff0;
	else
		v->dr7 = (value & 0xffff2bff) | 0x400;
	mmu_select(v);
}

void op_clts(struct vcpu *v, const struct cell *c)
{
	need_cpl0(v);
	v->cr0 &= ~(uint64_t)CR0_TS;
}

void op_smsw(struct vcpu *v, const struct cell *c)
{
	need_umip(v);
	rm_set(v, c, v->cr0, c->i.memory ? 2 : c->i.opsize);
}

void op_lmsw(struct vcpu *v, const struct cell *c)
{
	uint64_t value;

	need_cpl0(v);
	value = rm_get(v, c, 2);
	/* PE can be set this way, not cleared. */
	set_cr0(v, (v->cr0 & ~0xeull) | (value & 0xf));
}

static void store_table(struct vcpu *v, const struct cell *c, const struct cpu_table *t)
{
	unsigned size = v->code == DECODE_64 ? 8 : 4;
	uint64_t linear = linear_of(v, c, 2 + size, true);

	need_umip(v);
	mmu_probe_write(v, linear, 2 + size);
	write16(v, linear, t->limit);
	write_size(v, linear + 2, t->base, size);
}

void op_sgdt(struct vcpu *v, const struct cell *c)
{
	store_table(v, c, &v->gdtr);
}

void op_sidt(struct vcpu *v, const struct cell *c)
{
	store_table(v, c, &v->idtr);
}

static void load_table(struct vcpu *v, const struct cell *c, struct cpu_table *t)
{
	unsigned size = v->code == DECODE_64 ? 8 : 4;
	uint64_t linear, base;
	uint16_t limit;

	need_cpl0(v);
	linear = linear_of(v, c, 2 + size, false);
	limit = read16(v, linear);
	base = read_size(v, linear + 2, size);
	if (size == 4 && c->i.opsize == 2)
		base &= 0xffffff;
	if (!canonical(base))
		fault_gp(v);
	*t = (struct cpu_table){ base, limit };
}

void op_lgdt(struct vcpu *v, const struct cell *c)
{
	load_table(v, c, &v->gdtr);
}

void op_lidt(struct vcpu *v, const struct cell *c)
{
	load_table(v, c, &v->idtr);
}

static void need_protected(struct vcpu *v)
{
	if (real_or_vm86(v))
		fault_ud(v);
}

void op_sldt(struct vcpu *v, const struct cell *c)
{
	need_protected(v);
	need_umip(v);
	rm_set(v, c, v->seg[CPU_LDTR].selector, c->i.memory ? 2 : c->i.opsize);
}

void op_str(struct vcpu *v, const struct cell *c)
{
	need_protected(v);
	need_umip(v);
	rm_set(v, c, v->seg[CPU_TR].selector, c->i.memory ? 2 : c->i.opsize);
}

/* A system segment with its upper half in long mode. */
static struct cpu_segment system_segment(struct vcpu *v, uint16_t selector, uint64_t d)
{
	struct cpu_segment s = descriptor_unpack(selector, d);
	uint64_t high;

	if (v->long_mode) {
		high = descriptor_high(v, selector, VECTOR_GP);
		s.base |= high << 32;
		if ((high & 0x1f0000000000ull) || !canonical(s.base))
			fault_code(v, VECTOR_GP, selector & 0xfffcu);
	}
	return s;
}

void op_lldt(struct vcpu *v, const struct cell *c)
{
	uint16_t selector;
	uint64_t d;

	need_protected(v);
	need_cpl0(v);
	selector = (uint16_t)rm_get(v, c, 2);
	if (!(selector & 0xfffc)) {
		v->seg[CPU_LDTR] =
			(struct cpu_segment){ .selector = selector, .access = CPU_SEG_UNUSABLE };
		return;
	}
	if (selector & 4)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	d = descriptor_need(v, selector, VECTOR_GP);
	if ((d & DESC_S) || desc_type(d) != SYS_LDT)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	if (!(d & DESC_P))
		fault_code(v, VECTOR_NP, selector & 0xfffcu);
	v->seg[CPU_LDTR] = system_segment(v, selector, d);
}

void op_ltr(struct vcpu *v, const struct cell *c)
{
	struct cpu_segment s;
	uint16_t selector;
	uint64_t d;

	need_protected(v);
	need_cpl0(v);
	selector = (uint16_t)rm_get(v, c, 2);
	if (!(selector & 0xfffc))
		fault_gp(v);
	if (selector & 4)
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	d = descriptor_need(v, selector, VECTOR_GP);
	if ((d & DESC_S) ||
		!(desc_type(d) == SYS_TSS || (desc_type(d) == SYS_TSS16 && !v->long_mode)))
		fault_code(v, VECTOR_GP, selector & 0xfffcu);
	if (!(d & DESC_P))
		fault_code(v, VECTOR_NP, selector & 0xfffcu);
	s = system_segment(v, selector, d);
	descriptor_set_busy(v, selector, true);
	s.access |= 2;
	v->seg[CPU_TR] = s;
}

/* The descriptor for VERR, VERW, LAR, LSL, if the selector may be seen from this level. */
static bool visible(struct vcpu *v, uint16_t selector, uint64_t *d)
{
	if (!(selector & 0xfffc) || !descriptor_read(v, selector, d))
		return false;
	if (desc_is_conforming(*d))
		return true;
	return desc_dpl(*d) >= v->cpl && desc_dpl(*d) >= (selector & 3u);
}

static void set_zf(struct vcpu *v, bool on)
{
	v->flags = (v->flags & ~(uint64_t)FL_ZF) | (on ? FL_ZF : 0);
}

void op_verr(struct vcpu *v, const struct cell *c)
{
	uint64_t d;

	need_protected(v);
	set_zf(v, visible(v, (uint16_t)rm_get(v, c, 2), &d) && (d & DESC_S) &&
			  (!(d & DESC_CODE) || (d & DESC_WRITABLE)));
}

void op_verw(struct vcpu *v, const struct cell *c)
{
	uint64_t d;

	need_protected(v);
	set_zf(v, visible(v, (uint16_t)rm_get(v, c, 2), &d) && desc_is_data_writable(d));
}

/* Types of system descriptors that LAR and LSL know. */
static bool system_type_known(const struct vcpu *v, unsigned type, bool lsl)
{
	static const uint16_t lar_32 =
		1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 9 | 1u << 11 | 1u << 12;
	static const uint16_t lar_64 = 1u << 2 | 1u << 9 | 1u << 11 | 1u << 12;
	static const uint16_t lsl_32 = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 9 | 1u << 11;
	static const uint16_t lsl_64 = 1u << 2 | 1u << 9 | 1u << 11;
	uint16_t set = lsl ? (v->long_mode ? lsl_64 : lsl_32) : (v->long_mode ? lar_64 : lar_32);

	return set >> type & 1;
}

static void load_about(struct vcpu *v, const struct cell *c, bool lsl)
{
	uint64_t d;
	bool known;

	need_protected(v);
	known = visible(v, (uint16_t)rm_get(v, c, 2), &d) &&
		((d & DESC_S) || system_type_known(v, desc_type(d), lsl));
	set_zf(v, known);
	if (known)
		reg_set(v, c->reg, lsl ? descriptor_unpack(0, d).limit : d >> 32 & 0xffff00,
			c->i.opsize);
}

void op_lar(struct vcpu *v, const struct cell *c)
{
	load_about(v, c, false);
}

void op_lsl(struct vcpu *v, const struct cell *c)
{
	load_about(v, c, true);
}

void op_arpl(struct vcpu *v, const struct cell *c)
{
	uint16_t mine = REG_AT(v, c->reg, uint16_t), theirs;
	bool lower;

	need_protected(v);
	theirs = (uint16_t)rm_get(v, c, 2);
	lower = (theirs & 3) < (mine & 3);
	if (lower)
		rm_set(v, c, (theirs & ~3u) | (mine & 3u), 2);
	set_zf(v, lower);
}

void op_mov_from_seg(struct vcpu *v, const struct cell *c)
{
	rm_set(v, c, v->seg[c->i.reg & 7].selector, c->i.memory ? 2 : c->i.opsize);
}

void op_mov_to_seg(struct vcpu *v, const struct cell *c)
{
	unsigned seg = c->i.reg & 7;

	segment_load(v, seg, (uint16_t)rm_get(v, c, 2));
	if (seg == CPU_SS)
		v->shadow = v->mov_ss = true;
}

void op_invlpg(struct vcpu *v, const struct cell *c)
{
	uint64_t ea = effective(v, c);

	need_cpl0(v);
	mmu_invalidate(v, v->code == DECODE_64 && c->i.segment < SEG_FS
				  ? ea
				  : v->seg[c->i.segment].base + ea);
}

void op_invpcid(struct vcpu *v, const struct cell *c)
{
	uint64_t linear, type = reg_get(v, c->reg, v->code == DECODE_64 ? 8 : 4), pcid, address;

	need_cpl0(v);
	linear = linear_of(v, c, 16, false);
	pcid = read64(v, linear);
	address = read64(v, linear + 8);
	if (type > 3 || (type < 2 && pcid >> 12) || (type == 0 && !canonical(address)) ||
		(type < 2 && !(v->cr4 & CR4_PCIDE) && pcid))
		fault_gp(v);
	mmu_flush(v);
}

void op_wbinvd(struct vcpu *v, const struct cell *c)
{
	need_cpl0(v);
}

void op_hlt(struct vcpu *v, const struct cell *c)
{
	need_cpl0(v);
	v->activity = CPU_HLT;
}

static void need_iopl(struct vcpu *v)
{
	if ((v->cr0 & CR0_PE) && v->cpl > (v->flags & FL_IOPL) >> 12)
		fault_gp(v);
}

void op_cli(struct vcpu *v, const struct cell *c)
{
	need_iopl(v);
	v->flags &= ~(uint64_t)FL_IF;
}

void op_sti(struct vcpu *v, const struct cell *c)
{
	need_iopl(v);
	if (!(v->flags & FL_IF))
		v->shadow = true;
	v->flags |= FL_IF;
}

bool io_allowed(struct vcpu *v, uint16_t port, unsigned size)
{
	const struct cpu_segment *tr = &v->seg[CPU_TR];
	uint32_t map;

	if (!(v->cr0 & CR0_PE) || (v->cpl <= (v->flags & FL_IOPL) >> 12 && !(v->flags & FL_VM)))
		return true;
	if ((tr->access & CPU_SEG_TYPE) < SYS_TSS || tr->limit < 0x67)
		return false;
	map = (uint32_t)system_read(v, tr->base + 0x66, 2) + port / 8u;
	if (map + 1 > tr->limit)
		return false;
	return !(system_read(v, tr->base + map, 2) >> (port & 7) & ((1u << size) - 1));
}

void check_io(struct vcpu *v, uint16_t port, unsigned size)
{
	if (!io_allowed(v, port, size))
		fault_gp(v);
}

void op_in(struct vcpu *v, const struct cell *c)
{
	uint16_t port = c->i.opcode < 0xe8 ? (uint16_t)c->i.imm : (uint16_t)v->gpr[2];
	unsigned size = c->size;

	check_io(v, port, size);
	gpr_set(v, 0, vcpu_in(v->link, port, size), size);
}

void op_out(struct vcpu *v, const struct cell *c)
{
	uint16_t port = c->i.opcode < 0xe8 ? (uint16_t)c->i.imm : (uint16_t)v->gpr[2];
	unsigned size = c->size2;

	check_io(v, port, size);
	vcpu_out(v->link, port, (uint32_t)(v->gpr[0] & size_mask(size)), size);
}

void op_cpuid(struct vcpu *v, const struct cell *c)
{
	struct cpuid_dynamic dynamic = { v->link->index, v->cr4, v->xcr0, true };
	struct cpuid_regs r;

	if (v->link->apic)
		dynamic.apic_enabled = v->link->apic->get_base(v->link->apic_data) & 0x800;
	r = cpuid_query(v->cpu->cpuid, (uint32_t)v->gpr[0], (uint32_t)v->gpr[1], &dynamic);
	v->gpr[0] = r.eax;
	v->gpr[3] = r.ebx;
	v->gpr[1] = r.ecx;
	v->gpr[2] = r.edx;
}

static void edx_eax(struct vcpu *v, uint64_t value)
{
	v->gpr[0] = (uint32_t)value;
	v->gpr[2] = value >> 32;
}

uint64_t read_tsc(struct vcpu *v)
{
	return __rdtsc() + clock_tsc_offset(v->cpu->memory->clock) + v->tsc_adjust;
}

void op_rdtsc(struct vcpu *v, const struct cell *c)
{
	if (v->cpl && (v->cr4 & CR4_TSD))
		fault_gp(v);
	clock_poll(v->cpu->memory->clock);
	edx_eax(v, read_tsc(v));
}

void op_rdtscp(struct vcpu *v, const struct cell *c)
{
	op_rdtsc(v, c);
	v->gpr[1] = (uint32_t)v->tsc_aux;
}

void op_rdpid(struct vcpu *v, const struct cell *c)
{
	gpr_set(v, c->i.rm, v->tsc_aux, v->code == DECODE_64 ? 8 : 4);
}

void set_pkru(struct vcpu *v, uint32_t value)
{
	if (value == v->pkru)
		return;
	v->pkru = value;
	mmu_flush(v);
}

static void need_pke(struct vcpu *v)
{
	if (!(v->cr4 & CR4_PKE))
		fault_ud(v);
	if ((uint32_t)v->gpr[1])
		fault_gp(v);
}

void op_rdpkru(struct vcpu *v, const struct cell *c)
{
	need_pke(v);
	edx_eax(v, v->pkru);
}

void op_wrpkru(struct vcpu *v, const struct cell *c)
{
	need_pke(v);
	if ((uint32_t)v->gpr[2])
		fault_gp(v);
	set_pkru(v, (uint32_t)v->gpr[0]);
}

/* There are no counters. */
void op_rdpmc(struct vcpu *v, const struct cell *c)
{
	fault_gp(v);
}

void op_rdmsr(struct vcpu *v, const struct cell *c)
{
	uint64_t value = 0;

	need_cpl0(v);
	if (!msr_read(v, (uint32_t)v->gpr[1], &value))
		fault_gp(v);
	edx_eax(v, value);
}

void op_wrmsr(struct vcpu *v, const struct cell *c)
{
	need_cpl0(v);
	if (!msr_write(v, (uint32_t)v->gpr[1], v->gpr[2] << 32 | (uint32_t)v->gpr[0]))
		fault_gp(v);
}

void op_xgetbv(struct vcpu *v, const struct cell *c)
{
	if (!(v->cr4 & CR4_OSXSAVE))
		fault_ud(v);
	/* ECX 1, what of it is in use: all of it may be. */
	if ((uint32_t)v->gpr[1] > (v->cpu->features[F_XSAVEC] ? 1u : 0u))
		fault_gp(v);
	edx_eax(v, v->xcr0);
}

void op_xsetbv(struct vcpu *v, const struct cell *c)
{
	uint64_t value = v->gpr[2] << 32 | (uint32_t)v->gpr[0];

	if (!(v->cr4 & CR4_OSXSAVE))
		fault_ud(v);
	need_cpl0(v);
	if ((uint32_t)v->gpr[1] || !(value & 1) || (value & ~v->cpu->xcr0_allowed) ||
		(value & 6) == 4)
		fault_gp(v);
	v->xcr0 = value;
}

void op_swapgs(struct vcpu *v, const struct cell *c)
{
	uint64_t base = v->seg[CPU_GS].base;

	if (v->code != DECODE_64)
		fault_ud(v);
	need_cpl0(v);
	v->seg[CPU_GS].base = v->kernel_gs_base;
	v->kernel_gs_base = base;
}

static void need_fsgsbase(struct vcpu *v)
{
	if (!(v->cr4 & CR4_FSGSBASE))
		fault_ud(v);
}

void op_rdfsbase(struct vcpu *v, const struct cell *c)
{
	need_fsgsbase(v);
	reg_set(v, c->rm, v->seg[CPU_FS].base, c->size);
}

void op_rdgsbase(struct vcpu *v, const struct cell *c)
{
	need_fsgsbase(v);
	reg_set(v, c->rm, v->seg[CPU_GS].base, c->size);
}

static void write_base(struct vcpu *v, const struct cell *c, unsigned seg)
{
	uint64_t base = reg_get(v, c->rm, c->size);

	need_fsgsbase(v);
	if (!canonical(base))
		fault_gp(v);
	v->seg[seg].base = base;
}

void op_wrfsbase(struct vcpu *v, const struct cell *c)
{
	write_base(v, c, CPU_FS);
}

void op_wrgsbase(struct vcpu *v, const struct cell *c)
{
	write_base(v, c, CPU_GS);
}

void op_clac(struct vcpu *v, const struct cell *c)
{
	if (v->cpl)
		fault_ud(v);
	v->flags &= ~(uint64_t)FL_AC;
	mmu_select(v);
}

void op_stac(struct vcpu *v, const struct cell *c)
{
	if (v->cpl)
		fault_ud(v);
	v->flags |= FL_AC;
	mmu_select(v);
}

/* The host's own generator; a guest that has it has it here (cpuid_supported()). */
static void random_number(struct vcpu *v, const struct cell *c, bool seed)
{
	unsigned long long value = 0;
	uint8_t ok;

	if (seed)
		__asm__ volatile("rdseed %0; setc %1" : "=r"(value), "=qm"(ok) : : "cc");
	else
		__asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(ok) : : "cc");
	reg_set(v, c->rm, ok ? value : 0, c->size);
	v->flags = (v->flags & ~(uint64_t)FL_ARITH) | (ok ? FL_CF : 0);
}

void op_rdrand(struct vcpu *v, const struct cell *c)
{
	random_number(v, c, false);
}

void op_rdseed(struct vcpu *v, const struct cell *c)
{
	random_number(v, c, true);
}

/* Caches are the host's: only the address has to be good. */
void op_clflush(struct vcpu *v, const struct cell *c)
{
	read8(v, linear_of(v, c, 1, false));
}

void op_fence(struct vcpu *v, const struct cell *c)
{
	atomic_thread_fence(memory_order_seq_cst);
}

/* Who waits for long gives the host's other threads a chance: the lock's holder may be one of them. */
void op_pause(struct vcpu *v, const struct cell *c)
{
	if (++v->pauses % PAUSES_BEFORE_YIELD == 0)
		sched_yield();
	else
		_mm_pause();
}
