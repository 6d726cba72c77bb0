/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A folder as a cpio archive in the "newc" format:
 * Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
 */
#include "pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <zlib.h>

#define HEADER_BYTES 110
#define CHUNK_BYTES  65536
#define TRAILER	     "TRAILER!!!"

struct pack {
	FILE *plain;
	gzFile gzip; /* NULL: not packed */
	struct {
		__typeof__(&gzdopen) open;
		__typeof__(&gzwrite) write;
		__typeof__(&gzclose) close;
	} zlib; /* loaded, as the rest of the program never needs it */
	uint64_t bytes;
	uint32_t inode;
	char path[PATH_MAX]; /* of the entry at hand, below the folder */
	struct sk_error *err;
};

static int put(struct pack *p, const void *data, size_t bytes)
{
	p->bytes += bytes;
	if (!bytes)
		return 0;
	if (p->gzip ? p->zlib.write(p->gzip, data, (unsigned int)bytes) == (int)bytes
		    : fwrite(data, 1, bytes, p->plain) == bytes)
		return 0;
	return sk_error_set(p->err, -EIO, "cannot write the archive");
}

static int pad(struct pack *p)
{
	static const char zeroes[4];

	return put(p, zeroes, -p->bytes & 3);
}

static int put_header(struct pack *p, const char *name, const struct stat *st, uint64_t bytes)
{
	size_t name_bytes = strlen(name) + 1;
	char header[HEADER_BYTES + 1];
	int result;

	snprintf(header, sizeof(header),
		 "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", p->inode,
		 (unsigned int)st->st_mode, 0u, 0u, 1u, 0u, (unsigned int)bytes, 0u, 0u,
		 major(st->st_rdev), minor(st->st_rdev), (unsigned int)name_bytes, 0u);
	p->inode++;
	result = put(p, header, HEADER_BYTES);
	if (!result)
		result = put(p, name, name_bytes);
	return result ? result : pad(p);
}

static int fail(struct pack *p, const char *what)
{
	int error = errno ? -errno : -EIO;

	return sk_error_set(p->err, error, "cannot %s %s: %s", what, p->path, strerror(-error));
}

static int put_file(struct pack *p, int folder, const char *name, const struct stat *st)
{
	uint64_t left = (uint64_t)st->st_size;
	int fd, result;
	char *buffer;

	if (left > UINT32_MAX)
		return sk_error_set(p->err, -EFBIG,
				    "%s has 4 GiB or more, which a cpio archive cannot hold",
				    p->path);
	fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(p, "read");
	buffer = malloc(CHUNK_BYTES);
	result = buffer ? put_header(p, p->path, st, left)
			: sk_error_set(p->err, -ENOMEM, "too little memory");
	while (!result && left) {
		ssize_t n = read(fd, buffer, left < CHUNK_BYTES ? left : CHUNK_BYTES);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			result = fail(p, "read");
		else if (n == 0)
			result = sk_error_set(p->err, -EAGAIN,
					      "%s became shorter while it was packed", p->path);
		else
			result = put(p, buffer, (size_t)n);
		left -= n > 0 ? (uint64_t)n : 0;
	}
	free(buffer);
	close(fd);
	return result ? result : pad(p);
}

static int put_link(struct pack *p, int folder, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t bytes = readlinkat(folder, name, target, sizeof(target));
	int result;

	if (bytes < 0)
		return fail(p, "read");
	result = put_header(p, p->path, st, (uint64_t)bytes);
	if (!result)
		result = put(p, target, (size_t)bytes);
	return result ? result : pad(p);
}

static int put_folder(struct pack *p, int folder, const char *name, size_t path_bytes);

/* One entry of a folder, whose path has @path_bytes. */
static int put_entry(struct pack *p, int folder, const char *name, size_t path_bytes)
{
	struct stat st;
	int n, result;

	n = snprintf(p->path + path_bytes, sizeof(p->path) - path_bytes, "%s%s",
		     path_bytes ? "/" : "", name);
	if ((size_t)n >= sizeof(p->path) - path_bytes)
		return sk_error_set(p->err, -ENAMETOOLONG, "the path %s is too long", p->path);
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW))
		return fail(p, "look at");
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		st.st_rdev = 0;
	if (S_ISREG(st.st_mode))
		return put_file(p, folder, name, &st);
	if (S_ISLNK(st.st_mode))
		return put_link(p, folder, name, &st);
	if (S_ISSOCK(st.st_mode))
		return sk_error_set(p->err, -EINVAL, "%s is a socket, which cannot be packed",
				    p->path);
	result = put_header(p, p->path, &st, 0);
	if (!result && S_ISDIR(st.st_mode))
		result = put_folder(p, folder, name, path_bytes + (size_t)n);
	return result;
}

static int is_entry(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* By their bytes: the same in every locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* What is in the folder @name of @parent. */
static int put_folder(struct pack *p, int parent, const char *name, size_t path_bytes)
{
	int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **entries = NULL;
	int n = folder < 0 ? -1 : scandirat(folder, ".", &entries, is_entry, by_bytes);
	int result = n < 0 ? fail(p, "list") : 0;

	for (int i = 0; i < n; i++) {
		if (!result)
			result = put_entry(p, folder, entries[i]->d_name, path_bytes);
		free(entries[i]);
	}
	free(entries);
	if (folder >= 0)
		close(folder);
	return result;
}

static int write_archive(struct pack *p, const char *folder)
{
	static const struct stat end;
	int result;

	/* An error about the folder itself names it. */
	snprintf(p->path, sizeof(p->path), "%s", folder);
	result = put_folder(p, AT_FDCWD, folder, 0);
	if (!result) {
		p->inode = 0;
		result = put_header(p, TRAILER, &end, 0);
	}
	if (p->gzip && p->zlib.close(p->gzip) != Z_OK && !result)
		result = sk_error_set(p->err, -EIO, "cannot write the archive");
	if (p->plain && (fflush(p->plain) || ferror(p->plain)) && !result)
		result = sk_error_set(p->err, -EIO, "cannot write the archive");
	return result;
}

/* Open the descriptor, which it takes over, for the one or the other form. */
static int open_form(struct pack *p, int fd, bool is_gzip)
{
	const struct sk_symbol zlib[] = {
		{"gzdopen", &p->zlib.open},
		{"gzwrite", &p->zlib.write},
		{"gzclose", &p->zlib.close},
	};
	int rc = is_gzip ? sk_library_load("libz.so.1", "zlib1g", zlib, SK_ARRAY_SIZE(zlib), p->err)
			 : 0;

	if (rc) {
		sk_close(&fd);
		return rc;
	}
	if (fd >= 0 && is_gzip)
		p->gzip = p->zlib.open(fd, "wb9");
	else if (fd >= 0)
		p->plain = fdopen(fd, "wb");
	if (p->gzip || p->plain)
		return 0;
	if (fd >= 0)
		close(fd);
	return sk_error_set(p->err, -EIO, "cannot open the archive for writing");
}

static int pack_to_output(struct pack *p, const char *folder, bool is_gzip)
{
	int result;

	if (isatty(STDOUT_FILENO))
		return sk_error_set(
			p->err, -EINVAL,
			"an archive is nothing for a terminal; name a file with --output");
	result = open_form(p, dup(STDOUT_FILENO), is_gzip);
	if (result)
		return result;
	result = write_archive(p, folder);
	if (p->plain)
		fclose(p->plain);
	return result;
}

static int pack_to_file(struct pack *p, const char *folder, const char *output, bool is_gzip)
{
	char name[PATH_MAX];
	int fd, result;

	if (snprintf(name, sizeof(name), "%s.XXXXXX", output) >= (int)sizeof(name))
		return sk_error_set(p->err, -ENAMETOOLONG, "the path %s is too long", output);
	fd = mkstemp(name);
	if (fd < 0)
		return sk_error_set(p->err, -errno, "cannot make %s: %s", output, strerror(errno));
	result = open_form(p, fd, is_gzip);
	if (!result)
		result = write_archive(p, folder);
	if (p->plain && fclose(p->plain) && !result)
		result = sk_error_set(p->err, -EIO, "cannot write the archive");
	if (!result && (chmod(name, 0644) || rename(name, output)))
		result =
			sk_error_set(p->err, -errno, "cannot make %s: %s", output, strerror(errno));
	if (result)
		unlink(name);
	return result;
}

int pack_folder(const char *folder, const char *output, bool is_gzip, struct sk_error *err)
{
	struct pack *p = calloc(1, sizeof(*p));
	int result;

	if (!p)
		return sk_error_set(err, -ENOMEM, "too little memory");
	p->err = err;
	p->inode = 1;
	result = output ? pack_to_file(p, folder, output, is_gzip)
			: pack_to_output(p, folder, is_gzip);
	free(p);
	return result;
}
