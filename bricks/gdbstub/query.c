/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

/* Packets with names: what we can do, which threads there are, what the registers are called. */
#include "gdb_internal.h"

#define TRANSFER_MAX (GDB_PACKET_MAX - 64)

/* Moves behind @word if the text begins with it. */
static bool parse_word(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len))
		return false;
	*at += len;
	return true;
}

static void list_threads(struct sk_gdb *gdb)
{
	uint32_t nr = SK_MIN(gdb->ops->nr_threads(gdb->ctx), (uint32_t)GDB_THREADS_MAX);

	gdb_reply_begin(gdb);
	gdb_put(gdb, "m");
	for (uint32_t i = 0; i < nr; i++) {
		gdb_put(gdb, i ? "," : "");
		gdb_put_number(gdb, i + 1);
	}
	gdb_reply_end(gdb);
}

static void describe_thread(struct sk_gdb *gdb, const char *text)
{
	char name[] = "CPU 00";
	uint64_t id;

	if (!gdb_parse_number(&text, &id) || !id || id > GDB_THREADS_MAX) {
		gdb_reply_result(gdb, -EINVAL);
		return;
	}
	name[4] = (char)('0' + (id - 1) / 10);
	name[5] = (char)('0' + (id - 1) % 10);
	gdb_reply_begin(gdb);
	gdb_put_hex(gdb, name, sizeof(name) - 1);
	gdb_reply_end(gdb);
}

/* "OFFSET,LENGTH" of the description; "l" marks its last part. */
static void transfer_description(struct sk_gdb *gdb, const char *text)
{
	size_t total = strlen(gdb_target_xml);
	char part[TRANSFER_MAX + 2];
	uint64_t offset, len;

	if (!gdb_parse_number(&text, &offset) || !gdb_parse_char(&text, ',') ||
	    !gdb_parse_number(&text, &len) || offset > total) {
		gdb_reply_result(gdb, -EINVAL);
		return;
	}
	len = SK_MIN(len, (uint64_t)TRANSFER_MAX);
	len = SK_MIN(len, total - offset);
	part[0] = offset + len == total ? 'l' : 'm';
	memcpy(part + 1, gdb_target_xml + offset, len);
	part[len + 1] = '\0';
	gdb_reply(gdb, part);
}

static void tell_offsets(struct sk_gdb *gdb)
{
	if (!gdb->text) {
		gdb_reply(gdb, "");
		return;
	}
	gdb_reply_begin(gdb);
	gdb_put(gdb, "TextSeg=");
	gdb_put_number(gdb, gdb->text);
	gdb_put(gdb, ";DataSeg=");
	gdb_put_number(gdb, gdb->data);
	gdb_reply_end(gdb);
}

void gdb_query(struct sk_gdb *gdb, const char *text)
{
	if (parse_word(&text, "Supported")) {
		gdb_reply(gdb, "PacketSize=1000;QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+;"
			       "qXfer:features:read+");
	} else if (parse_word(&text, "fThreadInfo")) {
		list_threads(gdb);
	} else if (parse_word(&text, "sThreadInfo")) {
		gdb_reply(gdb, "l");
	} else if (parse_word(&text, "ThreadExtraInfo,")) {
		describe_thread(gdb, text);
	} else if (!strcmp(text, "C")) {
		gdb_reply_begin(gdb);
		gdb_put(gdb, "QC");
		gdb_put_number(gdb, gdb->stopped_thread + 1);
		gdb_reply_end(gdb);
	} else if (parse_word(&text, "Xfer:features:read:target.xml:")) {
		transfer_description(gdb, text);
	} else if (parse_word(&text, "Attached")) {
		gdb_reply(gdb, "1"); /* so gdb's end detaches and does not kill */
	} else if (parse_word(&text, "Offsets")) {
		tell_offsets(gdb);
	} else if (parse_word(&text, "Symbol")) {
		gdb_reply(gdb, "OK");
	} else {
		gdb_reply(gdb, "");
	}
}

void gdb_set(struct sk_gdb *gdb, const char *text)
{
	if (!strcmp(text, "StartNoAckMode")) {
		gdb_reply(gdb, "OK");
		gdb->has_acks = false;
		return;
	}
	gdb_reply(gdb, "");
}

void gdb_verbose(struct sk_gdb *gdb, const char *text)
{
	if (!strcmp(text, "Cont?")) {
		gdb_reply(gdb, "vCont;c;C;s;S");
	} else if (parse_word(&text, "Cont;")) {
		gdb_resume_by(gdb, text);
	} else if (parse_word(&text, "Kill")) {
		gdb_reply(gdb, "OK");
		gdb->is_over = true;
		gdb->ops->kill(gdb->ctx);
	} else {
		gdb_reply(gdb, "");
	}
}
