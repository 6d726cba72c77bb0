/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */
/* A target of two threads and one page of memory, which remembers what it was asked. */
#ifndef SKETE_GDBSTUB_FAKE_TARGET_H
#define SKETE_GDBSTUB_FAKE_TARGET_H

#include <skete/gdbstub.h>

#define FAKE_BASE  0x1000
#define FAKE_BYTES 4096

struct fake {
	struct sk_gdb_regs regs[2];
	uint8_t memory[FAKE_BYTES];
	char out[16384];
	size_t out_len;
	enum sk_gdb_action actions[2];
	int signal;
	unsigned int resumed, stops, detached, killed;
	uint64_t last_break;
	int breaks;
};

static uint32_t fake_nr_threads(void *ctx)
{
	(void)ctx;
	return 2;
}

static int fake_read_regs(void *ctx, uint32_t thread, struct sk_gdb_regs *out)
{
	BUG_ON(thread >= 2);
	*out = ((struct fake *)ctx)->regs[thread];
	return 0;
}

static int fake_write_regs(void *ctx, uint32_t thread, const struct sk_gdb_regs *regs)
{
	BUG_ON(thread >= 2);
	((struct fake *)ctx)->regs[thread] = *regs;
	return 0;
}

static int fake_read_memory(void *ctx, uint32_t thread, uint64_t address, void *to, size_t len)
{
	const struct fake *f = ctx;

	BUG_ON(thread >= 2);
	if (address < FAKE_BASE || !sk_range_fits(address, len, FAKE_BASE + FAKE_BYTES))
		return -EFAULT;
	memcpy(to, f->memory + (address - FAKE_BASE), len);
	return 0;
}

static int fake_write_memory(void *ctx, uint32_t thread, uint64_t address, const void *from,
			     size_t len)
{
	struct fake *f = ctx;

	BUG_ON(thread >= 2);
	if (address < FAKE_BASE || !sk_range_fits(address, len, FAKE_BASE + FAKE_BYTES))
		return -EFAULT;
	memcpy(f->memory + (address - FAKE_BASE), from, len);
	return 0;
}

static int fake_set_break(void *ctx, enum sk_gdb_break kind, uint64_t address, uint32_t len)
{
	struct fake *f = ctx;

	(void)len;
	if (kind != SK_GDB_BREAK_SOFT)
		return -EOPNOTSUPP;
	f->last_break = address;
	f->breaks++;
	return 0;
}

static int fake_clear_break(void *ctx, enum sk_gdb_break kind, uint64_t address, uint32_t len)
{
	struct fake *f = ctx;

	(void)len;
	(void)address;
	if (kind != SK_GDB_BREAK_SOFT)
		return -EOPNOTSUPP;
	f->breaks--;
	return 0;
}

static int fake_resume(void *ctx, const enum sk_gdb_action *actions, uint32_t nr, int signal)
{
	struct fake *f = ctx;

	BUG_ON(nr != 2);
	memcpy(f->actions, actions, sizeof(f->actions));
	f->signal = signal;
	f->resumed++;
	return 0;
}

static void fake_stop(void *ctx)
{
	((struct fake *)ctx)->stops++;
}

static void fake_detach(void *ctx)
{
	((struct fake *)ctx)->detached++;
}

static void fake_kill(void *ctx)
{
	((struct fake *)ctx)->killed++;
}

static void fake_send(void *ctx, const void *data, size_t len)
{
	struct fake *f = ctx;

	if (f->out_len + len >= sizeof(f->out))
		f->out_len = 0;
	BUG_ON(len >= sizeof(f->out));
	memcpy(f->out + f->out_len, data, len);
	f->out_len += len;
	f->out[f->out_len] = '\0';
}

static const struct sk_gdb_ops fake_ops = {
	.nr_threads = fake_nr_threads,
	.read_regs = fake_read_regs,
	.write_regs = fake_write_regs,
	.read_memory = fake_read_memory,
	.write_memory = fake_write_memory,
	.set_break = fake_set_break,
	.clear_break = fake_clear_break,
	.resume = fake_resume,
	.stop = fake_stop,
	.detach = fake_detach,
	.kill = fake_kill,
	.send = fake_send,
};

#endif
