/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Which kind of KVM this is, by measurement: CPUID flags say nothing about it. The guest is one
 * loop that ends in a write to an address without memory. Its vCPU is put straight into ring 0 or
 * ring 3 of 64-bit mode; the page tables allow both.
 */
#include "doctor.h"

#include <skete/gmem.h>
#include <skete/kvm.h>

#define MEMORY_BYTES	(4 * SK_MIB)
#define PML4_GPA	0x1000
#define PDPT_GPA	0x2000
#define PD_GPA		0x3000
#define CODE_GPA	0x4000
#define STACK_GPA	0x6000
#define DOOR_GPA	0x3fe00000 /* mapped by the guest's page tables, but no memory */
#define ITERATIONS	100000

/* A page-table entry that ring 3 may use: present, writable, user, accessed, dirty. */
#define PTE_USER	0x67
#define PTE_LARGE	0x80

/* An exit costs some microseconds of its own: a loop that is only three times slower is native. */
#define EMULATED_FACTOR 10

static const uint8_t code[] = {
	0xb9,
	ITERATIONS & 0xff,
	ITERATIONS >> 8 & 0xff,
	ITERATIONS >> 16,
	0, /* mov ecx, N */
	0xff,
	0xc9, /* 1: dec ecx */
	0x75,
	0xfc, /* jnz 1b */
	0x88,
	0x04,
	0x25,
	0x00,
	0x00,
	0xe0,
	0x3f, /* mov [DOOR_GPA], al */
	0xeb,
	0xee, /* jmp the start */
};

static int write_guest(struct sk_gmem *gm)
{
	uint64_t entry = PDPT_GPA | PTE_USER, directory[512];
	int ret = sk_gmem_write(gm, PML4_GPA, &entry, sizeof(entry));

	if (ret)
		return ret;
	entry = PD_GPA | PTE_USER;
	ret = sk_gmem_write(gm, PDPT_GPA, &entry, sizeof(entry));
	if (ret)
		return ret;
	for (uint64_t i = 0; i < SK_ARRAY_SIZE(directory); i++)
		directory[i] = i * 2 * SK_MIB | PTE_USER | PTE_LARGE;
	ret = sk_gmem_write(gm, PD_GPA, directory, sizeof(directory));
	return ret ? ret : sk_gmem_write(gm, CODE_GPA, code, sizeof(code));
}

static int enter(struct sk_kvm_vcpu *vcpu, unsigned int ring)
{
	const struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = (uint16_t)(0x18 | ring),
		.type = 3,
		.present = 1,
		.dpl = (uint8_t)ring,
		.db = 1,
		.s = 1,
		.g = 1,
	};
	struct kvm_regs regs = {.rip = CODE_GPA, .rsp = STACK_GPA, .rflags = 2};
	struct kvm_sregs sregs;
	int ret = sk_kvm_vcpu_get_sregs(vcpu, &sregs);

	if (ret)
		return ret;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cs = data;
	sregs.cs.selector = (uint16_t)(0x10 | ring);
	sregs.cs.type = 11;
	sregs.cs.db = 0;
	sregs.cs.l = 1;
	sregs.cr3 = PML4_GPA;
	sregs.cr4 |= 0x20;	 /* PAE */
	sregs.efer |= 0x500;	 /* LME, LMA */
	sregs.cr0 |= 0x80000011; /* PG, ET, PE */
	ret = sk_kvm_vcpu_set_sregs(vcpu, &sregs);
	return ret ? ret : sk_kvm_vcpu_set_regs(vcpu, &regs);
}

/* Runs the loop until it is at its door; INTR is somebody else's signal. */
static int run_to_door(struct sk_kvm_vcpu *vcpu, struct sk_error *err)
{
	struct sk_kvm_exit exit;
	int ret;

	do {
		ret = sk_kvm_vcpu_run(vcpu, &exit);
	} while (ret == 0 && exit.kind == SK_KVM_EXIT_INTR);
	if (ret)
		return sk_error_set(err, ret, "KVM cannot run a small guest: %s", strerror(-ret));
	if (exit.kind != SK_KVM_EXIT_MMIO || exit.mmio.gpa != DOOR_GPA)
		return sk_error_set(err, -EIO, "a small guest ended with: %s",
				    sk_kvm_exit_name(exit.kind));
	return 0;
}

static int time_ring(struct sk_kvm_vcpu *vcpu, unsigned int ring, double *mps, struct sk_error *err)
{
	uint64_t best_ns = UINT64_MAX;
	int ret = enter(vcpu, ring);

	if (ret)
		return sk_error_set(err, ret, "KVM refuses ring %u: %s", ring, strerror(-ret));
	/* The first round warms up; of the others the best counts: the machine may be busy. */
	for (int i = 0; i < 4; i++) {
		uint64_t start_ns = sk_now_ns(), ns;

		ret = run_to_door(vcpu, err);
		if (ret)
			return ret;
		ns = sk_now_ns() - start_ns;
		if (i)
			best_ns = SK_MIN(best_ns, ns);
	}
	*mps = ITERATIONS * 1e3 / (double)best_ns;
	return 0;
}

static int measure_in(const struct sk_kvm *kvm, struct sk_gmem *gm, struct kvm_speed *speed,
		      struct sk_error *err)
{
	const struct sk_kvm_vm_config config = {.gm = gm};
	struct sk_kvm_vcpu *vcpus[2] = {NULL, NULL};
	double *const results[2] = {&speed->ring0_mps, &speed->ring3_mps};
	struct sk_kvm_vm *vm;
	int ret = sk_kvm_vm_create(&vm, kvm, &config, err);

	if (ret)
		return ret;
	/* A vCPU for each ring: the second measurement inherits nothing from the first. */
	for (uint32_t i = 0; ret == 0 && i < 2; i++) {
		ret = sk_kvm_vcpu_create(&vcpus[i], vm, i, err);
		if (!ret)
			ret = time_ring(vcpus[i], i ? 3 : 0, results[i], err);
	}
	sk_kvm_vcpu_destroy(vcpus[1]);
	sk_kvm_vcpu_destroy(vcpus[0]);
	sk_kvm_vm_destroy(vm);
	return ret;
}

int doctor_measure_kvm(struct kvm_speed *speed, struct sk_error *err)
{
	const struct sk_gmem_region_config region = {.size_bytes = MEMORY_BYTES};
	const struct sk_gmem_config config = {.regions = &region, .nr_regions = 1};
	struct sk_gmem *gm;
	struct sk_kvm *kvm;
	int ret = sk_kvm_open(&kvm, NULL, err);

	if (ret)
		return ret;
	ret = sk_gmem_create(&gm, &config, err);
	if (ret)
		goto err_kvm;
	ret = write_guest(gm);
	BUG_ON(ret); /* the addresses are constants */
	ret = measure_in(kvm, gm, speed, err);
	speed->kind = speed->ring3_mps > EMULATED_FACTOR * speed->ring0_mps ? KVM_KIND_PARTIAL
									    : KVM_KIND_COMPLETE;
	sk_gmem_destroy(gm);
err_kvm:
	sk_kvm_close(kvm);
	return ret;
}
