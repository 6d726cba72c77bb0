/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * There is no firmware, but some guests reboot by jumping to it: F000:FFF0 in real mode, where
 * every PC's first instruction is. Linux does so before it tries anything else on a machine of
 * hardware-reduced ACPI without UEFI (arch/x86/kernel/reboot.c: efi_reboot_required()). What lies
 * there does what firmware would do: it resets the machine.
 */
#include "vm_internal.h"

int reset_vector_write(struct sk_gmem *gm, struct sk_error *err)
{
	const uint16_t port = SK_PM_PORT + SK_PM_RESET;
	const uint8_t code[] = {
		0xb0,	   SK_PM_RESET_VALUE, /* mov al, value */
		0xba,	   port & 0xff,
		port >> 8,	 /* mov dx, port */
		0xee,		 /* out dx, al */
		0xf4,		 /* hlt */
		0xeb,	   0xfd, /* jmp to the hlt */
	};
	int ret = sk_gmem_write(gm, RESET_VECTOR_GPA, code, sizeof(code));

	if (ret)
		return sk_error_set(err, ret, "there is no RAM for the reset vector at 0x%llx",
				    (unsigned long long)RESET_VECTOR_GPA);
	return 0;
}
