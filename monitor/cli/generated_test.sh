#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Skete authors
#
# The man page before the tools that judge man pages, the completion scripts in the shells that
# run them. Prints TAP. Usage: generated_test.sh CLI_GEN
set -u

gen=$(realpath "$1") || exit 99
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
nr=0

ok()
{
	nr=$((nr + 1))
	echo "ok $nr - $1"
}

not_ok()
{
	nr=$((nr + 1))
	echo "not ok $nr - $1"
	sed 's/^/# /' "$dir/log"
}

# check NAME COMMAND...: passes if the command succeeds without a word.
check()
{
	local name=$1

	shift
	if ("$@") > "$dir/log" 2>&1 && [ ! -s "$dir/log" ]; then ok "$name"; else not_ok "$name"; fi
}

# check_with TOOL NAME COMMAND...: the same, or a skip where the tool is not installed.
check_with()
{
	local tool=$1 name=$2

	shift
	if command -v "$tool" > /dev/null; then
		check "$@"
	else
		nr=$((nr + 1))
		echo "ok $nr - $name # SKIP $tool is not installed"
	fi
}

man_warnings()
{
	{ man --warnings -E UTF-8 -l -Tutf8 -Z "$dir/skete.1" > /dev/null; } 2>&1
}

man_shows()
{
	man -E UTF-8 -l -Tutf8 "$dir/skete.1" < /dev/null 2>&1 | sed 's/.\x08//g' > "$dir/text"
	grep -qF -- '-m, --memory SIZE' "$dir/text" || echo "--memory is not shown"
	grep -qF -- 'EXIT STATUS' "$dir/text" || echo "the exit status is not shown"
}

# reply WORD...: what bash offers at the end of the command line, one per line. As bash does it,
# "=" is a word of its own.
reply()
{
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_skete
	printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '
}

# expect WANTED WORD...
expect()
{
	local wanted=$1 got

	shift
	got=$(reply "$@")
	[ "$got" = "$wanted" ] || echo "after '$*': '$got' instead of '$wanted'"
}

bash_offers_values()
{
	cd "$dir" || return
	mkdir -p files && cd files && touch 'an image' other || return
	expect 'completion doctor help pack run version ' skete ''
	expect 'run ' skete r
	expect '--help --version -V -h ' skete -
	expect 'auto linux64 multiboot pvh ' skete run --boot ''
	expect 'auto linux64 multiboot pvh ' skete run --boot =
	expect 'pvh ' skete run --boot = p
	expect '--boot=pvh ' skete run --boot=p
	expect 'an image other ' skete run ''
	expect 'an image ' skete run --initrd a
	expect 'an image other ' skete run --initrd =
	expect '--initrd=other ' skete run --initrd=o
	expect 'other ' skete run --serial o
	expect 'none ' skete run --serial n
	expect 'path= ' skete run --disk p
	expect 'ro,path= ' skete run --disk ro,p
	expect 'an image other ' skete run --disk path =
	expect 'other,ro ' skete run --disk path = other,r
	expect 'qcow2 ' skete run --disk path = other,format = q
	expect 'bash fish zsh ' skete completion ''
	expect 'completion doctor help pack run version ' skete help ''
	expect ' ' skete run --cpus ''
	expect ' ' skete run -c ''
	expect ' ' skete doctor ''
	expect ' ' skete run x -- --
	expect '--memory --memory-backing ' skete run --mem
}

bash_offers_every_option()
{
	local name

	"$gen" help-run | grep -oE '^  (-., |    )--[a-z-]+' | grep -oE -- '--[a-z-]+' > "$dir/names"
	[ "$(wc -l < "$dir/names")" -ge 15 ] || echo "too few options in --help"
	while read -r name; do
		case " $(reply skete run "$name") " in
		*" $name "*) ;;
		*) echo "$name is not offered" ;;
		esac
	done < "$dir/names"
}

fish_offers()
{
	local got

	got=$(cd /var/empty 2> /dev/null || cd "$dir/empty" || exit
		fish --no-config -c "source '$dir/skete.fish'; complete -C '$1'" 2>&1 |
		cut -f1 | sort | tr '\n' ' ')
	[ "$got" = "$2" ] || echo "after '$1': '$got' instead of '$2'"
}

fish_completes()
{
	mkdir -p "$dir/empty"
	export HOME=$dir
	fish_offers 'skete r' 'run '
	fish_offers 'skete run --boot ' 'auto linux64 multiboot pvh '
	fish_offers 'skete run --boot=p' '--boot=pvh '
	fish_offers 'skete run --cp' '--cpus '
	fish_offers 'skete run --disk ro' 'ro '
	fish_offers 'skete doctor --cp' ''
	fish_offers 'skete completion ' 'bash fish zsh '
}

zsh_loads()
{
	mkdir -p "$dir/zfunc" && cp "$dir/_skete" "$dir/zfunc/_skete"
	HOME=$dir zsh -f -c "fpath=($dir/zfunc \$fpath); autoload -U compinit; compinit -u -D;
		[[ \$_comps[skete] == _skete ]] || print 'compinit does not see it'
		source $dir/_skete; [[ \$_comps[skete] == _skete ]] || print 'compdef does not'"
}

# Types into an interactive zsh: what Tab made of the line is seen when a stand-in for skete runs.
zsh_completes()
{
	mkdir -p "$dir/typed" && touch "$dir/typed/image" && cp "$dir/_skete" "$dir/typed/_skete"
	cat > "$dir/type.zsh" << 'END'
zmodload zsh/zpty
tab=$'\t'
zpty z zsh -f -i
zpty -w z "cd $1; fpath=($1 \$fpath); PROMPT=; autoload -U compinit; compinit -u -D; zstyle ':completion:*' insert-tab false"
zpty -w z 'skete() { print -r -- "GOT<$*""> " }; print REA""DY'
zpty -r z out '*READY*'
while IFS='|' read -r line wanted; do
	zpty -w z "${line//@/$tab}"
	zpty -r z out '*GOT<*> *'
	[[ $out == *"GOT<$wanted>"* ]] || print -r -- "$line: ${(V)out} instead of $wanted"
done
zpty -d z
END
	timeout 60 zsh -f "$dir/type.zsh" "$dir/typed" << 'END'
skete ru@|run
skete run --boot p@|run --boot pvh
skete run --boot=p@|run --boot=pvh
skete run --serial n@|run --serial none
skete run --serial i@|run --serial image
skete run --disk pa@i@|run --disk path=image
skete run --no-reb@ i@|run --no-reboot image
skete completion f@|completion fish
skete help doc@|help doctor
END
}

"$gen" man > "$dir/skete.1" && "$gen" bash > "$dir/skete" && "$gen" zsh > "$dir/_skete" &&
	"$gen" fish > "$dir/skete.fish" || exit 99
# shellcheck source=/dev/null
. "$dir/skete"

echo 1..11
check_with man 'man has no warnings' man_warnings
check_with man 'man shows the options' man_shows
check_with mandoc 'mandoc has no warnings' mandoc -T lint -W warning "$dir/skete.1"
check 'bash accepts the script' bash -n "$dir/skete"
check 'bash offers values' bash_offers_values
check 'bash offers every option' bash_offers_every_option
check_with zsh 'zsh accepts the script' zsh -n "$dir/_skete"
check_with zsh 'zsh loads the script both ways' zsh_loads
check_with zsh 'zsh offers values' zsh_completes
check_with fish 'fish accepts the script' fish -n "$dir/skete.fish"
check_with fish 'fish offers values' fish_completes
