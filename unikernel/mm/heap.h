/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/*
 * The kernel's own heap, in the direct map: never swapped, never missing, zeroed when handed out.
 * Small objects share a page with others of their size; from 2 KiB on they are whole pages. Locked
 * within; masked or not, in interrupts too.
 */
#ifndef SKETE_UK_HEAP_H
#define SKETE_UK_HEAP_H

#include <stddef.h>

/* Up to 64 KiB. NULL without memory. */
void *kheap_alloc(size_t bytes);
/* `bytes` as asked for. NULL is fine. */
void kheap_free(void *object, size_t bytes);

/* One page, zeroed or not; its frame. 0 or NULL without memory. */
void *kheap_page(int is_zeroed);
/* The same for the data of files, which leave some memory to the rest. `before`: the file's page
 * before it, or NULL; if possible it lies behind that. */
void *kheap_page_for_data(const void *before, int is_zeroed);
void kheap_page_free(void *page);

#endif
