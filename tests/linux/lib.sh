# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# What the tests in this folder share: TAP, and a guest to talk to. Sourced after `set -euo pipefail`.

points=0
failures=0

# ok CONDITION-STATUS TITLE
ok() {
	points=$((points + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $points - $2"
	else
		echo "not ok $points - $2"
		failures=$((failures + 1))
	fi
}

# need_tools TOOL...: without one of them the whole test is skipped.
need_tools() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || {
			echo "1..0 # SKIP $tool is missing; type: tools/install-packages run test"
			exit 77
		}
	done
}

# skipped TITLE REASON
skipped() {
	points=$((points + 1))
	echo "ok $points - $1 # SKIP $2"
}

# Every line of standard input as a comment.
comment() {
	tr -d '\r' | sed 's/^/# /'
}

# The plan goes last: it says how many points there were meant to be.
done_testing() {
	echo "1..$points"
	[ "$failures" -eq 0 ]
}

# What the guest printed after `seen: NAME `, a line each time it did.
seen() {
	tr -d '\r' <"$WORK/serial" | sed -n "s/^seen: $1 *//p"
}

# A problem of the point that is being tested; verdict TITLE reports them all, with what was said.
problems=()
problem() {
	problems+=("$*")
}

verdict() {
	ok "${#problems[@]}" "$1"
	if [ ${#problems[@]} -gt 0 ]; then
		printf '# %s\n' "${problems[@]}"
		comment <"$WORK/said"
		tail -n 40 "$WORK/serial" | comment
	fi
	problems=()
}

# Milliseconds since some moment, in $ms. No process is started for it, nor for what is asked often
# below: the guest's CPU time is ours, too.
ms=0
get_ms() {
	local up
	read -r up _ </proc/uptime
	ms=$((10#${up/./} * 10))
}

now_ms() {
	get_ms
	echo "$ms"
}

# guest_start COMMAND [ARG...]: runs a monitor whose standard input is what guest_tell says and whose
# output and messages go to $WORK/serial and $WORK/said.
guest_pid=
guest_start() {
	rm -f "$WORK/in"
	: >"$WORK/serial"
	mkfifo "$WORK/in"
	exec 7<>"$WORK/in"
	"$@" <"$WORK/in" >"$WORK/serial" 2>"$WORK/said" 7>&- &
	guest_pid=$!
	trap 'kill -KILL "$guest_pid" 2>/dev/null || true' EXIT
}

guest_tell() {
	echo "$*" >&7
}

guest_runs() {
	kill -0 "$guest_pid" 2>/dev/null
}

# guest_wait_for SECONDS COUNT PATTERN: until COUNT lines of the console match; false if the guest
# ended, panicked or took too long.
guest_wait_for() {
	local deadline runs=1 turn=0
	get_ms
	deadline=$((ms + $1 * 1000))
	while [ "$(grep -c -- "$3" "$WORK/serial")" -lt "$2" ]; do
		get_ms
		turn=$((turn + 1))
		if [ "$runs" -eq 0 ] || [ "$ms" -gt "$deadline" ] ||
			{ [ $((turn % 16)) -eq 0 ] && grep -q 'Kernel panic' "$WORK/serial"; }; then
			return 1
		fi
		# Looked at once more after the end: it may have said it last.
		guest_runs || runs=0
		sleep 0.2
	done
}

# guest_end SECONDS: waits for the end and sets status; 124 if it had to be killed.
status=0
guest_end() {
	local deadline is_late=
	get_ms
	deadline=$((ms + $1 * 1000))
	while guest_runs; do
		get_ms
		if [ "$ms" -gt "$deadline" ]; then
			is_late=1
			kill -KILL "$guest_pid"
			break
		fi
		sleep 0.1
	done
	status=0
	wait "$guest_pid" || status=$?
	# shellcheck disable=SC2034 # for those who source this
	[ -z "$is_late" ] || status=124
	exec 7>&-
	trap - EXIT
}

# ---- A guest that does what it is told ----

# What such a guest runs: each line of its console as a command, its output as `seen: outN LINE`, its
# status as `seen: done N STATUS`. It says `seen: ready` first; `off` ends it.
# shellcheck disable=SC2034,SC2016 # for those who source this; the guest expands it
guest_shell='
mkdir -p /tmp
echo "seen: ready"
n=0
while read -r line; do
	[ "$line" != off ] || break
	n=$((n + 1))
	(eval "$line") >/tmp/.out 2>&1 </dev/null
	status=$?
	sed "s/^/seen: out$n /" /tmp/.out
	echo "seen: done $n $status"
done
'

# guest_do SECONDS COMMAND: sets $answer to what it printed; false if it failed or took too long.
guest_commands=0
answer=
guest_do() {
	guest_commands=$((guest_commands + 1))
	guest_tell "$2"
	answer=
	guest_wait_for "$1" 1 "^seen: done $guest_commands " || return 1
	answer=$(seen "out$guest_commands")
	[ "$(seen "done $guest_commands")" = 0 ]
}

# guest_must SECONDS COMMAND: the same; a problem if it fails.
guest_must() {
	guest_do "$@" || problem "'$2' failed in the guest: $answer"
}

# programs NAME...: the arguments of make-initrd that bring programs of this host with their libraries.
programs() {
	local name file library
	for name in "$@"; do
		file=$(PATH=$PATH:/usr/sbin:/sbin command -v "$name")
		echo --file "$file:/bin/$name"
		while read -r library; do
			echo --file "$library:$library"
		done < <(ldd "$file" | grep -o '/[^ ]*')
	done | tr '\n' ' '
}
