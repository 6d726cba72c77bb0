/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * What the CPU needs in memory to start in 32-bit or 64-bit mode: a GDT and, for 64 bits, page
 * tables that map the first 4 GiB onto themselves (Intel SDM volume 3, 4.5 and 3.4.5). The other
 * fixed places below 1 MiB are taken here too, before any kernel can ask for them.
 */
#include "loader_internal.h"

#define PTE_PRESENT UINT64_C(0x001)
#define PTE_WRITE   UINT64_C(0x002)
#define PTE_LARGE   UINT64_C(0x080)

#define PTES	    512
#define NR_PD	    4
#define PAGE	    SK_GMEM_PAGE_BYTES
#define LARGE_PAGE  (2 * SK_MIB)

/* Flat segments, present, accessed; the TSS has base 0 and limit 0x67 and is busy. */
#define GDT_CODE64  UINT64_C(0x00af9b000000ffff)
#define GDT_CODE32  UINT64_C(0x00cf9b000000ffff)
#define GDT_DATA    UINT64_C(0x00cf93000000ffff)
#define GDT_TSS	    UINT64_C(0x00008b0000000067)

static int put_gdt(struct loading *l, enum sk_loader_mode mode)
{
	const uint64_t gdt[] = {
		0,
		0,
		[SK_LOADER_SELECTOR_CODE / 8] = mode == SK_LOADER_LONG64 ? GDT_CODE64 : GDT_CODE32,
		[SK_LOADER_SELECTOR_DATA / 8] = GDT_DATA,
		[SK_LOADER_SELECTOR_TSS / 8] = GDT_TSS,
		0, /* the upper half of a 64-bit TSS descriptor */
	};
	int rc = sk_loader_claim(l, SK_LOADER_GDT_GPA, PAGE, "the boot GDT");

	if (rc)
		return rc;
	sk_loader_put(l, SK_LOADER_GDT_GPA, gdt, sizeof(gdt));
	l->entry.gdt_gpa = SK_LOADER_GDT_GPA;
	l->entry.gdt_limit = sizeof(gdt) - 1;
	return 0;
}

static int put_page_tables(struct loading *l)
{
	const gpa_t pml4 = SK_LOADER_PML4_GPA, pdpt = pml4 + PAGE, pd = pdpt + PAGE;
	uint64_t table[PTES] = {0};
	uint64_t i, j;
	int rc = sk_loader_claim(l, pml4, (2 + NR_PD) * PAGE, "the boot page tables");

	if (rc)
		return rc;
	table[0] = pdpt | PTE_PRESENT | PTE_WRITE;
	sk_loader_put(l, pml4, table, sizeof(table));
	for (i = 0; i < NR_PD; i++)
		table[i] = (pd + i * PAGE) | PTE_PRESENT | PTE_WRITE;
	sk_loader_put(l, pdpt, table, sizeof(table));
	for (i = 0; i < NR_PD; i++) {
		for (j = 0; j < PTES; j++)
			table[j] =
				(i * PTES + j) * LARGE_PAGE | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
		sk_loader_put(l, pd + i * PAGE, table, sizeof(table));
	}
	l->entry.cr3 = pml4;
	return 0;
}

int sk_loader_put_cpu_state(struct loading *l, enum sk_loader_mode mode)
{
	const gpa_t stack = SK_LOADER_GDT_GPA + PAGE;
	int rc = put_gdt(l, mode);

	if (!rc)
		rc = sk_loader_claim(l, stack, SK_LOADER_STACK_GPA - stack, "the boot stack");
	if (!rc)
		rc = sk_loader_claim(l, SK_LOADER_INFO_GPA, PAGE, "the boot information");
	if (!rc)
		rc = sk_loader_claim(l, SK_LOADER_STRINGS_GPA, SK_LOADER_STRINGS_BYTES,
				     "the area of the command line");
	if (!rc && mode == SK_LOADER_LONG64)
		rc = put_page_tables(l);
	l->entry.mode = mode;
	l->entry.rsp = SK_LOADER_STACK_GPA;
	return rc;
}
