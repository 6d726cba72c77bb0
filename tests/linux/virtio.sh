#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# Virtio devices as Linux sees them, over each transport: random bytes; the console both ways; modules
# unloaded and loaded again under load; pause and continue under load. Ten rounds of that with
# VIRTIO_ROUNDS=10.
set -euo pipefail
. tests/linux/lib.sh

rounds=${VIRTIO_ROUNDS:-3}
cat >"$WORK/script" <<'SCRIPT'
dmesg -c >/dev/null
dmesg -n 1
driver=virtio_$TRANSPORT
load() {
	modprobe "$driver" && modprobe virtio-rng && modprobe virtio_console
}
unload() {
	rmmod virtio_console && rmmod virtio_rng && rmmod "$driver"
}
# Reads until told not to; what is read is gone, as is the device at times.
reader() {
	while [ ! -e /tmp/stop ]; do
		dd if=/dev/hwrng of=/tmp/random bs=512 count=4 2>/dev/null || usleep 20000
	done
}
load || echo "seen: problem cannot load the modules"
echo "seen: devices $(cat /sys/bus/virtio/devices/*/device | tr '\n' ' ')"
echo "seen: features $(head -c 64 /sys/bus/virtio/devices/virtio0/features)"
echo "seen: rng $(cat /sys/class/misc/hw_random/rng_current)"
dd if=/dev/hwrng of=/tmp/a bs=4096 count=16 2>/dev/null
for i in 1 2 3 4; do hexdump -C /tmp/a; done | head -c 200000 >/tmp/random.txt
echo "seen: bytes $(wc -c </tmp/a) $(gzip -c /tmp/a | wc -c)"
grep -q virtio /proc/interrupts && echo "seen: interrupts"
reader &
to_hvc() {
	# Its settings last as long as it is open.
	{ stty raw -echo <&5 && cat >&5; } 5<>/dev/hvc0
}
to_hvc </tmp/random.txt
md5sum </tmp/random.txt | sed 's/^/seen: sum /'
echo "seen: ready"
while read -r what; do
	case $what in
	again)
		unload || echo "seen: problem cannot unload"
		load || echo "seen: problem cannot load again"
		echo "seen: again $(head -c 64 /dev/hwrng | wc -c)"
		;;
	more) echo "seen: more $(head -c 65536 /dev/hwrng | wc -c)" ;;
	listen) { stty raw -echo <&5 && read -r line <&5 && echo "seen: heard $line"; } 5<>/dev/hvc0 ;;
	hvc) echo "from hvc0 to hvc0" | to_hvc && echo "seen: hvc" ;;
	off) break ;;
	esac
done
touch /tmp/stop
wait
dmesg -r | sed -n 's/^<\([0-4]\)>/seen: complaint /p'
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script" \
	--modules "$LINUX_DIR:virtio_mmio,virtio_pci,virtio-rng,virtio_console"

# check_transport NAME
check_transport() {
	local transport=$1 count size packed sum pty cat_pid
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 256M --cpus 2 \
		--no-reboot --transport "$transport" --rng --console pty \
		--cmdline "console=ttyS0 quiet TRANSPORT=$transport"
	# The other end of hvc0: everything that it says, in a file.
	until grep -q 'the console is at' "$WORK/said" || ! guest_runs; do sleep 0.1; done
	pty=$(sed -n 's/^skete: the console is at //p' "$WORK/said" | tr -d '\r')
	cat <"$pty" >"$WORK/hvc0" &
	cat_pid=$!
	guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
	[ "$(seen devices)" = '0x0004 0x0003 ' ] || problem "the guest sees the devices $(seen devices)"
	[ "$(seen rng)" = virtio_rng.0 ] || problem "the random numbers come from $(seen rng)"
	read -r size packed < <(seen bytes) || true
	[ "${size:-0}" -eq 65536 ] || problem "${size:-0} bytes were read instead of 65536"
	[ "${packed:-0}" -gt 65000 ] || problem "the bytes are not random: gzip makes ${packed:-0} of them"
	verdict "$transport: random bytes"

	guest_tell listen
	sleep 1
	echo 'a line for hvc0' >"$pty"
	guest_wait_for 60 1 '^seen: heard a line for hvc0' || problem "it did not hear"
	read -r sum _ < <(md5sum "$WORK/hvc0")
	[ "$(stat -c %s "$WORK/hvc0")" -eq 200000 ] || problem "$(stat -c %s "$WORK/hvc0") bytes came instead of 200000"
	[ "$sum" = "$(seen sum | cut -d' ' -f1)" ] || problem "the bytes are others: $sum, $(seen sum)"
	verdict "$transport: 200,000 bytes and a line through hvc0"

	for ((count = 1; count <= rounds; count++)); do
		guest_tell again
		guest_wait_for 60 "$count" '^seen: again 64' || { problem "round $count: no answer" && break; }
	done
	[ -z "$(seen problem)" ] || problem "$(seen problem)"
	verdict "$transport: modules unloaded and loaded $rounds times under load"

	for ((count = 1; count <= rounds; count++)); do
		guest_tell more
		kill -USR1 "$guest_pid"
		sleep 0.5
		kill -USR2 "$guest_pid"
		guest_wait_for 60 "$count" '^seen: more 65536' || { problem "round $count: no answer" && break; }
	done
	verdict "$transport: paused and continued $rounds times under load"

	guest_tell hvc
	guest_wait_for 60 1 '^seen: hvc' || problem "no answer"
	grep -q 'from hvc0 to hvc0$' "$WORK/hvc0" || problem "hvc0 does not work any more"
	verdict "$transport: the console after all that"

	guest_tell off
	guest_end 60
	kill "$cat_pid" 2>/dev/null || true
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
	while read -r line; do
		[[ $line == *"hrtimer: interrupt took"* ]] || problem "$line"
	done < <(seen complaint)
	verdict "$transport: no complaint of Linux"
}

for transport in mmio pci; do
	# What this build does not have it does not know by name.
	if "$SKETE" run --transport "$transport" --dry-run "$LINUX_ELF" >/dev/null 2>&1; then
		check_transport "$transport"
	fi
done
done_testing
