#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# ACPICA, whose interpreter is Linux's, judges the tables: iasl takes every table apart and puts it
# together again without a word of complaint and to the same bytes; acpiexec loads the DSDT and runs
# its methods.
#
#   iasl_test.sh DUMP_TABLES
set -uo pipefail

dump_tables=$1
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
nr=0 failed=0

report() { # ok|not ok, what
	nr=$((nr + 1))
	echo "$1 $nr - $2"
	[ "$1" = ok ] || failed=1
}

# All but the checksum, the compiler's name and its revision, which are iasl's own in the second.
is_same() { # table, recompiled table
	[ "$(wc -c <"$1")" = "$(wc -c <"$2")" ] || return 1
	[ -z "$(cmp -l "$1" "$2" | awk '$1 != 10 && ($1 < 29 || $1 > 36) { print }')" ]
}

check_table() { # table, what
	base=${1%.aml}
	if ! iasl -d "$1" >"$base.log" 2>&1; then
		sed 's/^/# /' "$base.log"
		report 'not ok' "$2 is taken apart"
		return
	fi
	# A resource template that iasl cannot read is but a buffer to it.
	if grep -Ei '(_CRS|_PRS), Buffer|unknown|invalid|\*\*\*' "$base.dsl" >"$base.log"; then
		sed 's/^/# /' "$base.log"
		report 'not ok' "$2 is understood"
		return
	fi
	# -oa: no optimisation, so that the same source gives the same bytes.
	if iasl -oa -p "$base-again" "$base.dsl" >>"$base.log" 2>&1 &&
		grep -q '0 Errors, 0 Warnings, 0 Remarks' "$base.log" &&
		! grep -Eiq '^(error|warning|remark)|unknown|invalid|could not|illegal' "$base.log"
	then
		report ok "$2 is taken apart and compiled without a complaint"
	else
		sed 's/^/# /' "$base.log"
		report 'not ok' "$2 is taken apart and compiled without a complaint"
		return
	fi
	if is_same "$1" "$base-again.aml"; then
		report ok "$2 has the same bytes then"
	else
		report 'not ok' "$2 has the same bytes then"
	fi
}

check_machine() { # CPUs, small|full, expected tables
	mkdir "$dir/$1-$2"
	"$dump_tables" "$dir/$1-$2" "$1" "$2" || report 'not ok' "tables of $1 CPUs, $2"
	for table in $3; do
		check_table "$dir/$1-$2/$table.aml" "$table of $1 CPUs, $2"
	done
}

# All expressions in one run, which sleeps for a second at its end.
run_methods() { # table, expressions
	acpiexec -b "$(printf '%s' "$2" | tr '\n\t' '  ')" "$1" >"$dir/run.log" 2>&1
	if grep -Eiq 'ACPI (BIOS )?(error|warning|exception)|AE_' "$dir/run.log"; then
		sed 's/^/# /' "$dir/run.log"
		report 'not ok' 'acpiexec loads the DSDT and runs its methods'
	else
		report ok 'acpiexec loads the DSDT and runs its methods'
	fi
}

evaluated() { # path, what stands below "Evaluating PATH"
	if path=$1 awk '/^Evaluating/ { on = $2 == ENVIRON["path"] } on' "$dir/run.log" |
		grep -F -e "$2" >/dev/null # not -q: awk would be ended by a signal
	then
		report ok "$1: $2"
	else
		sed 's/^/# /' "$dir/run.log"
		report 'not ok' "$1: $2"
	fi
}

if ! command -v iasl >/dev/null || ! command -v acpiexec >/dev/null; then
	echo '1..0 # SKIP iasl or acpiexec is missing (Debian package acpica-tools)'
	exit 0
fi
check_machine 1 small 'XSDT FACP DSDT APIC'
check_machine 4 small 'XSDT FACP DSDT APIC'
check_machine 64 full 'XSDT FACP DSDT APIC MCFG SLIT'
check_machine 300 full 'XSDT FACP DSDT APIC MCFG SLIT'
run_methods "$dir/64-full/DSDT.aml" 'evaluate \_S5; evaluate \_SB.SUM 10; evaluate \_SB.MIX;
	evaluate \_SB.CALL; evaluate \_SB.GED._EVT 12; evaluate \_SB.PCI9._PRT;
	evaluate \_SB.PCI0._CRS; evaluate \_SB.PCI0._OSC (5B4DDB33F71F1C4096577441C03DD766) 1 3 (000000001F0000001F000000);
	evaluate \_SB.PCI0._OSC (5B4DDB33F71F1C4096577441C03DD767) 1 3 (000000001F0000001F000000)'
evaluated '\_S5' '[Integer] = 0000000000000005'
evaluated '\_SB.SUM' '[Integer] = 000000000000002D'
evaluated '\_SB.MIX' '[Integer] = 00000000000001E4'
evaluated '\_SB.CALL' '[Integer] = 000000000000002D'
evaluated '\_SB.GED._EVT' 'No object was returned'
evaluated '\_SB.PCI9._PRT' 'Contains 32 Elements'
evaluated '\_SB.PCI0._OSC' '0000: 00 00 00 00 1F 00 00 00 1F 00 00 00'
evaluated '\_SB.PCI0._OSC' '0000: 04 00 00 00 1F 00 00 00 1F 00 00 00'
evaluated '\_SB.PCI0._CRS' '88 0D 00 02 0C 00 00 00 00 00 03 00 00 00 04 00'
echo "1..$nr"
exit $failed
