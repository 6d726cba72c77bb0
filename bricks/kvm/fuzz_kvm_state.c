/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * Saved state is read from files that others may have written. Whatever the reader accepts, the
 * writer must write back in exactly as many bytes.
 */

#include "state_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_vcpu(const uint8_t *data, size_t size)
{
	static struct vcpu_state state;
	static uint8_t back[256 * SK_KIB];
	struct sk_error err;
	struct sk_writer w;
	struct sk_reader r;

	sk_reader_init(&r, data, size);
	if (vcpu_state_read(&state, &r, &err) < 0)
		return;
	sk_writer_init(&w, back, sizeof(back));
	vcpu_state_write(&state, &w);
	BUG_ON(!sk_writer_ok(&w) || w.len_bytes != r.pos_bytes);
}

static void check_vm(const uint8_t *data, size_t size)
{
	struct vm_state state;
	struct sk_error err;
	uint8_t back[2048];
	struct sk_writer w;
	struct sk_reader r;

	sk_reader_init(&r, data, size);
	if (vm_state_read(&state, &r, &err) < 0)
		return;
	sk_writer_init(&w, back, sizeof(back));
	vm_state_write(&state, &w);
	BUG_ON(!sk_writer_ok(&w) || w.len_bytes != r.pos_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_vcpu(data, size);
	check_vm(data, size);
	return 0;
}
