/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* Ring 0: the only C code there. It changes page directories once the image is sealed. */
#include "pages_edit.h"

long shim_pages(uint64_t va, uint64_t pa, uint64_t flags)
{
	return pages_edit(0, va, pa, flags);
}
