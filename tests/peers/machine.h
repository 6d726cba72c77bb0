/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * A monitor as others are: KVM, memory with a hole below 4 GiB, a 16550 of which nothing but its
 * bytes matters, a keyboard controller that resets, perhaps a register that powers off. A port that
 * nobody has answers with what the last access left in the buffer, as theirs do. Failures are
 * cmocka assertions. Owner-thread only; the vCPUs' threads are its own business.
 */
#ifndef SKETE_TESTS_PEERS_MACHINE_H
#define SKETE_TESTS_PEERS_MACHINE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>

#include <skete/gmem.h>
#include <skete/kvm.h>

#include <cmocka.h>

#define PEER_MAX_CPUS	8
#define PEER_TEXT_BYTES 16384

enum peer_end { PEER_RUNNING, PEER_POWERED_OFF, PEER_RESET, PEER_CRASHED, PEER_LATE };

struct peer_config {
	uint32_t cpus;
	uint64_t memory_bytes;
	enum sk_kvm_irqchip irqchip;
	uint16_t sleep_port; /* ACPI's sleep control register, 0: none */
	uint8_t sleep_value; /* what must be written there */
	bool is_hyperv;	     /* CPUID says Hyper-V instead of KVM */
	uint32_t hidden;     /* bits of ecx in CPUID's leaf 1 that are not there */
};

struct peer;

struct peer_cpu {
	struct peer *peer;
	struct sk_kvm_vcpu *vcpu;
	pthread_t thread;
};

struct peer {
	struct peer_config config;
	struct sk_kvm *kvm;
	struct sk_gmem *gm;
	struct sk_kvm_vm *vm;
	struct peer_cpu cpus[PEER_MAX_CPUS];
	uint64_t entry;	   /* of the ELF file's header */
	uint64_t pvh;	   /* of its PVH note */
	uint64_t low_end;  /* where RAM ends below 4 GiB */
	uint64_t high_end; /* where RAM ends above, or 4 GiB */

	/* under lock, until peer_run() returns */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	enum peer_end end;
	char text[PEER_TEXT_BYTES]; /* what the guest said, terminated */
	size_t text_len;
};

/* Is there a KVM? Otherwise says on standard output why the tests are skipped. */
bool peer_has_kvm(void);

/* Makes the machine and loads the segments of the ELF file, as linux-loader does. */
void peer_create(struct peer *p, const struct peer_config *config, const char *elf_path);
void peer_destroy(struct peer *p);

/* Starts the first vCPU at @entry, runs until the guest ends the machine or a minute is over. */
enum peer_end peer_run(struct peer *p, const struct sk_kvm_entry *entry);

/* To guest memory; must succeed. */
void peer_write(struct peer *p, gpa_t gpa, const void *data, size_t len_bytes);

#endif
