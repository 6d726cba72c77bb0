/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * `skete doctor`: what this machine offers to virtual machines, and what to do about the rest.
 * Only looks: nothing is changed, loaded or left behind.
 */
#ifndef SKETE_MONITOR_DOCTOR_H
#define SKETE_MONITOR_DOCTOR_H

#include <stdio.h>

#include <skete/base.h>

enum finding_state {
	FINDING_OK,
	FINDING_LIMITED, /* there, but not all that one could wish for */
	FINDING_MISSING,
};

struct finding {
	const char *name; /* static; the key in the JSON output */
	enum finding_state state;
	const char *kind; /* static; a word for programs, or NULL */
	char text[256];	  /* what there is */
	char advice[256]; /* what to do about it; empty if nothing */
};

/* One check per thing; each fills in all of *@f but the name. They run on the caller's thread. */
void doctor_check_kvm(struct finding *f);
void doctor_check_tun(struct finding *f);
void doctor_check_vhost_net(struct finding *f);
void doctor_check_vhost_vsock(struct finding *f);
void doctor_check_userfaultfd(struct finding *f);
void doctor_check_io_uring(struct finding *f);
void doctor_check_hugepages(struct finding *f);
void doctor_check_cgroup(struct finding *f);
void doctor_check_landlock(struct finding *f);
void doctor_check_memlock(struct finding *f);

enum kvm_kind {
	KVM_KIND_COMPLETE, /* guest code runs natively in every ring */
	KVM_KIND_PARTIAL,  /* ring 0 is emulated, as by PVM */
};

struct kvm_speed {
	enum kvm_kind kind;
	double ring0_mps; /* loop iterations in millions a second */
	double ring3_mps;
};

/*
 * Times a loop in ring 0 against the same loop in ring 3, in a guest of 4 MiB that has nothing
 * else; takes some 0.1 s where ring 0 is emulated. Errors: those of KVM, with a sentence.
 */
int doctor_measure_kvm(struct kvm_speed *speed, struct sk_error *err) SK_MUST_CHECK;

/* Runs all checks and prints one line for each, or a JSON object; 0, or 1 if no VM can run. */
int doctor_command(FILE *out, bool is_json);

#endif
