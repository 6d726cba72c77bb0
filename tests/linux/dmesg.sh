#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# Linux complains of nothing here that it does not complain of on QEMU's microvm, under the same KVM:
# every kernel message of level warning or worse is compared, numbers aside.
#
# DMESG_CPUS   with how many CPUs, one after the other (default 2)
set -euo pipefail
. tests/linux/lib.sh
if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "1..0 # SKIP qemu-system-x86_64 is missing: there is nothing to compare with"
	exit 77
fi

cat >"$WORK/script" <<'SCRIPT'
echo "seen: lines $(dmesg | wc -l)"
dmesg -r | sed -n 's/^<\([0-4]\)>\[[^]]*\] /seen: level\1 /p'
dmesg -r | sed -n 's/^<[0-9]*>\[[^]]*\] \(.*ACPI.*[Ee]rror.*\)/seen: acpi \1/p'
echo "seen: end"
# What the serial port still holds is lost with the machine.
sleep 1
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script"
cmdline="console=ttyS0 quiet panic=-1"

# What was said at level warning or worse: words with a digit in them count as one and the same, and
# what only says that the host had no time for the guest does not count.
complaints() {
	tr -d '\r' <"$1" | sed -n 's/^seen: level//p' | sed -E '
		/hrtimer: interrupt took|perf: interrupt took too long|sched: RT throttling activated/d
		/clocksource: (timekeeping )?[Ww]atchdog|clocksource: .*(skew|read-back|cs_|wd_)|TSC.*unstable/d
		/workqueue: .*hogged CPU|sched_clock: .*unstable/d
		s/^([0-9]) /\1\t/
		s/[^ \t]*[0-9][^ \t]*( +[^ \t]*[0-9][^ \t]*)*/N/2g
		s/ +/ /g; s/ $//' | sort -u
}

read -r -a cpu_counts <<<"${DMESG_CPUS:-2}"
for cpus in "${cpu_counts[@]}"; do
	guest_start qemu-system-x86_64 -M microvm,acpi=on -accel kvm -cpu host -m 512 -smp "$cpus" -kernel \
		"$LINUX_ELF" -initrd "$WORK/initrd" -append "$cmdline" -nodefaults -no-user-config -no-reboot \
		-display none -serial stdio
	guest_end 200
	lines=$(seen lines)
	if [ "$status" -ne 0 ] || [ "${lines:-0}" -lt 100 ] || ! grep -q '^seen: end' "$WORK/serial"; then
		skipped "Linux' complaints with $cpus CPU(s)" \
			"QEMU's microvm ended with $status, so there is nothing to compare with"
		continue
	fi
	complaints "$WORK/serial" >"$WORK/theirs"
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 512M --cpus "$cpus" \
		--no-reboot --cmdline "$cmdline"
	guest_end 200
	lines=$(seen lines)
	if [ "$status" -ne 0 ] || [ "${lines:-0}" -lt 100 ] || ! grep -q '^seen: end' "$WORK/serial"; then
		problem "skete ends with $status"
	fi
	complaints "$WORK/serial" >"$WORK/ours"
	while read -r line; do
		problem "only here: $line"
	done < <(comm -13 "$WORK/theirs" "$WORK/ours")
	while read -r line; do
		problem "ACPI: $line"
	done < <(seen acpi)
	echo "# lines of level warning or worse: $(wc -l <"$WORK/ours"), QEMU's microvm $(wc -l <"$WORK/theirs")"
	verdict "no complaint of Linux that QEMU's microvm does not cause, $cpus CPU(s)"
done
done_testing
