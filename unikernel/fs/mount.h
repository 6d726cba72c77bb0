/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* The tree at the start of the program. */
#ifndef SKETE_UK_MOUNT_H
#define SKETE_UK_MOUNT_H

/* The root, what the initial RAM disk holds, /dev, /proc, /tmp and descriptors 0 to 2. Once. */
void mount_all(void);

#endif
