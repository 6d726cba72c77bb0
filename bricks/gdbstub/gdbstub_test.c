/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The Skete authors */

#include <skete/gdbstub.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "fake_target.h"

struct rig {
	struct fake fake;
	struct sk_gdb *gdb;
};

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	const struct sk_gdb_config config = {
		.ops = &fake_ops, .ctx = &rig->fake, .text = 0x8000100000, .data = 0x8000200000};

	*state = rig;
	return sk_gdb_create(&rig->gdb, &config, NULL);
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	sk_gdb_destroy(rig->gdb);
	free(rig);
	return 0;
}

static void send_packet(struct rig *rig, const char *text)
{
	char packet[8192];
	uint8_t sum = 0;
	int n;

	for (const char *c = text; *c; c++)
		sum = (uint8_t)(sum + (uint8_t)*c);
	n = snprintf(packet, sizeof(packet), "$%s#%02x", text, sum);
	rig->fake.out_len = 0;
	rig->fake.out[0] = '\0';
	sk_gdb_receive(rig->gdb, packet, (size_t)n);
}

/* The reply without acknowledgement and checksum, which is checked. */
static const char *ask(struct rig *rig, const char *text)
{
	char *reply, *end;
	unsigned int told;
	uint8_t sum = 0;

	send_packet(rig, text);
	reply = strchr(rig->fake.out, '$');
	assert_non_null(reply);
	end = strrchr(reply, '#');
	assert_non_null(end);
	for (const char *c = reply + 1; c < end; c++)
		sum = (uint8_t)(sum + (uint8_t)*c);
	assert_int_equal(sscanf(end, "#%2x", &told), 1);
	assert_int_equal(told, sum);
	*end = '\0';
	return reply + 1;
}

static void packets_are_framed(void **state)
{
	struct rig *rig = *state;
	const char *parts[] = {"noise$qC", "#b4", "$qC#b5", "$qC#zz", "-", "+$", "qC#b4"};
	const char *replies[] = {"", "+$QC1#c5", "-", "-", "$QC1#c5", "", "+$QC1#c5"};

	for (size_t i = 0; i < SK_ARRAY_SIZE(parts); i++) {
		rig->fake.out_len = 0;
		rig->fake.out[0] = '\0';
		sk_gdb_receive(rig->gdb, parts[i], strlen(parts[i]));
		assert_string_equal(rig->fake.out, replies[i]);
	}
	assert_string_equal(ask(rig, "QStartNoAckMode"), "OK");
	send_packet(rig, "qC");
	assert_string_equal(rig->fake.out, "$QC1#c5");
}

static void a_packet_may_be_too_long(void **state)
{
	struct rig *rig = *state;
	static char text[5000];

	memset(text, 'm', sizeof(text) - 1);
	send_packet(rig, text);
	assert_string_equal(rig->fake.out, "-");
	assert_string_equal(ask(rig, "?"), "T05thread:1;");
}

static void registers(void **state)
{
	struct rig *rig = *state;
	char all[2048] = "G", one[64];
	const char *text;

	rig->fake.regs[0].gpr[0] = 0x1122334455667788;
	rig->fake.regs[1].rip = 0x10a0e6;
	text = ask(rig, "g");
	assert_int_equal(strlen(text), 2 * 552);
	assert_memory_equal(text, "8877665544332211", 16);
	assert_string_equal(ask(rig, "p0"), "8877665544332211");
	assert_string_equal(ask(rig, "Hg2"), "OK");
	assert_string_equal(ask(rig, "p10"), "e6a0100000000000");
	assert_string_equal(ask(rig, "P10=0100000000000000"), "OK");
	assert_int_equal(rig->fake.regs[1].rip, 1);
	assert_string_equal(ask(rig, "P11=78563412"), "OK");
	assert_int_equal(rig->fake.regs[1].eflags, 0x12345678);
	for (uint32_t i = 0; i < 59; i++) {
		snprintf(one, sizeof(one), "p%x", i);
		assert_true(*ask(rig, one) != 'E');
	}
	assert_string_equal(ask(rig, "p3b"), "E16");
	assert_string_equal(ask(rig, "pffffffffffffffff"), "E16");
	memset(all + 1, '0', 2 * 552);
	assert_string_equal(ask(rig, all), "OK");
	assert_int_equal(rig->fake.regs[1].eflags, 0);
	all[2 * 552] = '\0';
	assert_string_equal(ask(rig, all), "E16");
	assert_string_equal(ask(rig, "Hg3"), "E16");
	assert_string_equal(ask(rig, "Hc-1"), "OK");
}

static void memory(void **state)
{
	struct rig *rig = *state;

	assert_string_equal(ask(rig, "M1000,3:aabbcc"), "OK");
	assert_string_equal(ask(rig, "m1000,4"), "aabbcc00");
	assert_int_equal(strlen(ask(rig, "m1000,800")), 4096);
	assert_string_equal(ask(rig, "m1000,801"), "E16");
	assert_string_equal(ask(rig, "m1fff,2"), "E0e");
	assert_string_equal(ask(rig, "mffffffffffffffff,2"), "E0e");
	assert_string_equal(ask(rig, "M1000,3:aabb"), "E16");
	assert_string_equal(ask(rig, "m1000"), "E16");
	assert_string_equal(ask(rig, "m1000,"), "E16");
	assert_string_equal(ask(rig, "m11111111111111111,1"), "E16");
}

static void breakpoints(void **state)
{
	struct rig *rig = *state;

	assert_string_equal(ask(rig, "Z0,10a0c9,1"), "OK");
	assert_int_equal(rig->fake.last_break, 0x10a0c9);
	assert_string_equal(ask(rig, "z0,10a0c9,1"), "OK");
	assert_int_equal(rig->fake.breaks, 0);
	assert_string_equal(ask(rig, "Z1,10a0c9,1"), "");
	assert_string_equal(ask(rig, "Z9,10a0c9,1"), "");
	assert_string_equal(ask(rig, "Z0,10a0c9"), "E16");
	assert_string_equal(ask(rig, "Z0,10a0c9,1;X"), "E16");
}

static void run_stop_end(void **state)
{
	struct rig *rig = *state;

	assert_string_equal(ask(rig, "vCont?"), "vCont;c;C;s;S");
	send_packet(rig, "vCont;s:2;c");
	assert_string_equal(rig->fake.out, "+");
	assert_int_equal(rig->fake.actions[0], SK_GDB_CONTINUE);
	assert_int_equal(rig->fake.actions[1], SK_GDB_STEP);
	send_packet(rig, "g"); /* not while it runs */
	assert_string_equal(rig->fake.out, "+");
	sk_gdb_receive(rig->gdb, "\3", 1);
	assert_int_equal(rig->fake.stops, 1);
	rig->fake.out_len = 0;
	sk_gdb_stopped(rig->gdb, 1, 2, false);
	assert_string_equal(rig->fake.out, "$T02thread:2;#d5");
	send_packet(rig, "vCont;s:1");
	assert_int_equal(rig->fake.actions[1], SK_GDB_STAY);
	sk_gdb_stopped(rig->gdb, 0, 5, true);
	assert_non_null(strstr(rig->fake.out, "T05swbreak:;thread:1;"));
	send_packet(rig, "C0b");
	assert_int_equal(rig->fake.signal, 11);
	assert_int_equal(rig->fake.actions[1], SK_GDB_CONTINUE);
	rig->fake.out_len = 0;
	sk_gdb_exited(rig->gdb, 139);
	assert_string_equal(rig->fake.out, "$W8b#f1");
	send_packet(rig, "g");
	assert_string_equal(rig->fake.out, "");
}

static void bad_resumes(void **state)
{
	struct rig *rig = *state;
	const char *bad[] = {"vCont;",	"vCont;x",    "vCont;c:9",
			     "vCont;C", "vCont;s:1;", "vCont;c:zz"};

	for (size_t i = 0; i < SK_ARRAY_SIZE(bad); i++)
		assert_string_equal(ask(rig, bad[i]), "E16");
	assert_int_equal(rig->fake.resumed, 0);
}

static void queries(void **state)
{
	struct rig *rig = *state;
	char xml[16384] = "", one[64];
	size_t len = 0;
	const char *part;

	assert_non_null(strstr(ask(rig, "qSupported:xmlRegisters=i386"), "PacketSize=1000;"));
	assert_string_equal(ask(rig, "qfThreadInfo"), "m1,2");
	assert_string_equal(ask(rig, "qsThreadInfo"), "l");
	assert_string_equal(ask(rig, "qThreadExtraInfo,2"), "435055203031"); /* CPU 01 */
	assert_string_equal(ask(rig, "qThreadExtraInfo,0"), "E16");
	assert_string_equal(ask(rig, "T2"), "OK");
	assert_string_equal(ask(rig, "T3"), "E16");
	assert_string_equal(ask(rig, "qOffsets"), "TextSeg=8000100000;DataSeg=8000200000");
	assert_string_equal(ask(rig, "qNothing"), "");
	assert_string_equal(ask(rig, "!"), "");
	do {
		snprintf(one, sizeof(one), "qXfer:features:read:target.xml:%zx,fff", len);
		part = ask(rig, one);
		strcat(xml, part + 1);
		len += strlen(part + 1);
	} while (*part == 'm');
	assert_int_equal(*part, 'l');
	assert_non_null(strstr(xml, "<reg name=\"gs_base\""));
	assert_string_equal(xml + strlen(xml) - 9, "</target>");
	assert_string_equal(ask(rig, "qXfer:features:read:target.xml:ffffffff,1"), "E16");
}

static void detach(void **state)
{
	struct rig *rig = *state;

	assert_string_equal(ask(rig, "D"), "OK");
	assert_int_equal(rig->fake.detached, 1);
	send_packet(rig, "k");
	assert_int_equal(rig->fake.killed, 0);
}

static void kill_it(void **state)
{
	struct rig *rig = *state;

	assert_string_equal(ask(rig, "vKill;1"), "OK");
	assert_int_equal(rig->fake.killed, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packets_are_framed),
		TEST(a_packet_may_be_too_long),
		TEST(registers),
		TEST(memory),
		TEST(breakpoints),
		TEST(run_stop_end),
		TEST(bad_resumes),
		TEST(queries),
		TEST(detach),
		TEST(kill_it),
	};

	return cmocka_run_group_tests_name("gdbstub", tests, NULL, NULL);
}
