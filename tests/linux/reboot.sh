#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# Linux reboots ten times in a row and powers off in its eleventh life: by the kernel's own choice (on
# such a machine it jumps to the firmware's reset vector), by the ACPI reset register and by the
# keyboard controller. With --no-reboot a reboot is the end, and status 0.
set -euo pipefail
. tests/linux/lib.sh

# The first word read from the console says what to do, so every life has the same initrd.
cat >"$WORK/script" <<'SCRIPT'
echo "seen: ready $(nproc)"
read -r what
case $what in
off) poweroff -f ;;
default) ;;
*) echo "$what" >/sys/kernel/reboot/type ;;
esac
reboot -f
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script"
machine=("$SKETE" run -v --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 128M --cmdline "console=ttyS0 quiet")

guest_start "${machine[@]}"
life=0 before=$(now_ms)
for how in default acpi kbd acpi kbd acpi kbd acpi kbd default off; do
	life=$((life + 1))
	if ! guest_wait_for 120 "$life" '^seen: ready 1'; then
		problem "life $life does not begin"
		kill -TERM "$guest_pid" || true
		break
	fi
	echo "# life $life after $(($(now_ms) - before)) ms"
	before=$(now_ms)
	guest_tell "$how"
done
guest_end 60
[ "$status" -eq 0 ] || problem "the monitor's status is $status"
grep -q ' 10 reboots' "$WORK/said" || problem "the monitor did not count ten reboots"
verdict "ten reboots in a row, then power-off"

for how in default acpi kbd; do
	guest_start "${machine[@]}" --no-reboot
	guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
	guest_tell "$how"
	guest_end 60
	[ "$status" -eq 0 ] || problem "the monitor's status is $status"
	[ "$(seen ready | wc -l)" -eq 1 ] || problem "it came up again"
	verdict "--no-reboot ends a reboot by $how with 0"
done
done_testing
