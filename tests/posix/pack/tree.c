/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* tree FOLDER: what lies below it, one line each: path, type and rights, size, contents or target.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned long sum_of(const char *path)
{
	unsigned char part[4096];
	unsigned long sum = 0;
	int fd = open(path, O_RDONLY);
	long n;

	while ((n = read(fd, part, sizeof(part))) > 0)
		for (long i = 0; i < n; i++)
			sum = sum * 31 + part[i];
	close(fd);
	return sum;
}

static void show(const char *path)
{
	char target[PATH_MAX] = "";
	struct dirent **names;
	struct stat st;
	int n;

	if (lstat(path, &st))
		return;
	printf("%s %o", path, (unsigned int)st.st_mode);
	if (S_ISREG(st.st_mode))
		printf(" %ld %lx\n", (long)st.st_size, sum_of(path));
	else if (S_ISLNK(st.st_mode) && readlink(path, target, sizeof(target) - 1) > 0)
		printf(" -> %s\n", target);
	else
		printf("\n");
	if (!S_ISDIR(st.st_mode))
		return;
	n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char *below;

		if (!strcmp(names[i]->d_name, ".") || !strcmp(names[i]->d_name, ".."))
			continue;
		if (asprintf(&below, "%s/%s", path, names[i]->d_name) < 0)
			abort();
		show(below);
		free(below);
	}
}

int main(int argc, char **argv)
{
	show(argc > 1 ? argv[1] : ".");
	return 0;
}
