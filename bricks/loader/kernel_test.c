/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * With SKETE_TEST_KERNEL=FILE: a real bzImage with a PVH note, by each of its protocols. A program
 * of its own, because it skips as a whole.
 */
#include "test_world.h"

#define RAM (512 * SK_MIB)

static void load(struct world *w, enum sk_loader_protocol protocol, const char *format)
{
	w->config.protocol = protocol;
	if (sk_loader_load(&w->entry, w->gm, &w->config, &w->err))
		fail_msg("%s", w->err.message);
	assert_string_equal(w->entry.format, format);
}

static void by_its_own_entry(void **state)
{
	struct boot_params bp;
	struct world w;

	(void)state;
	world_open(&w, RAM, 0);
	w.config.kernel_path = getenv("SKETE_TEST_KERNEL");
	w.config.cmdline = "console=ttyS0";
	load(&w, SK_LOADER_AUTO, "bzImage, 64-bit entry");
	memcpy(&bp, guest(&w, w.entry.rsi, sizeof(bp)), sizeof(bp));
	assert_int_equal(bp.hdr.header, 0x53726448);
	/* head_64.S, startup_64: cld; cli */
	assert_int_equal(sk_load_le16(guest(&w, w.entry.rip, 2)), 0xfafc);
	world_close(&w);
}

static void by_its_payload(void **state)
{
	int elf_fd = memfd_create("vmlinux", MFD_CLOEXEC);
	struct world w;

	(void)state;
	world_open(&w, RAM, 0);
	w.config.kernel_path = getenv("SKETE_TEST_KERNEL");
	load(&w, SK_LOADER_PVH, "bzImage, unpacked, PVH");
	assert_int_equal(*guest(&w, w.entry.rip, 1), 0xfc); /* pvh_start_xen: cld */

	if (sk_loader_unpack_bzimage(w.config.kernel_path, elf_fd, &w.err))
		fail_msg("%s", w.err.message);
	w.config.kernel_fd = elf_fd;
	load(&w, SK_LOADER_AUTO, "ELF64, PVH");
	load(&w, SK_LOADER_LINUX64, "ELF64, Linux 64-bit entry");
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_its_own_entry),
		cmocka_unit_test(by_its_payload),
	};

	if (!getenv("SKETE_TEST_KERNEL")) {
		puts("1..0 # SKIP no kernel: SKETE_TEST_KERNEL=FILE names a bzImage with a PVH note");
		return 0; /* what TAP wants of a skip */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
