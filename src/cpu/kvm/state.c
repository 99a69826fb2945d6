/* struct cpu_state from and to KVM's structures. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cpu/kvm/internal.h"

#include "base/alloc.h"

/* Where each model-specific register is kept. TSC_ADJUST before TSC: writing it moves TSC. */
static const struct {
	uint32_t index;
	size_t offset;
} msrs[] = {
	{ 0x174, offsetof(struct cpu_state, sysenter_cs) },
	{ 0x175, offsetof(struct cpu_state, sysenter_esp) },
	{ 0x176, offsetof(struct cpu_state, sysenter_eip) },
	{ 0x1a0, offsetof(struct cpu_state, misc_enable) },
	{ 0x277, offsetof(struct cpu_state, pat) },
	{ 0x48, offsetof(struct cpu_state, spec_ctrl) },
	{ 0xc0000081, offsetof(struct cpu_state, star) },
	{ 0xc0000082, offsetof(struct cpu_state, lstar) },
	{ 0xc0000083, offsetof(struct cpu_state, cstar) },
	{ 0xc0000084, offsetof(struct cpu_state, sfmask) },
	{ 0xc0000102, offsetof(struct cpu_state, kernel_gs_base) },
	{ 0xc0000103, offsetof(struct cpu_state, tsc_aux) },
	{ 0x3b, offsetof(struct cpu_state, tsc_adjust) },
	{ 0x10, offsetof(struct cpu_state, tsc) },
	{ 0x6e0, offsetof(struct cpu_state, tsc_deadline) },
	{ 0x4b564d01, offsetof(struct cpu_state, kvm_clock) },
	{ 0x2ff, offsetof(struct cpu_state, mtrr_def_type) },
	{ 0x250, offsetof(struct cpu_state, mtrr_fixed[0]) },
	{ 0x258, offsetof(struct cpu_state, mtrr_fixed[1]) },
	{ 0x259, offsetof(struct cpu_state, mtrr_fixed[2]) },
	{ 0x268, offsetof(struct cpu_state, mtrr_fixed[3]) },
	{ 0x269, offsetof(struct cpu_state, mtrr_fixed[4]) },
	{ 0x26a, offsetof(struct cpu_state, mtrr_fixed[5]) },
	{ 0x26b, offsetof(struct cpu_state, mtrr_fixed[6]) },
	{ 0x26c, offsetof(struct cpu_state, mtrr_fixed[7]) },
	{ 0x26d, offsetof(struct cpu_state, mtrr_fixed[8]) },
	{ 0x26e, offsetof(struct cpu_state, mtrr_fixed[9]) },
	{ 0x26f, offsetof(struct cpu_state, mtrr_fixed[10]) },
};

#define MTRR_BASE_0 0x200u

/* struct kvm_msrs with one entry. */
struct one_msr {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entry;
};
_Static_assert(offsetof(struct one_msr, entry) == offsetof(struct kvm_msrs, entries),
	"as the kernel has it");

/* One at a time: those that a kernel lacks are absent, not the end of all. */
static bool read_msr(struct vcpu *vcpu, uint32_t index, uint64_t *ret)
{
	struct one_msr m = { .nmsrs = 1, .entry.index = index };

	if (ioctl(vcpu->fd, KVM_GET_MSRS, &m) != 1)
		return false;
	*ret = m.entry.data;
	return true;
}

/* One that a kernel lacks need not be written with what it has after a reset. */
static int write_msr(struct vcpu *vcpu, uint32_t index, uint64_t value, struct err *err)
{
	struct one_msr m = { .nmsrs = 1, .entry = { .index = index, .data = value } };
	uint64_t now;

	if (ioctl(vcpu->fd, KVM_SET_MSRS, &m) == 1 || value == 0)
		return 0;
	if (read_msr(vcpu, index, &now) && now == value)
		return 0;
	return err_set(
		err, EINVAL, "KVM refuses 0x%llx in MSR 0x%x", (unsigned long long)value, index);
}

static void segment_from(struct cpu_segment *s, const struct kvm_segment *k)
{
	s->base = k->base;
	s->limit = k->limit;
	s->selector = k->selector;
	s->access = (uint32_t)(k->type | k->s << 4 | k->dpl << 5 | k->present << 7 | k->avl << 12 |
			       k->l << 13 | k->db << 14 | k->g << 15) |
		    (k->unusable ? CPU_SEG_UNUSABLE : 0);
}

static void segment_to(struct kvm_segment *k, const struct cpu_segment *s)
{
	*k = (struct kvm_segment){ .base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = s->access & CPU_SEG_TYPE,
		.s = s->access >> 4 & 1,
		.dpl = s->access >> 5 & 3,
		.present = s->access >> 7 & 1,
		.avl = s->access >> 12 & 1,
		.l = s->access >> 13 & 1,
		.db = s->access >> 14 & 1,
		.g = s->access >> 15 & 1,
		.unusable = (s->access & CPU_SEG_UNUSABLE) != 0 };
}

static struct kvm_segment *segment_of(struct kvm_sregs *k, unsigned i)
{
	struct kvm_segment *const all[CPU_SEGMENTS] = { [CPU_ES] = &k->es,
		[CPU_CS] = &k->cs,
		[CPU_SS] = &k->ss,
		[CPU_DS] = &k->ds,
		[CPU_FS] = &k->fs,
		[CPU_GS] = &k->gs,
		[CPU_LDTR] = &k->ldt,
		[CPU_TR] = &k->tr };

	return all[i];
}

static void regs_from(struct cpu_state *s, const struct kvm_regs *k)
{
	const uint64_t gpr[16] = { k->rax, k->rcx, k->rdx, k->rbx, k->rsp, k->rbp, k->rsi, k->rdi,
		k->r8, k->r9, k->r10, k->r11, k->r12, k->r13, k->r14, k->r15 };

	memcpy(s->gpr, gpr, sizeof(gpr));
	s->rip = k->rip;
	s->rflags = k->rflags;
}

static void regs_to(struct kvm_regs *k, const struct cpu_state *s)
{
	const uint64_t *g = s->gpr;

	*k = (struct kvm_regs){ g[CPU_RAX], g[CPU_RBX], g[CPU_RCX], g[CPU_RDX], g[CPU_RSI],
		g[CPU_RDI], g[CPU_RSP], g[CPU_RBP], g[8], g[9], g[10], g[11], g[12], g[13], g[14],
		g[15], s->rip, s->rflags };
}

static void sregs_from(struct cpu_state *s, struct kvm_sregs *k)
{
	for (unsigned i = 0; i < CPU_SEGMENTS; i++)
		segment_from(&s->segment[i], segment_of(k, i));
	s->gdtr = (struct cpu_table){ k->gdt.base, k->gdt.limit };
	s->idtr = (struct cpu_table){ k->idt.base, k->idt.limit };
	s->cr0 = k->cr0;
	s->cr2 = k->cr2;
	s->cr3 = k->cr3;
	s->cr4 = k->cr4;
	s->cr8 = k->cr8;
	s->efer = k->efer;
	s->apic_base = k->apic_base;
}

static void sregs_to(struct kvm_sregs *k, const struct cpu_state *s)
{
	for (unsigned i = 0; i < CPU_SEGMENTS; i++)
		segment_to(segment_of(k, i), &s->segment[i]);
	k->gdt.base = s->gdtr.base;
	k->gdt.limit = s->gdtr.limit;
	k->idt.base = s->idtr.base;
	k->idt.limit = s->idtr.limit;
	k->cr0 = s->cr0;
	k->cr2 = s->cr2;
	k->cr3 = s->cr3;
	k->cr4 = s->cr4;
	k->cr8 = s->cr8;
	k->efer = s->efer;
	k->apic_base = s->apic_base;
}

static void events_from(struct cpu_state *s, const struct kvm_vcpu_events *k)
{
	s->event.vector = -1;
	if (k->exception.injected) {
		s->event.vector = k->exception.nr;
		s->event.is_exception = true;
		s->event.has_error = k->exception.has_error_code;
		s->event.error = k->exception.error_code;
	} else if (k->interrupt.injected) {
		s->event.vector = k->interrupt.nr;
		s->event.is_soft = k->interrupt.soft;
	}
	s->sti_shadow = k->interrupt.shadow & KVM_X86_SHADOW_INT_STI;
	s->mov_ss_shadow = k->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
	s->nmi_blocked = k->nmi.masked;
	s->nmi_pending = k->nmi.pending || k->nmi.injected;
}

static void events_to(struct kvm_vcpu_events *k, const struct cpu_state *s)
{
	*k = (struct kvm_vcpu_events){ .flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
						KVM_VCPUEVENT_VALID_SHADOW };
	if (s->event.vector >= 0 && s->event.is_exception) {
		k->exception.injected = 1;
		k->exception.nr = (uint8_t)s->event.vector;
		k->exception.has_error_code = s->event.has_error;
		k->exception.error_code = s->event.error;
	} else if (s->event.vector >= 0) {
		k->interrupt.injected = 1;
		k->interrupt.nr = (uint8_t)s->event.vector;
		k->interrupt.soft = s->event.is_soft;
	}
	k->interrupt.shadow = (uint8_t)((s->sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) |
					(s->mov_ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0));
	k->nmi.masked = s->nmi_blocked;
	k->nmi.pending = s->nmi_pending;
}

static void msrs_from(struct vcpu *vcpu, struct cpu_state *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		read_msr(vcpu, msrs[i].index, (uint64_t *)((char *)s + msrs[i].offset));
	for (uint32_t i = 0; i < CPU_MTRR_VARIABLE; i++) {
		read_msr(vcpu, MTRR_BASE_0 + 2 * i, &s->mtrr_base[i]);
		read_msr(vcpu, MTRR_BASE_0 + 2 * i + 1, &s->mtrr_mask[i]);
	}
}

static int msrs_to(struct vcpu *vcpu, const struct cpu_state *s, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(msrs) && r == 0; i++)
		r = write_msr(vcpu, msrs[i].index,
			*(const uint64_t *)((const char *)s + msrs[i].offset), err);
	for (uint32_t i = 0; i < CPU_MTRR_VARIABLE && r == 0; i++) {
		r = write_msr(vcpu, MTRR_BASE_0 + 2 * i, s->mtrr_base[i], err);
		if (r == 0)
			r = write_msr(vcpu, MTRR_BASE_0 + 2 * i + 1, s->mtrr_mask[i], err);
	}
	return r;
}

static const struct {
	enum cpu_activity activity;
	uint32_t kvm;
} activities[] = { { CPU_RUN, KVM_MP_STATE_RUNNABLE }, { CPU_HLT, KVM_MP_STATE_HALTED },
	{ CPU_WAIT_FOR_SIPI, KVM_MP_STATE_UNINITIALIZED },
	{ CPU_WAIT_FOR_SIPI, KVM_MP_STATE_INIT_RECEIVED },
	{ CPU_RUN, KVM_MP_STATE_SIPI_RECEIVED } };

int kvm_get_state(struct vcpu *vcpu, struct cpu_state *ret, struct err *err)
{
	struct cpu_state s = { 0 };
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debug;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_xcrs xcrs;
	struct kvm_xsave xsave;

	if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) < 0 ||
		ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
		ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0 ||
		ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &debug) < 0 ||
		ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) < 0 ||
		ioctl(vcpu->fd, KVM_GET_XCRS, &xcrs) < 0 ||
		ioctl(vcpu->fd, KVM_GET_XSAVE, &xsave) < 0)
		return err_errno(err, "read processor %u's state", vcpu->link->index);
	regs_from(&s, &regs);
	sregs_from(&s, &sregs);
	memcpy(s.dr, debug.db, sizeof(s.dr));
	s.dr6 = debug.dr6;
	s.dr7 = debug.dr7;
	events_from(&s, &events);
	for (size_t i = 0; i < ARRAY_SIZE(activities); i++)
		if (activities[i].kvm == mp.mp_state)
			s.activity = activities[i].activity;
	s.xcr0 = xcrs.nr_xcrs > 0 ? xcrs.xcrs[0].value : 1;
	memcpy(s.xsave, xsave.region, CPU_XSAVE_BYTES);
	msrs_from(vcpu, &s);
	*ret = s;
	return 0;
}

int kvm_set_state(struct vcpu *vcpu, const struct cpu_state *s, struct err *err)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs = { 0 };
	struct kvm_debugregs debug = { .dr6 = s->dr6, .dr7 = s->dr7 };
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp = { 0 };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = s->xcr0 };
	struct kvm_xsave xsave;

	regs_to(&regs, s);
	sregs_to(&sregs, s);
	memcpy(debug.db, s->dr, sizeof(s->dr));
	events_to(&events, s);
	memcpy(xsave.region, s->xsave, CPU_XSAVE_BYTES);
	/* From the last to the first: SIPI_RECEIVED is not one to go back to. */
	for (size_t i = 3; i-- > 0;)
		if (activities[i].activity == s->activity)
			mp.mp_state = activities[i].kvm;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0 ||
		ioctl(vcpu->fd, KVM_SET_REGS, &regs) < 0 ||
		ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs) < 0 ||
		ioctl(vcpu->fd, KVM_SET_XSAVE, &xsave) < 0 ||
		ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &debug) < 0 ||
		ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp) < 0 ||
		ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) < 0)
		return err_errno(err, "set processor %u's state", vcpu->link->index);
	return msrs_to(vcpu, s, err);
}
