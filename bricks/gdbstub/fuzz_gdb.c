/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Bytes from whoever reached the port: the target's functions check what they are called with. */
#include "fake_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake fake;
	const struct sk_gdb_config config = {.ops = &fake_ops, .ctx = &fake, .text = 0x8000100000};
	struct sk_gdb *gdb;

	memset(&fake, 0, sizeof(fake));
	BUG_ON(sk_gdb_create(&gdb, &config, NULL));
	for (size_t i = 0; i < size; i++) {
		unsigned int resumed = fake.resumed;

		sk_gdb_receive(gdb, data + i, 1);
		if (fake.resumed != resumed)
			sk_gdb_stopped(gdb, (uint32_t)i & 1, 5, true);
	}
	sk_gdb_exited(gdb, 0);
	sk_gdb_destroy(gdb);
	return 0;
}
