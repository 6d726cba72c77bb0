/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* The commands of one letter. What is not known gets an empty reply, as the protocol wants. */
#include "gdb_internal.h"

#define MEMORY_MAX   (GDB_PACKET_MAX / 2)
#define SIGNAL_TRAP  5
#define ERROR_PACKET (-EINVAL)

static uint32_t nr_threads(struct sk_gdb *gdb)
{
	return SK_MIN(gdb->ops->nr_threads(gdb->ctx), (uint32_t)GDB_THREADS_MAX);
}

void gdb_report_stop(struct sk_gdb *gdb)
{
	const uint8_t signal = (uint8_t)gdb->stop_signal;

	gdb_reply_begin(gdb);
	gdb_put(gdb, "T");
	gdb_put_hex(gdb, &signal, 1);
	if (gdb->is_breakpoint)
		gdb_put(gdb, "swbreak:;");
	gdb_put(gdb, "thread:");
	gdb_put_number(gdb, gdb->stopped_thread + 1);
	gdb_put(gdb, ";");
	gdb_reply_end(gdb);
}

/* "-1" (all), "0" (any) or a number from 1. @out: counted from 0; any: the stopped one. */
static bool parse_thread(const struct sk_gdb *gdb, const char **at, uint32_t *out, bool *is_all)
{
	uint64_t id;

	*is_all = false;
	*out = gdb->stopped_thread;
	if (gdb_parse_char(at, '-')) {
		*is_all = true;
		return gdb_parse_char(at, '1');
	}
	if (!gdb_parse_number(at, &id) || id > GDB_THREADS_MAX)
		return false;
	if (id)
		*out = (uint32_t)id - 1;
	return true;
}

static void select_thread(struct sk_gdb *gdb, const char *text)
{
	bool is_all;
	uint32_t thread;

	if ((*text != 'g' && *text != 'c') || text++[1] == '\0' ||
	    !parse_thread(gdb, &text, &thread, &is_all) || thread >= nr_threads(gdb)) {
		gdb_reply_result(gdb, ERROR_PACKET);
		return;
	}
	if (text[-1] != 'c')
		gdb->thread = thread;
	gdb_reply(gdb, "OK");
}

static void thread_alive(struct sk_gdb *gdb, const char *text)
{
	bool is_all;
	uint32_t thread;
	bool ok = parse_thread(gdb, &text, &thread, &is_all) && thread < nr_threads(gdb);

	gdb_reply_result(gdb, ok ? 0 : ERROR_PACKET);
}

static void read_registers(struct sk_gdb *gdb)
{
	struct sk_gdb_regs regs;
	int ret = gdb->ops->read_regs(gdb->ctx, gdb->thread, &regs);
	size_t offset, len;

	if (ret) {
		gdb_reply_result(gdb, ret);
		return;
	}
	gdb_reply_begin(gdb);
	for (uint32_t i = 0; gdb_reg_place(i, &offset, &len); i++)
		gdb_put_hex(gdb, (const uint8_t *)&regs + offset, len);
	gdb_reply_end(gdb);
}

static void write_registers(struct sk_gdb *gdb, const char *text)
{
	struct sk_gdb_regs regs;
	int ret = gdb->ops->read_regs(gdb->ctx, gdb->thread, &regs);
	size_t offset, len;

	for (uint32_t i = 0; !ret && gdb_reg_place(i, &offset, &len); i++)
		if (!gdb_parse_bytes(&text, (uint8_t *)&regs + offset, len))
			ret = ERROR_PACKET;
	if (!ret)
		ret = gdb->ops->write_regs(gdb->ctx, gdb->thread, &regs);
	gdb_reply_result(gdb, ret);
}

static void read_register(struct sk_gdb *gdb, const char *text)
{
	struct sk_gdb_regs regs;
	size_t offset, len;
	uint64_t number;
	int ret = ERROR_PACKET;

	if (gdb_parse_number(&text, &number) && number < GDB_REGS &&
	    gdb_reg_place((uint32_t)number, &offset, &len))
		ret = gdb->ops->read_regs(gdb->ctx, gdb->thread, &regs);
	if (ret) {
		gdb_reply_result(gdb, ret);
		return;
	}
	gdb_reply_begin(gdb);
	gdb_put_hex(gdb, (const uint8_t *)&regs + offset, len);
	gdb_reply_end(gdb);
}

static void write_register(struct sk_gdb *gdb, const char *text)
{
	struct sk_gdb_regs regs;
	size_t offset, len;
	uint64_t number;
	int ret = ERROR_PACKET;

	if (gdb_parse_number(&text, &number) && number < GDB_REGS && gdb_parse_char(&text, '=') &&
	    gdb_reg_place((uint32_t)number, &offset, &len))
		ret = gdb->ops->read_regs(gdb->ctx, gdb->thread, &regs);
	if (!ret && !gdb_parse_bytes(&text, (uint8_t *)&regs + offset, len))
		ret = ERROR_PACKET;
	if (!ret)
		ret = gdb->ops->write_regs(gdb->ctx, gdb->thread, &regs);
	gdb_reply_result(gdb, ret);
}

static bool parse_range(const char **at, uint64_t *address, uint64_t *len_bytes)
{
	return gdb_parse_number(at, address) && gdb_parse_char(at, ',') &&
	       gdb_parse_number(at, len_bytes);
}

static void read_memory(struct sk_gdb *gdb, const char *text)
{
	uint8_t bytes[MEMORY_MAX];
	uint64_t address, len;
	int ret = ERROR_PACKET;

	if (parse_range(&text, &address, &len) && len <= sizeof(bytes))
		ret = gdb->ops->read_memory(gdb->ctx, gdb->thread, address, bytes, len);
	if (ret) {
		gdb_reply_result(gdb, ret);
		return;
	}
	gdb_reply_begin(gdb);
	gdb_put_hex(gdb, bytes, len);
	gdb_reply_end(gdb);
}

static void write_memory(struct sk_gdb *gdb, const char *text)
{
	uint8_t bytes[MEMORY_MAX];
	uint64_t address, len;
	int ret = ERROR_PACKET;

	if (parse_range(&text, &address, &len) && len <= sizeof(bytes) &&
	    gdb_parse_char(&text, ':') && gdb_parse_bytes(&text, bytes, len))
		ret = gdb->ops->write_memory(gdb->ctx, gdb->thread, address, bytes, len);
	gdb_reply_result(gdb, ret);
}

static void change_break(struct sk_gdb *gdb, const char *text, bool is_set)
{
	uint64_t kind, address, len;
	int ret;

	if (!gdb_parse_number(&text, &kind) || !gdb_parse_char(&text, ',') ||
	    !parse_range(&text, &address, &len) || len > 64 || *text) {
		gdb_reply_result(gdb, ERROR_PACKET);
		return;
	}
	if (kind > SK_GDB_WATCH_ACCESS || kind == 3) {
		gdb_reply(gdb, "");
		return;
	}
	ret = (is_set ? gdb->ops->set_break : gdb->ops->clear_break)(
		gdb->ctx, (enum sk_gdb_break)kind, address, (uint32_t)len);
	if (ret == -EOPNOTSUPP)
		gdb_reply(gdb, "");
	else
		gdb_reply_result(gdb, ret);
}

static void resume(struct sk_gdb *gdb, const enum sk_gdb_action *actions, uint32_t nr, int signal)
{
	int ret;

	gdb->is_running = true;
	ret = gdb->ops->resume(gdb->ctx, actions, nr, signal);
	if (ret) {
		gdb->is_running = false;
		gdb_reply_result(gdb, ret);
	}
}

/* One action of vCont: "c", "s", "C05", "S05", each perhaps with ":thread". */
static bool parse_action(struct sk_gdb *gdb, const char **at, enum sk_gdb_action *actions,
			 bool *decided, uint32_t nr, int *signal)
{
	char what = *(*at)++;
	uint32_t thread = 0;
	uint8_t number = 0;
	bool is_all = true;

	if (what != 'c' && what != 's' && what != 'C' && what != 'S')
		return false;
	if ((what == 'C' || what == 'S') && !gdb_parse_bytes(at, &number, 1))
		return false;
	if (gdb_parse_char(at, ':') && !parse_thread(gdb, at, &thread, &is_all))
		return false;
	if (!is_all && thread >= nr)
		return false;
	for (uint32_t i = 0; i < nr; i++) {
		if (decided[i] || (!is_all && i != thread))
			continue;
		decided[i] = true;
		actions[i] = what == 's' || what == 'S' ? SK_GDB_STEP : SK_GDB_CONTINUE;
	}
	*signal = number ? number : *signal;
	return true;
}

void gdb_resume_by(struct sk_gdb *gdb, const char *text)
{
	enum sk_gdb_action actions[GDB_THREADS_MAX] = {SK_GDB_STAY};
	bool decided[GDB_THREADS_MAX] = {false};
	uint32_t nr = nr_threads(gdb);
	int signal = 0;

	do {
		if (!parse_action(gdb, &text, actions, decided, nr, &signal)) {
			gdb_reply_result(gdb, ERROR_PACKET);
			return;
		}
	} while (gdb_parse_char(&text, ';'));
	resume(gdb, actions, nr, signal);
}

/* "c" and "s" without vCont: the rest of the text would be an address, which gdb does not send. */
static void resume_all(struct sk_gdb *gdb, const char *text)
{
	char action[8] = {text[0]};

	if ((text[0] == 'C' || text[0] == 'S') && text[1] && text[2])
		memcpy(action + 1, text + 1, 2);
	gdb_resume_by(gdb, action);
}

void gdb_execute(struct sk_gdb *gdb)
{
	const char *text = gdb->packet + 1;

	if (gdb->is_running) /* all-stop: nothing but Ctrl-C is expected now */
		return;
	switch (gdb->packet[0]) {
	case '?':
		gdb_report_stop(gdb);
		break;
	case 'g':
		read_registers(gdb);
		break;
	case 'G':
		write_registers(gdb, text);
		break;
	case 'p':
		read_register(gdb, text);
		break;
	case 'P':
		write_register(gdb, text);
		break;
	case 'm':
		read_memory(gdb, text);
		break;
	case 'M':
		write_memory(gdb, text);
		break;
	case 'Z':
	case 'z':
		change_break(gdb, text, gdb->packet[0] == 'Z');
		break;
	case 'c':
	case 's':
	case 'C':
	case 'S':
		resume_all(gdb, gdb->packet);
		break;
	case 'H':
		select_thread(gdb, text);
		break;
	case 'T':
		thread_alive(gdb, text);
		break;
	case 'q':
		gdb_query(gdb, text);
		break;
	case 'Q':
		gdb_set(gdb, text);
		break;
	case 'v':
		gdb_verbose(gdb, text);
		break;
	case 'D':
		gdb_reply(gdb, "OK");
		gdb->is_over = true;
		gdb->ops->detach(gdb->ctx);
		break;
	case 'k':
		gdb->is_over = true;
		gdb->ops->kill(gdb->ctx);
		break;
	default:
		gdb_reply(gdb, "");
		break;
	}
}

void sk_gdb_stopped(struct sk_gdb *gdb, uint32_t thread, int signal, bool is_breakpoint)
{
	gdb->stopped_thread = gdb->thread = thread;
	gdb->stop_signal = signal;
	gdb->is_breakpoint = is_breakpoint;
	if (gdb->is_running) {
		gdb->is_running = false;
		gdb_report_stop(gdb);
	}
}

void sk_gdb_exited(struct sk_gdb *gdb, int status)
{
	const uint8_t code = (uint8_t)status;

	if (gdb->is_over)
		return;
	gdb->is_over = true;
	if (!gdb->is_running)
		return;
	gdb_reply_begin(gdb);
	gdb_put(gdb, status < 0 ? "X09" : "W");
	if (status >= 0)
		gdb_put_hex(gdb, &code, 1);
	gdb_reply_end(gdb);
}

int sk_gdb_create(struct sk_gdb **out, const struct sk_gdb_config *config, struct sk_error *err)
{
	struct sk_gdb *gdb = calloc(1, sizeof(*gdb));

	if (!gdb)
		return sk_error_set(err, -ENOMEM, "no memory for gdb's session");
	gdb->ops = config->ops;
	gdb->ctx = config->ctx;
	gdb->text = config->text;
	gdb->data = config->data;
	gdb->has_acks = true;
	gdb->stop_signal = SIGNAL_TRAP;
	*out = gdb;
	return 0;
}

void sk_gdb_destroy(struct sk_gdb *gdb)
{
	free(gdb);
}
