/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What is said, once, about a guest that cannot go on. */
#include "vm_internal.h"

#include <stdio.h>

#define CODE_BYTES 16

/* "bytes at 0x...: 0f 0b ..." for as many as can be read; the guest's page tables are its own. */
static void format_code(const struct machine *m, struct sk_kvm_vcpu *vcpu, char *buf, size_t size)
{
	uint8_t code[CODE_BYTES];
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t address;
	size_t len = 0;
	gpa_t gpa;
	int n;

	buf[0] = '\0';
	if (sk_kvm_vcpu_get_regs(vcpu, &regs) || sk_kvm_vcpu_get_sregs(vcpu, &sregs))
		return;
	address = sregs.cs.l ? regs.rip : (uint32_t)(sregs.cs.base + regs.rip);
	while (len < CODE_BYTES) {
		if (sk_kvm_vcpu_translate(vcpu, address + len, &gpa) ||
		    sk_gmem_read(m->gm, gpa, &code[len], 1))
			break;
		len++;
	}
	n = snprintf(buf, size, "bytes at 0x%llx:", (unsigned long long)address);
	if (len == 0)
		snprintf(buf + n, size - (size_t)n, " not mapped to RAM");
	for (size_t i = 0; i < len; i++)
		n += snprintf(buf + n, size - (size_t)n, " %02x", code[i]);
}

void report_crash(const struct machine *m, uint32_t index, const char *what, char *buf,
		  size_t size_bytes)
{
	char registers[2048], code[128];

	if (sk_kvm_vcpu_format_regs(m->vcpus[index], registers, sizeof(registers)) < 0)
		snprintf(registers, sizeof(registers), "(its registers cannot be read)\n");
	format_code(m, m->vcpus[index], code, sizeof(code));
	snprintf(buf, size_bytes, "%s, on CPU %u\n%s%s", what, index, registers, code);
}
