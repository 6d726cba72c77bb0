/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Where a guest starts: the register state of the boot CPU for real mode, for flat protected mode
 * (Xen PVH, docs/misc/pvh.pandoc; Multiboot 0.6.96, 3.2) and for 64-bit mode (Linux, Documentation/
 * arch/x86/boot.rst, 64-bit boot protocol), and the tables it starts with.
 */

#include "kvm_internal.h"

#define CR0_PE		  UINT64_C(0x00000001)
#define CR0_ET		  UINT64_C(0x00000010)
#define CR0_NE		  UINT64_C(0x00000020)
#define CR0_PG		  UINT64_C(0x80000000)
#define CR4_PAE		  UINT64_C(0x20)
#define EFER_LME	  UINT64_C(0x100)
#define EFER_LMA	  UINT64_C(0x400)
#define RFLAGS_RESERVED	  UINT64_C(2)

#define SEGMENT_DATA	  3  /* read, write, accessed */
#define SEGMENT_CODE	  11 /* execute, read, accessed */
#define SEGMENT_TSS	  11 /* a busy 32- or 64-bit TSS */
#define TSS_LIMIT	  0x67

#define PTE_PRESENT	  UINT64_C(0x1)
#define PTE_WRITE	  UINT64_C(0x2)
#define PTE_HUGE	  UINT64_C(0x80)

#define MSR_MISC_ENABLE	  0x1a0
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MISC_FAST_STRING  UINT64_C(1)
#define MTRR_ON_WRITEBACK UINT64_C(0x806)

#define LAPIC_LVT_LINT0	  0x350
#define LAPIC_LVT_LINT1	  0x360
#define LVT_MODE_MASK	  UINT32_C(0x10700) /* delivery mode and the mask bit */
#define LVT_MODE_NMI	  UINT32_C(0x400)
#define LVT_MODE_EXTINT	  UINT32_C(0x700)

static const uint64_t gdt_code32 = UINT64_C(0x00cf9b000000ffff);
static const uint64_t gdt_code64 = UINT64_C(0x00af9b000000ffff);
static const uint64_t gdt_data = UINT64_C(0x00cf93000000ffff);
static const uint64_t gdt_tss = UINT64_C(0x00008b0000000067);

int sk_kvm_write_gdt(struct sk_gmem *gm, gpa_t gpa, enum sk_kvm_mode mode)
{
	uint8_t gdt[SK_KVM_GDT_BYTES] = {0};

	sk_store_le64(gdt + SK_KVM_GDT_CS, mode == SK_KVM_MODE_LONG ? gdt_code64 : gdt_code32);
	sk_store_le64(gdt + SK_KVM_GDT_DS, gdt_data);
	sk_store_le64(gdt + SK_KVM_GDT_TSS, gdt_tss); /* in 64-bit mode its upper half is zero */
	return sk_gmem_write(gm, gpa, gdt, sizeof(gdt));
}

/*
 *   gpa + 0      PML4, entry 0 -> PDPT
 *   gpa + 4 KiB  PDPT, entries 0-3 -> page directories
 *   gpa + 8 KiB  four page directories of 512 pages of 2 MiB
 */
int sk_kvm_write_identity_map(struct sk_gmem *gm, gpa_t gpa)
{
	const uint64_t page = SK_GMEM_PAGE_BYTES;
	uint8_t *table;

	if (!sk_is_aligned(gpa, page))
		return -EINVAL;
	table = sk_gmem_slice(gm, gpa, SK_KVM_IDENTITY_BYTES);
	if (!table)
		return -EFAULT;
	memset(table, 0, SK_KVM_IDENTITY_BYTES);
	sk_store_le64(table, (gpa + page) | PTE_PRESENT | PTE_WRITE);
	for (uint64_t i = 0; i < 4; i++)
		sk_store_le64(table + page + i * 8,
			      (gpa + (2 + i) * page) | PTE_PRESENT | PTE_WRITE);
	for (uint64_t i = 0; i < UINT64_C(4) * 512; i++)
		sk_store_le64(table + 2 * page + i * 8,
			      i * 2 * SK_MIB | PTE_PRESENT | PTE_WRITE | PTE_HUGE);
	sk_gmem_mark_dirty(gm, gpa, SK_KVM_IDENTITY_BYTES);
	return 0;
}

static void set_data_segments(struct kvm_sregs *sregs, const struct kvm_segment *data)
{
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = *data;
}

static void set_real(struct kvm_sregs *sregs, const struct sk_kvm_entry *entry)
{
	const struct kvm_segment data = {
		.limit = 0xffff, .type = SEGMENT_DATA, .present = 1, .s = 1};

	set_data_segments(sregs, &data);
	sregs->cs = data;
	sregs->cs.type = SEGMENT_CODE;
	sregs->cs.selector = entry->cs;
	sregs->cs.base = (uint64_t)entry->cs << 4;
	sregs->idt = (struct kvm_dtable){.limit = 0x3ff};
	sregs->cr0 = CR0_ET;
	sregs->cr4 = 0;
	sregs->efer = 0;
}

/* What PROTECTED and LONG share: flat segments and an active TSS. */
static void set_flat(struct kvm_sregs *sregs, const struct sk_kvm_entry *entry)
{
	const struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = SK_KVM_GDT_DS,
		.type = SEGMENT_DATA,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1,
	};

	set_data_segments(sregs, &data);
	sregs->cs = data;
	sregs->cs.type = SEGMENT_CODE;
	sregs->cs.selector = SK_KVM_GDT_CS;
	sregs->tr = (struct kvm_segment){
		.limit = TSS_LIMIT, .selector = SK_KVM_GDT_TSS, .type = SEGMENT_TSS, .present = 1};
	sregs->ldt = (struct kvm_segment){.type = 2, .unusable = 1};
	sregs->gdt = (struct kvm_dtable){.base = entry->gdt_gpa,
					 .limit = entry->gdt_gpa ? SK_KVM_GDT_BYTES - 1 : 0};
	sregs->idt = (struct kvm_dtable){0};
	sregs->cr0 = CR0_PE | CR0_ET;
	sregs->cr3 = 0;
	sregs->cr4 = 0;
	sregs->efer = 0;
}

static void set_long(struct kvm_sregs *sregs, const struct sk_kvm_entry *entry)
{
	set_flat(sregs, entry);
	sregs->cs.db = 0;
	sregs->cs.l = 1;
	sregs->cr0 |= CR0_NE | CR0_PG;
	sregs->cr3 = entry->cr3;
	sregs->cr4 = CR4_PAE;
	sregs->efer = EFER_LME | EFER_LMA;
}

static int check_entry(const struct sk_kvm_entry *entry, struct sk_error *err)
{
	if (entry->mode == SK_KVM_MODE_LONG) {
		if (entry->gdt_gpa && sk_is_aligned(entry->cr3, SK_GMEM_PAGE_BYTES))
			return 0;
		return sk_error_set(err, -EINVAL,
				    "entry in 64-bit mode needs a GDT and page-aligned tables");
	}
	if (entry->rip > (entry->mode == SK_KVM_MODE_REAL ? 0xffff : UINT32_MAX))
		return sk_error_set(err, -EINVAL, "entry point %#llx is beyond the CPU's mode",
				    (unsigned long long)entry->rip);
	return 0;
}

int sk_kvm_vcpu_set_entry(struct sk_kvm_vcpu *vcpu, const struct sk_kvm_entry *entry,
			  struct sk_error *err)
{
	const struct kvm_regs regs = {
		.rip = entry->rip,
		.rsp = entry->rsp,
		.rax = entry->rax,
		.rbx = entry->rbx,
		.rsi = entry->rsi,
		.rdi = entry->rdi,
		.rflags = RFLAGS_RESERVED,
	};
	struct kvm_sregs sregs;
	int ret = check_entry(entry, err);

	if (ret < 0)
		return ret;
	/* Read first: the APIC base and what KVM keeps elsewhere stay as they are. */
	ret = sk_kvm_vcpu_get_sregs(vcpu, &sregs);
	if (ret < 0)
		goto err_kvm;
	if (entry->mode == SK_KVM_MODE_REAL)
		set_real(&sregs, entry);
	else if (entry->mode == SK_KVM_MODE_PROTECTED)
		set_flat(&sregs, entry);
	else
		set_long(&sregs, entry);
	ret = sk_kvm_vcpu_set_sregs(vcpu, &sregs);
	if (ret < 0)
		goto err_kvm;
	ret = sk_kvm_vcpu_set_regs(vcpu, &regs);
	if (ret < 0)
		goto err_kvm;
	return 0;

err_kvm:
	return sk_error_set(err, ret, "KVM refused the entry state of vCPU %u: %s", vcpu->id,
			    strerror(-ret));
}

/* The wiring of a PC: the PIC's line and the NMI line are the local interrupts 0 and 1. */
static int wire_lapic(struct sk_kvm_vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	uint8_t *regs = (uint8_t *)lapic.regs;
	int ret = sk_kvm_vcpu_get_lapic(vcpu, &lapic);

	if (ret < 0)
		return ret;
	sk_store_le32(regs + LAPIC_LVT_LINT0,
		      (sk_load_le32(regs + LAPIC_LVT_LINT0) & ~LVT_MODE_MASK) | LVT_MODE_EXTINT);
	sk_store_le32(regs + LAPIC_LVT_LINT1,
		      (sk_load_le32(regs + LAPIC_LVT_LINT1) & ~LVT_MODE_MASK) | LVT_MODE_NMI);
	return sk_kvm_vcpu_set_lapic(vcpu, &lapic);
}

/*
 * As much of the extended state as the vCPU has, on. QEMU's emulation of AMD-V does not intercept
 * XSETBV: below such a host KVM never learns what a guest sets, and takes it back at every entry,
 * so that XSAVE loses the vector registers. What the host sets stays.
 */
static int enable_extended_state(struct sk_kvm_vcpu *vcpu)
{
	static const uint64_t masks[] = {0xe7, 0x07, 0x03}; /* AVX-512, AVX, SSE */
	struct kvm_xcrs xcrs = {.nr_xcrs = 1};
	int ret = 0;

	if (!sk_kvm_vm_check(vcpu->vm, KVM_CAP_XCRS))
		return 0;
	for (size_t i = 0; i < SK_ARRAY_SIZE(masks); i++) {
		xcrs.xcrs[0].value = masks[i];
		ret = sk_kvm_vcpu_set_xcrs(vcpu, &xcrs);
		if (ret != -EINVAL)
			return ret;
	}
	return 0; /* a vCPU without XSAVE */
}

int sk_kvm_vcpu_set_firmware_state(struct sk_kvm_vcpu *vcpu, struct sk_error *err)
{
	struct kvm_msr_entry msrs[] = {
		{.index = MSR_MISC_ENABLE},
		{.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ON_WRITEBACK},
	};
	size_t failed = 0;
	int ret = sk_kvm_vcpu_get_msrs(vcpu, msrs, 1);

	if (ret < 0)
		return sk_error_set(err, ret, "vCPU %u: KVM cannot read MSRs: %s", vcpu->id,
				    strerror(-ret));
	msrs[0].data |= MISC_FAST_STRING;
	ret = sk_kvm_vcpu_set_msrs(vcpu, msrs, SK_ARRAY_SIZE(msrs), &failed);
	if (ret < 0)
		return sk_error_set(err, ret, "vCPU %u: KVM refused MSR %#x: %s", vcpu->id,
				    msrs[failed].index, strerror(-ret));
	ret = enable_extended_state(vcpu);
	if (ret < 0)
		return sk_error_set(err, ret, "vCPU %u: KVM refused XCR0: %s", vcpu->id,
				    strerror(-ret));
	if (vcpu->vm->irqchip == SK_KVM_IRQCHIP_NONE)
		return 0;
	ret = wire_lapic(vcpu);
	if (ret < 0)
		return sk_error_set(err, ret, "vCPU %u: KVM refused the local APIC's state: %s",
				    vcpu->id, strerror(-ret));
	return 0;
}
