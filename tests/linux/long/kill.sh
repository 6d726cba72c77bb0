#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# The monitor is killed while its guest writes, KILL_ROUNDS (30) times, at any moment: the guest has ext4
# on its disk and says on the console which files it has synced. After the journal has been replayed fsck
# finds no fault, and what was synced is there. Raw and qcow2 in turn, MMIO and PCI; the images go on from
# death to death, so the guest replays journals, too. KILL_SEED repeats a run's moments.
# shellcheck disable=SC2016 # what stands in single quotes is for the guest's shell
set -euo pipefail
. tests/linux/lib.sh

rounds=${KILL_ROUNDS:-30}
RANDOM=${KILL_SEED:-1}
PATH=$PATH:/sbin:/usr/sbin
need_tools qemu-img mkfs.ext4 e2fsck debugfs

# Files of all sizes: new ones, ones that are written over in place, and ones that are removed. One that
# `begin` speaks of may be anything until `synced` or `removed` speaks of it.
cat >"$WORK/script" <<'SCRIPT'
dmesg -n 1
modprobe "virtio_$TRANSPORT"
modprobe virtio_blk
modprobe ext4
n=0
while [ ! -e /dev/vda ] && [ $n -lt 100 ]; do
	usleep 50000
	n=$((n + 1))
done
mkdir /mnt
mount -t ext4 -o discard /dev/vda /mnt || echo "seen: problem no mount"
head -c 300000 /dev/urandom >/tmp/block
echo "seen: ready"
n=0
while :; do
	n=$((n + 1))
	file=file-$((n * 7 % 40))
	size=$((n * 37 % 293 * 1024 + 1))
	echo "seen: begin $file"
	if [ -e /mnt/$file ] && [ $((n % 3)) -eq 0 ]; then
		rm /mnt/$file
		sync
		echo "seen: removed $file"
		continue
	fi
	{ echo "$ROUND $n"; cat /tmp/block; } | head -c $size >/tmp/new
	sum=$(md5sum </tmp/new)
	if [ $((n % 2)) -eq 0 ]; then
		dd if=/tmp/new of=/mnt/$file bs=16k conv=notrunc,fsync 2>/dev/null || echo "seen: problem dd"
		sum=$(md5sum </mnt/$file)
	else
		dd if=/tmp/new of=/mnt/$file bs=16k conv=fsync 2>/dev/null || echo "seen: problem dd"
	fi
	echo "seen: synced $file ${sum%% *}"
done
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script" \
	--modules "$LINUX_DIR:virtio_mmio,virtio_pci,virtio_blk,ext4"

# What must be there, by format and file: a sum, `-` for nothing, `?` for anything.
declare -A expected

# take_note FORMAT: what the guest said in whole lines; sets synced to how many files it synced.
take_note() {
	local what file sum
	synced=0
	while read -r _ what file sum; do
		case $what in
		begin) expected[$1/$file]='?' ;;
		removed) expected[$1/$file]=- ;;
		synced) expected[$1/$file]=$sum && synced=$((synced + 1)) ;;
		esac
	done < <(head -n "$(wc -l <"$WORK/serial")" "$WORK/serial" | tr -d '\r' | grep '^seen: ')
}

# check_files FORMAT FOLDER
check_files() {
	local key file sum checked=0
	for key in "${!expected[@]}"; do
		[ "${key%%/*}" = "$1" ] || continue
		file=$2/${key#*/} sum=-
		[ ! -f "$file" ] || sum=$(md5sum <"$file" | cut -d' ' -f1)
		case ${expected[$key]} in
		'?') ;;
		"$sum") checked=$((checked + 1)) ;;
		*) problem "${key#*/} is $sum instead of ${expected[$key]}" ;;
		esac
	done
	echo "# $synced files synced before the death, $checked as they should be"
}

# check_image FORMAT IMAGE: on a copy, because the guest is to replay the journal of the image itself.
check_image() {
	local rc=0
	if [ "$1" = qcow2 ]; then
		# 3: clusters that nobody uses, no harm.
		qemu-img check "$2" >"$WORK/check" 2>&1 || rc=$?
		[ "$rc" -eq 0 ] || [ "$rc" -eq 3 ] || { problem "qemu-img check: $rc" && cat "$WORK/check" >>"$WORK/said"; }
	fi
	qemu-img convert -f "$1" -O raw "$2" "$WORK/copy" 2>>"$WORK/said" || problem "qemu-img convert fails"
	rc=0
	e2fsck -y -E journal_only "$WORK/copy" >"$WORK/check" 2>&1 || rc=$?
	# 1: replayed.
	[ "$rc" -le 1 ] || { problem "the journal cannot be replayed: $rc" && cat "$WORK/check" >>"$WORK/said"; }
	e2fsck -fn "$WORK/copy" >"$WORK/check" 2>&1 || { problem "fsck finds faults" && cat "$WORK/check" >>"$WORK/said"; }
	rm -rf "$WORK/files"
	mkdir "$WORK/files"
	debugfs -R "rdump / $WORK/files" "$WORK/copy" >>"$WORK/said" 2>&1
	check_files "$1" "$WORK/files"
}

# die_once ROUND FORMAT TRANSPORT
die_once() {
	local image=$WORK/image.$2 moment
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 128M \
		--transport "$3" --disk "path=$image,format=$2" \
		--cmdline "console=ttyS0 quiet TRANSPORT=$3 ROUND=$1"
	guest_wait_for 120 1 '^seen: synced' || problem "nothing was synced"
	moment=$((RANDOM % 3000))
	sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
	guest_runs || problem "the monitor ended by itself"
	kill -KILL "$guest_pid"
	# The shell says that somebody was killed.
	guest_end 10 2>/dev/null
	[ "$status" -eq 137 ] || problem "the monitor's status is $status"
	[ -z "$(seen problem)" ] || problem "the guest said: $(seen problem | head -n 1)"
	take_note "$2"
	check_image "$2" "$image"
	verdict "death $1, $2, $3, $moment ms after the first synced file"
}

mkfs.ext4 -q -b 4096 "$WORK/image.raw" 64M >"$WORK/said" 2>&1
qemu-img convert -f raw -O qcow2 "$WORK/image.raw" "$WORK/image.qcow2"
formats=(raw qcow2) transports=(pci pci mmio mmio)
for ((i = 0; i < rounds; i++)); do
	die_once "$((i + 1))" "${formats[i % 2]}" "${transports[i % 4]}"
done
done_testing
