/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The image's parser, and the filter as the kernel would run it. */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "kernel_objects.h"
#include "tender_internal.h"
#include "test_image.h"

#define BIAS 0x7000000000ull

static int load(const struct test_image *file, size_t len_bytes, uint8_t *memory)
{
	struct sk_tender_image image;
	struct sk_error err;
	int ret = sk_tender_image_parse(&image, file, len_bytes, &err);

	if (!ret)
		ret = sk_tender_image_load(&image, file, len_bytes, memory, BIAS, &err);
	if (ret)
		assert_true(err.message[0]);
	return ret;
}

static void image_is_loaded(void **state)
{
	struct test_image good = test_image();
	uint8_t memory[5 * TEST_PAGE] = {0};
	struct sk_tender_image image;

	(void)state;
	good.text[0] = 0xc3;
	assert_int_equal(sk_tender_image_parse(&image, &good, sizeof(good), NULL), 0);
	assert_int_equal(image.start, TEST_BASE);
	assert_int_equal(image.ro_end, TEST_BASE + 3 * TEST_PAGE);
	assert_int_equal(image.signal, TEST_BASE + TEST_PAGE + 32);
	assert_int_equal(load(&good, sizeof(good), memory), 0);
	assert_int_equal(memory[TEST_PAGE], 0xc3);
	assert_int_equal(sk_load_le64(memory + 3 * TEST_PAGE), TEST_VA(text) + BIAS);
	assert_int_equal(sk_load_le64(memory + 3 * TEST_PAGE + 8), TEST_VA(data) + BIAS);
}

static void bad_images_are_refused(void **state)
{
	const struct test_image good = test_image();
	uint8_t memory[5 * TEST_PAGE];
	struct test_image bad;

	(void)state;
#define REFUSED(change)                                                      \
	do {                                                                 \
		bad = good;                                                  \
		bad.change;                                                  \
		assert_int_equal(load(&bad, sizeof(bad), memory), -ENOEXEC); \
	} while (0)
	REFUSED(elf.e_ident[0] = 0);
	REFUSED(elf.e_ident[EI_CLASS] = ELFCLASS32);
	REFUSED(elf.e_machine = EM_AARCH64);
	REFUSED(elf.e_type = ET_REL);
	REFUSED(elf.e_phnum = 0xffff);
	REFUSED(elf.e_phoff = UINT64_MAX - 8);
	REFUSED(headers[1].p_type = PT_NULL);
	REFUSED(headers[1].p_offset = UINT64_MAX);
	REFUSED(headers[1].p_filesz = 20);
	REFUSED(note.header.n_descsz = UINT32_MAX);
	REFUSED(note.header.n_namesz = UINT32_MAX);
	REFUSED(note.header.n_type = 2);
	REFUSED(note.note.version = SK_TENDER_VERSION + 1);
	REFUSED(note.note.text += 1);
	REFUSED(note.note.text = INT32_MIN);
	REFUSED(note.note.ro_end = INT32_MIN);
	REFUSED(note.note.end = INT32_MAX);
	REFUSED(note.note.entry -= TEST_PAGE);
	REFUSED(note.note.cpu_entry += TEST_PAGE);
	REFUSED(note.note.signal = 0);
	REFUSED(headers[0].p_offset = 1);
	REFUSED(headers[0].p_vaddr = 0);
	REFUSED(headers[0].p_memsz = UINT64_MAX);
	REFUSED(headers[0].p_memsz = TEST_PAGE);
	REFUSED(headers[2].p_offset = UINT64_MAX);
	REFUSED(headers[2].p_vaddr = 1);
	REFUSED(dynamic[0].d_un.d_ptr = 0);
	REFUSED(dynamic[0].d_un.d_ptr = UINT64_MAX - 7);
	REFUSED(dynamic[1].d_un.d_val = UINT64_MAX);
	REFUSED(rela[0].r_info = R_X86_64_64);
	REFUSED(rela[0].r_offset = TEST_BASE - 1);
	REFUSED(rela[1].r_offset = TEST_BASE + 5 * TEST_PAGE - 7);
#undef REFUSED
	for (size_t len = 0; len < sizeof(good); len += len < 400 ? 1 : 97)
		assert_int_equal(load(&good, len, memory), -ENOEXEC);
}

/* --- the filter --- */

#define GATE	0x1122334455667788ull
#define RESTORE 0x1122334455667799ull
#define VDSO	0x7fff00001000ull
#define ARENA	(5ull << 39)
#define PID	4711

static struct sock_filter filter[TENDER_FILTER_MAX];
static uint16_t filter_len;

static int build(void **state)
{
	const struct tender_filter what = {GATE, RESTORE, VDSO, VDSO + 8192, ARENA, PID};

	(void)state;
	filter_len = tender_filter_build(filter, &what);
	return filter_len ? 0 : -1;
}

/* Classic BPF as far as the filter uses it. Every jump goes forward, so it ends. */
static uint32_t run(const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < filter_len; pc++) {
		const struct sock_filter *i = &filter[pc];
		bool yes = false;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const uint8_t *)data + i->k, 4);
			continue;
		case BPF_RET | BPF_K:
			return i->k;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_ALU | BPF_OR | BPF_K:
			a |= i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= i->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = a & i->k;
			break;
		default:
			fail_msg("instruction %x", i->code);
		}
		pc += yes ? i->jt : i->jf;
	}
	fail_msg("the filter has no end");
	return 0;
}

static uint32_t from(uint64_t ip, int nr)
{
	const struct seccomp_data d = {nr, AUDIT_ARCH_X86_64, ip, {0}};

	return run(&d);
}

static void the_place_decides(void **state)
{
	(void)state;
	for (int nr = -1; nr < 1024; nr++) {
		assert_int_equal(from(GATE + 1, nr), SECCOMP_RET_TRAP);
		assert_int_equal(from(GATE & 0xffffffff, nr), SECCOMP_RET_TRAP);
		assert_int_equal(from(GATE ^ (1ull << 63), nr), SECCOMP_RET_TRAP);
		assert_int_equal(from(RESTORE, nr),
				 nr == SYS_rt_sigreturn ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
		assert_int_equal(from(VDSO + 100, nr),
				 nr == SYS_clock_gettime ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
		assert_int_equal(from(VDSO - 1, nr), SECCOMP_RET_TRAP);
		assert_int_equal(from(VDSO + 8192, nr), SECCOMP_RET_TRAP);
	}
	assert_int_equal(run(&(struct seccomp_data){SYS_write, AUDIT_ARCH_I386, GATE, {1}}),
			 SECCOMP_RET_TRAP);
}

static uint32_t call(int nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	const struct seccomp_data s = {nr, AUDIT_ARCH_X86_64, GATE, {a, b, c, d, e, 0}};

	return run(&s);
}

#define YES(...) assert_int_equal(call(__VA_ARGS__), SECCOMP_RET_ALLOW)
#define NO(...)	 assert_int_equal(call(__VA_ARGS__), SECCOMP_RET_ERRNO | EPERM)

static void the_gate_has_a_list(void **state)
{
	static const int plain[] = {SYS_ppoll, SYS_timer_settime, SYS_exit_group};
	int allowed = 0;

	(void)state;
	for (int nr = -1; nr < 1024; nr++)
		allowed += call(nr, 0, 0, 0, 0, 0) == SECCOMP_RET_ALLOW;
	assert_int_equal(allowed, 4); /* these, and read(0) */
	for (size_t i = 0; i < SK_ARRAY_SIZE(plain); i++)
		YES(plain[i], ~0ull, ~0ull, ~0ull, ~0ull, ~0ull);
	NO(SYS_ppoll | 0x40000000, 0, 0, 0, 0, 0);
	YES(SYS_write, 1, 0, 0, 0, 0);
	NO(SYS_write, 2, 0, 0, 0, 0);
	NO(SYS_write, 1ull << 32 | 1, 0, 0, 0, 0);
	NO(SYS_read, 1, 0, 0, 0, 0);
	YES(SYS_futex, 0, 128, 0, 0, 0);
	YES(SYS_futex, 0, 129, 0, 0, 0);
	NO(SYS_futex, 0, 0, 0, 0, 0);
	NO(SYS_futex, 0, 130, 0, 0, 0);
	YES(SYS_tgkill, PID, 1, SK_TENDER_KICK, 0, 0);
	NO(SYS_tgkill, PID, 1, SIGKILL, 0, 0);
	NO(SYS_tgkill, PID + 1, 1, SK_TENDER_KICK, 0, 0);
}

static void memory_is_data_in_the_arena(void **state)
{
	const uint64_t last = ARENA + SK_TENDER_ARENA_BYTES;

	(void)state;
	YES(SYS_mmap, ARENA, 4096, 3, 0x11, 3);
	YES(SYS_mmap, last - 4096, 4096, 0, 0x8011, 3);
	NO(SYS_mmap, last, 4096, 3, 0x11, 3);
	NO(SYS_mmap, ARENA - 4096, 4096, 3, 0x11, 3);
	NO(SYS_mmap, ARENA, SK_TENDER_MAP_BYTES, 3, 0x11, 3);
	for (int bit = 2; bit < 64; bit++)
		NO(SYS_mmap, ARENA, 4096, 1ull << bit, 0x11, 3);
	NO(SYS_mmap, ARENA, 4096, 3, 0x12, 3);
	NO(SYS_mmap, ARENA, 4096, 3, 0x01, 3);
	NO(SYS_mmap, ARENA, 4096, 3, 0x31, 3);
	NO(SYS_mmap, ARENA, 4096, 3, 0x11, 4);
	NO(SYS_mmap, ARENA, 4096, 3, 0x11, ~0ull);
	YES(SYS_munmap, ARENA, 4096, 0, 0, 0);
	NO(SYS_munmap, ARENA - 4096, 8192, 0, 0, 0);
	NO(SYS_munmap, ARENA, 1ull << 40, 0, 0, 0);
}

static void ranges_are_sorted(void **state)
{
	struct tender_range r[] = {{5, 6}, {1, 2}, {9, 9}, {3, 4}};

	(void)state;
	tender_ranges_sort(r, SK_ARRAY_SIZE(r));
	for (size_t i = 1; i < SK_ARRAY_SIZE(r); i++)
		assert_true(r[i - 1].start < r[i].start);
}

static void configurations_are_checked(void **state)
{
	struct sk_tender_config config = {.image_path = "/dev/null",
					  .cpus = 1,
					  .memory_bytes = 8 * SK_MIB,
					  .in_fd = -1,
					  .out_fd = -1};
	struct sk_error err;

	(void)state;
	config.cpus = 0;
	assert_int_equal(sk_tender_run(&config, &err), -EINVAL);
	config.cpus = SK_TENDER_MAX_CPUS + 1;
	assert_int_equal(sk_tender_run(&config, &err), -EINVAL);
	config.cpus = 1;
	config.memory_bytes = 8 * SK_MIB + 1;
	assert_int_equal(sk_tender_run(&config, &err), -EINVAL);
	config.memory_bytes = UINT64_MAX & ~UINT64_C(4095);
	assert_int_equal(sk_tender_run(&config, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_is_loaded),
		cmocka_unit_test(bad_images_are_refused),
		cmocka_unit_test(the_place_decides),
		cmocka_unit_test(the_gate_has_a_list),
		cmocka_unit_test(memory_is_data_in_the_arena),
		cmocka_unit_test(ranges_are_sorted),
		cmocka_unit_test(configurations_are_checked),
	};

	return cmocka_run_group_tests_name("tender", tests, build, NULL);
}
