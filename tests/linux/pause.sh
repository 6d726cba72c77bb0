#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# SIGUSR1 makes Linux stand still and SIGUSR2 go on; its clock stands meanwhile, never goes backwards,
# and its watchdogs say nothing. A guest with nothing to do costs the host next to no time.
set -euo pipefail
. tests/linux/lib.sh

cat >"$WORK/script" <<'SCRIPT'
watch_clock() {
	last=0
	while [ ! -e /tmp/stop ]; do
		read -r up _ </proc/uptime
		now=${up%.*}${up#*.}
		[ "$now" -ge "$last" ] || echo "seen: backwards $last $now"
		last=$now
		usleep 20000
	done
}
watch_clock &
dmesg -c >/dev/null
echo "seen: ready"
while read -r what; do
	case $what in
	now) echo "seen: now $(cut -d' ' -f1 /proc/uptime)" ;;
	idle) touch /tmp/stop; wait; echo "seen: idle" ;;
	off) break ;;
	esac
done
dmesg -r | sed -n 's/^<\([0-4]\)>/seen: complaint /p'
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script"

# The guest's uptime in hundredths of a second, asked for the Nth time.
now_answers=0
guest_now() {
	local up
	now_answers=$((now_answers + 1))
	guest_tell now
	guest_wait_for 60 "$now_answers" '^seen: now' || { problem "it does not answer" && return 0; }
	up=$(seen now | tail -n 1)
	guest_cs=$((10#${up/./}))
}

guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 256M --cpus 2 \
	--no-reboot --cmdline "console=ttyS0 quiet"
guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
guest_cs=0
for round in 1 2; do
	guest_now
	first_cs=$guest_cs first_ms=$(now_ms)
	kill -USR1 "$guest_pid"
	sleep 1
	guest_tell now
	now_answers=$((now_answers + 1))
	sleep 4
	[ "$(seen now | wc -l)" -lt "$now_answers" ] || problem "round $round: it answers though it is paused"
	kill -USR2 "$guest_pid"
	guest_wait_for 60 "$now_answers" '^seen: now' || problem "round $round: it does not go on"
	guest_now
	passed_ms=$(($(now_ms) - first_ms))
	stood_ms=$((passed_ms - (guest_cs - first_cs) * 10))
	echo "# round $round: $passed_ms ms passed outside, $((passed_ms - stood_ms)) ms inside"
	[ "$guest_cs" -ge "$first_cs" ] || problem "round $round: the clock went backwards"
	# Paused for at least four seconds after the signal was taken.
	[ "$stood_ms" -ge 3500 ] || problem "round $round: the clock stood for $stood_ms ms only"
done
[ -z "$(seen backwards)" ] || problem "the clock went backwards: $(seen backwards)"
verdict "pause and resume with a sane clock"

guest_tell idle
guest_wait_for 60 1 '^seen: idle' || problem "it does not answer"
sleep 1
# User and system time in hundredths of a second; time in the guest is among it.
cpu_time() {
	awk '{ print $14 + $15 }' "/proc/$guest_pid/stat"
}
before=$(cpu_time)
sleep 5
used=$(($(cpu_time) - before))
echo "# idle: $used hundredths of a second of CPU time in 5 s"
[ "$used" -lt 100 ] || problem "idle, it used ${used} hundredths of a second in 5 s"
verdict "an idle guest needs no CPU time"

guest_tell off
guest_end 60
[ "$status" -eq 0 ] || problem "the monitor's status is $status"
while read -r line; do
	# The host was busy: nothing that the monitor can do about.
	[[ $line == *"hrtimer: interrupt took"* ]] || problem "$line"
done < <(seen complaint)
verdict "no complaint of Linux"
done_testing
