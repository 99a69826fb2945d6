/* Model-specific registers. What is not here is #GP, which is how a processor without the feature answers. */
#include "cpu/soft/access.h"
#include "cpu/soft/soft.h"

#define MSR_KVM_WALL_CLOCK 0x4b564d00u
#define MSR_KVM_CLOCK 0x4b564d01u

/* Registers that are plain storage: where, and which bits may be set. */
struct plain {
	uint32_t msr;
	uint16_t offset;
	bool canonical;
	uint64_t mask;
};
#define FIELD(name) offsetof(struct vcpu, name)
static const struct plain plains[] = {
	{ 0x174, FIELD(sysenter_cs), false, UINT32_MAX },
	{ 0x175, FIELD(sysenter_esp), true, UINT64_MAX },
	{ 0x176, FIELD(sysenter_eip), true, UINT64_MAX },
	{ 0x1a0, FIELD(misc_enable), false, UINT64_MAX },
	{ 0xc0000081, FIELD(star), false, UINT64_MAX },
	{ 0xc0000082, FIELD(lstar), true, UINT64_MAX },
	{ 0xc0000083, FIELD(cstar), true, UINT64_MAX },
	{ 0xc0000084, FIELD(sfmask), false, UINT32_MAX },
	{ 0xc0000100, FIELD(seg[CPU_FS].base), true, UINT64_MAX },
	{ 0xc0000101, FIELD(seg[CPU_GS].base), true, UINT64_MAX },
	{ 0xc0000102, FIELD(kernel_gs_base), true, UINT64_MAX },
	{ 0xc0000103, FIELD(tsc_aux), false, UINT32_MAX },
};

/* Whose processors have a register. */
enum vendor { ANY, AMD };

/* Registers that read as a constant and take any write: what systems probe and processors of the models have. */
static const struct {
	uint32_t msr;
	uint64_t value;
	enum vendor vendor;
} constants[] = {
	{ 0x17, 0 },
	{ 0x8b, 0x1000065 },
	{ 0x79, 0 },
	{ 0x119, 0 },
	{ 0x140, 0 },
	{ 0x179, 0 },
	{ 0x17a, 0 },
	{ 0x186, 0 },
	{ 0x187, 0 },
	{ 0x1d9, 0 },
	{ 0x34, 0 },
	{ 0xfe, 0x508 },
	/* AMD's four counters are on every processor, without a bit in CPUID: they are there and count nothing. */
	{ 0xc0010000, 0, AMD },
	{ 0xc0010001, 0, AMD },
	{ 0xc0010002, 0, AMD },
	{ 0xc0010003, 0, AMD },
	{ 0xc0010004, 0, AMD },
	{ 0xc0010005, 0, AMD },
	{ 0xc0010006, 0, AMD },
	{ 0xc0010007, 0, AMD },
	{ 0xc0010010, 0, AMD },
	{ 0xc0010015, 0x1000000, AMD }, /* the TSC counts with the P0 frequency */
	{ 0xc001001f, 0, AMD },
	{ 0xc0011022, 0, AMD },
	{ 0xc0011023, 0, AMD },
	{ 0xc0011029, 2, AMD },
};

static uint64_t *plain_field(struct vcpu *v, const struct plain *p)
{
	return (uint64_t *)((char *)v + p->offset);
}

static const struct plain *find_plain(uint32_t msr)
{
	for (size_t n = 0; n < sizeof(plains) / sizeof(plains[0]); n++)
		if (plains[n].msr == msr)
			return &plains[n];
	return NULL;
}

static int find_constant(const struct vcpu *v, uint32_t msr)
{
	for (size_t n = 0; n < sizeof(constants) / sizeof(constants[0]); n++)
		if (constants[n].msr == msr && (constants[n].vendor == ANY || v->cpu->is_amd))
			return (int)n;
	return -1;
}

/* Memory types have no effect, but systems check that they hold. */
static uint64_t *mtrr_field(struct vcpu *v, uint32_t msr)
{
	static const uint32_t fixed[11] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c,
		0x26d, 0x26e, 0x26f };

	if (msr == 0x2ff)
		return &v->mtrr_def_type;
	if (msr >= 0x200 && msr < 0x200 + 2 * CPU_MTRR_VARIABLE)
		return msr & 1 ? &v->mtrr_mask[(msr - 0x200) / 2]
			       : &v->mtrr_base[(msr - 0x200) / 2];
	for (unsigned n = 0; n < 11; n++)
		if (fixed[n] == msr)
			return &v->mtrr_fixed[n];
	return NULL;
}

static bool apic_msr(uint32_t msr)
{
	return msr == 0x6e0 || (msr >= 0x800 && msr < 0x900);
}

bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *ret)
{
	const struct plain *p = find_plain(msr);
	uint64_t *mtrr = mtrr_field(v, msr);
	int constant = find_constant(v, msr);

	if (p)
		*ret = *plain_field(v, p);
	else if (mtrr)
		*ret = *mtrr;
	else if (msr == 0x10)
		*ret = read_tsc(v);
	else if (msr == 0x3b)
		*ret = v->tsc_adjust;
	else if (msr == MSR_KVM_CLOCK && v->cpu->features[F_HYPERCALL])
		*ret = v->kvm_clock;
	else if (msr == MSR_KVM_WALL_CLOCK && v->cpu->features[F_HYPERCALL])
		*ret = v->kvm_wall_clock;
	else if (msr == 0x277)
		*ret = v->pat;
	else if (msr == 0x6e1 && v->cpu->features[F_PKS])
		*ret = v->pkrs;
	else if (msr == 0xc0000080)
		*ret = v->efer;
	else if (msr == 0x1b && v->link->apic)
		*ret = v->link->apic->get_base(v->link->apic_data);
	else if (apic_msr(msr) && v->link->apic)
		return v->link->apic->read_msr(v->link->apic_data, msr, ret);
	else if (constant >= 0)
		*ret = constants[constant].value;
	else
		return false;
	return true;
}

static bool write_efer(struct vcpu *v, uint64_t value)
{
	if (value & ~(uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
		return false;
	if ((v->cr0 & CR0_PG) && ((v->efer ^ value) & EFER_LME))
		return false;
	v->efer = (value & ~(uint64_t)EFER_LMA) | (v->efer & EFER_LMA);
	mmu_flush(v);
	return true;
}

static bool write_pat(struct vcpu *v, uint64_t value)
{
	for (unsigned n = 0; n < 8; n++) {
		unsigned type = value >> 8 * n & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	v->pat = value;
	return true;
}

static bool write_tsc_adjust(struct vcpu *v, uint64_t value)
{
	v->tsc_adjust = value;
	paravirt_tell_time(v);
	return true;
}

static bool write_kvm_clock(struct vcpu *v, uint32_t msr, uint64_t value)
{
	if (!v->cpu->features[F_HYPERCALL])
		return false;
	if (msr == MSR_KVM_CLOCK)
		paravirt_set_clock(v, value);
	else
		paravirt_set_wall_clock(v, value);
	return true;
}

static bool write_pkrs(struct vcpu *v, uint64_t value)
{
	if (!v->cpu->features[F_PKS] || value >> 32)
		return false;
	v->pkrs = (uint32_t)value;
	mmu_flush(v);
	return true;
}

static bool write_plain(struct vcpu *v, const struct plain *p, uint64_t value)
{
	if ((p->canonical && !canonical(value)) || (value & ~p->mask))
		return false;
	*plain_field(v, p) = value;
	return true;
}

bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	const struct plain *p = find_plain(msr);
	uint64_t *mtrr = mtrr_field(v, msr);

	if (p)
		return write_plain(v, p, value);
	if (mtrr) {
		*mtrr = value;
		return true;
	}
	if (msr == 0x10)
		return write_tsc_adjust(v, v->tsc_adjust + value - read_tsc(v));
	if (msr == 0x3b)
		return write_tsc_adjust(v, value);
	if (msr == MSR_KVM_CLOCK || msr == MSR_KVM_WALL_CLOCK)
		return write_kvm_clock(v, msr, value);
	if (msr == 0x277)
		return write_pat(v, value);
	if (msr == 0x6e1)
		return write_pkrs(v, value);
	if (msr == 0xc0000080)
		return write_efer(v, value);
	if (msr == 0x1b && v->link->apic)
		return !(value & ~v->cpu->physical_mask) &&
		       v->link->apic->set_base(v->link->apic_data, value);
	if (apic_msr(msr) && v->link->apic)
		return v->link->apic->write_msr(v->link->apic_data, msr, value);
	return find_constant(v, msr) >= 0;
}
