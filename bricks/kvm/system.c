/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The system handle: opening /dev/kvm with an error worth reading, and what KVM can do. */

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm_internal.h"

int kvm_ioctl(int fd, unsigned long request, const void *arg)
{
	int saved = errno;
	int ret = ioctl(fd, request, arg);

	if (ret < 0) {
		ret = -errno;
		errno = saved;
	}
	return ret;
}

int kvm_ioctl_value(int fd, unsigned long request, unsigned long value)
{
	int saved = errno;
	int ret = ioctl(fd, request, value);

	if (ret < 0) {
		ret = -errno;
		errno = saved;
	}
	return ret;
}

/* Says who may open @path: the sentence that saves the user a search. */
static int explain_no_permission(const char *path, struct sk_error *err)
{
	struct stat st;
	struct passwd pw, *owner = NULL;
	struct group gr, *group = NULL;
	char pw_buf[1024], gr_buf[4096];

	if (stat(path, &st) < 0)
		return sk_error_set(err, -EACCES, "cannot open %s: permission denied", path);
	(void)getpwuid_r(st.st_uid, &pw, pw_buf, sizeof(pw_buf), &owner);
	(void)getgrgid_r(st.st_gid, &gr, gr_buf, sizeof(gr_buf), &group);
	if (group && (st.st_mode & 0060) == 0060 && st.st_gid != 0)
		return sk_error_set(err, -EACCES,
				    "cannot open %s: permission denied; it belongs to the group "
				    "\"%s\" (add yourself with: sudo usermod -aG %s \"$USER\", "
				    "then log in again)",
				    path, group->gr_name, group->gr_name);
	return sk_error_set(err, -EACCES,
			    "cannot open %s: permission denied; it belongs to user \"%s\", group "
			    "\"%s\", mode %03o (run as that user, or with sudo)",
			    path, owner ? owner->pw_name : "?", group ? group->gr_name : "?",
			    (unsigned)(st.st_mode & 0777));
}

static int explain_open(const char *path, int code, struct sk_error *err)
{
	switch (code) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		return sk_error_set(
			err, code,
			"cannot open %s: there is no KVM on this machine (load kvm-intel "
			"or kvm-amd; in a virtual machine, enable nested "
			"virtualization)",
			path);
	case -EACCES:
	case -EPERM:
		return explain_no_permission(path, err);
	case -EBUSY:
		return sk_error_set(
			err, code,
			"cannot open %s: busy; another hypervisor on this machine holds "
			"the virtualization hardware (stop it first)",
			path);
	default:
		return sk_error_set(err, code, "cannot open %s: %s", path, strerror(-code));
	}
}

static int check_extensions(const struct sk_kvm *kvm, const char *path, struct sk_error *err)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
		{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
		{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
		{KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
		{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
	};

	for (size_t i = 0; i < SK_ARRAY_SIZE(needed); i++) {
		if (sk_kvm_check(kvm, needed[i].cap) <= 0)
			return sk_error_set(err, -ENOTSUP,
					    "%s: KVM lacks %s (a kernel from 4.12 on has it)", path,
					    needed[i].name);
	}
	return 0;
}

/* Fills in what is asked once: API version, extensions, sizes. */
static int probe(struct sk_kvm *kvm, const char *path, struct sk_error *err)
{
	int version = kvm_ioctl_value(kvm->fd, KVM_GET_API_VERSION, 0);
	int ret;

	if (version < 0)
		return sk_error_set(err, -ENOTSUP, "%s is not a KVM device: %s", path,
				    strerror(-version));
	if (version != KVM_API_VERSION)
		return sk_error_set(err, -ENOTSUP, "%s: KVM API version %d, expected %d", path,
				    version, KVM_API_VERSION);
	ret = check_extensions(kvm, path, err);
	if (ret < 0)
		return ret;
	ret = kvm_ioctl_value(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (ret < (int)sizeof(struct kvm_run))
		return sk_error_set(err, -ENOTSUP, "%s: cannot learn the size of kvm_run", path);
	kvm->run_bytes = (size_t)ret;
	ret = sk_kvm_check(kvm, KVM_CAP_MAX_VCPUS);
	if (ret <= 0)
		ret = sk_kvm_check(kvm, KVM_CAP_NR_VCPUS);
	kvm->max_vcpus = ret > 0 ? (uint32_t)ret : 4; /* the API's rule for old kernels */
	return 0;
}

int sk_kvm_open(struct sk_kvm **out, const char *path, struct sk_error *err)
{
	struct sk_kvm *kvm = calloc(1, sizeof(*kvm));
	int saved = errno;
	int ret;

	if (!kvm)
		return sk_error_set(err, -ENOMEM, "no memory for the KVM handle");
	if (!path)
		path = "/dev/kvm";
	kvm->fd = open(path, O_RDWR | O_CLOEXEC);
	if (kvm->fd < 0) {
		ret = -errno;
		errno = saved;
		ret = explain_open(path, ret, err);
		goto err_free;
	}
	ret = probe(kvm, path, err);
	if (ret < 0)
		goto err_close;
	*out = kvm;
	return 0;

err_close:
	sk_close(&kvm->fd);
err_free:
	free(kvm);
	return ret;
}

void sk_kvm_close(struct sk_kvm *kvm)
{
	if (!kvm)
		return;
	sk_close(&kvm->fd);
	free(kvm);
}

int sk_kvm_check(const struct sk_kvm *kvm, int cap)
{
	int ret = kvm_ioctl_value(kvm->fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	return SK_MAX(ret, 0);
}

uint32_t sk_kvm_max_vcpus(const struct sk_kvm *kvm)
{
	return kvm->max_vcpus;
}

size_t sk_kvm_run_bytes(const struct sk_kvm *kvm)
{
	return kvm->run_bytes;
}

_Static_assert(offsetof(struct sk_kvm_cpuid, entries) == offsetof(struct kvm_cpuid2, entries),
	       "sk_kvm_cpuid is passed to KVM as a kvm_cpuid2");

int sk_kvm_supported_cpuid(const struct sk_kvm *kvm, struct sk_kvm_cpuid *out)
{
	memset(out, 0, sizeof(*out));
	out->nr_entries = SK_KVM_CPUID_MAX;
	return kvm_ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, out);
}

int sk_kvm_msr_list(const struct sk_kvm *kvm, uint32_t *indices, size_t max)
{
	struct kvm_msr_list count = {0};
	struct kvm_msr_list *list;
	size_t copied;
	int ret;

	/* The first call only learns the number, and says so with E2BIG. */
	ret = kvm_ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, &count);
	if (ret < 0 && ret != -E2BIG)
		return ret;
	if (max == 0)
		return (int)count.nmsrs;
	list = calloc(1, sizeof(*list) + count.nmsrs * sizeof(list->indices[0]));
	if (!list)
		return -ENOMEM;
	list->nmsrs = count.nmsrs;
	ret = kvm_ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, list);
	if (ret == 0) {
		copied = SK_MIN(max, (size_t)list->nmsrs);
		memcpy(indices, list->indices, copied * sizeof(indices[0]));
		ret = (int)list->nmsrs;
	}
	free(list);
	return ret;
}
