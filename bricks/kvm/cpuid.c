/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The CPUID table of one guest CPU, made from the table of what KVM supports (Intel SDM volume 2A,
 * CPUID; AMD APM volume 3, appendix E; Linux, Documentation/virt/kvm/x86/cpuid.rst). The guest
 * sees one package of @count cores with one thread each; the APIC id is the CPU's index.
 */

#include <skete/kvm.h>

#define LEAF_KVM_SIGNATURE	UINT32_C(0x40000000)
#define LEAF_KVM_FEATURES	UINT32_C(0x40000001)
#define LEAF_KVM_TIMING		UINT32_C(0x40000010)
#define LEAF_EXTENDED		UINT32_C(0x80000000)
#define MAX_CPUS		UINT32_C(4096)

#define BIT32(n)		(UINT32_C(1) << (n))
#define LEAF1_ECX_VMX		BIT32(5)
#define LEAF1_ECX_X2APIC	BIT32(21)
#define LEAF1_ECX_TSC_DEADLINE	BIT32(24)
#define LEAF1_ECX_OSXSAVE	BIT32(27)
#define LEAF1_ECX_HYPERVISOR	BIT32(31)
#define LEAF1_EDX_APIC		BIT32(9)
#define LEAF1_EDX_HTT		BIT32(28)
#define LEAF7_ECX_OSPKE		BIT32(4)
#define EXT1_ECX_CMP_LEGACY	BIT32(1)
#define EXT1_ECX_SVM		BIT32(2)
/* KVM features that speak to a local APIC: PV EOI, PV unhalt, PV IPI, async faults by interrupt. */
#define KVM_FEATURES_NEED_LAPIC (BIT32(6) | BIT32(7) | BIT32(11) | BIT32(14))

/* What the handlers of the leaves need to know. */
struct topology {
	const struct sk_kvm_cpuid_config *config;
	uint32_t core_bits; /* bits of the APIC id below the package */
	bool is_amd;
};

static uint32_t log2_ceil(uint32_t n)
{
	return n <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(n - 1);
}

struct kvm_cpuid_entry2 *sk_kvm_cpuid_find(struct sk_kvm_cpuid *cpuid, uint32_t leaf,
					   uint32_t subleaf)
{
	for (uint32_t i = 0; i < cpuid->nr_entries && i < SK_KVM_CPUID_MAX; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == leaf &&
		    (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == subleaf))
			return entry;
	}
	return NULL;
}

/* A new zeroed entry at the end, or NULL when the table is full. */
static struct kvm_cpuid_entry2 *add(struct sk_kvm_cpuid *cpuid, uint32_t leaf, uint32_t subleaf,
				    uint32_t flags)
{
	struct kvm_cpuid_entry2 *entry;

	if (cpuid->nr_entries == SK_KVM_CPUID_MAX)
		return NULL;
	entry = &cpuid->entries[cpuid->nr_entries++];
	*entry = (struct kvm_cpuid_entry2){.function = leaf, .index = subleaf, .flags = flags};
	return entry;
}

static void patch_features(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	const struct sk_kvm_cpuid_config *config = topo->config;

	e->ebx = (e->ebx & 0xffff) | SK_MIN(config->count, 255u) << 16 |
		 (config->index & 0xff) << 24;
	e->edx = config->count > 1 ? e->edx | LEAF1_EDX_HTT : e->edx & ~LEAF1_EDX_HTT;
	/* KVM sets OSXSAVE from the guest's CR4 as it runs. */
	e->ecx &= ~(LEAF1_ECX_OSXSAVE | LEAF1_ECX_X2APIC | LEAF1_ECX_TSC_DEADLINE);
	e->ecx |= LEAF1_ECX_HYPERVISOR;
	if (config->has_kernel_lapic) {
		e->ecx |= LEAF1_ECX_X2APIC;
		if (config->has_tsc_deadline)
			e->ecx |= LEAF1_ECX_TSC_DEADLINE;
	} else {
		e->edx &= ~LEAF1_EDX_APIC;
	}
	if (!config->has_nested_virt)
		e->ecx &= ~LEAF1_ECX_VMX;
}

/* Caches of Intel: levels 1 and 2 belong to a core, the last level to the package. */
static void patch_intel_cache(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	uint32_t level = e->eax >> 5 & 7;
	uint32_t sharing = level >= 3 ? (UINT32_C(1) << topo->core_bits) - 1 : 0;
	uint32_t cores = (UINT32_C(1) << topo->core_bits) - 1;

	if ((e->eax & 0x1f) == 0) /* no more caches */
		return;
	e->eax &= 0x3fff;
	e->eax |= (sharing & 0xfff) << 14 | SK_MIN(cores, 63u) << 26;
}

static void patch_amd_cache(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	uint32_t level = e->eax >> 5 & 7;
	uint32_t sharing = level >= 3 ? topo->config->count - 1 : 0;

	if ((e->eax & 0x1f) == 0)
		return;
	e->eax = (e->eax & ~(UINT32_C(0xfff) << 14)) | (sharing & 0xfff) << 14;
}

static void patch_extended_features(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	if (!topo->is_amd)
		return;
	e->ecx &= ~EXT1_ECX_CMP_LEGACY;
	if (topo->config->count > 1)
		e->ecx |= EXT1_ECX_CMP_LEGACY;
	if (!topo->config->has_nested_virt)
		e->ecx &= ~EXT1_ECX_SVM;
}

static void patch_amd_sizes(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	if (!topo->is_amd)
		return;
	e->ecx &= ~UINT32_C(0xf0ff);
	e->ecx |= SK_MIN(topo->config->count - 1, 255u) | topo->core_bits << 12;
}

static void patch_amd_topology(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	e->eax = topo->config->index;
	e->ebx = topo->config->index & 0xff; /* core id; one thread per core */
	e->ecx = 0;			     /* node 0 of one */
	e->edx = 0;
}

static void clear_registers(struct kvm_cpuid_entry2 *e)
{
	e->eax = e->ebx = e->ecx = e->edx = 0;
}

static void patch(struct kvm_cpuid_entry2 *e, const struct topology *topo)
{
	switch (e->function) {
	case 1:
		patch_features(e, topo);
		break;
	case 4:
		patch_intel_cache(e, topo);
		break;
	case 7:
		if (e->index == 0)
			e->ecx &= ~LEAF7_ECX_OSPKE;
		break;
	case LEAF_KVM_FEATURES:
		if (!topo->config->has_kernel_lapic)
			e->eax &= ~KVM_FEATURES_NEED_LAPIC;
		break;
	case 0x80000001:
		patch_extended_features(e, topo);
		break;
	case 0x80000008:
		patch_amd_sizes(e, topo);
		break;
	case 0x8000000a:
		if (!topo->config->has_nested_virt)
			clear_registers(e);
		break;
	case 0x8000001d:
		patch_amd_cache(e, topo);
		break;
	case 0x8000001e:
		patch_amd_topology(e, topo);
		break;
	default:
		break;
	}
}

/* Leaf 0xb or 0x1f: level 0 is the thread, level 1 the core, level 2 ends the list. */
static bool add_topology(struct sk_kvm_cpuid *out, uint32_t leaf, const struct topology *topo)
{
	const uint32_t shift[] = {0, topo->core_bits, 0};
	const uint32_t cpus[] = {1, topo->config->count, 0};

	for (uint32_t level = 0; level < 3; level++) {
		struct kvm_cpuid_entry2 *e = add(out, leaf, level, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);

		if (!e)
			return false;
		e->eax = shift[level];
		e->ebx = cpus[level];
		e->ecx = level | (level < 2 ? (level + 1) << 8 : 0);
		e->edx = topo->config->index;
	}
	return true;
}

/* KVM's signature, if the table has none, and the frequencies in kHz. */
static bool add_kvm_leaves(struct sk_kvm_cpuid *out, const struct sk_kvm_cpuid_config *config)
{
	struct kvm_cpuid_entry2 *signature = sk_kvm_cpuid_find(out, LEAF_KVM_SIGNATURE, 0);
	struct kvm_cpuid_entry2 *timing;

	if (!signature) {
		signature = add(out, LEAF_KVM_SIGNATURE, 0, 0);
		if (!signature || !add(out, LEAF_KVM_FEATURES, 0, 0))
			return false;
		signature->eax = LEAF_KVM_FEATURES;
		memcpy(&signature->ebx, "KVMK", 4);
		memcpy(&signature->ecx, "VMKV", 4);
		memcpy(&signature->edx, "M\0\0\0", 4);
	}
	if (config->tsc_khz == 0)
		return true;
	timing = sk_kvm_cpuid_find(out, LEAF_KVM_TIMING, 0);
	if (!timing)
		timing = add(out, LEAF_KVM_TIMING, 0, 0);
	if (!timing)
		return false;
	timing->eax = config->tsc_khz;
	timing->ebx = config->apic_khz;
	signature->eax = SK_MAX(signature->eax, LEAF_KVM_TIMING);
	return true;
}

static int check_config(const struct sk_kvm_cpuid_config *config, struct sk_error *err)
{
	if (config->index >= config->count)
		return sk_error_set(err, -EINVAL, "CPUID: vCPU %u of %u does not exist",
				    config->index, config->count);
	if (config->count > (config->has_kernel_lapic ? MAX_CPUS : 255))
		return sk_error_set(err, -EINVAL, "CPUID: %u vCPUs do not fit into APIC ids",
				    config->count);
	return 0;
}

int sk_kvm_cpuid_build(struct sk_kvm_cpuid *out, const struct sk_kvm_cpuid *supported,
		       const struct sk_kvm_cpuid_config *config, struct sk_error *err)
{
	struct topology topo = {.config = config, .core_bits = log2_ceil(config->count)};
	uint32_t max_leaf = 0;
	bool has_room = true;
	int ret = check_config(config, err);

	if (ret < 0)
		return ret;
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < supported->nr_entries && i < SK_KVM_CPUID_MAX; i++) {
		const struct kvm_cpuid_entry2 *e = &supported->entries[i];

		if (e->function == 0) {
			max_leaf = e->eax;
			topo.is_amd =
				memcmp(&e->ebx, "Auth", 4) == 0 || memcmp(&e->ebx, "Hygo", 4) == 0;
		}
		if (e->function != 0xb && e->function != 0x1f)
			out->entries[out->nr_entries++] = *e;
	}
	for (uint32_t i = 0; i < out->nr_entries; i++)
		patch(&out->entries[i], &topo);
	if (max_leaf >= 0xb)
		has_room = add_topology(out, 0xb, &topo);
	if (has_room && max_leaf >= 0x1f)
		has_room = add_topology(out, 0x1f, &topo);
	if (!has_room || !add_kvm_leaves(out, config))
		return sk_error_set(err, -ENOSPC, "CPUID: no room for the topology of vCPU %u",
				    config->index);
	return 0;
}
