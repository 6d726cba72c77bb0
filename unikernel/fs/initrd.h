/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The initial RAM disk: a cpio archive, plain or packed by gzip, that the boot loader left in
 * memory. Whoever mounts it calls initrd_open() once, after mm_init(), masked or not.
 */
#ifndef SKETE_UK_INITRD_H
#define SKETE_UK_INITRD_H

#include "cpio.h"

/*
 * Set *cpio to the whole archive, unpacked; it stays where it is until initrd_close(). 0 bytes
 * when there is no RAM disk. Returns 0, -EINVAL for a damaged gzip file, -ENOMEM or -ENOSPC when it
 * does not fit into memory. The archive itself is checked by cpio_next().
 */
int initrd_open(struct cpio *cpio);
/* The archive is not needed any longer: its memory becomes free. */
void initrd_close(const struct cpio *cpio);

#endif
