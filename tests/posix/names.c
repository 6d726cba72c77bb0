/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* mkdir mkdirat rmdir link linkat symlink symlinkat readlink readlinkat unlink unlinkat rename
 * renameat renameat2 chdir fchdir getcwd getdents64 mknod mknodat. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "say.h"

/* musl 1.2.3 has no renameat2() */
#define EXCHANGE_NAMES 2
#define KEEP_NAME      1
#define rename_flags(from_directory, from, directory, path, flags) \
	syscall(SYS_renameat2, from_directory, from, directory, path, flags)

static void touch(const char *path, const char *data)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);

	write(fd, data, strlen(data));
	close(fd);
}

static long links(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? -1 : (long)st.st_nlink;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, by_name);

	printf("%s:", path);
	for (int i = 0; i < n; i++)
		printf(" %s(%d)", names[i]->d_name, names[i]->d_type);
	printf("\n");
}

static void directories(void)
{
	char path[300];

	SAY(mkdir("d", 0755));
	SAY(mkdir("d", 0755));
	SAY(mkdir("d/e/", 0755));
	SAY(mkdir("x/y", 0755));
	SAY(links("d"));
	SAY(mkdir("d/f", 0755));
	SAY(links("d"));
	SAY(rmdir("d"));
	SAY(rmdir("d/e"));
	SAY(rmdir("d/."));
	SAY(rmdir("d/f/.."));
	SAY(unlink("d"));
	touch("file", "1");
	SAY(rmdir("file"));
	SAY(mkdir("file/g", 0755));
	SAY(unlink("file/"));
	SAY(links("d"));
	memset(path, 'n', 256);
	path[256] = 0;
	SAY(mkdir(path, 0755));
	path[255] = 0;
	SAY(mkdir(path, 0755));
	SAY(rmdir(path));
}

static void hard_and_soft(void)
{
	char to[64];

	touch("one", "first");
	SAY(link("one", "two"));
	SAY(link("one", "two"));
	SAY(link("missing", "three"));
	SAY(link("d", "dd"));
	SAY(links("one"));
	SAY(unlink("one"));
	SAY(links("two"));
	SAY(symlink("two", "soft"));
	SAY(symlink("two", "soft"));
	SAY(readlink("soft", to, sizeof(to)));
	SAY(readlink("soft", to, 2));
	SAY(readlink("two", to, 2));
	SAY(open("soft", O_RDONLY | O_NOFOLLOW));
	SAY(symlink("loop2", "loop1"));
	SAY(symlink("loop1", "loop2"));
	SAY(open("loop1", O_RDONLY));
	SAY(symlink("nowhere", "dangling"));
	SAY(open("dangling", O_RDONLY));
	SAY(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0600));
	SAY(open("dangling", O_CREAT | O_WRONLY, 0600) >= 0);
	SAY(links("nowhere"));
	SAY(symlink("d/f", "to-directory"));
	SAY(mkdir("to-directory/inside", 0700));
	SAY(links("d/f/inside"));
	SAY(rmdir("to-directory"));
	SAY(unlink("to-directory/"));
	SAY(linkat(AT_FDCWD, "soft", AT_FDCWD, "hard-soft", 0));
	SAY(links("soft"));
	SAY(linkat(AT_FDCWD, "soft", AT_FDCWD, "hard-two", AT_SYMLINK_FOLLOW));
	SAY(links("two"));
	SAY(symlink("", "empty"));
}

static void renames(void)
{
	char text[8] = "";
	int fd;

	touch("r1", "1");
	touch("r2", "2");
	SAY(rename("r1", "r2"));
	SAY(open("r1", O_RDONLY));
	fd = open("r2", O_RDONLY);
	read(fd, text, 1);
	close(fd);
	SAY_TEXT(text);
	SAY(rename("missing", "r3"));
	SAY(mkdir("rd", 0700));
	SAY(rename("r2", "rd"));
	SAY(rename("rd", "r2"));
	SAY(mkdir("rd/sub", 0700));
	SAY(rename("rd", "rd/sub/x"));
	SAY(mkdir("re", 0700));
	SAY(rename("re", "rd"));
	SAY(rename("rd", "re"));
	SAY(links("re"));
	list("re");
	SAY(rename("re/sub", "re/sub2"));
	list("re");
	SAY(rename("r2", "re/r2"));
	SAY(rename("re/r2", "re/r2"));
	touch("r4", "4");
	SAY(rename_flags(AT_FDCWD, "r4", AT_FDCWD, "re/r2", KEEP_NAME));
	SAY(rename_flags(AT_FDCWD, "r4", AT_FDCWD, "re/r2", EXCHANGE_NAMES));
	fd = open("r4", O_RDONLY);
	read(fd, text, 1);
	close(fd);
	SAY_TEXT(text);
	SAY(rename_flags(AT_FDCWD, "r4", AT_FDCWD, "missing", EXCHANGE_NAMES));
	SAY(rename_flags(AT_FDCWD, "r4", AT_FDCWD, "re/r2", 100));
	SAY(link("r4", "r5"));
	SAY(rename("r4", "r5")); /* the same file: nothing happens */
	SAY(links("r4"));
	SAY(rename(".", "dot"));
}

static void working(void)
{
	char path[4096], small[3], *base = getcwd(NULL, 0);
	int directory = open("re", O_RDONLY | O_DIRECTORY), file = open("r4", O_RDONLY);

	SAY(chdir("re/sub2"));
	SAY(getcwd(path, sizeof(path)) != NULL);
	SAY_TEXT(strcmp(base, "/") ? path + strlen(base) : path);
	SAY(getcwd(small, sizeof(small)) != NULL);
	SAY(chdir(".."));
	SAY(links("sub2"));
	SAY(chdir("r2"));
	SAY(chdir("missing"));
	SAY(mkdirat(directory, "by-fd", 0700));
	SAY(mkdirat(file, "by-fd", 0700));
	SAY(mkdirat(99, "by-fd", 0700));
	SAY(openat(directory, "by-fd", O_RDONLY) >= 0);
	SAY(unlinkat(directory, "by-fd", 0));
	SAY(unlinkat(directory, "by-fd", AT_REMOVEDIR));
	SAY(symlinkat("target", directory, "s"));
	SAY(readlinkat(directory, "s", path, sizeof(path)));
	SAY(renameat(directory, "s", directory, "s2"));
	SAY(unlinkat(directory, "s2", 0));
	SAY(fchdir(file));
	SAY(mkdir("going", 0700));
	SAY(chdir("going"));
	SAY(rmdir("../going"));
	SAY(syscall(SYS_getcwd, path, sizeof(path)));
	SAY(open("new", O_CREAT | O_WRONLY, 0600));
	SAY(chdir(base));
	SAY(mknod("fifo", S_IFIFO | 0600, 0));
	SAY(mknod("plain", 0600, 0));
	SAY(mknodat(directory, "socket", S_IFSOCK | 0600, 0));
	list(".");
}

static void listing(void)
{
	char name[32];
	DIR *directory;
	struct dirent *entry;
	int n = 0;
	long middle = 0;

	mkdir("many", 0700);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		touch(name, "");
	}
	directory = opendir("many");
	while ((entry = readdir(directory))) {
		if (++n == 1500)
			middle = telldir(directory);
		if (n > 2 && entry->d_name[0] != '.') { /* taken away while being listed */
			snprintf(name, sizeof(name), "many/%s", entry->d_name);
			unlink(name);
		}
	}
	SAY(n);
	seekdir(directory, middle);
	SAY(middle != 0);
	rewinddir(directory);
	for (n = 0; readdir(directory);)
		n++;
	SAY(n <= 4);
	closedir(directory);
}

int main(void)
{
	umask(022);
	mkdir("work", 0700);
	chdir("work");
	directories();
	hard_and_soft();
	renames();
	working();
	listing();
	return 0;
}
