/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/dev/pm.h>

#include <stdatomic.h>

#define STATE_VERSION 1
#define SLP_TYP_SHIFT 2
#define SLP_TYP_MASK  0x1c
#define SLP_EN	      0x20
#define WAK_STS	      0x80
#define EVENT_BUTTON  0x01

struct sk_pm {
	struct sk_pm_config config; /* immutable */
	_Atomic uint8_t sleep_type; /* in place, as in the register */
	_Atomic uint8_t status;
	/* Release in press, acquire in the guest's read: what preceded the press is visible. */
	_Atomic uint8_t events;
};

int sk_pm_create(struct sk_pm **out, const struct sk_pm_config *config, struct sk_error *err)
{
	struct sk_pm *pm;

	if (!config->on_poweroff)
		return sk_error_set(err, -EINVAL,
				    "power management: there is no callback for power-off");
	pm = calloc(1, sizeof(*pm));
	if (!pm)
		return sk_error_set(err, -ENOMEM, "power management: out of memory");
	pm->config = *config;
	*out = pm;
	return 0;
}

void sk_pm_destroy(struct sk_pm *pm)
{
	free(pm);
}

static void write_sleep_control(struct sk_pm *pm, uint8_t value)
{
	atomic_store_explicit(&pm->sleep_type, value & SLP_TYP_MASK, memory_order_relaxed);
	if (!(value & SLP_EN))
		return;
	if ((value & SLP_TYP_MASK) >> SLP_TYP_SHIFT == SK_PM_S5_TYPE)
		pm->config.on_poweroff(pm->config.ctx);
	else
		atomic_fetch_or_explicit(&pm->status, WAK_STS, memory_order_relaxed);
}

static void write_register(struct sk_pm *pm, uint64_t reg, uint8_t value)
{
	switch (reg) {
	case SK_PM_SLEEP_CONTROL:
		write_sleep_control(pm, value);
		break;
	case SK_PM_SLEEP_STATUS:
		if (value & WAK_STS)
			atomic_fetch_and_explicit(&pm->status, (uint8_t)~WAK_STS,
						  memory_order_relaxed);
		break;
	case SK_PM_RESET:
		if (value == SK_PM_RESET_VALUE && pm->config.on_reset)
			pm->config.on_reset(pm->config.ctx);
		break;
	default: /* the event register is read-only */
		break;
	}
}

static uint8_t read_register(struct sk_pm *pm, uint64_t reg)
{
	switch (reg) {
	case SK_PM_SLEEP_CONTROL:
		return atomic_load_explicit(&pm->sleep_type, memory_order_relaxed);
	case SK_PM_SLEEP_STATUS:
		return atomic_load_explicit(&pm->status, memory_order_relaxed);
	case SK_PM_EVENT:
		return atomic_exchange_explicit(&pm->events, 0, memory_order_acquire);
	default:
		return 0;
	}
}

static uint64_t pm_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size_bytes; i++)
		value |= (uint64_t)read_register(dev, offset + i) << (8 * i);
	return value;
}

static void pm_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	for (unsigned i = 0; i < size_bytes; i++)
		write_register(dev, offset + i, (uint8_t)(value >> (8 * i)));
}

const struct sk_bus_ops sk_pm_ops = {
	.read = pm_read,
	.write = pm_write,
};

static void signal_irq(const struct sk_pm *pm)
{
	if (pm->config.irq_fd >= 0)
		sk_eventfd_signal(pm->config.irq_fd);
}

void sk_pm_press_power_button(struct sk_pm *pm)
{
	atomic_fetch_or_explicit(&pm->events, EVENT_BUTTON, memory_order_release);
	signal_irq(pm);
}

void sk_pm_save(const struct sk_pm *pm, struct sk_writer *w)
{
	sk_put_u8(w, STATE_VERSION);
	sk_put_u8(w, atomic_load_explicit(&pm->sleep_type, memory_order_relaxed));
	sk_put_u8(w, atomic_load_explicit(&pm->status, memory_order_relaxed));
	sk_put_u8(w, atomic_load_explicit(&pm->events, memory_order_relaxed));
}

int sk_pm_restore(struct sk_pm *pm, struct sk_reader *r, struct sk_error *err)
{
	uint8_t version = sk_get_u8(r), sleep_type = sk_get_u8(r);
	uint8_t status = sk_get_u8(r), events = sk_get_u8(r);

	if (!sk_reader_ok(r))
		return sk_error_set(err, -EINVAL, "power management: the saved state is truncated");
	if (version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "power management: saved state of version %u; this program "
				    "knows %d",
				    version, STATE_VERSION);
	if (sleep_type & ~SLP_TYP_MASK || status & ~WAK_STS || events & ~EVENT_BUTTON)
		return sk_error_set(err, -EINVAL,
				    "power management: the saved state has bits that no register "
				    "has");
	atomic_store_explicit(&pm->sleep_type, sleep_type, memory_order_relaxed);
	atomic_store_explicit(&pm->status, status, memory_order_relaxed);
	atomic_store_explicit(&pm->events, events, memory_order_release);
	if (events)
		signal_irq(pm);
	return 0;
}
