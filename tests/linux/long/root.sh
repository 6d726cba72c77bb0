#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# A whole Debian on its disk: boots to a login shell, shows what a user expects, writes ROOT_MIB (1024)
# MiB, syncs, reboots, finds the same bytes, powers off, and fsck finds no fault. MMIO and PCI, 1 and 4
# queues, raw and qcow2 (which builds on a raw image, and qemu-img checks). ROOT_CASES says which of
# mmio-1-raw, mmio-4-qcow2, pci-1-qcow2 and pci-4-raw.
# shellcheck disable=SC2016 # what stands in single quotes is for the guest's shell
set -euo pipefail
. tests/linux/lib.sh

mib=${ROOT_MIB:-1024}
cases=${ROOT_CASES:-mmio-1-raw pci-4-raw mmio-4-qcow2 pci-1-qcow2}
PATH=$PATH:/sbin:/usr/sbin

# From the initrd to the root on the disk, whose init goes on.
cat >"$WORK/rootinit" <<'SCRIPT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
modprobe "virtio_$TRANSPORT"
modprobe virtio_blk
modprobe ext4
n=0
while [ ! -e /dev/vda ] && [ $n -lt 100 ]; do
	usleep 100000
	n=$((n + 1))
done
mkdir -p /root
mount -o ro /dev/vda /root
umount /sys /proc
exec switch_root /root /sbin/init
SCRIPT
chmod +x "$WORK/rootinit"
tests/lab/make-initrd "$WORK/initrd" --file "$WORK/rootinit:/rootinit" \
	--modules "$LINUX_DIR:virtio_mmio,virtio_pci,virtio_blk,ext4"

# tell COUNT-OF-ANSWERS NAME COMMAND: the login shell runs it and answers with `seen: NAME`.
tell() {
	guest_tell "$3"
	guest_wait_for 900 "$1" "^seen: $2" || { problem "no answer to '$3'" && return 1; }
}

# show NAME COMMAND: the same with all of its output, which is printed here, too.
show() {
	guest_tell "{ $2; } 2>&1 | sed 's/^/seen: $1 /'; echo 'seen: end-of-$1'"
	guest_wait_for 300 1 "^seen: end-of-$1" || { problem "no answer to '$2'" && return 0; }
	seen "$1" | sed 's/^/# /'
}

# What a user sees of the disk: check_view TRANSPORT QUEUES.
check_view() {
	local used=$(($2 > 2 ? 2 : $2))
	show lsblk 'lsblk -o NAME,SIZE,TYPE,SERIAL,MOUNTPOINT; lsblk -D'
	seen lsblk | grep -q '^vda *3G disk root-disk */$' || problem "lsblk shows another disk"
	seen lsblk | grep -Eq '^vda +[0-9]+ +[0-9]+K +[1-9][0-9.]*[MGT] +0$' || problem "lsblk -D shows no discard"
	show interrupts 'cat /proc/interrupts'
	[ "$(seen interrupts | grep -c 'virtio[0-9]*-req\|virtio0$')" -ge 1 ] || problem "no interrupt of a disk"
	[ "$1" = mmio ] && return
	[ "$(seen interrupts | grep -c 'PCI-MSI.*virtio0-req')" -eq "$used" ] || problem "the interrupts are not MSI-X, one a queue"
	show lspci 'lspci -vv -d 1af4:1042'
	seen lspci | grep -q 'Virtio 1.0 block device' || problem "lspci shows no disk"
	seen lspci | grep -q 'MSI-X: Enable+' || problem "lspci shows no MSI-X that is on"
	seen lspci | grep -q 'Kernel driver in use: virtio-pci' || problem "lspci shows no driver"
	seen lspci | grep -q '!!!\|access denied' && problem "lspci shows what it cannot read"
	return 0
}

# check_root TRANSPORT QUEUES FORMAT
check_root() {
	local transport=$1 queues=$2 format=$3 image=$WORK/image sums
	rm -f "$image"
	if [ "$format" = qcow2 ]; then
		qemu-img create -q -f qcow2 -b "$ROOT_IMAGE" -F raw "$image"
	else
		cp --sparse=always "$ROOT_IMAGE" "$image"
	fi
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 512M --cpus 2 \
		--transport "$transport" \
		--disk "path=$image,format=$format,queues=$queues,id=root-disk,backing" \
		--cmdline "console=ttyS0 quiet rdinit=/rootinit TRANSPORT=$transport"
	guest_wait_for 300 1 '^seen: login' || { problem "no login" && verdict "$* boots" && return; }
	[[ $(seen login) == *"/dev/vda"* ]] || problem "the root is $(seen login)"
	check_view "$transport" "$queues"
	tell 1 queues 'echo "seen: queues $(ls /sys/block/vda/mq | wc -l)"' || true
	[ "$(seen queues)" -eq $((queues > 2 ? 2 : queues)) ] || problem "$(seen queues) queues"
	verdict "$*: boots to a login shell"

	# From a block of random bytes, each time with its number in front.
	guest_tell "head -c 1M /dev/urandom >/tmp/block; for i in \$(seq $mib); do echo \$i; cat /tmp/block; done | head -c ${mib}M >/root/big"
	tell 1 sum 'sync; echo 3 >/proc/sys/vm/drop_caches; echo "seen: sum $(md5sum </root/big)"; sync' || true
	guest_tell reboot
	guest_wait_for 600 2 '^seen: login' || problem "it does not come back"
	tell 2 sum 'echo "seen: sum $(md5sum </root/big)"' || true
	sums=$(seen sum | sort -u | wc -l)
	[ "$sums" -eq 1 ] || problem "the sums are $(seen sum | tr '\n' ' ')"
	guest_tell poweroff
	guest_end 300
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
	verdict "$*: $mib MiB, synced, are there after a reboot"

	if [ "$format" = qcow2 ]; then
		qemu-img check "$image" >"$WORK/said" 2>&1 || problem "qemu-img check does not like it"
		qemu-img convert -f qcow2 -O raw "$image" "$WORK/fs" && mv "$WORK/fs" "$image"
	fi
	e2fsck -fn "$image" >"$WORK/said" 2>&1 || problem "fsck finds faults"
	verdict "$*: no fault afterwards"
}

for name in $cases; do
	IFS=- read -r transport queues format <<<"$name"
	check_root "$transport" "$queues" "$format"
done
done_testing
