#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# Boots both of the distribution's kernels in every form on every size of machine: each machine must
# show its CPUs and its memory, reboot, come up a second time and power off with status 0. 64 MiB is
# less than some need: there a clear end is asked for, not a boot.
#
# MATRIX_OPTIONS   more options for `skete run`, for example "--irqchip split"
# MATRIX_KERNELS, MATRIX_IMAGES, MATRIX_BOOTS, MATRIX_CPUS, MATRIX_MEMORY   a part of it only
#
# MATRIX_PART=N/M   the Nth of M parts of what is left: a whole matrix takes the better part of an hour
#
# The table is left in $LAB_OUT/boot-matrix.md; the parts of it come from as many runs as it takes,
# because each adds its lines to those in $LAB_OUT/boot-matrix.rows.
set -euo pipefail
. tests/linux/lib.sh

cat >"$WORK/script" <<'SCRIPT'
echo "seen: kernel $(uname -r)"
echo "seen: cpus $(nproc)"
echo "seen: memory $(awk '/MemTotal/ { print $2 }' /proc/meminfo)"
# What the firmware map calls RAM, in KiB, which is more than what is free for use.
total=0
for entry in /sys/firmware/memmap/*; do
	[ "$(cat $entry/type)" = "System RAM" ] || continue
	total=$((total + ($(cat $entry/end) + 1 - $(cat $entry/start)) / 1024))
done
echo "seen: ram $total"
echo "seen: ready"
read -r what
[ "$what" != again ] || reboot -f
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script"

read -r -a options <<<"${MATRIX_OPTIONS:-}"
read -r -a kernels <<<"${MATRIX_KERNELS:-cloud generic}"
read -r -a images <<<"${MATRIX_IMAGES:-bzImage ELF}"
read -r -a boots <<<"${MATRIX_BOOTS:-pvh linux64}"
read -r -a cpu_counts <<<"${MATRIX_CPUS:-1 2 4}"
read -r -a memories <<<"${MATRIX_MEMORY:-512 6144 64}"
rows=$LAB_OUT/boot-matrix.rows
memory_seen=

# The whole table, after every line: what ended early has one, too.
write_table() {
	{
		cat <<'HEAD'
# The boot matrix

Each line is one machine of `skete run`: it boots, shows all its CPUs and its whole memory map, reboots
(`reboot -f`: the ACPI reset register), shows them again, and powers off; the monitor ends with 0.

Made by `tests/linux/run matrix`, which fails if a line says no. "Sees" is the guest's `MemTotal` (what the
kernel keeps for itself is missing in it), "up after" the time from the monitor's start to the first line of
the program in the initrd.

HEAD
		echo "- kernels: Debian or Ubuntu, cloud $(ls "$LINUX_DIR/lib/modules"), generic $(ls "$GENERIC_DIR/lib/modules")"
		if [ -e /run/lab/command ]; then
			echo "- host: the lab (QEMU's software emulation of a machine with AMD-V, $(nproc) CPUs," \
				"Linux $(uname -r)): about a tenth of a real machine's speed, and shared with other work"
		else
			echo "- host: $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs, Linux $(uname -r)"
		fi
		echo "- $(wc -l <"$rows") of the 72 machines of the whole matrix have been run"
		echo "- command line \`console=ttyS0 quiet\`, an initrd of 1 MiB (busybox), further options:" \
			"${MATRIX_OPTIONS:-none}"
		echo
		echo "| kernel | image | entry | CPUs | memory | boots, reboots, powers off | sees | up after |"
		echo "|---|---|---|---|---|---|---|---|"
		sed -E 's/^([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) \| /| \1 | \2 | \3 | \4 | \5 MiB | /' "$rows"
	} >"$LAB_OUT/boot-matrix.md"
}

# row KERNEL IMAGE BOOT CPUS MIB RESULT: the line of that machine, in place of an older one.
row() {
	touch "$rows"
	grep -v "^$1 $2 $3 $4 $5 |" "$rows" >"$WORK/rows" || true
	echo "$1 $2 $3 $4 $5 | $6" >>"$WORK/rows"
	sort -k1,1 -k2,2 -k3,3 -k4,4n -k5,5n "$WORK/rows" >"$rows"
	write_table
}

# What life NUMBER of the guest said of itself.
check_life() {
	local cpus=$1 mib=$2 release=$3 number=$4 got
	got=$(seen kernel | sed -n "${number}p")
	[ "$got" = "$release" ] || problem "life $number: the kernel is '$got', not $release"
	got=$(seen cpus | sed -n "${number}p")
	[ "$got" = "$cpus" ] || problem "life $number: '$got' CPUs"
	got=$(seen ram | sed -n "${number}p")
	# All but the hole below 1 MiB.
	if [ "${got:-0}" -lt $((mib * 1024 - 512)) ] || [ "${got:-0}" -gt $((mib * 1024)) ]; then
		problem "life $number: the memory map has '$got' KiB"
	fi
	memory_seen=$(seen memory | sed -n "${number}p")
	if [ "${memory_seen:-0}" -lt $((mib > 64 ? mib * 1024 * 3 / 4 : 1)) ]; then
		problem "life $number: '$memory_seen' KiB of memory in use"
	fi
}

# How a machine that is too small ended, in one line; false if nobody said anything clear.
why_not() {
	local line
	if [ "$status" -ne 124 ] && line=$(grep -m 1 '^skete: ' "$WORK/said"); then
		# The kernel's folder is another one elsewhere.
		sed -E 's#/[^ ]*/##g' <<<"${line#skete: }"
	elif line=$(grep -m 1 -o 'Kernel panic - not syncing: .*' "$WORK/serial" | tr -d '\r'); then
		echo "the guest: $line"
	else
		return 1
	fi
}

# one KIND IMAGE BOOT CPUS MIB: a machine, twice up.
one() {
	local kind=$1 image=$2 boot=$3 cpus=$4 mib=$5 kernel folder release start first='' reason='' took
	local title="$1 $2 by $3, $4 CPUs, $5 MiB"
	case $kind-$image in
	cloud-bzImage) kernel=$LINUX_BZIMAGE ;;
	cloud-ELF) kernel=$LINUX_ELF ;;
	generic-bzImage) kernel=$GENERIC_BZIMAGE ;;
	generic-ELF) kernel=$GENERIC_ELF ;;
	esac
	[ "$kind" = cloud ] && folder=$LINUX_DIR || folder=$GENERIC_DIR
	release=$(ls "$folder/lib/modules")
	start=$(now_ms)
	guest_start "$SKETE" run --kernel "$kernel" --initrd "$WORK/initrd" --boot "$boot" \
		--cpus "$cpus" --memory "${mib}M" "${options[@]}" --cmdline "console=ttyS0 quiet"
	if guest_wait_for 200 1 '^seen: ready'; then
		first=$((($(now_ms) - start) / 100))
		guest_tell again
		guest_wait_for 200 2 '^seen: ready' || problem "it does not come up again"
		guest_tell off
		guest_end 60
		check_life "$cpus" "$mib" "$release" 1
		check_life "$cpus" "$mib" "$release" 2
	else
		if guest_runs && grep -q 'Kernel panic' "$WORK/serial"; then
			# The rest of the message.
			sleep 1
			kill -TERM "$guest_pid"
		fi
		guest_end 10
		if [ "$mib" -ge 128 ] || ! reason=$(why_not); then
			problem "it does not come up"
		fi
	fi
	if [ -n "$reason" ]; then
		echo "# $title: $reason"
		row "$@" "does not fit: $reason | | |"
		ok 0 "$title: too small, and a message says so"
		problems=()
		return
	fi
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
	took=$((($(now_ms) - start) / 100))
	if [ ${#problems[@]} -eq 0 ]; then
		row "$@" "yes | $((memory_seen / 1024)) MiB | $((first / 10)).$((first % 10)) s |"
	else
		row "$@" "**no**: ${problems[0]} | | |"
	fi
	verdict "$title ($((took / 10)).$((took % 10)) s)"
}

machines=()
for mib in "${memories[@]}"; do
	for kind in "${kernels[@]}"; do
		for image in "${images[@]}"; do
			for boot in "${boots[@]}"; do
				for cpus in "${cpu_counts[@]}"; do
					machines+=("$kind $image $boot $cpus $mib")
				done
			done
		done
	done
done
part=${MATRIX_PART:-1/1}
first_machine=$((${#machines[@]} * (${part%/*} - 1) / ${part#*/}))
end_machine=$((${#machines[@]} * ${part%/*} / ${part#*/}))
for ((m = first_machine; m < end_machine; m++)); do
	read -r -a machine <<<"${machines[m]}"
	one "${machine[@]}"
done

done_testing
