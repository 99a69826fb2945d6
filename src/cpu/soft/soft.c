/*
 * The cpu "soft": the loop that executes blocks of cells and takes events between them, and the seam's
 * methods. An interpreter: the reference for whatever is faster.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "cpu/soft/access.h"
#include "cpu/soft/ops_fn.h"
#include "memory/clock.h"

static int available(struct err *err)
{
	(void)err;
	return 0;
}

#define B(n) (1u << (n))
/* Features that the interpreter can give: by itself (own), or if the host's units have them (host). VME, SSE4A and misaligned
 * SSE are not among them. */
struct word {
	uint32_t leaf, subleaf, reg, own, host;
};
static const struct word supported[] = {
	/* cx16 pcid x2apic movbe tsc-deadline xsave; sse3 pclmulqdq ssse3 fma sse4.1 sse4.2 popcnt aes avx f16c rdrand */
	{ 1, 0, 2, B(13) | B(17) | B(21) | B(22) | B(24) | B(26),
		B(0) | B(1) | B(9) | B(12) | B(19) | B(20) | B(23) | B(25) | B(28) | B(29) |
			B(30) },
	/* de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush fxsr; fpu mmx sse sse2 */
	{ 1, 0, 3, 0x010bfbfc, B(0) | B(23) | B(25) | B(26) },
	/* fsgsbase tsc-adjust smep erms invpcid smap clflushopt clwb; bmi1 avx2 bmi2 rdseed adx sha */
	{ 7, 0, 1, B(0) | B(1) | B(7) | B(9) | B(10) | B(20) | B(23) | B(24),
		B(3) | B(5) | B(8) | B(18) | B(19) | B(29) },
	/* umip pku rdpid pks; vaes vpclmulqdq */
	{ 7, 0, 2, B(2) | B(3) | B(22) | B(31), B(9) | B(10) },
	/* fsrm */
	{ 7, 0, 3, B(4), 0 },
	/* xsaveopt xsavec xgetbv1 */
	{ 0xd, 1, 0, B(0) | B(1) | B(2), 0 },
	/* lahf 3dnow-prefetch; lzcnt */
	{ 0x80000001, 0, 2, B(0) | B(8), B(5) },
	/* syscall nx 1g-pages rdtscp lm; mmxext */
	{ 0x80000001, 0, 3, B(11) | B(20) | B(26) | B(27) | B(29), B(22) },
	/* invariant tsc */
	{ 0x80000007, 0, 3, 0, B(8) },
};

#define PHYSICAL_BITS 40u

static uint32_t *word_of(struct cpuid_regs *r, uint32_t n)
{
	return n == 0 ? &r->eax : n == 1 ? &r->ebx : n == 2 ? &r->ecx : &r->edx;
}

static int cpuid_supported(struct cpuid_table *ret, struct err *err)
{
	struct cpuid_table host;

	(void)err;
	cpuid_host(&host);
	*ret = (struct cpuid_table){ 0 };
	for (size_t n = 0; n < sizeof(supported) / sizeof(supported[0]); n++) {
		const struct word *w = &supported[n];
		const struct cpuid_entry *have = cpuid_find(&host, w->leaf, w->subleaf);
		struct cpuid_entry *e =
			cpuid_add(ret, w->leaf, w->subleaf, w->leaf == 7 || w->leaf == 0xd);
		struct cpuid_regs none = { 0 };

		*word_of(&e->regs, w->reg) =
			w->own |
			(*word_of(have ? (struct cpuid_regs *)&have->regs : &none, w->reg) &
				w->host);
	}
	cpuid_add(ret, 0x80000008, 0, false)->regs.eax = PHYSICAL_BITS | 48u << 8;
	paravirt_cpuid(ret);
	return 0;
}

static void close_cpu(struct cpu *cpu)
{
	if (!cpu)
		return;
	for (unsigned n = 0; n < cpu->memory->n_regions; n++)
		if (cpu->code[n])
			munmap(cpu->code[n], cpu->memory->regions[n].size / PAGE_BYTES *
						     sizeof(struct code_page));
	stubs_free(cpu->stubs);
	free(cpu);
}

static int open_cpu(
	struct memory *memory, const struct cpu_config *config, struct cpu **ret, struct err *err)
{
	struct cpu *cpu = xnew(struct cpu);

	cpu->memory = memory;
	cpu->cpuid = config->cpuid;
	cpu->physical_mask = (1ull << PHYSICAL_BITS) - 1;
	cpu->is_amd = cpuid_is_amd(config->cpuid);
	bind_features(cpu);
	cpu->xcr0_allowed = (cpu->features[F_AVX] ? 7 : 3) | (cpu->features[F_PKU] ? 0x200 : 0);
	cpu->stubs = stubs_new();
	if (!cpu->stubs) {
		close_cpu(cpu);
		return err_errno(err, "map memory for generated code");
	}
	for (unsigned n = 0; n < memory->n_regions; n++) {
		cpu->code[n] = mmap(NULL,
			memory->regions[n].size / PAGE_BYTES * sizeof(struct code_page),
			PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (cpu->code[n] == MAP_FAILED) {
			int r = err_errno(err, "map memory for records of decoded pages");

			cpu->code[n] = NULL;
			close_cpu(cpu);
			return r;
		}
	}
	*ret = cpu;
	return 0;
}

static void kick(void *data)
{
	struct vcpu *v = data;

	atomic_store(&v->stop, 1);
}

static void load_state(struct vcpu *v, const struct cpu_state *s);

static void reset(struct vcpu *v)
{
	struct cpu_state s;

	cpu_state_reset(&s, v->link->index == 0);
	load_state(v, &s);
}

static void vcpu_close(struct vcpu *v)
{
	if (!v)
		return;
	v->cpu->vcpus[v->link->index] = NULL;
	v->link->kick = NULL;
	cache_free(v->cache);
	free(v);
}

static int vcpu_open(struct cpu *cpu, unsigned index, struct vcpu **ret, struct err *err)
{
	struct vcpu *v = aligned_alloc(64, (sizeof(struct vcpu) + 63) & ~(size_t)63);

	if (!v)
		return err_set(err, ENOMEM, "no memory for a vCPU");
	memset(v, 0, sizeof(*v));
	v->cpu = cpu;
	v->link = &cpu->memory->vcpus[index];
	v->cache = cache_new();
	if (!v->cache) {
		free(v);
		return err_errno(err, "map memory for decoded code");
	}
	reset(v);
	v->link->kick_data = v;
	v->link->kick = kick;
	cpu->vcpus[index] = v;
	*ret = v;
	return 0;
}

static int save_state(struct vcpu *v, struct cpu_state *s, struct err *err)
{
	const struct vcpu_apic *apic = v->link->apic;
	void *data = v->link->apic_data;

	(void)err;
	memset(s, 0, sizeof(*s));
	memcpy(s->gpr, v->gpr, sizeof(s->gpr));
	s->rip = v->rip;
	s->rflags = v->flags;
	memcpy(s->segment, v->seg, sizeof(s->segment));
	s->gdtr = v->gdtr;
	s->idtr = v->idtr;
	s->cr0 = v->cr0, s->cr2 = v->cr2, s->cr3 = v->cr3, s->cr4 = v->cr4;
	s->cr8 = apic ? apic->get_cr8(data) : v->cr8;
	memcpy(s->dr, v->dr, sizeof(s->dr));
	s->dr6 = v->dr6, s->dr7 = v->dr7;
	s->efer = v->efer, s->star = v->star, s->lstar = v->lstar, s->cstar = v->cstar,
	s->sfmask = v->sfmask;
	s->kernel_gs_base = v->kernel_gs_base, s->tsc_aux = v->tsc_aux;
	s->sysenter_cs = v->sysenter_cs, s->sysenter_esp = v->sysenter_esp,
	s->sysenter_eip = v->sysenter_eip;
	s->pat = v->pat, s->misc_enable = v->misc_enable, s->spec_ctrl = v->spec_ctrl;
	s->tsc = read_tsc(v), s->tsc_adjust = v->tsc_adjust;
	s->kvm_clock = v->kvm_clock, s->kvm_wall_clock = v->kvm_wall_clock;
	if (apic) {
		s->apic_base = apic->get_base(data);
		apic->read_msr(data, 0x6e0, &s->tsc_deadline);
	}
	s->mtrr_def_type = v->mtrr_def_type;
	memcpy(s->mtrr_fixed, v->mtrr_fixed, sizeof(s->mtrr_fixed));
	memcpy(s->mtrr_base, v->mtrr_base, sizeof(s->mtrr_base));
	memcpy(s->mtrr_mask, v->mtrr_mask, sizeof(s->mtrr_mask));
	s->xcr0 = v->xcr0;
	fpu_xsave_image(v, s->xsave);
	s->sti_shadow = v->shadow && !v->mov_ss, s->mov_ss_shadow = v->shadow && v->mov_ss;
	s->nmi_blocked = v->nmi_blocked, s->nmi_pending = v->nmi_pending;
	s->event.vector = v->event.vector;
	s->event.is_exception = v->event.vector >= 0 && !v->event.is_interrupt &&
				!v->event.is_soft && !v->event.is_nmi;
	s->event.is_soft = v->event.is_soft, s->event.has_error = v->event.has_error,
	s->event.error = v->event.error;
	s->activity = v->activity;
	s->unhalted = v->unhalted;
	return 0;
}

static void load_state(struct vcpu *v, const struct cpu_state *s)
{
	memcpy(v->gpr, s->gpr, sizeof(s->gpr));
	v->rip = s->rip;
	v->flags = (s->rflags & 0x3f7fd7) | FL_FIXED;
	memcpy(v->seg, s->segment, sizeof(s->segment));
	v->gdtr = s->gdtr;
	v->idtr = s->idtr;
	v->cr0 = s->cr0 | CR0_ET, v->cr2 = s->cr2, v->cr3 = s->cr3, v->cr4 = s->cr4,
	v->cr8 = s->cr8;
	memcpy(v->dr, s->dr, sizeof(s->dr));
	v->dr6 = s->dr6, v->dr7 = s->dr7;
	v->efer = s->efer, v->star = s->star, v->lstar = s->lstar, v->cstar = s->cstar,
	v->sfmask = s->sfmask;
	v->kernel_gs_base = s->kernel_gs_base, v->tsc_aux = s->tsc_aux;
	v->sysenter_cs = s->sysenter_cs, v->sysenter_esp = s->sysenter_esp,
	v->sysenter_eip = s->sysenter_eip;
	v->pat = s->pat, v->misc_enable = s->misc_enable, v->spec_ctrl = s->spec_ctrl,
	v->tsc_adjust = s->tsc_adjust;
	v->kvm_clock = s->kvm_clock, v->kvm_wall_clock = s->kvm_wall_clock;
	v->mtrr_def_type = s->mtrr_def_type;
	memcpy(v->mtrr_fixed, s->mtrr_fixed, sizeof(s->mtrr_fixed));
	memcpy(v->mtrr_base, s->mtrr_base, sizeof(s->mtrr_base));
	memcpy(v->mtrr_mask, s->mtrr_mask, sizeof(s->mtrr_mask));
	v->xcr0 = s->xcr0 ? s->xcr0 : 1;
	fpu_reset(v);
	fpu_xrstor_image(v, s->xsave);
	v->shadow = s->sti_shadow || s->mov_ss_shadow, v->mov_ss = s->mov_ss_shadow;
	v->nmi_blocked = s->nmi_blocked, v->nmi_pending = s->nmi_pending;
	v->event.vector = s->event.vector, v->event.has_error = s->event.has_error,
	v->event.error = s->event.error;
	v->event.is_soft = s->event.is_soft, v->event.is_nmi = s->event.vector == VECTOR_NMI;
	v->event.is_interrupt = s->event.vector >= 0 && !s->event.is_exception &&
				!s->event.is_soft && !v->event.is_nmi;
	v->activity = s->activity;
	v->unhalted = s->unhalted;
	v->pending_db = 0;
	v->long_mode = v->efer & EFER_LMA;
	v->cpl = !(v->cr0 & CR0_PE) ? 0 : v->flags & FL_VM ? 3 : v->seg[CPU_SS].access >> 5 & 3;
	segment_changed_cs(v);
	mmu_flush(v);
	mmu_select(v);
}

static int get_state(struct vcpu *v, struct cpu_state *ret, struct err *err)
{
	return save_state(v, ret, err);
}

static int set_state(struct vcpu *v, const struct cpu_state *s, struct err *err)
{
	const struct vcpu_apic *apic = v->link->apic;

	if ((s->cr0 & CR0_PG) && !(s->cr0 & CR0_PE))
		return err_set(err, EINVAL, "paging without protected mode");
	if (((s->efer & EFER_LMA) != 0) != ((s->cr0 & CR0_PG) && (s->efer & EFER_LME)))
		return err_set(err, EINVAL, "EFER.LMA contradicts CR0.PG and EFER.LME");
	if ((s->efer & EFER_LMA) && !(s->cr4 & CR4_PAE))
		return err_set(err, EINVAL, "long mode without CR4.PAE");
	if (s->xcr0 & ~v->cpu->xcr0_allowed)
		return err_set(err, EINVAL, "XCR0 has components that the cpu lacks");
	load_state(v, s);
	paravirt_tell_time(v);
	if ((v->cr0 & CR0_PG) && (v->cr4 & CR4_PAE) && !v->long_mode) {
		if (_setjmp(v->escape))
			return err_set(err, EINVAL, "bad page directory pointers");
		mmu_load_pdptes(v, v->cr3);
	}
	if (apic) {
		apic->set_base(v->link->apic_data, s->apic_base);
		apic->set_cr8(v->link->apic_data, (uint8_t)(s->cr8 & 15));
		apic->write_msr(v->link->apic_data, 0x6e0, s->tsc_deadline);
	}
	return 0;
}

/* Vector 2 or an interrupt into v->event, if the vCPU takes it now. */
static void take_interrupt(struct vcpu *v, uint32_t events)
{
	int vector;

	if (unlikely(events & VCPU_NMI_NEXT) && (v->nmi_blocked || !(events & VCPU_NMI))) {
		vcpu_take(v->link, VCPU_NMI_NEXT);
		vcpu_raise(v->link, VCPU_NMI);
	}
	if ((events & VCPU_NMI) && !v->nmi_blocked && v->event.vector < 0 &&
		vcpu_take(v->link, VCPU_NMI)) {
		v->event.vector = VECTOR_NMI;
		v->event.is_nmi = true;
		return;
	}
	if (!(events & VCPU_INTERRUPT) || !(v->flags & FL_IF) || v->event.vector >= 0 ||
		!v->link->apic)
		return;
	vcpu_take(v->link, VCPU_INTERRUPT);
	vector = v->link->apic->acknowledge(v->link->apic_data);
	if (vector >= 0) {
		v->event.vector = vector;
		v->event.is_interrupt = true;
	}
}

static void take_init(struct vcpu *v)
{
	uint64_t tsc_adjust = v->tsc_adjust;

	vcpu_take(v->link, VCPU_INIT);
	if (v->link->apic)
		v->link->apic->init(v->link->apic_data);
	reset(v);
	v->tsc_adjust = tsc_adjust;
}

static void take_sipi(struct vcpu *v)
{
	uint8_t vector;

	vcpu_take(v->link, VCPU_SIPI);
	if (v->activity != CPU_WAIT_FOR_SIPI)
		return;
	vector = atomic_load(&v->link->sipi_vector);
	v->seg[CPU_CS].selector = (uint16_t)(vector << 8);
	v->seg[CPU_CS].base = (uint64_t)vector << 12;
	v->rip = 0;
	v->activity = CPU_RUN;
	segment_changed_cs(v);
}

/* The events that end a wait in this state. */
static uint32_t waited_for(const struct vcpu *v)
{
	uint32_t events = VCPU_STOP | VCPU_INIT;

	if (v->activity == CPU_WAIT_FOR_SIPI)
		return events | VCPU_SIPI;
	if (!v->nmi_blocked)
		events |= VCPU_NMI;
	if (v->flags & FL_IF)
		events |= VCPU_INTERRUPT;
	return events | VCPU_UNHALT;
}

static void flush_if_asked(struct vcpu *v)
{
	if (unlikely(atomic_load_explicit(&v->flush_writes, memory_order_relaxed))) {
		mmu_flush_writes(v);
		atomic_store(&v->flush_writes, false);
	}
}

static void enter_guest(struct vcpu *v)
{
	atomic_store(&v->in_guest, true);
	flush_if_asked(v);
}

/* Between instructions. True: the vCPU was asked to stop. */
static bool take_events(struct vcpu *v)
{
	uint32_t events = vcpu_events(v->link);

	if (likely(!events && v->activity == CPU_RUN))
		return false;
	if (events & VCPU_STOP) {
		vcpu_take(v->link, VCPU_STOP);
		return true;
	}
	if (events & VCPU_INIT)
		take_init(v);
	if (events & VCPU_SIPI)
		take_sipi(v);
	if (events & VCPU_UNHALT)
		v->unhalted |= vcpu_take(v->link, VCPU_UNHALT);
	if (v->activity == CPU_HLT && v->unhalted) {
		v->activity = CPU_RUN;
		v->unhalted = false;
	}
	if (v->activity != CPU_WAIT_FOR_SIPI && !v->shadow)
		take_interrupt(v, events);
	if (v->activity != CPU_RUN && v->event.vector < 0) {
		atomic_store(&v->in_guest, false);
		vcpu_wait(v->link, waited_for(v));
		enter_guest(v);
	}
	return false;
}

static void run_cells(struct vcpu *v, const struct block *b)
{
	const struct cell *c = b->cells, *end = c + b->n;

	do {
		v->cell = c;
		v->start = v->rip;
		v->rip += c->i.length;
		c->fn(v, c);
		c++;
	} while (c < end && likely(!atomic_load_explicit(&v->stop, memory_order_relaxed)));
	v->instructions += (uint64_t)(c - b->cells);
}

static bool instruction_breakpoints(const struct vcpu *v)
{
	for (unsigned n = 0; n < 4; n++)
		if ((v->dr7 >> 2 * n & 3) && !(v->dr7 >> (16 + 4 * n) & 3))
			return true;
	return false;
}

static void check_instruction_breakpoints(struct vcpu *v)
{
	uint64_t linear = v->code == DECODE_64 ? v->rip : (uint32_t)(v->seg[CPU_CS].base + v->rip),
		 hit = 0;

	if (v->flags & FL_RF)
		return;
	for (unsigned n = 0; n < 4; n++)
		if ((v->dr7 >> 2 * n & 3) && !(v->dr7 >> (16 + 4 * n) & 3) && v->dr[n] == linear)
			hit |= 1u << n;
	if (!hit)
		return;
	v->dr6 = (v->dr6 & ~DR6_HITS) | hit;
	v->flags |= FL_RF;
	fault(v, VECTOR_DB);
}

/* Debug exceptions after an instruction. What a software interrupt finds pending (after MOV SS) comes in its handler. */
static void trap(struct vcpu *v, uint64_t why)
{
	if (v->event.vector >= 0 && v->event.is_soft)
		return;
	why |= v->pending_db;
	v->pending_db = 0;
	if (why && v->event.vector < 0)
		soft_debug(v, why);
}

void soft_debug(struct vcpu *v, uint64_t why)
{
	v->dr6 = (v->dr6 & ~DR6_HITS) | why;
	v->event.vector = VECTOR_DB;
	v->event.has_error = false;
}

/* One instruction, with what has to be watched for around it. */
static void run_one(struct vcpu *v)
{
	bool stepped = v->flags & FL_TF, mov_ss = v->shadow && v->mov_ss;
	const struct block *b;
	const struct cell *c;

	v->shadow = v->mov_ss = false;
	/* MOV SS holds them off on Intel's processors only. */
	if ((!mov_ss || v->cpu->is_amd) && instruction_breakpoints(v))
		check_instruction_breakpoints(v);
	b = cache_block(v);
	c = b->cells;
	if (v->code != DECODE_64 && v->rip + c->i.length - 1 > v->seg[CPU_CS].limit && c->i.length)
		fault_gp(v);
	v->flags &= ~(uint64_t)FL_RF;
	v->cell = c;
	v->rip += c->i.length;
	c->fn(v, c);
	v->instructions++;
	if (c->fn == op_syscall || c->fn == op_sysret)
		stepped = false; /* they look at the flags that they leave */
	if (!v->shadow || !v->mov_ss)
		trap(v, stepped ? DR6_STEP : 0);
}

static bool needs_care(const struct vcpu *v)
{
	return v->shadow || (v->flags & (FL_TF | FL_RF)) || (v->dr7 & 0xff);
}

void soft_step(struct vcpu *v)
{
	const struct block *b;

	v->start = v->rip;
	v->cell = NULL;
	if (unlikely(needs_care(v))) {
		run_one(v);
		return;
	}
	b = cache_block(v);
	if (unlikely(v->code != DECODE_64 && v->rip + b->bytes - 1 > v->seg[CPU_CS].limit)) {
		run_one(v);
		return;
	}
	run_cells(v, b);
}

static void deliver(struct vcpu *v)
{
	/* A fault in the delivery of a software interrupt is the instruction's. */
	if (!v->event.is_soft)
		v->start = v->rip;
	v->cell = NULL;
	interrupt_deliver(v);
	if (unlikely(v->pending_db))
		trap(v, 0);
}

/* Until it is to stop. */
static void loop(struct vcpu *v)
{
	for (;;) {
		/* Whoever asks for a flush says stop after it. */
		if (unlikely(atomic_load_explicit(&v->stop, memory_order_relaxed))) {
			atomic_store(&v->stop, 0);
			flush_if_asked(v);
		}
		if (unlikely(take_events(v)))
			return;
		if (unlikely(v->event.vector >= 0))
			deliver(v);
		else if (likely(v->activity == CPU_RUN))
			soft_step(v);
	}
}

static enum cpu_exit run(struct vcpu *v, struct err *why)
{
	enter_guest(v);
	if (_setjmp(v->escape)) {
		v->rip = v->start;
		if (v->shutdown || v->fatal) {
			atomic_store(&v->in_guest, false);
			if (v->fatal)
				err_set(why, ENOTSUP, "%s", v->fatal);
			v->shutdown = false;
			return v->fatal ? CPU_EXIT_FATAL : CPU_EXIT_SHUTDOWN;
		}
	}
	loop(v);
	atomic_store(&v->in_guest, false);
	return CPU_EXIT_KICK;
}

static int dirty_log(struct cpu *cpu, bool on, struct err *err)
{
	(void)on;
	(void)err;
	/* No vCPU runs: while logging, pages are never entered for writing. */
	for (unsigned n = 0; n < cpu->memory->n_vcpus; n++)
		if (cpu->vcpus[n])
			mmu_flush_writes(cpu->vcpus[n]);
	return 0;
}

const struct cpu_type cpu_soft = {
	.name = "soft",
	.available = available,
	.cpuid_supported = cpuid_supported,
	.open = open_cpu,
	.vcpu_open = vcpu_open,
	.run = run,
	.get_state = get_state,
	.set_state = set_state,
	.dirty_log = dirty_log,
	.vcpu_close = vcpu_close,
	.close = close_cpu,
};
