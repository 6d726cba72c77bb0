#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# All CPUs busy with computing, timers, pipes and being moved about (each move is an interrupt from CPU
# to CPU), then power-off; the kernel must have nothing to complain of.
#
# STRESS_SECONDS   how long (default 8)
# STRESS_CPUS      with how many CPUs, one after the other (default 2)
set -euo pipefail
. tests/linux/lib.sh

cat >"$WORK/script" <<'SCRIPT'
dmesg -c >/dev/null
cpus=$(nproc)
cpu=0
while [ $cpu -lt $cpus ]; do
	mask=$(printf %x $((1 << cpu)))
	other=$(printf %x $((1 << ((cpu + 1) % cpus))))
	taskset $mask sh -c 'yes | gzip -c >/dev/null' &
	taskset $mask sh -c 'while :; do usleep 1000; done' &
	sh -c "while :; do taskset -p $mask \$\$; taskset -p $other \$\$; done" >/dev/null 2>&1 &
	cpu=$((cpu + 1))
done
sleep $seconds
echo "seen: ended"
# Each CPU had timer interrupts and was called by others.
awk -v n=$cpus '/^ *(LOC|RES|CAL):/ { for (i = 2; i < 2 + n; i++) if ($i < 5) print "seen: idle " $1 " CPU" i - 2 }
	/^ *(LOC|RES|CAL):/ { print "seen: count " $0 }' /proc/interrupts
dmesg -r | sed -n 's/^<[0-4]>/seen: complaint /p'
echo "seen: cpus $cpus"
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script"
seconds=${STRESS_SECONDS:-8}
read -r -a cpu_counts <<<"${STRESS_CPUS:-2}"

for cpus in "${cpu_counts[@]}"; do
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 256M --cpus "$cpus" \
		--no-reboot --cmdline "console=ttyS0 quiet seconds=$seconds"
	guest_end $((seconds * 3 + 150))
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
	[ "$(seen cpus)" = "$cpus" ] || problem "it did not come to its end"
	while read -r line; do
		problem "no interrupts of a kind: $line"
	done < <(seen idle)
	while read -r line; do
		# The host was busy: nothing that the monitor can do about.
		[[ $line == *"hrtimer: interrupt took"* ]] || problem "$line"
	done < <(seen complaint)
	seen count | comment
	verdict "$cpus busy CPUs for $seconds s"
done
done_testing
