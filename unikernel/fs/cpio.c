/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
#include "cpio.h"

#include <errno.h>

#define HEADER_BYTES   110
#define NAME_BYTES_MAX 4096
#define TRAILER	       "TRAILER!!!"

/* The fields behind the magic, eight hexadecimal digits each. */
enum field {
	INODE,
	MODE,
	UID,
	GID,
	LINKS,
	MTIME,
	DATA_BYTES,
	DEVICE_MAJOR,
	DEVICE_MINOR,
	NODE_MAJOR,
	NODE_MINOR,
	NAME_BYTES,
	CHECK,
	FIELDS,
};

static int is_magic(const uint8_t *p)
{
	return p[0] == '0' && p[1] == '7' && p[2] == '0' && p[3] == '7' && p[4] == '0' &&
	       (p[5] == '1' || p[5] == '2');
}

static int parse_field(const uint8_t *p, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 8; i++) {
		uint8_t c = p[i];
		uint32_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint32_t)c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (uint32_t)(c | 0x20) - 'a' + 10;
		else
			return -EINVAL;
		*value = *value << 4 | digit;
	}
	return 0;
}

static int is_trailer(const char *name, uint32_t bytes)
{
	const char *trailer = TRAILER;
	uint32_t i;

	for (i = 0; i < bytes && trailer[i]; i++)
		if (name[i] != trailer[i])
			return 0;
	return i == bytes && !trailer[i];
}

/* No zero inside, and no component that is "..". */
static int name_is_good(const char *name, uint32_t bytes)
{
	uint32_t start = 0;

	for (uint32_t i = 0; i <= bytes; i++) {
		if (i < bytes && !name[i])
			return 0;
		if (i < bytes && name[i] != '/')
			continue;
		if (i - start == 2 && name[start] == '.' && name[start + 1] == '.')
			return 0;
		start = i + 1;
	}
	return 1;
}

/* Drop what only says "from the root": any "/" and "./" in front, and "/" behind. */
static void trim(struct cpio_entry *e)
{
	static const char root[] = ".";

	for (;;) {
		if (e->name_bytes && e->name[0] == '/') {
			e->name++;
			e->name_bytes--;
		} else if (e->name_bytes >= 2 && e->name[0] == '.' && e->name[1] == '/') {
			e->name += 2;
			e->name_bytes -= 2;
		} else {
			break;
		}
	}
	if (!e->name_bytes) {
		e->name = root;
		e->name_bytes = 1;
	}
}

static size_t align4(size_t at)
{
	return (at + 3) & ~(size_t)3;
}

static int parse(struct cpio *cpio, struct cpio_entry *e, size_t *next)
{
	size_t left = cpio->bytes - cpio->at, data;
	const uint8_t *header = cpio->archive + cpio->at;
	uint32_t f[FIELDS];

	if (left < HEADER_BYTES || !is_magic(header))
		return -EINVAL;
	for (int i = 0; i < FIELDS; i++)
		if (parse_field(header + 6 + i * 8, &f[i]))
			return -EINVAL;
	if (f[NAME_BYTES] < 2 || f[NAME_BYTES] > NAME_BYTES_MAX ||
	    f[NAME_BYTES] > left - HEADER_BYTES)
		return -EINVAL;
	/* Name and contents are padded to four bytes from the start of the archive. */
	data = align4(cpio->at + HEADER_BYTES + f[NAME_BYTES]);
	if (data > cpio->bytes || f[DATA_BYTES] > cpio->bytes - data)
		return -EINVAL;
	*e = (struct cpio_entry){
		.name = (const char *)header + HEADER_BYTES,
		.name_bytes = f[NAME_BYTES] - 1,
		.mode = f[MODE],
		.uid = f[UID],
		.gid = f[GID],
		.mtime = f[MTIME],
		.inode = f[INODE],
		.links = f[LINKS],
		.device_major = f[DEVICE_MAJOR],
		.device_minor = f[DEVICE_MINOR],
		.node_major = f[NODE_MAJOR],
		.node_minor = f[NODE_MINOR],
		.data = cpio->archive + data,
		.data_bytes = f[DATA_BYTES],
	};
	*next = align4(data + f[DATA_BYTES]);
	if (*next > cpio->bytes)
		*next = cpio->bytes;
	if (e->name[e->name_bytes] || !name_is_good(e->name, e->name_bytes))
		return -EINVAL;
	return 0;
}

int cpio_next(struct cpio *cpio, struct cpio_entry *entry)
{
	for (;;) {
		size_t next;

		while (cpio->at < cpio->bytes && !cpio->archive[cpio->at])
			cpio->at++;
		if (cpio->at >= cpio->bytes)
			return 0;
		if (parse(cpio, entry, &next))
			return -EINVAL;
		cpio->at = next;
		if (is_trailer(entry->name, entry->name_bytes))
			continue;
		trim(entry);
		return 1;
	}
}
