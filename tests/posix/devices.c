/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* /dev/null zero full random urandom fd stdin stdout stderr; /proc/self and others, by open, read,
 * readlink and getdents64. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

static char text[70000];

static int contains(const char *path, const char *what)
{
	int fd = open(path, O_RDONLY);
	long n, total = 0;

	if (fd < 0)
		return -1;
	while ((n = read(fd, text + total, sizeof(text) - 1 - (size_t)total)) > 0)
		total += n;
	text[total] = 0;
	close(fd);
	return strstr(text, what) != NULL;
}

static void memory_devices(void)
{
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR);
	int full = open("/dev/full", O_RDWR), random = open("/dev/urandom", O_RDONLY);

	SAY(read(null, text, 10));
	SAY(write(null, text, 10));
	memset(text, 1, 10);
	SAY(read(zero, text, 10));
	SAY(text[9]);
	SAY(write(zero, text, 10));
	SAY(read(full, text, 10));
	SAY(write(full, text, 10));
	SAY(read(random, text, 1000));
	SAY(memcmp(text, text + 500, 500) != 0);
	SAY(lseek(null, 5, SEEK_SET) >= 0);
	SAY(open("/dev/missing", O_RDONLY));
	SAY(ftruncate(null, 0));
	SAY(isatty(null));
}

static void descriptors(void)
{
	int fd = open("named", O_CREAT | O_RDWR, 0600), again, p[2];
	char path[64], to[4096];
	long n;

	write(fd, "abc", 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = 0;
	SAY_TEXT(strrchr(to, '/'));
	again = open(path, O_RDONLY); /* the same file, with a position of its own */
	SAY(read(again, text, 3));
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	again = open(path, O_RDWR);
	SAY(read(again, text, 3));
	unlink("named");
	n = readlink(path, to, sizeof(to) - 1);
	SAY(n > 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = 0;
	SAY_TEXT(strrchr(to, '/'));
	pipe(p);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	n = readlink(path, to, sizeof(to) - 1);
	SAY(n > 6 && !memcmp(to, "pipe:[", 6));
	SAY(readlink("/proc/self/fd/99", to, sizeof(to)));
	SAY(open("/proc/self/fd/99", O_RDONLY));
	SAY(open("/dev/stdout", O_WRONLY) >= 0);
	fd = open("/dev/stderr", O_WRONLY);
	SAY(write(fd, "", 0));
}

static void about_self(void)
{
	struct stat st;
	char link[16] = "", line[64];
	DIR *directory;
	int found = 0;

	SAY(readlink("/proc/self", link, sizeof(link)) > 0);
	snprintf(line, sizeof(line), "Pid:\t%d\n", getpid());
	SAY(contains("/proc/self/status", line));
	SAY(contains("/proc/self/status", "Threads:\t1"));
	SAY(contains("/proc/self/maps", "rw-p"));
	SAY(contains("/proc/self/maps", "r-xp"));
	SAY(contains("/proc/self/maps", "[stack]"));
	SAY(contains("/proc/self/stat", ") "));
	SAY(contains("/proc/self/comm", "\n"));
	SAY(contains("/proc/self/mounts", "proc"));
	SAY(contains("/proc/mounts", "/proc"));
	SAY(contains("/proc/cpuinfo", "processor\t: 0"));
	SAY(contains("/proc/cpuinfo", "sse2"));
	SAY(contains("/proc/meminfo", "MemTotal:"));
	SAY(contains("/proc/meminfo", "MemAvailable:"));
	SAY(contains("/proc/uptime", "."));
	SAY(contains("/proc/loadavg", "/"));
	SAY(contains("/proc/stat", "btime "));
	SAY(contains("/proc/version", "version"));
	SAY(contains("/proc/filesystems", "nodev\tproc"));
	SAY(contains("/proc/sys/kernel/osrelease", "."));
	SAY(contains("/proc/missing", "x"));
	SAY(mkdir("/proc/new", 0700));
	SAY(unlink("/proc/version"));
	SAY(stat("/proc/self/exe", &st) == 0 || errno == ENOENT);
	SAY(lstat("/proc/self/exe", &st));
	SAY(S_ISLNK(st.st_mode));
	SAY(stat("/proc/self/cwd", &st));
	SAY(S_ISDIR(st.st_mode));
	directory = opendir("/proc/self");
	for (struct dirent *entry; (entry = readdir(directory));)
		found += !strcmp(entry->d_name, "status") || !strcmp(entry->d_name, "fd") ||
			 !strcmp(entry->d_name, "maps") || !strcmp(entry->d_name, "exe");
	SAY(found);
	closedir(directory);
	directory = opendir("/proc/self/fd");
	for (found = 0; readdir(directory);)
		found++;
	SAY(found > 5);
}

int main(void)
{
	memory_devices();
	descriptors();
	about_self();
	return 0;
}
