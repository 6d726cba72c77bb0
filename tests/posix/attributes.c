/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* stat lstat fstat newfstatat statx access faccessat chmod fchmod fchmodat chown fchown lchown
 * fchownat utime utimes utimensat futimesat umask statfs fstatfs. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include "say.h"

#ifndef STATX_BASIC_STATS /* musl 1.2.3 has no statx() */
#include <linux/stat.h>
#include <sys/syscall.h>
#define statx(d, p, f, m, x) syscall(SYS_statx, d, p, f, m, x)
#endif

static struct stat st;

static long mode_of(const char *path)
{
	return lstat(path, &st) ? -1 : (long)st.st_mode;
}

static void times(void)
{
	struct timespec two[2] = {{1000, 5}, {2000, 7}}, partly[2] = {{0, UTIME_OMIT}, {3000, 0}};
	struct timespec bad[2] = {{0, 2000000000}, {0, 0}};
	struct timeval coarse[2] = {{4000, 6}, {5000, 8}};
	struct utimbuf old = {6000, 7000};
	int fd = open("f", O_RDWR);

	SAY(utimensat(AT_FDCWD, "f", two, 0));
	stat("f", &st);
	SAY(st.st_atim.tv_sec * 10 + st.st_atim.tv_nsec);
	SAY(st.st_mtim.tv_sec * 10 + st.st_mtim.tv_nsec);
	SAY(utimensat(AT_FDCWD, "f", partly, 0));
	stat("f", &st);
	SAY(st.st_atim.tv_sec);
	SAY(st.st_mtim.tv_sec);
	SAY(utimensat(AT_FDCWD, "f", bad, 0));
	SAY(utimensat(AT_FDCWD, "missing", NULL, 0));
	SAY(futimens(fd, NULL));
	SAY(utimes("f", coarse));
	stat("f", &st);
	SAY(st.st_mtim.tv_nsec);
	SAY(utime("f", &old));
	stat("f", &st);
	SAY(st.st_mtim.tv_sec);
	SAY(utimensat(AT_FDCWD, "s", two, AT_SYMLINK_NOFOLLOW));
	lstat("s", &st);
	SAY(st.st_mtim.tv_sec);
	write(fd, "x", 1);
	stat("f", &st);
	SAY(st.st_mtim.tv_sec > 1000000000);
	SAY(st.st_ctim.tv_sec > 1000000000);
	close(fd);
}

static void modes(void)
{
	int fd = open("f", O_RDWR);

	SAY(umask(077));
	SAY(umask(022));
	SAY(mode_of("f"));
	SAY(chmod("f", 0751));
	SAY(mode_of("f"));
	SAY(chmod("s", 0640));
	SAY(mode_of("f"));
	SAY(mode_of("s"));
	SAY(fchmod(fd, 04755));
	SAY(mode_of("f"));
	SAY(fchmodat(AT_FDCWD, "f", 0600, 0));
	SAY(chmod("missing", 0600));
	SAY(fchmod(99, 0600));
	SAY(access("f", R_OK | W_OK));
	SAY(access("f", F_OK));
	SAY(access("missing", F_OK));
	SAY(access("f", 99));
	SAY(faccessat(AT_FDCWD, "f", R_OK, 0));
	SAY(chown("f", getuid(), getgid()));
	SAY(fchown(fd, (uid_t)-1, (gid_t)-1));
	SAY(lchown("s", getuid(), (gid_t)-1));
	SAY(fchownat(AT_FDCWD, "f", (uid_t)-1, getgid(), 0));
	SAY(chown("missing", 0, 0));
	close(fd);
}

int main(void)
{
	struct statfs fs;
	struct statx x;
	int fd;

	umask(022);
	fd = open("f", O_CREAT | O_RDWR, 0666);
	write(fd, "12345", 5);
	symlink("f", "s");
	mkdir("d", 01777);
	SAY(fstat(fd, &st));
	SAY(st.st_size);
	SAY(st.st_nlink);
	SAY(st.st_uid == getuid());
	SAY(st.st_blocks > 0);
	SAY(stat("s", &st));
	SAY(S_ISREG(st.st_mode));
	SAY(lstat("s", &st));
	SAY(S_ISLNK(st.st_mode));
	SAY(st.st_size);
	SAY(mode_of("d"));
	SAY(stat("missing", &st));
	SAY(stat("f/x", &st));
	SAY(stat("", &st));
	SAY(fstat(99, &st));
	SAY(fstatat(fd, "", &st, AT_EMPTY_PATH));
	SAY(fstatat(AT_FDCWD, "s", &st, AT_SYMLINK_NOFOLLOW));
	SAY(S_ISLNK(st.st_mode));
	SAY(fstatat(AT_FDCWD, "s", &st, 0x40000000));
	SAY(stat("/dev/null", &st));
	SAY(S_ISCHR(st.st_mode));
	SAY(st.st_rdev);
	SAY(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x));
	SAY(x.stx_size);
	SAY((x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	SAY(statfs(".", &fs));
	SAY(fs.f_bsize > 0 && fs.f_namelen == 255);
	SAY(fstatfs(fd, &fs));
	SAY(statfs("missing", &fs));
	close(fd);
	modes();
	times();
	return 0;
}
