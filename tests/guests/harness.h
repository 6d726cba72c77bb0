/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The smallest monitor that can run the guests of this folder: one vCPU, one thread, a few ports
 * (guest.inc) and one MMIO register file. Failures are cmocka assertions with the guest's
 * registers. Where /dev/kvm is missing the whole program skips. Owner-thread only.
 */
#ifndef SKETE_TESTS_GUESTS_HARNESS_H
#define SKETE_TESTS_GUESTS_HARNESS_H

#include <setjmp.h>
#include <stdio.h>

#include <skete/gmem.h>
#include <skete/kvm.h>

#include <cmocka.h>

#define GUEST_CODE_GPA	  0x8000
#define GUEST_TABLES_GPA  0x20000
#define GUEST_GDT_GPA	  0x1000
#define GUEST_RESULTS_GPA 0x6000
#define GUEST_MEMORY	  (4 * SK_MIB)
#define GUEST_MMIO_GPA	  UINT64_C(0xd0000000)

struct guest_config {
	enum sk_kvm_mode mode;
	enum sk_kvm_irqchip irqchip;
	bool has_pit;
	struct sk_kvm_entry entry; /* mode, rip, cr3 and gdt_gpa are filled in by the harness */
};

enum guest_event {
	GUEST_END,    /* PORT_END: the status is in guest.status */
	GUEST_TURN,   /* PORT_TURN: the test acts, then calls guest_run() again */
	GUEST_KICKED, /* a tick of the harness's timer, if guest.is_kickable */
};

struct guest {
	struct sk_kvm *kvm;
	struct sk_gmem *gm;
	struct sk_kvm_vm *vm;
	struct sk_kvm_vcpu *vcpu;
	struct guest_config config;
	bool is_kickable;
	uint8_t status;
	char text[256]; /* what came to PORT_PUT, terminated */
	size_t text_len;
	unsigned other_pio;  /* exits at ports that nobody owns */
	unsigned other_mmio; /* likewise MMIO */
	uint8_t mmio[16];    /* the register file at GUEST_MMIO_GPA */
};

/*
 * Runs @tests as a cmocka group with the guest's code from the file argv[1]. Without KVM it says
 * why and skips all: with TAP by an empty plan, otherwise by status 77.
 */
int guest_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t n);

/* Makes the VM, loads the code and sets the entry state. */
void guest_start(struct guest *g, const struct guest_config *config);
/* Makes memory, VM and vCPU as guest_start() does, but neither loads nor enters. */
void guest_create(struct guest *g, const struct guest_config *config);
void guest_stop(struct guest *g);

/* Runs until something for the test happens; a minute without an end fails it. */
enum guest_event guest_run(struct guest *g);
/* Completes the last exit without running the guest, so that it can be saved. */
void guest_settle(struct guest *g);

/* Fails the test with @why and the guest's registers. */
void guest_fail(struct guest *g, const char *why);

/* Start, run to the end, stop; asserts status and text (NULL: any). */
void guest_expect(const struct guest_config *config, uint8_t status, const char *text);

#define run_guest_tests(argc, argv, name, tests) \
	guest_main(argc, argv, name, tests, SK_ARRAY_SIZE(tests))

#endif
