/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/*
 * The inside of the stub.
 *
 *   packet.c    framing: $data#checksum, acknowledgements, Ctrl-C; hexadecimal digits
 *   commands.c  the commands about threads, registers, memory, breakpoints, execution
 *   query.c     q, Q and v packets: features, thread lists, the description of the registers
 *   regs.c      the registers in the order in which gdb numbers them
 */
#ifndef SKETE_GDBSTUB_INTERNAL_H
#define SKETE_GDBSTUB_INTERNAL_H

#include <skete/gdbstub.h>

#define GDB_PACKET_MAX	4096 /* what we accept and send, framing not counted */
#define GDB_THREADS_MAX 64
#define GDB_REGS	59

struct sk_gdb {
	const struct sk_gdb_ops *ops;
	void *ctx;
	uint64_t text, data;
	bool has_acks;
	bool is_running;
	bool is_over;	 /* killed or detached: nothing more is expected */
	uint32_t thread; /* of Hg: whose registers and memory */
	uint32_t stopped_thread;
	int stop_signal;
	bool is_breakpoint;

	/* reception */
	enum { GDB_IDLE, GDB_DATA, GDB_SUM1, GDB_SUM2 } state;
	char packet[GDB_PACKET_MAX + 1]; /* ends with a zero byte once it is complete */
	size_t len;
	uint8_t sum;   /* of what came */
	int sum_digit; /* the first of the checksum's */
	bool is_too_long;

	/* the reply under construction: '$', data, '#', checksum */
	char reply[GDB_PACKET_MAX + 4];
	size_t reply_len;
};

/* packet.c */
void gdb_reply_begin(struct sk_gdb *gdb);
void gdb_put(struct sk_gdb *gdb, const char *text);
void gdb_put_hex(struct sk_gdb *gdb, const void *bytes, size_t len_bytes);
void gdb_put_number(struct sk_gdb *gdb, uint64_t value);
void gdb_reply_end(struct sk_gdb *gdb);
void gdb_reply(struct sk_gdb *gdb, const char *text);
/* "OK", or "Enn" for -errno. */
void gdb_reply_result(struct sk_gdb *gdb, int result);

/* The digit's value, or -1. */
int gdb_digit(char c);
/* Reads hexadecimal digits at *@at and moves it behind them. False: there are none, or too many. */
bool gdb_parse_number(const char **at, uint64_t *out);
/* Exactly @len_bytes bytes of two digits each. */
bool gdb_parse_bytes(const char **at, void *out, size_t len_bytes);
/* Moves behind @c if it is there. */
bool gdb_parse_char(const char **at, char c);

/* commands.c */
void gdb_execute(struct sk_gdb *gdb);
void gdb_report_stop(struct sk_gdb *gdb);
/* "c", "s:1;c" ...: what follows "vCont;". */
void gdb_resume_by(struct sk_gdb *gdb, const char *actions);

/* query.c */
void gdb_query(struct sk_gdb *gdb, const char *text);
void gdb_set(struct sk_gdb *gdb, const char *text);
void gdb_verbose(struct sk_gdb *gdb, const char *text);

/* regs.c: where register @number lies in struct sk_gdb_regs. False: there is no such register. */
bool gdb_reg_place(uint32_t number, size_t *offset, size_t *len_bytes);
extern const char gdb_target_xml[];

#endif
