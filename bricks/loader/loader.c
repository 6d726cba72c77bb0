/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Which format a file has, which protocol that means, and the call that does it all. */
#include "loader_internal.h"

static const char *const protocol_names[] = {
	[SK_LOADER_AUTO] = "auto",
	[SK_LOADER_PVH] = "pvh",
	[SK_LOADER_LINUX64] = "linux64",
	[SK_LOADER_MULTIBOOT] = "multiboot",
};

const char *sk_loader_protocol_name(enum sk_loader_protocol protocol)
{
	BUG_ON((size_t)protocol >= SK_ARRAY_SIZE(protocol_names));
	return protocol_names[protocol];
}

int sk_loader_parse_protocol(const char *name, enum sk_loader_protocol *protocol)
{
	size_t i;

	for (i = 0; i < SK_ARRAY_SIZE(protocol_names); i++) {
		if (!strcmp(name, protocol_names[i])) {
			*protocol = (enum sk_loader_protocol)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int load_unpacked(struct loading *l, const struct bzimage *bz)
{
	struct elf_file elf;
	struct image img;
	int rc;

	rc = sk_loader_unpack_image(l->kernel, bz, &img, l->err);
	if (rc)
		return rc;
	rc = sk_loader_parse_elf(&img, &elf, l->err);
	if (!rc)
		rc = sk_loader_boot_pvh(l, &img, &elf, bz->cmdline_max_bytes);
	if (!rc)
		l->entry.format = "bzImage, unpacked, PVH";
	sk_loader_unpacked_free(&img);
	return rc;
}

static int load_bzimage(struct loading *l)
{
	struct bzimage bz;
	int rc = sk_loader_parse_bzimage(l->kernel, &bz, l->err);

	if (rc)
		return rc;
	switch (l->config->protocol) {
	case SK_LOADER_AUTO:
	case SK_LOADER_LINUX64:
		return sk_loader_boot_linux_bzimage(l, &bz);
	case SK_LOADER_PVH:
		return load_unpacked(l, &bz);
	case SK_LOADER_MULTIBOOT:
		break;
	}
	return sk_loader_image_error(l->kernel, l->err, -ENOEXEC,
				     "it is a bzImage, which does not speak multiboot");
}

static int load_multiboot(struct loading *l, const struct elf_file *elf, bool *is_found)
{
	struct multiboot_file mb;
	int rc = sk_loader_parse_multiboot(l->kernel, &mb, is_found, l->err);

	if (rc || !*is_found)
		return rc;
	if (mb.has_addresses)
		return sk_loader_boot_multiboot(l, &mb, NULL);
	if (elf)
		return sk_loader_boot_multiboot(l, &mb, elf);
	return sk_loader_image_error(l->kernel, l->err, -ENOEXEC,
				     "multiboot header at offset 0x%x: no addresses (flag 16), and "
				     "the file is not ELF",
				     mb.header_offset);
}

static int load_elf(struct loading *l)
{
	const enum sk_loader_protocol wanted = l->config->protocol;
	bool is_found = false;
	struct elf_file elf;
	int rc = sk_loader_parse_elf(l->kernel, &elf, l->err);

	if (rc)
		return rc;
	if (wanted == SK_LOADER_PVH || (wanted == SK_LOADER_AUTO && elf.has_pvh_entry))
		return sk_loader_boot_pvh(l, l->kernel, &elf, 0);
	if (wanted == SK_LOADER_LINUX64)
		return sk_loader_boot_linux_elf(l, &elf);
	rc = load_multiboot(l, &elf, &is_found);
	if (rc || is_found)
		return rc;
	if (wanted == SK_LOADER_MULTIBOOT)
		return sk_loader_image_error(l->kernel, l->err, -ENOEXEC,
					     "no multiboot header in its first 8 KiB");
	if (elf.is_linux)
		return sk_loader_boot_linux_elf(l, &elf);
	return sk_loader_image_error(
		l->kernel, l->err, -ENOEXEC,
		"an ELF file with no PVH note, no multiboot header and no note "
		"of Linux: it is not a kernel that starts here");
}

static int load_other(struct loading *l)
{
	const enum sk_loader_protocol wanted = l->config->protocol;
	bool is_found = false;
	int rc;

	if (wanted == SK_LOADER_AUTO || wanted == SK_LOADER_MULTIBOOT) {
		rc = load_multiboot(l, NULL, &is_found);
		if (rc || is_found)
			return rc;
	}
	return sk_loader_image_error(
		l->kernel, l->err, -ENOEXEC,
		"it is not a kernel: no bzImage header at offset 0x202, no ELF "
		"header at 0x0%s",
		wanted == SK_LOADER_AUTO || wanted == SK_LOADER_MULTIBOOT
			? ", no multiboot header in the first 8 KiB"
			: "");
}

int sk_loader_load_images(struct sk_loader_entry *entry, struct sk_gmem *gm,
			  const struct sk_loader_config *config, const struct image *kernel,
			  const struct image *initrd, struct sk_error *err)
{
	struct sk_loader_config complete = *config;
	struct loading l = {
		.gm = gm,
		.config = &complete,
		.kernel = kernel,
		.initrd = initrd,
		.err = err,
	};
	int rc;

	if (!complete.cmdline)
		complete.cmdline = "";
	rc = sk_loader_room_init(&l);
	if (rc)
		return rc;
	if (sk_loader_is_bzimage(kernel))
		rc = load_bzimage(&l);
	else if (sk_loader_is_elf(kernel))
		rc = load_elf(&l);
	else
		rc = load_other(&l);
	if (!rc)
		*entry = l.entry;
	return rc;
}

int sk_loader_load(struct sk_loader_entry *entry, struct sk_gmem *gm,
		   const struct sk_loader_config *config, struct sk_error *err)
{
	struct image kernel, initrd;
	int rc;

	if (!config->kernel_path || (size_t)config->protocol >= SK_ARRAY_SIZE(protocol_names))
		return sk_error_set(err, -EINVAL, "the loader needs a kernel and a known protocol");
	rc = sk_loader_image_open(&kernel, "kernel", config->kernel_path, config->kernel_fd, err);
	if (rc)
		return rc;
	if (config->initrd_path) {
		rc = sk_loader_image_open(&initrd, "initrd", config->initrd_path, config->initrd_fd,
					  err);
		if (rc)
			goto out_kernel;
	}
	rc = sk_loader_load_images(entry, gm, config, &kernel, config->initrd_path ? &initrd : NULL,
				   err);
	if (config->initrd_path)
		sk_loader_image_close(&initrd);
out_kernel:
	sk_loader_image_close(&kernel);
	return rc;
}
