# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# What the tests in this folder share: TAP. Sourced after `set -euo pipefail`.

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

# Every line of standard input as a comment.
comment() {
	tr -d '\r' | sed 's/^/# /'
}

# The plan goes last: it says how many points there were meant to be.
done_testing() {
	echo "1..$points"
	[ "$failures" -eq 0 ]
}
