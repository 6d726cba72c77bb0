#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# What is below a disk fails: its file system is full (raw with holes, and qcow2 that grows), its file
# shrinks, a device has bad blocks, and one that does not answer. The guest sees I/O errors, on that disk
# only; another one goes on all the while, nothing hangs, and what can be mended works again.
# shellcheck disable=SC2016 # what stands in single quotes is for the guest's shell
set -euo pipefail
. tests/linux/lib.sh

PATH=$PATH:/sbin:/usr/sbin
need_tools qemu-img mkfs.ext4 dmsetup losetup
if [ "$(id -u)" -ne 0 ] || ! dmsetup version >"$WORK/said" 2>&1; then
	echo "1..0 # SKIP only root can make file systems that are full and devices that fail"
	exit 77
fi

name=skete-faults-$$
loop=
clean_up() {
	[ -z "$guest_pid" ] || kill -KILL "$guest_pid" 2>/dev/null || true
	wait
	dmsetup remove --force --retry --noudevsync "$name-a" "$name-b" >/dev/null 2>&1 || true
	[ -z "$loop" ] || losetup -d "$loop" || true
	umount "$WORK/small" 2>/dev/null || true
}

# 20 MiB for two disks of 32, and most of them taken.
mkdir "$WORK/small"
mount -t tmpfs -o size=20M tmpfs "$WORK/small"
trap clean_up EXIT
mkfs.ext4 -q -b 4096 "$WORK/small/raw" 32M >"$WORK/said" 2>&1
qemu-img create -q -f qcow2 "$WORK/small/qcow2" 32M
head -c 12M /dev/zero >"$WORK/small/filler"
truncate -s 32M "$WORK/good" "$WORK/shrinks" "$WORK/below"
# Two devices of 16 MiB with a bad MiB in the middle of each. Who has no udev has them below their kernel's
# names only.
loop=$(losetup --find --show "$WORK/below")
bad=()
for part in "a 0" "b 32768"; do
	read -r letter first <<<"$part"
	dmsetup create --noudevrules --noudevsync "$name-$letter" <<TABLE
0 16384 linear $loop $first
16384 2048 error
18432 14336 linear $loop $((first + 18432))
TABLE
	bad+=("/dev/$(dmsetup info --columns --noheadings -o blkdevname "$name-$letter")")
done

cat >"$WORK/script" <<SCRIPT
dmesg -n 1
modprobe virtio_pci
modprobe virtio_blk
modprobe ext4
mkdir -p /tmp /mnt
head -c 1048576 /dev/urandom >/tmp/block
sum=\$(md5sum </tmp/block)
n=0
while [ ! -e /dev/vdf ] && [ \$n -lt 100 ]; do
	usleep 50000
	n=\$((n + 1))
done
# put DISK MIB, get DISK MIB: one MiB there and back, past the guest's cache.
put() { dd if=/tmp/block of=/dev/\$1 bs=64k seek=\$((\$2 * 16)) oflag=direct conv=notrunc,fsync 2>&1; }
get() { dd if=/dev/\$1 of=/tmp/got bs=64k skip=\$((\$2 * 16)) count=16 iflag=direct 2>&1; }
same() { get \$1 \$2 && [ "\$(md5sum </tmp/got)" = "\$sum" ]; }
# fails COMMAND: with an I/O error, and not without one.
fails() { ! "\$@" >/tmp/why 2>&1 && grep -q 'I/O error\|Input/output' /tmp/why || { cat /tmp/why; false; }; }
# A good disk: written, read and compared without end.
busy() {
	turn=0
	while [ ! -e /tmp/stop ]; do
		at=\$((turn % 32))
		dd if=/tmp/block of=/dev/vda bs=64k seek=\$((at * 16)) oflag=direct conv=notrunc,fsync 2>/dev/null &&
			dd if=/dev/vda of=/tmp/there bs=64k skip=\$((at * 16)) count=16 iflag=direct 2>/dev/null &&
			cmp -s /tmp/there /tmp/block || echo "seen: problem the good disk, turn \$turn"
		turn=\$((turn + 1))
		echo \$turn >/tmp/turns.new && mv /tmp/turns.new /tmp/turns
	done
}
busy &
# goes_on: some turns from now.
goes_on() {
	until=\$((\$(cat /tmp/turns) + 3))
	while [ "\$(cat /tmp/turns)" -lt \$until ]; do usleep 50000; done
}
$guest_shell
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script" --modules "$LINUX_DIR:virtio_pci,virtio_blk,ext4"
guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 256M --cpus 2 --no-reboot \
	--transport pci --cmdline "console=ttyS0 quiet" --disk "path=$WORK/good,format=raw" \
	--disk "path=$WORK/small/raw,format=raw" --disk "path=$WORK/small/qcow2,format=qcow2" \
	--disk "path=$WORK/shrinks,format=raw" --disk "path=${bad[0]},format=raw" \
	--disk "path=${bad[1]},format=raw,direct"
trap clean_up EXIT
guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
guest_must 60 goes_on
verdict "six disks, one of them busy"

# What fits, fits; then every MiB fails until there is room again.
guest_must 60 'put vdc 1 && same vdc 1'
guest_must 120 'n=2; while put vdc $n; do n=$((n + 1)); [ $n -lt 32 ] || exit 1; done >/tmp/why; grep -q "I/O error\|Input/output" /tmp/why'
guest_must 60 'fails put vdc 31 && fails put vdb 31'
guest_must 60 'same vdc 1 && goes_on'
verdict "a full file system: raw and qcow2 fail to grow, and keep what they have"
guest_must 60 'mount -t ext4 /dev/vdb /mnt'
guest_must 60 'fails dd if=/dev/zero of=/mnt/file bs=1M count=20 conv=fsync && umount /mnt && goes_on'
verdict "a full file system: a file system of the guest sees it, and can be left"
rm "$WORK/small/filler"
guest_must 60 'put vdc 31 && same vdc 31 && put vdb 31 && same vdb 31 && same vdc 1'
verdict "there is room again: raw and qcow2 take it"

guest_must 60 'put vdd 1 && put vdd 30'
truncate -s 8M "$WORK/shrinks"
guest_must 60 'same vdd 1 && fails get vdd 30'
guest_must 60 'fails get vdd 8 && goes_on'
guest_must 60 'put vdd 30 && same vdd 30 && same vdd 1'
verdict "a file that shrinks: what is beyond its end cannot be read until it is written"

# Buffered by this host, a bad block shows at the flush; past its cache, at the write.
for disk in vdf vde; do
	guest_must 60 "put $disk 1 && same $disk 1 && put $disk 15 && same $disk 15"
	guest_must 60 "fails get $disk 8 && fails put $disk 8"
	guest_must 60 "same $disk 1 && same $disk 15 && goes_on"
done
# The host forgets what it could not write: it must not be told that all is well.
guest_must 60 'fails put vde 1'
guest_must 60 'put vdf 1 && same vdf 1 && goes_on'
verdict "a device with bad blocks: buffered and direct"

dmsetup suspend --noudevsync "$name-b"
guest_must 60 '{ put vdf 2 && same vdf 2 && touch /tmp/late; } >/dev/null 2>&1 & goes_on; [ ! -e /tmp/late ]'
dmsetup resume --noudevsync "$name-b"
guest_must 60 'n=0; while [ ! -e /tmp/late ] && [ $n -lt 500 ]; do n=$((n + 1)); usleep 50000; done; [ -e /tmp/late ]'
verdict "a device that does not answer for a time: the others go on, and so does it"

guest_must 60 'touch /tmp/stop; cat /tmp/turns'
echo "# the good disk went round $answer times"
[ -z "$(seen problem)" ] || problem "$(seen problem | head -n 1)"
guest_tell off
guest_end 60
trap clean_up EXIT
[ "$status" -eq 0 ] || problem "the monitor's status is $status"
qemu-img check "$WORK/small/qcow2" >"$WORK/check" 2>&1 || { problem "qemu-img check" && cat "$WORK/check" >>"$WORK/said"; }
verdict "the good disk saw none of it, and the end is as ever"
clean_up
trap - EXIT
done_testing
