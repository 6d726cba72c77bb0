/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* open openat creat read write pread64 pwrite64 preadv pwritev lseek truncate ftruncate fallocate
 * sendfile copy_file_range fsync fdatasync O_APPEND O_TMPFILE memfd_create. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "say.h"

static char text[10000];

static long size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : (long)st.st_size;
}

static void basics(void)
{
	int fd = open("a", O_CREAT | O_RDWR | O_EXCL, 0644), other;
	struct iovec two[2] = {{"one", 3}, {"two", 3}};

	SAY(fd >= 0);
	SAY(open("a", O_CREAT | O_RDWR | O_EXCL, 0644));
	SAY(open("missing", O_RDONLY));
	SAY(open("a/b", O_RDONLY));
	SAY(open("", O_RDONLY));
	SAY(open("a", O_DIRECTORY));
	SAY(open(".", O_WRONLY));
	SAY(write(fd, "hello, world", 12));
	SAY(lseek(fd, 0, SEEK_CUR));
	SAY(lseek(fd, -5, SEEK_END));
	SAY(read(fd, text, 100));
	SAY_TEXT(text);
	SAY(read(fd, text, 100));
	SAY(lseek(fd, -1, SEEK_SET));
	SAY(lseek(fd, 0, 99));
	SAY(pwrite(fd, "W", 1, 7));
	SAY(pread(fd, text, 20, 0));
	SAY_TEXT(text);
	SAY(pread(fd, text, 1, -1));
	SAY(pwritev(fd, two, 2, 20));
	SAY(size_of(fd));
	memset(text, 'x', 30);
	SAY(pread(fd, text, 30, 10));
	SAY(memcmp(text, "ld\0\0\0\0\0\0\0\0onetwo", 16));
	other = open("a", O_WRONLY | O_APPEND);
	SAY(write(other, "!", 1));
	SAY(lseek(other, 0, SEEK_CUR));
	SAY(read(other, text, 1));
	SAY(pwrite(other, "?", 1, 0)); /* Linux appends all the same */
	SAY(size_of(fd));
	close(other);
	other = open("a", O_RDONLY);
	SAY(write(other, "x", 1));
	SAY(ftruncate(other, 1));
	close(other);
	other = open("a", O_WRONLY | O_TRUNC);
	SAY(size_of(fd));
	close(other);
	SAY(close(fd));
}

static void sizes(void)
{
	int fd = creat("b", 0600), hole;

	close(fd);
	fd = open("b", O_RDWR);
	memset(text, 'y', sizeof(text));
	SAY(write(fd, text, sizeof(text)));
	SAY(ftruncate(fd, 5000));
	SAY(ftruncate(fd, 9000));
	SAY(pread(fd, text, 8000, 4990));
	SAY(text[9] == 'y' && text[10] == 0 && text[4009] == 0);
	SAY(truncate("b", 3));
	SAY(size_of(fd));
	SAY(truncate("missing", 3));
	SAY(truncate(".", 3));
	SAY(ftruncate(fd, -1));
	SAY(lseek(fd, 100000, SEEK_SET));
	SAY(write(fd, "end", 3));
	SAY(size_of(fd));
	hole = open("b", O_RDONLY);
	SAY(lseek(hole, 8192, SEEK_HOLE));
	SAY(lseek(hole, 8192, SEEK_DATA));
	SAY(lseek(hole, 0, SEEK_DATA));
	SAY(lseek(hole, 200000, SEEK_DATA));
	close(hole);
	SAY(fallocate(fd, 0, 0, 200000));
	SAY(size_of(fd));
	SAY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 300000));
	SAY(size_of(fd));
	SAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100002));
	SAY(pread(fd, text, 3, 100000));
	SAY(text[0] == 0 && text[1] == 0 && text[2] == 'd');
	SAY(fallocate(fd, 0, 0, 0));
	SAY(posix_fallocate(fd, 0, 400000));
	SAY(size_of(fd));
	SAY(fsync(fd));
	SAY(fdatasync(fd));
	SAY(fsync(99));
	close(fd);
}

static void copies(void)
{
	int from = open("from", O_CREAT | O_RDWR, 0600), to = open("to", O_CREAT | O_RDWR, 0600);
	off_t at = 2;
	loff_t a = 0, b = 10;

	write(from, "0123456789", 10);
	SAY(sendfile(to, from, &at, 5));
	SAY(at);
	SAY(size_of(to));
	SAY(sendfile(to, from, &at, 100));
	SAY(at);
	SAY(copy_file_range(from, &a, to, &b, 3, 0));
	SAY(a);
	SAY(b);
	memset(text, 0, 20);
	SAY(pread(to, text, 20, 0));
	SAY(memcmp(text,
		   "23456789\0\0"
		   "012",
		   13));
	SAY(copy_file_range(from, &a, to, &b, 3, 1));
	SAY(sendfile(to, 99, NULL, 1));
	close(from);
	close(to);
}

static void unnamed(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600), memory = memfd_create("m", MFD_CLOEXEC);
	struct stat st;
	char link[64];

	SAY(fd >= 0);
	SAY(write(fd, "tmp", 3));
	SAY(fstat(fd, &st));
	SAY(st.st_nlink);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	SAY(linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	SAY(fstat(fd, &st));
	SAY(st.st_nlink);
	close(fd);
	fd = open("named", O_RDONLY);
	SAY(read(fd, text, 3));
	close(fd);
	SAY(write(memory, "abc", 3));
	SAY(ftruncate(memory, 100));
	SAY(size_of(memory));
	SAY(open(".", O_TMPFILE | O_RDONLY, 0600));
}

static void removed(void)
{
	int fd = open("gone", O_CREAT | O_RDWR, 0600);
	struct stat st;

	SAY(unlink("gone"));
	SAY(write(fd, "still", 5));
	SAY(pread(fd, text, 5, 0));
	SAY(fstat(fd, &st));
	SAY(st.st_nlink);
	SAY(st.st_size);
	SAY(open("gone", O_RDONLY));
	close(fd);
}

int main(void)
{
	umask(022);
	basics();
	sizes();
	copies();
	unnamed();
	removed();
	return 0;
}
