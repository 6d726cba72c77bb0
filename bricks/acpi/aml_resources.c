/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Resource descriptors (ACPI 6.3, section 6.4). */
#include "aml_internal.h"

#define SMALL_IRQ_NO_FLAGS 0x22
#define SMALL_IO	   0x47
#define LARGE_MEMORY32	   0x86
#define LARGE_DWORD	   0x87
#define LARGE_WORD	   0x88
#define LARGE_INTERRUPT	   0x89
#define LARGE_QWORD	   0x8a

#define TYPE_MEMORY	   0
#define TYPE_IO		   1
#define TYPE_BUS_NUMBER	   2

#define FLAG_CONSUMER	   1
#define FLAG_MIN_MAX_FIXED 0x0c
#define MEMORY_WRITABLE	   1 /* and not cacheable */
#define IO_ENTIRE_RANGE	   3
#define INTERRUPT_EDGE	   2

void sk_aml_io(struct sk_aml *a, uint16_t port, uint8_t len)
{
	if (!aml_enter_resource(a))
		return;
	if (!len || !sk_range_fits(port, len, UINT64_C(0x10000))) {
		aml_fail(a, -EINVAL, "%u ports at 0x%x are none or reach beyond 0xffff", len, port);
		return;
	}
	aml_put_u8(a, SMALL_IO);
	aml_put_u8(a, 1); /* decodes 16 bits */
	aml_put_u16(a, port);
	aml_put_u16(a, port);
	aml_put_u8(a, 1); /* alignment */
	aml_put_u8(a, len);
}

void sk_aml_irq_no_flags(struct sk_aml *a, unsigned int irq)
{
	if (!aml_enter_resource(a))
		return;
	if (irq > 15) {
		aml_fail(a, -EINVAL, "IRQ %u is no ISA interrupt; use an extended one", irq);
		return;
	}
	aml_put_u8(a, SMALL_IRQ_NO_FLAGS);
	aml_put_u16(a, (uint16_t)(1U << irq));
}

void sk_aml_interrupt(struct sk_aml *a, uint32_t gsi, enum sk_aml_trigger trigger)
{
	if (!aml_enter_resource(a))
		return;
	aml_put_u8(a, LARGE_INTERRUPT);
	aml_put_u16(a, 6);
	aml_put_u8(a, FLAG_CONSUMER | (trigger == SK_AML_EDGE ? INTERRUPT_EDGE : 0));
	aml_put_u8(a, 1); /* how many */
	aml_put_u32(a, gsi);
}

void sk_aml_memory32(struct sk_aml *a, uint32_t base, uint32_t len_bytes)
{
	if (!aml_enter_resource(a))
		return;
	if (!len_bytes || !sk_range_fits(base, len_bytes, 4 * SK_GIB)) {
		aml_fail(a, -EINVAL, "memory at 0x%x is empty or reaches beyond 4 GiB", base);
		return;
	}
	aml_put_u8(a, LARGE_MEMORY32);
	aml_put_u16(a, 9);
	aml_put_u8(a, MEMORY_WRITABLE);
	aml_put_u32(a, base);
	aml_put_u32(a, len_bytes);
}

/* One address space descriptor (section 6.4.3.5); its tag says how wide the numbers are. */
struct space {
	uint8_t tag, type, type_flags;
	enum sk_aml_usage usage;
	uint64_t min, max;
};

static void put_space(struct sk_aml *a, const struct space *s)
{
	size_t width = s->tag == LARGE_WORD ? 2 : s->tag == LARGE_DWORD ? 4 : 8;
	/* granularity, minimum, maximum, translation, length */
	const uint64_t numbers[] = {0, s->min, s->max, 0, s->max - s->min + 1};

	if (!aml_enter_resource(a))
		return;
	if (s->min > s->max || (width == 8 && s->max - s->min == UINT64_MAX) ||
	    (width < 8 && s->max - s->min + 1 > (UINT64_C(1) << 8 * width) - 1)) {
		aml_fail(a, -EINVAL, "the window 0x%llx-0x%llx is empty or all of its space",
			 (unsigned long long)s->min, (unsigned long long)s->max);
		return;
	}
	aml_put_u8(a, s->tag);
	aml_put_u16(a, (uint16_t)(3 + 5 * width));
	aml_put_u8(a, s->type);
	aml_put_u8(a, FLAG_MIN_MAX_FIXED | (s->usage == SK_AML_CONSUMER ? FLAG_CONSUMER : 0));
	aml_put_u8(a, s->type_flags);
	for (size_t i = 0; i < SK_ARRAY_SIZE(numbers); i++) {
		uint64_t le = SK_LE64(numbers[i]);

		aml_put(a, &le, width);
	}
}

void sk_aml_word_bus_number(struct sk_aml *a, uint16_t min, uint16_t max)
{
	put_space(a, &(struct space){.tag = LARGE_WORD,
				     .type = TYPE_BUS_NUMBER,
				     .usage = SK_AML_PRODUCER,
				     .min = min,
				     .max = max});
}

void sk_aml_word_io(struct sk_aml *a, enum sk_aml_usage usage, uint16_t min, uint16_t max)
{
	put_space(a, &(struct space){.tag = LARGE_WORD,
				     .type = TYPE_IO,
				     .type_flags = IO_ENTIRE_RANGE,
				     .usage = usage,
				     .min = min,
				     .max = max});
}

void sk_aml_dword_memory(struct sk_aml *a, enum sk_aml_usage usage, uint32_t min, uint32_t max)
{
	put_space(a, &(struct space){.tag = LARGE_DWORD,
				     .type = TYPE_MEMORY,
				     .type_flags = MEMORY_WRITABLE,
				     .usage = usage,
				     .min = min,
				     .max = max});
}

void sk_aml_qword_memory(struct sk_aml *a, enum sk_aml_usage usage, uint64_t min, uint64_t max)
{
	put_space(a, &(struct space){.tag = LARGE_QWORD,
				     .type = TYPE_MEMORY,
				     .type_flags = MEMORY_WRITABLE,
				     .usage = usage,
				     .min = min,
				     .max = max});
}
