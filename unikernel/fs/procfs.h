/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* /proc: what programs read there about the machine and themselves. */
#ifndef SKETE_UK_PROCFS_H
#define SKETE_UK_PROCFS_H

#include "text.h"

/* Put it into the root under its name, in place of whatever is there. 0 or -ENOMEM. */
long procfs_mount(void);

/* proc_text.c: the files, in the order of the table there. */
struct proc_file {
	const char *path; /* below /proc, with "self" for the process */
	void (*write)(struct text *text);
};
extern const struct proc_file proc_files[];
extern const uint32_t proc_file_count;

#endif
