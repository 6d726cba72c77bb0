# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# What the shell scripts in tools/ share. Sourced, after `set -euo pipefail`; leaves the shell in the
# top folder of the tree.

name=$(basename "$0")
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top" || exit 1

say() {
	echo "$name: $*"
}

die() {
	echo "$name: $*" >&2
	exit 1
}

need() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || die "$tool is missing; type: tools/install-packages build test"
	done
}

# The files of the tree that match the patterns, except what git ignores.
tree_files() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard -- "$@" | while read -r file; do
			[ ! -f "$file" ] || echo "$file"
		done
	else
		local pattern
		for pattern in "$@"; do
			find . \( -path ./build -o -path './build-*' \) -prune -o -type f -path "./$pattern" -print |
				cut -c3-
		done
	fi | sort -u
}

# build_in FOLDER [MESON OPTION...]: a build of its own, kept between runs. A folder whose options
# changed is made anew. The log is shown only if something fails. With CONFIGURE_ONLY=1 nothing is
# compiled; Meson then knows all there is to know about the tree.
build_in() {
	local dir=$1 log=$1.log
	shift
	need meson ninja
	mkdir -p "$(dirname "$dir")"
	if [ ! -f "$dir/build.ninja" ] || [ "$(cat "$dir/options" 2>/dev/null)" != "${CC:-} $*" ]; then
		rm -rf "$dir"
		meson setup "$dir" "$@" >"$log" 2>&1 || { cat "$log" >&2 && die "meson setup $dir $* failed"; }
		echo "${CC:-} $*" >"$dir/options"
	fi
	local goal=all
	[ -z "${CONFIGURE_ONLY:-}" ] || goal=build.ninja
	ninja -C "$dir" "$goal" >"$log" 2>&1 || {
		tail -n 60 "$log" >&2
		die "the build in $dir failed; to see it again, type: ninja -C $dir"
	}
}
