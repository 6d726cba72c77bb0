#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# Disks as Linux sees them, over each transport, raw and qcow2: what /sys says of them, and their data;
# modules unloaded and loaded again under load; pause and continue under load; a disk that grows. Ten
# rounds under load with DISK_ROUNDS=10. A whole Debian on a disk is tests/linux/long/root.sh.
# shellcheck disable=SC2016 # what stands in single quotes is for the guest's shell
set -euo pipefail
. tests/linux/lib.sh

rounds=${DISK_ROUNDS:-2}
need_tools qemu-img

cat >"$WORK/script" <<'SCRIPT'
dmesg -n 1
driver=virtio_$TRANSPORT
load() {
	modprobe "$driver" && modprobe virtio_blk
	for i in 1 2 3 4 5 6 7 8 9 10; do
		[ -e /dev/vda ] && break
		usleep 100000
	done
	# Not in /dev, where a write without a disk would make a file.
	rm -f /tmp/disk
	mknod /tmp/disk b $(tr : ' ' </sys/block/vda/dev)
}
unload() {
	rmmod virtio_blk && rmmod "$driver"
}
# Reads and writes at the end of the disk until told not to; at times there is no disk.
busy() {
	while [ ! -e /tmp/stop ]; do
		dd if=/tmp/block of=/tmp/disk bs=64k seek=800 2>/dev/null || usleep 20000
		dd if=/tmp/disk of=/dev/null bs=4k skip=12800 count=256 2>/dev/null || usleep 20000
	done
}
load
head -c 262144 /dev/urandom >/tmp/block
cd /sys/block/vda || exit
echo "seen: size $(cat size) ro $(cat ro) block $(cat queue/logical_block_size)"
echo "seen: discard $(cat queue/discard_granularity) $(cat queue/discard_max_bytes)"
echo "seen: serial $(cat serial)"
echo "seen: cache $(cat queue/write_cache)"
echo "seen: queues $(ls mq | wc -l)"
echo "seen: interrupts $(grep -c 'virtio.*-req' /proc/interrupts)"
cd /
echo "seen: ready"
while read -r what value; do
	case $what in
	sums)
		dd if=/tmp/block of=/dev/vda bs=4k seek=1 2>/dev/null
		sync
		echo 3 >/proc/sys/vm/drop_caches
		echo "seen: sums $(md5sum </tmp/block | cut -c 1-32) $(dd if=/dev/vda bs=4k skip=1 count=64 2>/dev/null | md5sum | cut -c 1-32)"
		;;
	busy) rm -f /tmp/stop && { busy & } && echo "seen: busy" ;;
	quiet) touch /tmp/stop && wait && echo "seen: quiet" ;;
	again)
		n=0
		until unload 2>/dev/null || [ $n -gt 50 ]; do
			usleep 50000
			n=$((n + 1))
		done
		[ ! -d /sys/bus/virtio ] || ls /sys/bus/virtio/drivers | grep -q virtio_blk && echo "seen: problem not unloaded"
		load
		echo "seen: again $(dd if=/dev/vda bs=4k skip=1 count=64 2>/dev/null | md5sum | cut -c 1-32)"
		;;
	more) echo "seen: more $(dd if=/dev/vda bs=1M count=4 2>/dev/null | wc -c)" ;;
	off) break ;;
	esac
done
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script" \
	--modules "$LINUX_DIR:virtio_mmio,virtio_pci,virtio_blk"

# start TRANSPORT DISK [OPTION...]
start() {
	local transport=$1 disk=$2
	shift 2
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 256M --cpus 2 \
		--no-reboot --transport "$transport" --disk "$disk" "$@" \
		--cmdline "console=ttyS0 quiet TRANSPORT=$transport"
	guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
}

# ask SECONDS WORD... : tells the guest and waits for one more answer of that name.
ask() {
	local seconds=$1 name=$2 before
	shift
	before=$(seen "$name" | wc -l)
	guest_tell "$*"
	guest_wait_for "$seconds" $((before + 1)) "^seen: $name" || { problem "no answer to '$*'" && return 1; }
}

finish() {
	guest_tell off
	guest_end 60
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
}

# check_device TRANSPORT QUEUES FORMAT IMAGE
check_device() {
	local transport=$1 queues=$2 format=$3 image=$4 a b sum
	start "$transport" "path=$image,format=$format,id=a-serial,queues=$queues"
	[ "$(seen size)" = '131072 ro 0 block 512' ] || problem "size $(seen size)"
	[ "$(seen serial)" = a-serial ] || problem "serial $(seen serial)"
	[ "$(seen cache)" = 'write back' ] || problem "cache $(seen cache)"
	[ "$(seen queues)" -eq $((queues < 2 ? queues : 2)) ] || problem "$(seen queues) queues"
	case $(seen discard) in
	"0 "* | *" 0") problem "discard $(seen discard)" ;;
	esac
	ask 60 sums || true
	read -r a b < <(seen sums) || true
	sum=$a
	{ [ -n "$a" ] && [ "$a" = "$b" ]; } || problem "written $a, read $b"
	verdict "$transport, $queues queues, $format: the device and its data"

	ask 60 busy || true
	for ((i = 0; i < rounds; i++)); do
		ask 60 again || break
	done
	[ -z "$(seen problem)" ] || problem "$(seen problem)"
	[ "$(seen again | sort -u)" = "$sum" ] || problem "read $(seen again | sort -u) instead of $sum"
	verdict "$transport, $format: modules unloaded and loaded $rounds times under load"

	for ((i = 0; i < rounds; i++)); do
		guest_tell more
		kill -USR1 "$guest_pid"
		sleep 0.5
		kill -USR2 "$guest_pid"
		guest_wait_for 60 $((i + 1)) '^seen: more 4194304' || { problem "round $i: no answer" && break; }
	done
	ask 60 quiet || true
	finish
	verdict "$transport, $format: paused and continued $rounds times under load"
}

truncate -s 64M "$WORK/raw"
check_device mmio 1 raw "$WORK/raw"
qemu-img create -q -f qcow2 "$WORK/qcow2" 64M
check_device pci 4 qcow2 "$WORK/qcow2"
qemu-img check -q "$WORK/qcow2" >"$WORK/said" 2>&1 || problem "qemu-img check does not like it"
verdict "qcow2: qemu-img finds no fault"

host=${VM_HOST:-build/tests/linux/vm-host}
if [ -x "$host" ]; then
	cat >"$WORK/script" <<SCRIPT
modprobe virtio_pci
modprobe virtio_blk
$guest_shell
SCRIPT
	tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script" --modules "$LINUX_DIR:virtio_pci,virtio_blk"
	guest_start "$host" "$LINUX_ELF" "$WORK/initrd" "console=ttyS0 quiet" 256 pci no-reporting "$WORK/raw"
	guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
	guest_must 60 'cat /sys/block/vda/size'
	[ "$answer" = 131072 ] || problem "the size was $answer"
	truncate -s 96M "$WORK/raw"
	guest_tell '!refresh'
	guest_wait_for 60 1 '^host: refreshed' || problem "the monitor does not look"
	guest_must 60 'until [ "$(cat /sys/block/vda/size)" = 196608 ]; do usleep 50000; done'
	guest_must 60 'echo here | dd of=/dev/vda bs=512 seek=196607 conv=sync,fsync 2>/dev/null; dd if=/dev/vda bs=512 skip=196607 2>/dev/null | head -n 1'
	[ "$answer" = here ] || problem "read '$answer' from the new end"
	finish
	verdict "a disk that grows while it is used"
else
	skipped "a disk that grows while it is used" "$host is not built"
fi

done_testing
