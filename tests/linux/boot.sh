#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# The distribution's kernel boots, as bzImage and as the ELF inside it, on one and on two CPUs, finds
# the machine it was promised, runs a program from its initrd and powers the machine off.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cat >"$WORK/script" <<'SCRIPT'
echo "seen: kernel $(uname -sr)"
echo "seen: cpus $(nproc)"
echo "seen: memory $(awk '/MemTotal/ { print $2 }' /proc/meminfo)"
echo "seen: word $word"
echo "seen: end"
SCRIPT
tests/lab/make-initrd "$WORK/initrd" --script "$WORK/script"
release=$(ls "$LINUX_DIR/lib/modules")

boot() {
	local kernel=$1 cpus=$2 status=0 problems=() memory
	timeout -k 5 100 "$SKETE" run --kernel "$kernel" --initrd "$WORK/initrd" --cpus "$cpus" \
		--memory 512M --serial stdio --cmdline "console=ttyS0 quiet panic=-1 word=over-there" \
		</dev/null >"$WORK/serial" 2>"$WORK/said" || status=$?
	[ "$status" -eq 0 ] || problems+=("the monitor's status is $status")
	[ "$(seen kernel)" = "Linux $release" ] || problems+=("the kernel is '$(seen kernel)', not $release")
	[ "$(seen cpus)" = "$cpus" ] || problems+=("it has '$(seen cpus)' CPUs")
	[ "$(seen word)" = over-there ] || problems+=("the command line brought '$(seen word)'")
	grep -q '^seen: end' "$WORK/serial" || problems+=("init did not reach its end")
	memory=$(seen memory)
	# 512 MiB less what the kernel keeps for itself.
	if [ "${memory:-0}" -lt 400000 ] || [ "${memory:-0}" -gt 524288 ]; then
		problems+=("it has '$memory' KiB of memory")
	fi
	ok "${#problems[@]}" "$3 with $cpus CPU(s)"
	if [ ${#problems[@]} -gt 0 ]; then
		printf '# %s\n' "${problems[@]}"
		comment <"$WORK/said"
		tail -n 40 "$WORK/serial" | comment
	fi
}

for cpus in 1 2; do
	boot "$LINUX_BZIMAGE" "$cpus" bzImage
	boot "$LINUX_ELF" "$cpus" ELF
done
done_testing
