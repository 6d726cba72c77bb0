/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The list of checks, KVM first, and the two ways to print it. */
#include "doctor.h"

#include <jansson.h>

#define NAME_WIDTH 12

static const struct {
	const char *name;
	void (*check)(struct finding *f);
} checks[] = {
	{"kvm", doctor_check_kvm},
	{"tun", doctor_check_tun},
	{"vhost-net", doctor_check_vhost_net},
	{"vhost-vsock", doctor_check_vhost_vsock},
	{"userfaultfd", doctor_check_userfaultfd},
	{"io_uring", doctor_check_io_uring},
	{"hugepages", doctor_check_hugepages},
	{"cgroup", doctor_check_cgroup},
	{"landlock", doctor_check_landlock},
	{"memlock", doctor_check_memlock},
};

static const char *const state_names[] = {
	[FINDING_OK] = "ok",
	[FINDING_LIMITED] = "limited",
	[FINDING_MISSING] = "missing",
};

/* Three digits, without an exponent. */
static void format_rate(char *buf, size_t size, double millions)
{
	int digits = millions < 1 ? 3 : millions < 10 ? 2 : millions < 100 ? 1 : 0;

	snprintf(buf, size, "%.*f", digits, millions);
}

void doctor_check_kvm(struct finding *f)
{
	char ring0[32], ring3[32];
	struct kvm_speed speed = {0};
	struct sk_error err;

	if (doctor_measure_kvm(&speed, &err)) {
		f->state = FINDING_MISSING;
		f->kind = "none";
		snprintf(f->text, sizeof(f->text), "%.250s", err.message);
		return;
	}
	f->kind = speed.kind == KVM_KIND_PARTIAL ? "partial" : "complete";
	format_rate(ring0, sizeof(ring0), speed.ring0_mps);
	format_rate(ring3, sizeof(ring3), speed.ring3_mps);
	snprintf(f->text, sizeof(f->text),
		 "/dev/kvm is %s: a loop does %s million turns a second in ring 0 and %s in ring 3",
		 f->kind, ring0, ring3);
	if (speed.kind == KVM_KIND_COMPLETE)
		return;
	f->state = FINDING_LIMITED;
	snprintf(
		f->advice, sizeof(f->advice),
		"guest kernels are emulated here: a unikernel runs well, Linux does not; for Linux "
		"use a machine with VT-x or AMD-V");
}

static void print_text(FILE *out, const struct finding *f)
{
	fprintf(out, "%-8s %-*s %s\n", state_names[f->state], NAME_WIDTH, f->name, f->text);
	if (f->advice[0])
		fprintf(out, "%-8s %-*s -> %s\n", "", NAME_WIDTH, "", f->advice);
}

static json_t *to_json(const struct finding *f)
{
	json_t *object = json_pack("{s:s, s:s}", "state", state_names[f->state], "text", f->text);

	if (object && f->kind)
		json_object_set_new(object, "kind", json_string(f->kind));
	if (object && f->advice[0])
		json_object_set_new(object, "advice", json_string(f->advice));
	return object;
}

int doctor_command(FILE *out, bool is_json)
{
	json_t *all = is_json ? json_object() : NULL;
	bool can_run = true;

	for (size_t i = 0; i < SK_ARRAY_SIZE(checks); i++) {
		struct finding f = {.name = checks[i].name};

		checks[i].check(&f);
		if (checks[i].check == doctor_check_kvm)
			can_run = f.state != FINDING_MISSING;
		if (is_json)
			json_object_set_new(all, f.name, to_json(&f));
		else
			print_text(out, &f);
	}
	if (is_json) {
		json_dumpf(all, out, JSON_INDENT(2));
		fputc('\n', out);
		json_decref(all);
	}
	return can_run ? 0 : 1;
}
