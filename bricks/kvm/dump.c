/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Registers as text, for the report of a guest that crashed. */

#include <stdio.h>

#include "kvm_internal.h"

/* Appends to a buffer as snprintf does, and keeps counting when it is full. */
struct text {
	char *buf;
	size_t size_bytes;
	size_t len_bytes;
};

static void SK_PRINTF(2, 3) put(struct text *text, const char *fmt, ...)
{
	bool has_room = text->len_bytes < text->size_bytes;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(has_room ? text->buf + text->len_bytes : NULL,
		      has_room ? text->size_bytes - text->len_bytes : 0, fmt, ap);
	va_end(ap);
	if (n > 0)
		text->len_bytes += (size_t)n;
}

static void put_regs(struct text *text, const struct kvm_regs *r)
{
	put(text, "rip %016llx  rflags %08llx\n", r->rip, r->rflags);
	put(text, "rax %016llx  rbx %016llx  rcx %016llx\n", r->rax, r->rbx, r->rcx);
	put(text, "rdx %016llx  rsi %016llx  rdi %016llx\n", r->rdx, r->rsi, r->rdi);
	put(text, "rbp %016llx  rsp %016llx  r8  %016llx\n", r->rbp, r->rsp, r->r8);
	put(text, "r9  %016llx  r10 %016llx  r11 %016llx\n", r->r9, r->r10, r->r11);
	put(text, "r12 %016llx  r13 %016llx  r14 %016llx\n", r->r12, r->r13, r->r14);
	put(text, "r15 %016llx\n", r->r15);
}

static void put_segment(struct text *text, const char *name, const struct kvm_segment *s)
{
	put(text, "%-3s %04x  base %016llx  limit %08x  type %2u  dpl %u%s%s%s%s\n", name,
	    s->selector, s->base, s->limit, s->type, s->dpl, s->present ? "" : "  absent",
	    s->db ? "  db" : "", s->l ? "  long" : "", s->unusable ? "  unusable" : "");
}

static void put_sregs(struct text *text, const struct kvm_sregs *s)
{
	put_segment(text, "cs", &s->cs);
	put_segment(text, "ss", &s->ss);
	put_segment(text, "ds", &s->ds);
	put_segment(text, "es", &s->es);
	put_segment(text, "fs", &s->fs);
	put_segment(text, "gs", &s->gs);
	put_segment(text, "tr", &s->tr);
	put(text, "gdt base %016llx  limit %04x   idt base %016llx  limit %04x\n", s->gdt.base,
	    s->gdt.limit, s->idt.base, s->idt.limit);
	put(text, "cr0 %016llx  cr2 %016llx  cr3 %016llx\n", s->cr0, s->cr2, s->cr3);
	put(text, "cr4 %016llx  cr8 %016llx  efer %016llx\n", s->cr4, s->cr8, s->efer);
}

int sk_kvm_vcpu_format_regs(const struct sk_kvm_vcpu *vcpu, char *buf, size_t size_bytes)
{
	struct text text = {.buf = buf, .size_bytes = size_bytes};
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	int ret;

	buf[0] = '\0';
	ret = sk_kvm_vcpu_get_regs(vcpu, &regs);
	if (ret < 0)
		return ret;
	ret = sk_kvm_vcpu_get_sregs(vcpu, &sregs);
	if (ret < 0)
		return ret;
	put_regs(&text, &regs);
	put_sregs(&text, &sregs);
	return (int)text.len_bytes;
}
