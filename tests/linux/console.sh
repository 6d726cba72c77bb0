#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# The serial console both ways: a shell takes commands from standard input, and what it prints comes
# out whole, while the other CPU, which answers the serial port's interrupts, has time for other things.
#
# CONSOLE_KB   how many thousand bytes it prints (default 60)
set -euo pipefail
. tests/linux/lib.sh

kb=${CONSOLE_KB:-60}

cat >"$WORK/script" <<'SCRIPT'
# Four bytes of output for three.
head -c $((kb * 750)) /dev/urandom | base64 >/tmp/data
cat >/bin/interrupts <<'END'
awk '/ttyS0/ { for (i = 2; i < NF; i++) if ($i ~ /^[0-9]+$/) n += $i; print "seen: interrupts", n }' /proc/interrupts
END
chmod +x /bin/interrupts
echo "seen: ready"
sh -i
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script"

guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 256M --cpus 2 --no-reboot \
	--cmdline "console=ttyS0 quiet kb=$kb"
guest_wait_for 120 1 '^seen: ready' || problem "it does not come up"
# shellcheck disable=SC2016 # for the shell in the guest
guest_tell 'echo "seen: product $((6 * 7))"'
guest_wait_for 60 1 '^seen: product 42' || problem "the shell does not answer"
verdict "a shell takes input"

# More than the receive FIFO, the tty's edge at 4096 and the monitor's buffers hold, in lines.
# shellcheck disable=SC2016
guest_tell 'stty -echo; n=0; while read -r line && [ "$line" != end ]; do n=$((n + ${#line})); done; echo "seen: typed $n"'
sleep 1
for _ in {1..100}; do
	guest_tell 0123456789012345678901234567890123456789012345678901234567890123456789
done
guest_tell end
guest_wait_for 120 1 '^seen: typed' || problem "the input does not end"
[ "$(seen typed)" = 7000 ] || problem "of 7000 characters typed '$(seen typed)' arrived"
verdict "input faster than the guest reads arrives whole"

# shellcheck disable=SC2016
guest_tell 'echo; echo "seen: sum $(sha256sum </tmp/data)"; interrupts; echo "seen: begin"; cat /tmp/data; echo "seen: done"; interrupts'
guest_wait_for $((120 + kb * 2)) 1 '^seen: done' || problem "the output does not end"
sum=$(tr -d '\r' <"$WORK/serial" | sed '1,/^seen: begin/d; /^seen: done/,$d' | tee "$WORK/data" | sha256sum)
[ "$(stat -c %s "$WORK/data")" -ge $((kb * 1000)) ] || problem "only $(stat -c %s "$WORK/data") bytes arrived"
[ "$(seen sum)" = "$sum" ] || problem "the sum is $sum, not $(seen sum)"
# Linux sends up to 8 KB in one interrupt if it is let. An interrupt that never ends is a CPU that does
# nothing else.
guest_wait_for 60 2 '^seen: interrupts' || problem "it does not count its interrupts"
interrupts=$(($(seen interrupts | tail -n 1) - $(seen interrupts | head -n 1)))
[ $((interrupts * 4096)) -ge $((kb * 1000)) ] || problem "$interrupts interrupts for $kb KB"
echo "# $interrupts interrupts for $kb KB"
# shellcheck disable=SC2016
guest_tell "dmesg -r | sed -n 's/^<[0-4]>/seen: complaint /p'; exit"
guest_end 60
while read -r line; do
	problem "$line"
done < <(seen complaint | grep -iE 'lockup|stall|starved|irq .*nobody')
[ "$status" -eq 0 ] || problem "the monitor's status is $status"
verdict "$kb KB of output arrive whole"
done_testing
