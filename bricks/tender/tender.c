/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The order of things: everything that can fail for an ordinary reason comes first and leaves a
 * sentence; then the process is taken apart, and the last steps are taken by code in the stage,
 * because the stack and the code of this file are among what goes.
 */
#include <cpuid.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/memfd.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel_objects.h"
#include "tender_internal.h"

#define MAX_MEMORY (UINT64_C(1) << 38)
#define FIRST_FREE                                                                     \
	UINT64_C(0x100000) /* the image is placed there, and the page tables behind it \
			    */
#define TASK_END    UINT64_C(0x7ffffffff000)
#define HWCAP2_FSGS 2

struct tender {
	const struct sk_tender_config *config;
	struct sk_error *err;
	struct sk_tender_image image;
	uint64_t bias, memory, arena, stage_at, file_at; /* addresses, each in a slot of its own */
	uint64_t slots[2];				 /* bit map of the slots in use */
	int memory_fd;
	struct tender_stage *stage;
	size_t file_bytes;
	struct tender_vdso vdso;
};

static int fail(const struct tender *t, const char *what)
{
	int ret = errno ? -errno : -EIO;

	return sk_error_set(t->err, ret, "%s: %s", what, strerror(-ret));
}

static int check(const struct tender *t)
{
	const struct sk_tender_config *c = t->config;
	const uint32_t trap = SECCOMP_RET_TRAP;
	unsigned int a, b, features, d;

	if (!c->cpus || c->cpus > SK_TENDER_MAX_CPUS)
		return sk_error_set(t->err, -EINVAL, "a process has 1 to %d CPUs",
				    SK_TENDER_MAX_CPUS);
	if (!sk_is_aligned(c->memory_bytes, TENDER_PAGE) || c->memory_bytes > MAX_MEMORY ||
	    c->memory_bytes <= FIRST_FREE)
		return sk_error_set(
			t->err, -EINVAL,
			"the memory of a process is more than 1 MiB, at most 256 GiB, and "
			"a multiple of 4 KiB");
	if (c->cmdline && strlen(c->cmdline) >= TENDER_CMDLINE_BYTES)
		return sk_error_set(
			t->err, -E2BIG,
			"the command line is longer than %d bytes; give fewer arguments",
			TENDER_CMDLINE_BYTES - 1);
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGS))
		return sk_error_set(
			t->err, -ENOTSUP,
			"this CPU or kernel does not let programs write FS and GS, which "
			"the unikernel needs (FSGSBASE; Linux 5.9 or later)");
	if (!__get_cpuid(1, &a, &b, &features, &d) || !(features & bit_OSXSAVE) ||
	    !(features & bit_RDRND))
		return sk_error_set(t->err, -ENOTSUP,
				    "this CPU lacks XSAVE or RDRAND, which the unikernel needs");
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trap))
		return fail(t, "this kernel cannot filter system calls (seccomp)");
	return 0;
}

/*
 * A random address in one of 64 slots of 512 GiB; the slot behind each stays empty. Linux itself
 * places nothing there.
 */
static int choose(struct tender *t, uint64_t align, uint64_t *out)
{
	uint64_t r, slot;

	do {
		if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
			return fail(t, "cannot get random numbers");
		slot = 1 + (r & 63) * 2;
	} while (sk_bit_test(t->slots, slot));
	sk_bit_set(t->slots, slot);
	*out = slot << 39 | ((r >> 20 & ((UINT64_C(1) << 38) - 1)) & ~(align - 1));
	return 0;
}

static int choose_places(struct tender *t)
{
	int ret = choose(t, TENDER_PAGE, &t->bias);

	if (!ret)
		ret = choose(t, UINT64_C(1) << 30, &t->memory);
	if (!ret)
		ret = choose(t, UINT64_C(1) << 39, &t->arena);
	if (!ret)
		ret = choose(t, TENDER_PAGE, &t->stage_at);
	if (!ret)
		ret = choose(t, TENDER_PAGE, &t->file_at);
	return ret;
}

/* Maps a whole file for reading, at @at or (0) anywhere. The descriptor is closed again. */
static int map_file(const struct tender *t, const char *path, uint64_t at, const void **out,
		    size_t *len_bytes)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret = 0;
	void *map = MAP_FAILED;

	if (fd < 0 || fstat(fd, &st))
		ret = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size == 0)
		ret = -EINVAL;
	else
		map = mmap((void *)at, (size_t)st.st_size, PROT_READ,
			   MAP_PRIVATE | (at ? MAP_FIXED_NOREPLACE : 0), fd, 0);
	if (!ret && map == MAP_FAILED)
		ret = -errno;
	sk_close(&fd);
	if (ret)
		return sk_error_set(t->err, ret, "cannot read %s: %s", path, strerror(-ret));
	*out = map;
	*len_bytes = (size_t)st.st_size;
	return 0;
}

static int protect(const struct tender *t, uint64_t start, uint64_t end, int prot)
{
	if (start < end && mprotect((void *)(start + t->bias), end - start, prot))
		return fail(t, "cannot protect the image");
	return 0;
}

static int load_image(struct tender *t)
{
	const struct sk_tender_image *i = &t->image;
	const void *file;
	size_t len_bytes;
	uint8_t *at;
	int ret = map_file(t, t->config->image_path, t->file_at, &file, &len_bytes);

	if (ret)
		return ret;
	t->file_bytes = len_bytes;
	ret = sk_tender_image_parse(&t->image, file, len_bytes, t->err);
	if (!ret && i->end - i->start > t->config->memory_bytes)
		ret = sk_error_set(t->err, -ENOMEM, "it needs more memory than --memory grants");
	if (ret)
		goto out;
	at = (uint8_t *)(i->start + t->bias);
	if (mmap(at, i->end - i->start, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
		ret = fail(t, "no memory for it");
	if (!ret)
		ret = sk_tender_image_load(i, file, len_bytes, at, t->bias, t->err);
	if (!ret)
		ret = protect(t, i->start, i->text, PROT_READ);
	if (!ret)
		ret = protect(t, i->text, i->text_end, PROT_READ | PROT_EXEC);
	if (!ret)
		ret = protect(t, i->text_end, i->ro_end, PROT_READ);
out:
	if (ret)
		sk_error_prefix(t->err, "cannot run %s", t->config->image_path);
	return ret;
}

static int create_memory(struct tender *t)
{
	uint64_t bytes = t->config->memory_bytes;
	int fd = memfd_create("skete", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	t->memory_fd = fd;
	if (fd < 0 || ftruncate(fd, (off_t)bytes) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return fail(t, "cannot create the memory of the process");
	if (mmap((void *)t->memory, bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, 0) != (void *)t->memory)
		return fail(t, "cannot map the memory of the process");
	return 0;
}

static int load_initrd(struct tender *t)
{
	struct sk_tender_info *info = &t->stage->info;
	const char *path = t->config->initrd_path;
	const void *file;
	size_t len_bytes;
	int ret;

	if (!path)
		return 0;
	ret = map_file(t, path, 0, &file, &len_bytes);
	if (ret)
		return ret;
	if (len_bytes > t->config->memory_bytes / 2)
		return sk_error_set(t->err, -ENOMEM,
				    "the initial RAM disk %s takes more than half of the memory",
				    path);
	info->initrd = sk_align_down(t->config->memory_bytes - len_bytes, TENDER_PAGE);
	info->initrd_bytes = len_bytes;
	memcpy((uint8_t *)t->memory + info->initrd, file, len_bytes);
	return 0;
}

static void fill_info(struct tender *t)
{
	const struct sk_tender_config *c = t->config;
	struct sk_tender_info *info = &t->stage->info;

	info->version = SK_TENDER_VERSION;
	info->cpus = c->cpus;
	info->pid = (uint32_t)getpid();
	info->bias = t->bias;
	info->memory = t->memory;
	info->memory_bytes = c->memory_bytes;
	info->arena = t->arena;
	info->gate = stage_code(t->stage_at, tender_gate);
	info->clock_gettime = t->vdso.clock_gettime;
	info->start_ns = c->start_ns;
	info->file = t->file_at;
	info->file_bytes = t->file_bytes;
	info->cmdline = (uint64_t)t->stage->cmdline;
	if (c->cmdline)
		memcpy(t->stage->cmdline, c->cmdline, strlen(c->cmdline));
}

/* The descriptors that stay: 0, 1 and 3. Standard error is closed by the last steps. */
static int arrange_descriptors(struct tender *t)
{
	int in = t->config->in_fd, out = t->config->out_fd, memory;

	/* Out of the way of their new numbers first. */
	in = in < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : in;
	in = in < 0 ? in : fcntl(in, F_DUPFD_CLOEXEC, 10);
	out = out < 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : out;
	out = out < 0 ? out : fcntl(out, F_DUPFD_CLOEXEC, 10);
	memory = fcntl(t->memory_fd, F_DUPFD_CLOEXEC, 10);
	if (in < 0 || out < 0 || memory < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 ||
	    dup2(memory, SK_TENDER_MEMORY_FD) < 0 ||
	    syscall(SYS_close_range, SK_TENDER_MEMORY_FD + 1, ~0u, 0))
		return fail(t, "cannot arrange the descriptors of the process");
	return 0;
}

/* What the filter does not see, and what would outlive a hole in it. */
static int drop_privileges(const struct tender *t)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	const struct rlimit no_core = {0, 0}, files = {4, 4};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &header, none) ||
	    setrlimit(RLIMIT_CORE, &no_core) || setrlimit(RLIMIT_NOFILE, &files))
		return fail(t, "cannot give up privileges");
	return 0;
}

/* The last steps: unmap what is not to stay, close standard error, close the door. */
static void write_steps(struct tender *t)
{
	struct tender_stage *s = t->stage;
	const struct sk_tender_image *i = &t->image;
	struct tender_range keep[] = {
		{i->start + t->bias, i->end + t->bias},
		{t->memory, t->memory + t->config->memory_bytes},
		{t->stage_at, t->stage_at + stage_bytes(t->config->cpus)},
		{t->vdso.start, t->vdso.end},
		{t->file_at,
		 t->file_at + sk_align_down(t->file_bytes + TENDER_PAGE - 1, TENDER_PAGE)},
	};
	uint64_t from = 0;

	tender_ranges_sort(keep, SK_ARRAY_SIZE(keep));
	for (size_t n = 0; n <= SK_ARRAY_SIZE(keep); n++) {
		uint64_t to = n < SK_ARRAY_SIZE(keep) ? keep[n].start : TASK_END;

		if (from < to)
			s->steps[s->nr_steps++] =
				(struct tender_step){SYS_munmap, {from, to - from}};
		from = n < SK_ARRAY_SIZE(keep) ? keep[n].end : TASK_END;
	}
	s->steps[s->nr_steps++] = (struct tender_step){SYS_close_range, {2, 2}};
	s->steps[s->nr_steps++] = (struct tender_step){
		SYS_seccomp,
		{SECCOMP_SET_MODE_FILTER,
		 SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
		 (uint64_t)&s->program},
	};
	BUG_ON(s->nr_steps > TENDER_STEPS_MAX);
}

static void write_filter(struct tender *t)
{
	const struct tender_filter what = {
		.gate = stage_code(t->stage_at, tender_gate_after),
		.restore = stage_code(t->stage_at, tender_restore_after),
		.vdso = t->vdso.code,
		.vdso_end = t->vdso.end,
		.arena = t->arena,
		.pid = (uint32_t)getpid(),
	};

	t->stage->program = (struct sock_fprog){
		.len = tender_filter_build(t->stage->filter, &what),
		.filter = t->stage->filter,
	};
}

static int prepare(struct tender *t)
{
	int ret = check(t);

	if (!ret)
		ret = choose_places(t);
	if (!ret)
		ret = load_image(t);
	if (!ret)
		ret = create_memory(t);
	if (!ret)
		ret = stage_create(t->stage_at, t->config->cpus, &t->stage, t->err);
	if (!ret)
		ret = load_initrd(t);
	if (!ret)
		ret = tender_vdso_find(&t->vdso, t->err);
	if (ret)
		return ret;
	fill_info(t);
	write_filter(t);
	write_steps(t);
	return 0;
}

/* Nothing of the C library may be used by the kernel once its memory is gone. */
static int detach_libc(const struct tender *t)
{
	uint8_t *thread = __builtin_thread_pointer();

	if (__rseq_size && syscall(SYS_rseq, thread + __rseq_offset, 32, 1, RSEQ_SIG))
		return fail(t, "cannot take the C library's rseq area away");
	syscall(SYS_set_robust_list, NULL, 24);
	syscall(SYS_set_tid_address, NULL);
	return 0;
}

int sk_tender_run(const struct sk_tender_config *config, struct sk_error *err)
{
	struct tender t = {.config = config, .err = err, .memory_fd = -1};
	uint64_t info, top;
	int ret = prepare(&t);

	if (!ret)
		ret = arrange_descriptors(&t);
	if (!ret)
		ret = drop_privileges(&t);
	if (!ret)
		ret = tender_cpus_create(t.stage, config->cpus, t.stage_at,
					 t.image.cpu_entry + t.bias, err);
	if (!ret)
		ret = tender_signals_take(t.image.signal + t.bias,
					  stage_code(t.stage_at, tender_restore), err);
	if (!ret)
		ret = detach_libc(&t);
	if (ret)
		return ret;
	info = (uint64_t)&t.stage->info;
	top = t.stage->cpu[0].stack + t.stage->cpu[0].stack_bytes;
	asm volatile("mov %0, %%rsp\n\tjmp *%1"
		     :
		     : "r"(top), "r"(stage_code(t.stage_at, tender_leave)), "D"(t.stage->steps),
		       "S"(t.stage->nr_steps), "d"(t.image.entry + t.bias), "c"(info)
		     : "memory");
	__builtin_unreachable();
}
