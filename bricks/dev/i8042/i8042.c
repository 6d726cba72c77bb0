/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The keyboard controller of the IBM PC AT (Technical Reference, "Keyboard Controller") with the
 * PS/2 commands that drivers use to look for an auxiliary port. One answer fits the output buffer;
 * a newer one replaces it.
 */
#include <skete/dev/i8042.h>

#include <pthread.h>

#define STATE_VERSION	     1
#define RAM_BYTES	     32

#define STATUS_OUTPUT_FULL   0x01
#define STATUS_SYSTEM	     0x04 /* the self-test passed */
#define STATUS_COMMAND	     0x08 /* the last write went to the command port */
#define STATUS_NOT_LOCKED    0x10

#define CONTROL_SYSTEM	     0x04
#define CONTROL_KBD_DISABLED 0x10
#define CONTROL_AUX_DISABLED 0x20

#define OUTPUT_NOT_RESET     0x01
#define OUTPUT_A20	     0x02

#define SELF_TEST_OK	     0x55
#define CLOCK_LINE_LOW	     0x01 /* an interface test's answer when nothing is plugged in */

struct state {
	uint8_t output; /* the output buffer, if is_full */
	bool is_full;
	bool is_command;	/* the last write went to the command port */
	uint8_t pending;	/* a command that waits for its parameter; 0: none */
	uint8_t output_port;	/* OUTPUT_NOT_RESET always set */
	uint8_t ram[RAM_BYTES]; /* [0] is the control byte */
};

struct sk_i8042 {
	struct sk_i8042_config config; /* immutable */
	pthread_mutex_t lock;	       /* protects st */
	struct state st;
};

static void answer(struct state *st, uint8_t value)
{
	st->output = value;
	st->is_full = true;
}

/* Commands that take a parameter through the data port. */
static bool has_parameter(uint8_t command)
{
	return (command >= 0x60 && command <= 0x7f) || (command >= 0xd1 && command <= 0xd4);
}

/* Returns true if the reset line was pulled. */
static bool handle_command(struct state *st, uint8_t command)
{
	st->is_command = true;
	st->pending = has_parameter(command) ? command : 0;
	if (command >= 0x20 && command <= 0x3f) {
		answer(st, st->ram[command - 0x20]);
		return false;
	}
	/* Pulse output lines: those whose bit in the low nibble is 0. Bit 0 is the reset line. */
	if (command >= 0xf0)
		return !(command & OUTPUT_NOT_RESET);
	switch (command) {
	case 0xa7:
		st->ram[0] |= CONTROL_AUX_DISABLED;
		break;
	case 0xa8:
		st->ram[0] &= (uint8_t)~CONTROL_AUX_DISABLED;
		break;
	case 0xa9: /* interface tests: nothing there */
	case 0xab:
		answer(st, CLOCK_LINE_LOW);
		break;
	case 0xaa:
		st->ram[0] |= CONTROL_SYSTEM;
		answer(st, SELF_TEST_OK);
		break;
	case 0xad:
		st->ram[0] |= CONTROL_KBD_DISABLED;
		break;
	case 0xae:
		st->ram[0] &= (uint8_t)~CONTROL_KBD_DISABLED;
		break;
	case 0xc0: /* input port: not locked */
		answer(st, 0x80);
		break;
	case 0xd0:
		answer(st, st->output_port);
		break;
	case 0xdd:
		st->output_port &= (uint8_t)~OUTPUT_A20;
		break;
	case 0xdf:
		st->output_port |= OUTPUT_A20;
		break;
	}
	return false;
}

/* Returns true if the reset line was pulled. */
static bool handle_data(struct state *st, uint8_t value)
{
	uint8_t command = st->pending;

	st->is_command = false;
	st->pending = 0;
	if (command >= 0x60 && command <= 0x7f) {
		st->ram[command - 0x60] = value;
	} else if (command == 0xd1) {
		st->output_port = value | OUTPUT_NOT_RESET;
		return !(value & OUTPUT_NOT_RESET);
	} else if (command == 0xd2 || command == 0xd3) {
		/*
		 * Write to the output buffer as if it came from the keyboard or the auxiliary
		 * device. The latter is answered without the status bit that says "auxiliary":
		 * that is how a driver learns at once that there is no such port.
		 */
		answer(st, value);
	}
	/* Otherwise it is for a keyboard or a mouse, which is not there. */
	return false;
}

static uint64_t data_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	struct sk_i8042 *kbc = dev;
	uint8_t value;

	(void)offset;
	(void)size_bytes;
	pthread_mutex_lock(&kbc->lock);
	value = kbc->st.output; /* an empty buffer reads as what it last held */
	kbc->st.is_full = false;
	pthread_mutex_unlock(&kbc->lock);
	return value;
}

static uint64_t status_read(void *dev, uint64_t offset, unsigned size_bytes)
{
	struct sk_i8042 *kbc = dev;
	uint8_t value = STATUS_NOT_LOCKED;

	(void)offset;
	(void)size_bytes;
	pthread_mutex_lock(&kbc->lock);
	value |= kbc->st.is_full ? STATUS_OUTPUT_FULL : 0;
	value |= kbc->st.ram[0] & CONTROL_SYSTEM ? STATUS_SYSTEM : 0;
	value |= kbc->st.is_command ? STATUS_COMMAND : 0;
	pthread_mutex_unlock(&kbc->lock);
	return value;
}

static void handle_write(struct sk_i8042 *kbc, bool (*handle)(struct state *, uint8_t),
			 uint64_t value)
{
	bool is_reset;

	pthread_mutex_lock(&kbc->lock);
	is_reset = handle(&kbc->st, (uint8_t)value);
	pthread_mutex_unlock(&kbc->lock);
	if (is_reset && kbc->config.on_reset)
		kbc->config.on_reset(kbc->config.ctx);
}

static void data_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	(void)offset;
	(void)size_bytes;
	handle_write(dev, handle_data, value);
}

static void command_write(void *dev, uint64_t offset, unsigned size_bytes, uint64_t value)
{
	(void)offset;
	(void)size_bytes;
	handle_write(dev, handle_command, value);
}

const struct sk_bus_ops sk_i8042_data_ops = {.read = data_read, .write = data_write};
const struct sk_bus_ops sk_i8042_command_ops = {.read = status_read, .write = command_write};

int sk_i8042_create(struct sk_i8042 **out, const struct sk_i8042_config *config,
		    struct sk_error *err)
{
	struct sk_i8042 *kbc = calloc(1, sizeof(*kbc));

	if (!kbc)
		return sk_error_set(err, -ENOMEM, "i8042: out of memory");
	kbc->config = *config;
	/* As firmware leaves it: tested, both ports off, A20 open. */
	kbc->st.ram[0] = CONTROL_SYSTEM | CONTROL_KBD_DISABLED | CONTROL_AUX_DISABLED;
	kbc->st.output_port = OUTPUT_NOT_RESET | OUTPUT_A20;
	pthread_mutex_init(&kbc->lock, NULL);
	*out = kbc;
	return 0;
}

void sk_i8042_destroy(struct sk_i8042 *kbc)
{
	if (!kbc)
		return;
	pthread_mutex_destroy(&kbc->lock);
	free(kbc);
}

void sk_i8042_save(struct sk_i8042 *kbc, struct sk_writer *w)
{
	pthread_mutex_lock(&kbc->lock);
	sk_put_u32(w, STATE_VERSION);
	sk_put_u8(w, kbc->st.output);
	sk_put_u8(w, kbc->st.is_full);
	sk_put_u8(w, kbc->st.is_command);
	sk_put_u8(w, kbc->st.pending);
	sk_put_u8(w, kbc->st.output_port);
	sk_put_bytes(w, kbc->st.ram, RAM_BYTES);
	pthread_mutex_unlock(&kbc->lock);
}

int sk_i8042_restore(struct sk_i8042 *kbc, struct sk_reader *r, struct sk_error *err)
{
	struct state st = {0};
	uint8_t is_full, is_command;
	uint32_t version = sk_get_u32(r);

	if (!sk_reader_ok(r) || version != STATE_VERSION)
		return sk_error_set(err, -EINVAL,
				    "i8042: the saved state has version %u, this one reads %u",
				    version, STATE_VERSION);
	st.output = sk_get_u8(r);
	is_full = sk_get_u8(r);
	is_command = sk_get_u8(r);
	st.pending = sk_get_u8(r);
	st.output_port = sk_get_u8(r);
	sk_get_bytes(r, st.ram, RAM_BYTES);
	if (!sk_reader_ok(r) || is_full > 1 || is_command > 1 ||
	    (st.pending && !has_parameter(st.pending)) || (st.pending && !is_command) ||
	    !(st.output_port & OUTPUT_NOT_RESET))
		return sk_error_set(err, -EINVAL,
				    "i8042: the saved state is truncated or impossible");
	st.is_full = is_full;
	st.is_command = is_command;
	pthread_mutex_lock(&kbc->lock);
	kbc->st = st;
	pthread_mutex_unlock(&kbc->lock);
	return 0;
}
