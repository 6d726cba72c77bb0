/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The saved form: version, port 0xcf8, the number of functions, and for each its slot, its 256
 * bytes of configuration space, the number of its vectors, and for each of them address, data and
 * flags. What the guest cannot write is saved, too: a restore compares it, and so knows that it has
 * the same devices before it.
 *
 * A restore reads the state twice: the first time it only looks.
 */
#include "pci_internal.h"

#define STATE_VERSION 1

static uint32_t nr_functions(const struct sk_pci *pci)
{
	uint32_t nr = 0;

	for (unsigned slot = 0; slot < SK_PCI_NR_SLOTS; slot++)
		nr += pci->slots[slot] != NULL;
	return nr;
}

static uint16_t nr_vectors(const struct sk_pci_fn *fn)
{
	return fn->msix ? fn->msix->config.nr_vectors : 0;
}

void sk_pci_save(struct sk_pci *pci, struct sk_writer *w)
{
	pthread_mutex_lock(&pci->lock);
	sk_put_u32(w, STATE_VERSION);
	sk_put_u32(w, pci->address);
	sk_put_u32(w, nr_functions(pci));
	for (unsigned slot = 0; slot < SK_PCI_NR_SLOTS; slot++) {
		struct sk_pci_fn *fn = pci->slots[slot];

		if (!fn)
			continue;
		sk_put_u8(w, (uint8_t)slot);
		sk_put_bytes(w, fn->config, CONFIG_BYTES);
		sk_put_u16(w, nr_vectors(fn));
		if (fn->msix)
			msix_save(fn->msix, w);
	}
	pthread_mutex_unlock(&pci->lock);
}

static bool is_same_function(const struct sk_pci_fn *fn, const uint8_t *config)
{
	for (unsigned i = 0; i < CONFIG_BYTES; i++) {
		uint8_t fixed = (uint8_t) ~(fn->writable[i] | fn->clears[i]);

		if ((config[i] ^ fn->config[i]) & fixed)
			return false;
	}
	return true;
}

/* The function of the saved state that @r stands before, or NULL. */
static struct sk_pci_fn *read_function_locked(struct sk_pci *pci, struct sk_reader *r,
					      uint8_t config[CONFIG_BYTES])
{
	uint8_t slot = sk_get_u8(r);
	struct sk_pci_fn *fn = slot < SK_PCI_NR_SLOTS ? pci->slots[slot] : NULL;

	sk_get_bytes(r, config, CONFIG_BYTES);
	if (!fn || sk_get_u16(r) != nr_vectors(fn) || !sk_reader_ok(r) ||
	    !is_same_function(fn, config))
		return NULL;
	return fn;
}

static int check_locked(struct sk_pci *pci, struct sk_reader *r, struct sk_error *err)
{
	uint32_t version = sk_get_u32(r), seen = 0, nr;
	uint8_t config[CONFIG_BYTES];
	struct saved_vector vector;

	if (sk_reader_ok(r) && version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "pci: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	(void)sk_get_u32(r);
	nr = sk_get_u32(r);
	if (!sk_reader_ok(r) || nr != nr_functions(pci))
		return sk_error_set(err, -EINVAL,
				    "pci: the saved state has %u functions, this "
				    "machine has %u",
				    nr, nr_functions(pci));
	for (uint32_t i = 0; i < nr; i++) {
		struct sk_pci_fn *fn = read_function_locked(pci, r, config);

		/* As many as there are, and none twice: so it is all of them. */
		if (!fn || seen >> fn->slot & 1)
			return sk_error_set(err, -EINVAL,
					    "pci: function %u of the saved state is not this "
					    "machine's",
					    i);
		seen |= UINT32_C(1) << fn->slot;
		for (uint32_t n = 0; n < nr_vectors(fn); n++) {
			if (!msix_read_saved(r, &vector))
				return sk_error_set(err, -EINVAL,
						    "pci: interrupt %u of %s has an impossible "
						    "state",
						    n, fn->name);
		}
	}
	if (!sk_reader_ok(r))
		return sk_error_set(err, -EINVAL, "pci: the saved state is truncated");
	return 0;
}

static int restore_function_locked(struct sk_pci *pci, struct sk_reader *r, struct sk_error *err)
{
	uint8_t config[CONFIG_BYTES];
	struct sk_pci_fn *fn = read_function_locked(pci, r, config);
	struct saved_vector vector;
	int ret = 0;

	BUG_ON(!fn);
	memcpy(fn->config, config, CONFIG_BYTES);
	if (fn->msix)
		ret = msix_set_control(fn->msix, 0, false);
	for (uint32_t n = 0; n < nr_vectors(fn); n++) {
		(void)msix_read_saved(r, &vector); /* which has been checked */
		msix_restore(fn->msix, n, &vector);
	}
	pci_fn_update_bars_locked(fn);
	if (!ret)
		ret = pci_fn_update_msix_locked(fn);
	if (ret)
		return sk_error_set(err, ret, "pci: the interrupts of %s cannot be restored: %s",
				    fn->name, strerror(-ret));
	return 0;
}

int sk_pci_restore(struct sk_pci *pci, struct sk_reader *r, struct sk_error *err)
{
	struct sk_reader look = *r;
	uint32_t nr;
	int ret;

	pthread_mutex_lock(&pci->lock);
	ret = check_locked(pci, &look, err);
	if (!ret) {
		(void)sk_get_u32(r);
		pci->address = sk_get_u32(r);
		nr = sk_get_u32(r);
		for (uint32_t i = 0; !ret && i < nr; i++)
			ret = restore_function_locked(pci, r, err);
	}
	pthread_mutex_unlock(&pci->lock);
	return ret;
}
