#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# What Linux finds in the machine, under both interrupt controllers: clocks, timers, the topology and
# the caches that CPUID promises, a real-time clock with the host's time. And what its memory is made
# of on the host: huge pages, a memfd.
set -euo pipefail
. tests/linux/lib.sh

cat >"$WORK/script" <<'SCRIPT'
cpu=/sys/devices/system/cpu
for n in $(seq 0 $(($(nproc) - 1))); do
	t=$cpu/cpu$n/topology
	echo "seen: topology $n package $(cat $t/physical_package_id) core $(cat $t/core_id)" \
		"threads $(cat $t/thread_siblings_list) of $(cat $t/core_siblings_list)"
	for c in $cpu/cpu$n/cache/index*; do
		[ ! -e $c/level ] || echo "seen: cache $n level $(cat $c/level) shared $(cat $c/shared_cpu_list)"
	done
done
echo "seen: clocksource $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "seen: timer $(cat /sys/devices/system/clockevents/clockevent0/current_device)"
grep -q '^flags.* x2apic' /proc/cpuinfo && dmesg | grep -q 'x2apic.*enabled' && echo "seen: x2apic"
echo "seen: rtc $(cat /sys/class/rtc/rtc0/name) $(cat /sys/class/rtc/rtc0/since_epoch) $(date +%s)"
echo "seen: chips $(awk '/IO-APIC|XT-PIC/ { print $(NF - 1) }' /proc/interrupts | sort -u | tr '\n' ' ')"
echo "seen: ready"
read -r what
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script"

# start CPUS [OPTION...]
start() {
	local cpus=$1
	shift
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 256M --cpus "$cpus" \
		--no-reboot --cmdline "console=ttyS0 quiet" "$@"
	guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
}

finish() {
	guest_tell off
	guest_end 60
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
}

# One package of CPUS cores with a thread each.
check_topology() {
	local cpus=$1 all=0-$(($1 - 1)) n
	for ((n = 0; n < cpus; n++)); do
		seen "topology $n" | grep -qx "package 0 core $n threads $n of $all" ||
			problem "CPU $n: $(seen "topology $n")"
	done
}

# Levels 1 and 2 belong to a core, level 3 to all.
check_caches() {
	local cpus=$1 all=0-$(($1 - 1)) n level shared
	for ((n = 0; n < cpus; n++)); do
		while read -r _ level _ shared; do
			if [ "$level" -ge 3 ]; then
				[ "$shared" = "$all" ] || problem "CPU $n shares its level $level with $shared"
			else
				[ "$shared" = "$n" ] || problem "CPU $n shares its level $level with $shared"
			fi
		done < <(seen "cache $n")
	done
}

for irqchip in kernel split; do
	begin=$(date +%s)
	[ "$irqchip" = kernel ] && cpus=2 || cpus=4
	start "$cpus" --irqchip "$irqchip"
	finish
	check_topology "$cpus"
	[ "$(seen clocksource)" = kvm-clock ] || problem "the clock is '$(seen clocksource)'"
	[ "$(seen timer)" = lapic-deadline ] || problem "the timer is '$(seen timer)'"
	grep -q '^seen: x2apic' "$WORK/serial" || problem "there is no x2APIC"
	read -r driver _ rtc now < <(seen rtc) || true
	[ "$driver" = rtc_cmos ] || problem "the real-time clock is '$(seen rtc)'"
	if [ "${rtc:-0}" -lt $((begin - 1)) ] || [ "${rtc:-0}" -gt $(($(date +%s) + 1)) ]; then
		problem "the host's clock went from $begin to $(date +%s), the guest's real-time clock says '$rtc'"
	fi
	# Linux took its time from there when it booted.
	if [ "${now:-0}" -lt $((begin - 2)) ] || [ "${now:-0}" -gt $(($(date +%s) + 2)) ]; then
		problem "the host's clock went from $begin to $(date +%s), the guest's says '$now'"
	fi
	verdict "topology and clocks, irqchip $irqchip"
done
if [ -n "$(seen cache)" ]; then
	check_caches 4
	seen cache | sort -u | sed 's/^/cache of CPU /' | comment
	verdict "caches"
else
	# Linux wants TOPOEXT for that on an AMD CPU, which software emulation has not.
	skipped "caches" "Linux finds no description of caches on this CPU"
fi

# A guest that stands and waits: its memory can be looked at.
start 1 --memory-backing memfd
grep -q 'memfd:' "/proc/$guest_pid/maps" || problem "no memfd is mapped"
finish
verdict "memory from a memfd"

pool=/sys/kernel/mm/hugepages/hugepages-2048kB
had=$(cat $pool/nr_hugepages 2>/dev/null) || had=
if [ -n "$had" ] && echo $((had + 128)) >$pool/nr_hugepages 2>/dev/null &&
	[ "$(cat $pool/free_hugepages)" -ge 128 ]; then
	for backing in anon memfd; do
		start 1 --pages 2M --memory-backing "$backing"
		awk '/^Private_Hugetlb|^Shared_Hugetlb/ { kib += $2 } END { exit kib < 20480 }' \
			"/proc/$guest_pid/smaps" || problem "it has no huge pages"
		finish
		verdict "memory of 2 MiB pages, $backing"
	done
	echo "$had" >$pool/nr_hugepages
else
	skipped "memory of 2 MiB pages" "128 of them cannot be reserved here"
fi
done_testing
