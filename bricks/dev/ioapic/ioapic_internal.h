/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The state of the IOAPIC, shared by its registers (ioapic.c) and its saved form. */
#ifndef SKETE_DEV_IOAPIC_INTERNAL_H
#define SKETE_DEV_IOAPIC_INTERNAL_H

#include <pthread.h>

#include <skete/dev/ioapic.h>

/* A redirection entry (82093AA, section 3.2.4). */
#define ENTRY_VECTOR	 UINT64_C(0xff)
#define ENTRY_DELIVERY	 UINT64_C(0x700)
#define ENTRY_LOGICAL	 UINT64_C(0x800)
#define ENTRY_POLARITY	 UINT64_C(0x2000)
#define ENTRY_REMOTE_IRR UINT64_C(0x4000)
#define ENTRY_LEVEL	 UINT64_C(0x8000)
#define ENTRY_MASKED	 UINT64_C(0x10000)
#define ENTRY_DEST_SHIFT 56
#define ENTRY_DEST	 (UINT64_C(0xff) << ENTRY_DEST_SHIFT)
#define ENTRY_WRITABLE                                                                  \
	(ENTRY_VECTOR | ENTRY_DELIVERY | ENTRY_LOGICAL | ENTRY_POLARITY | ENTRY_LEVEL | \
	 ENTRY_MASKED | ENTRY_DEST)

#define ID_MAX 0x0f

struct pin {
	uint64_t entry;
	int fd;		   /* -1: nobody */
	int resample_fd;   /* -1: nobody */
	bool is_connected; /* KVM listens to fd: only while the pin is unmasked */
	bool has_route;
	bool is_failing;	    /* the last change was refused, and that has been said */
	bool is_high;		    /* the line of set_level */
	bool is_latched;	    /* an edge of that line waits for the pin to be unmasked */
	struct sk_ioapic_msi route; /* what KVM was told last */
};

struct sk_ioapic {
	struct sk_ioapic_config config; /* immutable */
	pthread_mutex_t lock;		/* everything below, and the callbacks */
	uint8_t id;
	uint8_t select; /* IOREGSEL */
	struct pin pins[SK_IOAPIC_NR_PINS];
};

/* Makes route and connection of pin @n what its entry asks for. 0 or a callback's error. */
int sk_ioapic_update_locked(struct sk_ioapic *io, unsigned int n);
/* Sends what the line of pin @n has to say, if the pin may speak. */
void sk_ioapic_service_locked(struct sk_ioapic *io, unsigned int n);

#endif
