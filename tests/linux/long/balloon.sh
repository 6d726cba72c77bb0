#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# The balloon takes three quarters of Linux's memory and gives them back, and the host's resident size
# follows; what Linux frees leaves the host by itself (free-page reporting). BALLOON_TRANSPORTS="mmio pci" does
# it over both transports.
set -euo pipefail
. tests/linux/lib.sh
host=${VM_HOST:-build/tests/linux/vm-host}

[ -x "$host" ] || {
	echo "1..0 # SKIP $host is missing; type: make"
	exit 77
}
cat >"$WORK/script" <<SCRIPT
dmesg -n 1
for module in virtio_mmio virtio_pci virtio_balloon; do modprobe \$module; done
mount -t tmpfs -o size=90% tmpfs /tmp
$guest_shell
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script" \
	--modules "$LINUX_DIR:virtio_mmio,virtio_pci,virtio_balloon"

boot() {
	guest_commands=0
	guest_start "$host" "$LINUX_ELF" "$WORK/initrd" "console=ttyS0 quiet" 512 "$transport" "$1"
	guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
}

# The resident size of the monitor in MiB.
resident() {
	awk '/VmRSS/ { print int($2 / 1024) }' "/proc/$guest_pid/status"
}

# wait_below SECONDS MIB: until less is resident.
wait_below() {
	local deadline
	get_ms
	deadline=$((ms + $1 * 1000))
	while [ "$(resident)" -ge "$2" ]; do
		get_ms
		[ "$ms" -lt "$deadline" ] || return 1
		sleep 0.5
	done
}

# fill MIB: the guest uses that much and frees it again.
fill() {
	guest_must 120 "dd if=/dev/urandom of=/tmp/x bs=1M count=$1 2>&1; rm /tmp/x"
}

off() {
	guest_tell off
	guest_end 60
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
}

for transport in ${BALLOON_TRANSPORTS:-pci}; do
	boot no-reporting
	fill 350
	full=$(resident)
	[ "$full" -ge 350 ] || problem "$full MiB are resident after 350 were used"
	guest_tell '!balloon 384'
	for _ in {1..120}; do
		guest_tell '!stats'
		grep -q '^host: 384 384 ' "$WORK/serial" && break
		sleep 1
	done
	grep -q '^host: 384 384 ' "$WORK/serial" || problem "the balloon holds: $(grep ^host: "$WORK/serial" | tail -n 1)"
	wait_below 20 $((full - 250)) || problem "$(resident) MiB are resident, $full before the balloon"
	guest_must 20 "awk '/MemFree/ { print int(\$2 / 1024) }' /proc/meminfo"
	echo "# resident: $full MiB, with the balloon $(resident); free in the guest: $answer"
	# Of the 442 MiB that were free.
	[ "$answer" -lt 200 ] || problem "the guest still has $answer MiB free"
	verdict "$transport: it takes 384 of 512 MiB"
	guest_tell '!balloon 0'
	for _ in {1..60}; do
		guest_must 20 "awk '/MemFree/ { print int(\$2 / 1024) }' /proc/meminfo"
		[ "$answer" -lt 350 ] || break
		sleep 1
	done
	[ "$answer" -ge 350 ] || problem "the guest has $answer MiB free only"
	fill 350
	[ "$(resident)" -ge 350 ] || problem "$(resident) MiB are resident after 350 were used"
	verdict "$transport: it gives them back"
	off
	verdict "$transport: the end"

	boot reporting
	fill 350
	wait_below 60 200 || problem "$(resident) MiB are resident after 350 were used and freed"
	echo "# resident after 350 MiB were used and freed: $(resident) MiB"
	fill 350
	verdict "$transport: what Linux frees leaves the host"
	off
	verdict "$transport: the end, with reporting"
done
done_testing
