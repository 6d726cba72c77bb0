/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What the sources of the AML builder share: raw bytes, sticky errors, where one may write what. */
#ifndef SKETE_AML_INTERNAL_H
#define SKETE_AML_INTERNAL_H

#include <skete/acpi.h>

#define AML_PKG_LENGTH_MAX UINT32_C(0x0fffffff)

enum aml_kind {
	AML_KIND_TERMS, /* Scope, Device, Method, If, Else, While */
	AML_KIND_IF,	/* as TERMS; an Else may follow its end */
	AML_KIND_PACKAGE,
	AML_KIND_FIELD,
	AML_KIND_RESOURCES,
};

/* Keeps the first error. */
void aml_fail(struct sk_aml *a, int code, const char *fmt, ...) SK_PRINTF(3, 4) SK_COLD;

static inline bool aml_failed(const struct sk_aml *a)
{
	return a->error.code != 0;
}

/* Appends bytes; does nothing after an error. */
void aml_put(struct sk_aml *a, const void *data, size_t len_bytes);
void aml_put_u8(struct sk_aml *a, uint8_t v);
void aml_put_u16(struct sk_aml *a, uint16_t v);
void aml_put_u32(struct sk_aml *a, uint32_t v);
void aml_put_u64(struct sk_aml *a, uint64_t v);
/* An opcode of one byte, or of two (the first in the high byte). */
void aml_put_op(struct sk_aml *a, unsigned int op);

/* Opens and closes blocks; open comes right behind the opcode. */
void aml_open(struct sk_aml *a, enum aml_kind kind);

/* Each of the three is false, after an error was set, where the thing must not stand. */
bool aml_enter_term(struct sk_aml *a);	   /* a statement, a declaration, an operator */
bool aml_enter_data(struct sk_aml *a);	   /* a data object or a path: also in a package */
bool aml_enter_resource(struct sk_aml *a); /* a resource descriptor */

/* A NameString; false and an error if @path is none. */
bool aml_put_path(struct sk_aml *a, const char *path);
/* A NameSeg. */
bool aml_put_segment(struct sk_aml *a, const char *segment, size_t len);

/*
 * A PkgLength that counts itself and @len_bytes that follow it, in @out; returns its size, or 0 if
 * it is too long. The other one encodes a bare @value, for the units of a Field.
 */
size_t aml_encode_pkg_length(uint64_t len_bytes, uint8_t out[4]);
size_t aml_encode_pkg_value(uint64_t value, uint8_t out[4]);

#endif
