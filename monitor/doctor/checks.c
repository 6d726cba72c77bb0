/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* What there is besides KVM: devices, system calls, files of /proc and /sys. */
#include "doctor.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CGROUP2_MAGIC 0x63677270

static void set(struct finding *f, enum finding_state state, const char *text, const char *advice)
{
	f->state = state;
	snprintf(f->text, sizeof(f->text), "%s", text);
	snprintf(f->advice, sizeof(f->advice), "%s", advice);
}

/* The number in a one-line file of /proc or /sys; -1 if there is none. */
static long read_number(const char *path)
{
	char text[32] = "";
	FILE *file = fopen(path, "re");
	char *end;
	long value;

	if (!file)
		return -1;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	value = strtol(text, &end, 10);
	return end == text ? -1 : value;
}

static void check_device(struct finding *f, const char *path, const char *module, const char *use)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		snprintf(f->text, sizeof(f->text), "%s", path);
		return;
	}
	f->state = FINDING_MISSING;
	snprintf(f->text, sizeof(f->text), "%s: %s (%s)", path, strerror(errno), use);
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		snprintf(f->advice, sizeof(f->advice), "load it: modprobe %s", module);
	else if (errno == EACCES || errno == EPERM)
		snprintf(f->advice, sizeof(f->advice),
			 "give yourself access: setfacl -m u:$USER:rw %s", path);
}

void doctor_check_tun(struct finding *f)
{
	check_device(f, "/dev/net/tun", "tun", "network through a TAP device");
}

void doctor_check_vhost_net(struct finding *f)
{
	check_device(f, "/dev/vhost-net", "vhost_net", "network in the host's kernel");
}

void doctor_check_vhost_vsock(struct finding *f)
{
	check_device(f, "/dev/vhost-vsock", "vhost_vsock", "sockets between host and guest");
}

void doctor_check_userfaultfd(struct finding *f)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	int saved;

	if (fd >= 0) {
		close((int)fd);
		set(f, FINDING_OK, "userfaultfd(2), faults of the kernel included", "");
		return;
	}
	saved = errno;
	fd = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		close((int)fd);
		set(f, FINDING_OK, "/dev/userfaultfd", "");
		return;
	}
	f->state = FINDING_MISSING;
	snprintf(f->text, sizeof(f->text), "userfaultfd: %s (restoring memory on demand)",
		 strerror(saved));
	if (saved == EPERM)
		snprintf(f->advice, sizeof(f->advice),
			 "allow it: sysctl vm.unprivileged_userfaultfd=1, or access to "
			 "/dev/userfaultfd");
}

void doctor_check_io_uring(struct finding *f)
{
	struct io_uring_params params = {0};
	long disabled = read_number("/proc/sys/kernel/io_uring_disabled");
	long fd = syscall(SYS_io_uring_setup, 1, &params);
	int saved = errno;

	if (fd >= 0) {
		close((int)fd);
		set(f, FINDING_OK, "io_uring", "");
		return;
	}
	f->state = FINDING_LIMITED;
	if (disabled > 0) {
		snprintf(f->text, sizeof(f->text), "kernel.io_uring_disabled=%ld; epoll is used",
			 disabled);
		snprintf(f->advice, sizeof(f->advice),
			 "allow it: sysctl kernel.io_uring_disabled=0");
		return;
	}
	snprintf(f->text, sizeof(f->text), "io_uring: %s; epoll is used", strerror(saved));
	if (saved == EPERM)
		snprintf(f->advice, sizeof(f->advice),
			 "a seccomp filter, of a container perhaps, forbids io_uring_setup(2)");
	if (saved == ENOSYS)
		snprintf(f->advice, sizeof(f->advice), "use a kernel with CONFIG_IO_URING");
}

void doctor_check_hugepages(struct finding *f)
{
	long two = read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
	long one = read_number("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages");
	bool has_thp = access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) == 0;

	snprintf(f->text, sizeof(f->text),
		 "transparent: %s; free 2 MiB pages: %ld, 1 GiB pages: %ld", has_thp ? "yes" : "no",
		 SK_MAX(two, 0), SK_MAX(one, 0));
	if (two > 0 || one > 0)
		return;
	f->state = has_thp ? FINDING_LIMITED : FINDING_MISSING;
	if (two == 0)
		snprintf(f->advice, sizeof(f->advice),
			 "for --pages 2M reserve some: sysctl vm.nr_hugepages=N");
}

void doctor_check_cgroup(struct finding *f)
{
	struct statfs fs;

	if (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_MAGIC)
		set(f, FINDING_OK, "cgroup v2 at /sys/fs/cgroup", "");
	else
		set(f, FINDING_MISSING, "no cgroup v2 at /sys/fs/cgroup (limits for machines)",
		    "mount it: mount -t cgroup2 none /sys/fs/cgroup");
}

void doctor_check_landlock(struct finding *f)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (version > 0)
		snprintf(f->text, sizeof(f->text), "Landlock ABI %ld", version);
	else if (errno == EOPNOTSUPP)
		set(f, FINDING_MISSING, "Landlock is built in, but not enabled",
		    "add landlock to the kernel's lsm= parameter");
	else
		set(f, FINDING_MISSING, "this kernel has no Landlock", "");
}

void doctor_check_memlock(struct finding *f)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit)) {
		set(f, FINDING_MISSING, "RLIMIT_MEMLOCK cannot be read", "");
		return;
	}
	if (limit.rlim_cur == RLIM_INFINITY) {
		set(f, FINDING_OK, "unlimited locked memory", "");
		return;
	}
	snprintf(f->text, sizeof(f->text), "%llu KiB of memory can be locked",
		 (unsigned long long)(limit.rlim_cur / SK_KIB));
	/* Rings and registered buffers of a machine take some MiB. */
	if (limit.rlim_cur < 8 * SK_MIB && geteuid() != 0) {
		f->state = FINDING_LIMITED;
		snprintf(f->advice, sizeof(f->advice), "raise it: ulimit -l 65536");
	}
}
