/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The byte format of saved state: field by field, little-endian, a magic number and a version in
 * front. One function lists the fields of a structure once, for both directions, so that what is
 * written and what is read cannot drift apart. The reader treats the bytes as hostile: it checks
 * every count before it uses it, and KVM checks the values.
 */

#include "state_internal.h"

#define VCPU_MAGIC    UINT32_C(0x55504353) /* "SCPU" */
#define VM_MAGIC      UINT32_C(0x4d564b53) /* "SKVM" */
#define STATE_VERSION 1			   /* raised whenever the list of fields changes */

/* One direction at a time: exactly one of the two is set. */
struct codec {
	struct sk_writer *w;
	struct sk_reader *r;
	const char *problem; /* the first count that is out of bounds */
};

static void field(struct codec *c, void *p, size_t size_bytes)
{
	uint64_t v = 0;

	BUG_ON(size_bytes > sizeof(v));
	if (c->w) {
		memcpy(&v, p, size_bytes);
		v = SK_LE64(v);
		sk_put_bytes(c->w, &v, size_bytes);
	} else {
		sk_get_bytes(c->r, &v, size_bytes);
		v = SK_LE64(v);
		memcpy(p, &v, size_bytes);
	}
}

#define F(x) field(c, &(x), sizeof(x))

static void flag(struct codec *c, bool *flag)
{
	uint8_t v = *flag;

	F(v);
	*flag = v != 0;
}

static void bytes(struct codec *c, void *p, size_t len_bytes)
{
	if (c->w)
		sk_put_bytes(c->w, p, len_bytes);
	else
		sk_get_bytes(c->r, p, len_bytes);
}

/* A count that is too large becomes 0, and the whole stream is refused at the end. */
static void count(struct codec *c, uint32_t *n, uint32_t max, const char *what)
{
	F(*n);
	if (*n <= max)
		return;
	*n = 0;
	if (!c->problem)
		c->problem = what;
}

static void head(struct codec *c, uint32_t expected_magic, const char *what)
{
	uint32_t magic = expected_magic;
	uint16_t version = STATE_VERSION;

	F(magic);
	F(version);
	if (magic != expected_magic)
		c->problem = what;
	else if (version != STATE_VERSION)
		c->problem = "version";
}

static void cpuid(struct codec *c, struct sk_kvm_cpuid *table)
{
	count(c, &table->nr_entries, SK_KVM_CPUID_MAX, "number of CPUID leaves");
	for (uint32_t i = 0; i < table->nr_entries; i++) {
		struct kvm_cpuid_entry2 *e = &table->entries[i];

		F(e->function), F(e->index), F(e->flags);
		F(e->eax), F(e->ebx), F(e->ecx), F(e->edx);
	}
}

static void regs(struct codec *c, struct kvm_regs *r)
{
	F(r->rax), F(r->rbx), F(r->rcx), F(r->rdx), F(r->rsi), F(r->rdi), F(r->rsp), F(r->rbp);
	F(r->r8), F(r->r9), F(r->r10), F(r->r11), F(r->r12), F(r->r13), F(r->r14), F(r->r15);
	F(r->rip), F(r->rflags);
}

static void segment(struct codec *c, struct kvm_segment *s)
{
	F(s->base), F(s->limit), F(s->selector), F(s->type), F(s->present), F(s->dpl), F(s->db);
	F(s->s), F(s->l), F(s->g), F(s->avl), F(s->unusable);
}

static void sregs(struct codec *c, struct kvm_sregs2 *s)
{
	segment(c, &s->cs), segment(c, &s->ds), segment(c, &s->es), segment(c, &s->fs);
	segment(c, &s->gs), segment(c, &s->ss), segment(c, &s->tr), segment(c, &s->ldt);
	F(s->gdt.base), F(s->gdt.limit), F(s->idt.base), F(s->idt.limit);
	F(s->cr0), F(s->cr2), F(s->cr3), F(s->cr4), F(s->cr8), F(s->efer), F(s->apic_base);
	F(s->flags);
	for (size_t i = 0; i < SK_ARRAY_SIZE(s->pdptrs); i++)
		F(s->pdptrs[i]);
}

static void xcrs(struct codec *c, struct kvm_xcrs *x)
{
	count(c, &x->nr_xcrs, KVM_MAX_XCRS, "number of extended control registers");
	F(x->flags);
	for (uint32_t i = 0; i < x->nr_xcrs; i++)
		F(x->xcrs[i].xcr), F(x->xcrs[i].value);
}

static void debugregs(struct codec *c, struct kvm_debugregs *d)
{
	for (size_t i = 0; i < SK_ARRAY_SIZE(d->db); i++)
		F(d->db[i]);
	F(d->dr6), F(d->dr7), F(d->flags);
}

static void events(struct codec *c, struct kvm_vcpu_events *e)
{
	F(e->exception.injected), F(e->exception.nr), F(e->exception.has_error_code);
	F(e->exception.pending), F(e->exception.error_code);
	F(e->interrupt.injected), F(e->interrupt.nr), F(e->interrupt.soft), F(e->interrupt.shadow);
	F(e->nmi.injected), F(e->nmi.pending), F(e->nmi.masked);
	F(e->sipi_vector), F(e->flags);
	F(e->smi.smm), F(e->smi.pending), F(e->smi.smm_inside_nmi), F(e->smi.latched_init);
	F(e->triple_fault.pending), F(e->exception_has_payload), F(e->exception_payload);
}

static void msrs(struct codec *c, struct vcpu_state *s)
{
	count(c, &s->nr_msrs, STATE_MAX_MSRS, "number of MSRs");
	for (uint32_t i = 0; i < s->nr_msrs; i++)
		F(s->msrs[i].index), F(s->msrs[i].data);
}

static void vcpu_fields(struct codec *c, struct vcpu_state *s)
{
	head(c, VCPU_MAGIC, "magic number of a vCPU");
	F(s->id), F(s->mp_state), F(s->tsc_khz);
	cpuid(c, &s->cpuid);
	regs(c, &s->regs);
	sregs(c, &s->sregs);
	xcrs(c, &s->xcrs);
	debugregs(c, &s->debugregs);
	events(c, &s->events);
	flag(c, &s->has_lapic);
	if (s->has_lapic) /* the register page as the processor's manual defines it */
		bytes(c, s->lapic.regs, sizeof(s->lapic.regs));
	msrs(c, s);
	count(c, &s->xsave_bytes, STATE_MAX_XSAVE_BYTES, "size of the extended state");
	bytes(c, s->xsave, s->xsave_bytes);
	count(c, &s->nested_bytes, STATE_MAX_NESTED_BYTES, "size of the nested state");
	bytes(c, s->nested, s->nested_bytes);
}

static void pic(struct codec *c, struct kvm_pic_state *p)
{
	F(p->last_irr), F(p->irr), F(p->imr), F(p->isr), F(p->priority_add), F(p->irq_base);
	F(p->read_reg_select), F(p->poll), F(p->special_mask), F(p->init_state), F(p->auto_eoi);
	F(p->rotate_on_auto_eoi), F(p->special_fully_nested_mode), F(p->init4), F(p->elcr);
	F(p->elcr_mask);
}

static void ioapic(struct codec *c, struct kvm_ioapic_state *s)
{
	F(s->base_address), F(s->ioregsel), F(s->id), F(s->irr);
	for (size_t i = 0; i < SK_ARRAY_SIZE(s->redirtbl); i++)
		F(s->redirtbl[i].bits);
}

static void pit(struct codec *c, struct kvm_pit_state2 *p)
{
	for (size_t i = 0; i < SK_ARRAY_SIZE(p->channels); i++) {
		struct kvm_pit_channel_state *ch = &p->channels[i];

		F(ch->count), F(ch->latched_count), F(ch->count_latched), F(ch->status_latched);
		F(ch->status), F(ch->read_state), F(ch->write_state), F(ch->write_latch);
		F(ch->rw_mode), F(ch->mode), F(ch->bcd), F(ch->gate), F(ch->count_load_time);
	}
	F(p->flags);
}

static void vm_fields(struct codec *c, struct vm_state *s)
{
	head(c, VM_MAGIC, "magic number of a VM");
	F(s->irqchip);
	flag(c, &s->has_pit);
	flag(c, &s->has_clock);
	F(s->clock_ns);
	if (s->irqchip == SK_KVM_IRQCHIP_KERNEL) {
		pic(c, &s->pic[0].chip.pic);
		pic(c, &s->pic[1].chip.pic);
		ioapic(c, &s->ioapic.chip.ioapic);
	}
	if (s->has_pit)
		pit(c, &s->pit);
}

static int verdict(const struct codec *c, const char *what, struct sk_error *err)
{
	if (c->problem)
		return sk_error_set(err, -EINVAL, "saved %s: wrong %s", what, c->problem);
	if (!sk_reader_ok(c->r))
		return sk_error_set(err, -EINVAL, "saved %s: the data ends too early, at byte %zu",
				    what, c->r->len_bytes);
	return 0;
}

void vcpu_state_write(struct vcpu_state *state, struct sk_writer *w)
{
	struct codec c = {.w = w};

	vcpu_fields(&c, state);
}

int vcpu_state_read(struct vcpu_state *state, struct sk_reader *r, struct sk_error *err)
{
	struct codec c = {.r = r};

	memset(state, 0, sizeof(*state));
	vcpu_fields(&c, state);
	return verdict(&c, "vCPU", err);
}

void vm_state_write(struct vm_state *state, struct sk_writer *w)
{
	struct codec c = {.w = w};

	vm_fields(&c, state);
}

int vm_state_read(struct vm_state *state, struct sk_reader *r, struct sk_error *err)
{
	struct codec c = {.r = r};

	memset(state, 0, sizeof(*state));
	vm_fields(&c, state);
	return verdict(&c, "VM", err);
}
