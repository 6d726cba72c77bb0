#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# The PCI bus as Linux sees it: what lspci tells, a vector for each queue, the driver unbound and bound
# ten times, functions removed and found again, mischief with setpci, and boots by which Linux takes
# other ways to the bus, with both interrupt controllers.
set -euo pipefail
. tests/linux/lib.sh
if ! command -v lspci >/dev/null || ! command -v setpci >/dev/null; then
	echo "1..0 # SKIP lspci or setpci is missing (Debian package pciutils)"
	exit 77
fi

cat >"$WORK/script" <<'SCRIPT'
dmesg -n 1
device=/sys/bus/pci/devices/0000:00:01.0
driver=/sys/bus/pci/drivers/virtio-pci
modprobe virtio_pci && modprobe virtio-rng || echo "seen: problem no modules"

works() { # what for
	if [ "$(timeout 20 head -c 4096 /dev/hwrng | wc -c)" -eq 4096 ]; then
		echo "seen: works $1"
	else
		echo "seen: problem $1: no random bytes"
	fi
}
interrupts() {
	awk '/virtio0-input/ { for (i = 2; i <= NF; i++) { if ($i ~ /^[0-9]+$/) n += $i; else break } } END { print n + 0 }' \
		/proc/interrupts
}

works boot
if [ "$PART" = all ]; then
	lspci -vvnn | sed 's/^/seen: lspci /'
	grep virtio0 /proc/interrupts | sed 's/^/seen: irq /'
	before=$(interrupts)
	works interrupts
	[ "$(interrupts)" -gt "$before" ] || echo "seen: problem no interrupt of the queue was counted"

	# Its vector goes from CPU to CPU, which masks and rewrites it each time.
	irq=$(awk '/virtio0-input/ { sub(":", "", $1); print $1 }' /proc/interrupts)
	round=0
	while [ $round -lt 20 ]; do
		round=$((round + 1))
		echo $((round % 2 + 1)) >/proc/irq/$irq/smp_affinity
		head -c 256 /dev/hwrng >/dev/null
	done
	works affinity

	round=0
	while [ $round -lt 10 ]; do
		round=$((round + 1))
		echo 0000:00:01.0 >$driver/unbind
		echo 0000:00:01.0 >$driver/bind
		works "bind-$round"
	done

	echo 1 >$device/remove
	[ ! -e $device ] || echo "seen: problem the function is still there"
	echo 1 >/sys/bus/pci/rescan
	works rescan

	# A function mask, and MSI-X off and on: what was pending arrives.
	msix=$(lspci -vvs 1 | sed -n 's/.*Capabilities: \[\(..\)\] MSI-X.*/\1/p')
	setpci -s 1 0x$msix.L=0xc0000000:0xc0000000
	timeout 1 head -c 4096 /dev/hwrng >/dev/null
	setpci -s 1 0x$msix.L=0x80000000:0xc0000000
	works function-mask
	# Bus master holds interrupts back, too.
	setpci -s 1 COMMAND=0:4
	timeout 1 head -c 4096 /dev/hwrng >/dev/null
	setpci -s 1 COMMAND=4:4
	works bus-master

	# Without its driver, which would wait for ever for an answer to a doorbell that went nowhere.
	echo 0000:00:01.0 >$driver/unbind
	# The BAR over RAM, the local APIC, the IOAPIC, ECAM, the serial port of nobody; decode off and on.
	bar=$(setpci -s 1 BASE_ADDRESS_0) high=$(setpci -s 1 BASE_ADDRESS_1)
	for place in 00000000 00100000 fee00000 fec00000 e0000000 feb00000 ffff8000 c8000000; do
		setpci -s 1 BASE_ADDRESS_0=$place COMMAND=0:2 COMMAND=2:2
	done
	setpci -s 1 BASE_ADDRESS_1=ffffffff
	setpci -s 1 BASE_ADDRESS_0=$bar BASE_ADDRESS_1=$high
	echo 0000:00:01.0 >$driver/bind
	works moved-bar
	# Everything that can be written, in both functions, to ones and to zeroes.
	echo 0000:00:01.0 >$driver/unbind
	reg=0 writes=
	while [ $reg -lt 256 ]; do
		writes="$writes $(printf '%x.L=ffffffff %x.B=0 %x.W=ffff %x.L=0' $reg $reg $reg $reg)"
		reg=$((reg + 4))
	done
	setpci -s 0 $writes
	setpci -s 1 $writes
	setpci -s 1 BASE_ADDRESS_0=$bar BASE_ADDRESS_1=$high
	echo 0000:00:01.0 >$driver/bind
	works scribbled
fi
dmesg -r | sed -n 's/^<\([0-4]\)>/seen: complaint /p' | grep -i -E 'pci|virtio|irq|acpi'
echo "seen: end"
SCRIPT

# lspci and setpci are not static: their libraries go with them.
files=()
for tool in lspci setpci; do
	path=$(command -v $tool)
	files+=(--file "$path")
	while read -r library; do
		files+=(--file "$library:$library")
	done < <(ldd "$path" | grep -o '/[^ ]*')
done
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script" "${files[@]}" \
	--modules "$LINUX_DIR:virtio_pci,virtio-rng"

# boot PART PARAMETERS [OPTION...]
boot() {
	local part=$1 parameters=$2
	shift 2
	guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 256M --cpus 2 \
		--no-reboot --transport pci --rng "$@" \
		--cmdline "console=ttyS0 quiet panic=-1 PART=$part $parameters"
	guest_end 150
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
	grep -q '^seen: end' "$WORK/serial" || problem "the guest did not come to its end"
	while read -r line; do
		# Which it says of what it has been told to do.
		[[ $parameters == *nommconf* && $line == *"MMCONFIG is disabled"* ]] || problem "$line"
	done < <(seen problem; seen complaint)
}

expect_lspci() {
	seen lspci | grep -qE -- "$1" || problem "lspci does not say '$1'"
}

boot all ''
expect_lspci '^00:00.0 .*\[0600\]: .*\[1b36:0008\]'
expect_lspci '^00:01.0 .*\[00ff\]: .*\[1af4:1044\] \(rev 01\)'
expect_lspci 'Region 0: Memory at c0000000 \(64-bit, non-prefetchable\) \[size=32K\]'
expect_lspci 'MSI-X: Enable\+ Count=2 Masked-'
expect_lspci 'Vector table: BAR=0 offset=00004000'
expect_lspci 'VirtIO: CommonCfg'
expect_lspci 'VirtIO: Notify'
expect_lspci 'Kernel driver in use: virtio-pci'
! seen lspci | grep -q 'Interrupt: pin' || problem "lspci sees an interrupt pin"
verdict "lspci sees the bridge and the device"
for vector in config input; do
	seen irq | grep -q "PCI-MSI.*virtio0-$vector" || problem "no vector for $vector in /proc/interrupts"
done
verdict "a vector for the configuration and for each queue"
for step in interrupts affinity bind-10 rescan function-mask bus-master moved-bar scribbled; do
	seen works | grep -qx "$step" || problem "no $step"
done
verdict "unbound and bound, removed and found, scribbled over: it works again"

for way in nommconf nocrs; do
	boot some "pci=$way"
	seen works | grep -qx boot || problem "the device does not work"
	verdict "pci=$way"
done
boot some '' --irqchip kernel
seen works | grep -qx boot || problem "the device does not work"
verdict "the interrupt controllers of KVM"
done_testing
