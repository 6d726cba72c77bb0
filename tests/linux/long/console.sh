#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# The serial console both ways: a shell takes commands from standard input, and 200 KB of output come
# out whole.
set -euo pipefail
. tests/linux/lib.sh

cat >"$WORK/script" <<'SCRIPT'
head -c 150000 /dev/urandom | base64 >/tmp/data
echo "seen: ready"
sh -i
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script"

guest_start "$SKETE" run --kernel "$LINUX_ELF" --initrd "$WORK/initrd" --memory 256M --no-reboot \
	--cmdline "console=ttyS0 quiet"
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
guest_tell 'echo; echo "seen: sum $(sha256sum </tmp/data)"; echo "seen: begin"; cat /tmp/data; echo "seen: done"'
guest_wait_for 200 1 '^seen: done' || problem "the output does not end"
sum=$(tr -d '\r' <"$WORK/serial" | sed '1,/^seen: begin/d; /^seen: done/,$d' | tee "$WORK/data" | sha256sum)
[ "$(stat -c %s "$WORK/data")" -gt 200000 ] || problem "only $(stat -c %s "$WORK/data") bytes arrived"
[ "$(seen sum)" = "$sum" ] || problem "the sum is $sum, not $(seen sum)"
guest_tell exit
guest_end 60
[ "$status" -eq 0 ] || problem "the monitor's status is $status"
verdict "200 KB of output arrive whole"
done_testing
