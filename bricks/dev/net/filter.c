/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Which frames are for the guest (virtio 1.2, 5.1.6.5.1 and 5.1.6.5.2). */
#include "net_internal.h"

/* At first everything passes: a driver without the control queue expects that. */
void net_filter_reset(struct net_filter *filter)
{
	*filter = (struct net_filter){.is_promisc = true};
}

static bool is_listed(const uint8_t (*macs)[6], unsigned nr, const uint8_t mac[6])
{
	for (unsigned i = 0; i < nr; i++) {
		if (!memcmp(macs[i], mac, 6))
			return true;
	}
	return false;
}

bool net_filter_admits(const struct net_filter *f, const uint8_t mac[6], const uint8_t to[6])
{
	static const uint8_t all[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (f->is_promisc)
		return true;
	if (!memcmp(to, all, 6))
		return !f->is_nobcast;
	if (to[0] & 1)
		return !f->is_nomulti && (f->is_allmulti || f->is_multi_overflow ||
					  is_listed(f->multi, f->nr_multi, to));
	return !f->is_nouni && (f->is_alluni || f->is_uni_overflow || !memcmp(to, mac, 6) ||
				is_listed(f->uni, f->nr_uni, to));
}

void net_filter_save(const struct net_filter *f, struct sk_writer *w)
{
	const bool flags[] = {f->is_promisc,	  f->is_allmulti,      f->is_alluni,
			      f->is_nomulti,	  f->is_nouni,	       f->is_nobcast,
			      f->is_uni_overflow, f->is_multi_overflow};
	uint8_t bits = 0;

	for (unsigned i = 0; i < SK_ARRAY_SIZE(flags); i++)
		bits |= (uint8_t)(flags[i] << i);
	sk_put_u8(w, bits);
	sk_put_u8(w, f->nr_uni);
	sk_put_u8(w, f->nr_multi);
	sk_put_bytes(w, f->uni, 6u * f->nr_uni);
	sk_put_bytes(w, f->multi, 6u * f->nr_multi);
}

bool net_filter_restore(struct net_filter *f, struct sk_reader *r)
{
	uint8_t bits = sk_get_u8(r);

	*f = (struct net_filter){
		.is_promisc = bits & 1,
		.is_allmulti = bits & 2,
		.is_alluni = bits & 4,
		.is_nomulti = bits & 8,
		.is_nouni = bits & 16,
		.is_nobcast = bits & 32,
		.is_uni_overflow = bits & 64,
		.is_multi_overflow = bits & 128,
	};
	f->nr_uni = sk_get_u8(r);
	f->nr_multi = sk_get_u8(r);
	if (f->nr_uni > NET_FILTER_MACS || f->nr_multi > NET_FILTER_MACS)
		return false;
	sk_get_bytes(r, f->uni, 6u * f->nr_uni);
	sk_get_bytes(r, f->multi, 6u * f->nr_multi);
	return sk_reader_ok(r);
}
