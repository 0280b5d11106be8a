# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What all verbs share: places, messages, exit codes, stages, locks, clean-up.
# Sourced, never run. A verb calls `verb_start NAME` first.

ROOT=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd -P)
LIB=$ROOT/scripts/lib
BUILD=$ROOT/build
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gup-series
export CACHE
export LC_ALL=C
export PYTHONDONTWRITEBYTECODE=1

# use_interpreter: python3 may be a shim, like that of pyenv, which takes ten times as long
# to find the interpreter as that takes to start, and we start it ten times a run.
use_interpreter() {
	local magic
	read -r -n 2 magic < "$(command -v python3)" || return 0
	[ "$magic" != '#!' ] || PATH=$(python3 -S -c 'import os, sys; print(os.path.dirname(sys.executable))'):$PATH
}

# ---------------------------------------------------------------- exit codes

declare -A CODE_OF=() CLASS_OF=()
while read -r code class _; do
	[ "$code" = '#' ] || CODE_OF[$class]=$code CLASS_OF[$code]=$class
done < "$LIB/exit-codes"

help_exit_codes() {
	echo
	echo "Exit codes:"
	sed -n 's/^[0-9]/  &/p' "$LIB/exit-codes"
}

# ------------------------------------------------------------------ messages

VERB=
STAGE=start
SUMMARY=		# what the last line says after FAIL(class):
VERDICT_SUFFIX=		# what it says after that, e.g. the path of the log

note() { echo "       $*"; }

# stage NAME TEXT: say what begins now. The time of the one before goes into
# $STAGES, a file of "name seconds" lines, where a verb has set it.
STAGE_START=0
STAGES=
stage() {
	stage_end
	STAGE=$1
	STAGE_START=$EPOCHREALTIME
	printf '[%4ds] %-8s %s\n' "$SECONDS" "$1" "$2"
}

stage_end() {
	local tenths
	if [ -n "$STAGES" ] && [ "$STAGE_START" != 0 ]; then
		tenths=$(((${EPOCHREALTIME/./} - ${STAGE_START/./}) / 100000))
		[ "$tenths" -ge 0 ] || tenths=0	# somebody has set the clock
		printf '%s %d.%d\n' "$STAGE" $((tenths / 10)) $((tenths % 10)) >> "$STAGES"
	fi
	STAGE_START=0
}

# die CLASS WHAT [NEXT-STEP]
die() {
	# Through a file, because we may be in a subshell.
	echo "$2" > "$GUP_SUMMARY"
	echo "error: $2" >&2
	[ $# -lt 3 ] || echo "next:  $3" >&2
	exit "${CODE_OF[$1]}"
}

# ------------------------------------------------------- start and end of a verb

TEMPORARIES=()
temporary() { TEMPORARIES+=("$1"); }

# The last line of every verb that fails. Only those who know what is wrong leave
# a summary (die() and the Python helpers, in a file); any other status is a bug.
on_exit() {
	local status=$? class
	trap - EXIT ERR
	trap '' INT TERM
	stage_end
	[ -n "$SUMMARY" ] || read -r SUMMARY < "$GUP_SUMMARY" || true
	case $status in
	0) ;;
	130|143)
		status=130
		SUMMARY="stopped in stage '$STAGE'; the same command continues" ;;
	*)
		class=${CLASS_OF[$status]:-}
		if [ -z "$SUMMARY" ] || [ -z "$class" ]; then
			status=1
			SUMMARY="scripts/$VERB stopped in stage '$STAGE', see above"
		fi ;;
	esac
	if [ "$status" != 0 ]; then
		echo "FAIL(${CLASS_OF[$status]}): $SUMMARY ($SECONDS s)$VERDICT_SUFFIX" >&"$TERMINAL"
	fi
	[ ${#TEMPORARIES[@]} = 0 ] || rm -rf -- "${TEMPORARIES[@]}"
	exit "$status"
}

on_error() {
	local status=$?
	[ ! -s "$GUP_SUMMARY" ] && [ "$status" -lt 130 ] || return 0
	echo "scripts/$VERB: ${BASH_SOURCE[1]##*/}:$1: status $status: $BASH_COMMAND" >&2
}

verb_start() {
	VERB=$1
	# The traps may run where stdout is a log.
	exec {TERMINAL}>&1
	trap on_exit EXIT
	trap 'on_error $LINENO' ERR
	trap 'exit 130' INT TERM
	set -E
	umask 022
	# The users' git configuration must not change what we make; their own
	# git commands in build/tree are another matter.
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
	unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
	! command -v python3 > /dev/null || use_interpreter
	SCRATCH=$(mktemp -d)
	temporary "$SCRATCH"
	export GUP_SUMMARY=$SCRATCH/summary
	: > "$GUP_SUMMARY"
	check_places
}

# check_places: say at once what the kernel's make would say after the fetch.
check_places() {
	[[ $ROOT != *[[:space:]:]* ]] ||
		die environment "the path of this repository has a space or a colon, which the kernel's make refuses: $ROOT" \
			"move or clone it to another path"
	[[ $CACHE = /* ]] ||
		die environment "XDG_CACHE_HOME must be an absolute path, and is '$XDG_CACHE_HOME'" \
			"set it to one, or unset it"
}

# ----------------------------------------------------------------------- options

# A verb has a table OPTIONS: [--option]='KIND VARIABLE', where a function kind_KIND looks at
# the value, "flag" has none, and VARIABLE+ is an array, for an option that may be repeated. The
# row [word] is for arguments that are no options. CONTRADICTIONS has a line for each option
# that excludes those behind it. All is said here, before anything is fetched or built.
declare -A OPTIONS=()
CONTRADICTIONS=()

parse_options() {
	local option value kind variable row
	local -A given=()
	while [ $# -gt 0 ]; do
		option=$1
		[[ $1 = -?* ]] || option=word
		[ -n "${OPTIONS[$option]:-}" ] || usage_error "unknown argument '$1'"
		read -r kind variable <<< "${OPTIONS[$option]}"
		value=$1
		if [ "$kind" = flag ]; then
			value=yes
		elif [ "$option" != word ]; then
			need_value "$1" $# "${2:-}"
			value=$2
			shift
		fi
		[[ -z ${given[$option]:-} || $variable = *+ ]] || given_twice "$option" "$value"
		given[$option]=yes
		[ "$kind" = flag ] || "kind_$kind" "$option" "$value"
		set_option "$variable" "$value"
		shift
	done
	for row in "${CONTRADICTIONS[@]}"; do
		contradiction "$row"
	done
}

# set_option VARIABLE VALUE
set_option() {
	if [[ $1 = *+ ]]; then
		local -n repeated=${1%+}
		repeated+=("$2")
	else
		printf -v "$1" %s "$2"
	fi
}

given_twice() {
	[ "$1" != word ] || usage_error "'$2' is one argument too many"
	usage_error "$1 is given twice"
}

# contradiction ROW: of CONTRADICTIONS, for the options in "given"
contradiction() {
	local option other
	read -r option other <<< "$1"
	[ -n "${given[$option]:-}" ] || return 0
	for other in $other; do
		[ -z "${given[$other]:-}" ] || usage_error "$option and $other exclude each other"
	done
}

# need_value OPTION COUNT-OF-ARGUMENTS-LEFT [VALUE]
need_value() {
	[[ $2 -ge 2 && ${3-value} && ${3-} != --* ]] || usage_error "$1 needs a value"
}

usage_error() { die usage "$1" "scripts/$VERB --help lists what there is"; }

# need_number OPTION VALUE [LEAST [MOST]]: bash would take 08 for a wrong octal number.
need_number() {
	local least=${3:-0} most=${4:-86400}
	[[ $2 =~ ^(0|[1-9][0-9]{0,8})$ && $2 -ge $least && $2 -le $most ]] ||
		usage_error "$1 wants a number from $least to $most, without leading zeros, not '$2'"
}

kind_seconds() { need_number "$1" "$2" 1; }
kind_jobs() { need_number "$1" "$2" 1 4096; }

# How many patches there are is known before the kernel is.
kind_patches() {
	local count
	need_number "$1" "$2"
	count=$(patch_count)
	[ "$2" -le "$count" ] || usage_error "$1 $2: the series has $count patches, not $2"
}

patch_count() { grep -csE '^[[:space:]]*[^#[:space:]]' "$ROOT/series" || [ -f "$ROOT/series" ] || echo 0; }

# What kunit.filter_glob= takes, and a kernel's command line cannot mistake for more.
kind_glob() {
	[[ $2 =~ ^[A-Za-z0-9_.*?-]+$ ]] ||
		usage_error "$1 wants a suite, or suite.test, of letters, digits, _ - * and ?, not '$2'"
}

# A file that is written at the end of a long run.
kind_file() {
	if [ -d "$2" ] || [ ! -d "$(dirname "$2")" ] || [ ! -w "$(dirname "$2")" ]; then
		usage_error "$1: cannot write a file $2"
	fi
}

kind_text() { :; }

# py NAME ARGUMENT...: a helper of ours. -S: the standard library is all it needs.
py() {
	local name=$1
	shift
	python3 -S "$LIB/$name.py" "$@"
}

# py_check NAME ARGUMENT...: see, for its errors alone, whether a helper takes these arguments.
# Before the packages are there it may have no python3; then it is asked again later.
py_check() { ! command -v python3 > /dev/null || py "$@" > /dev/null; }

# ------------------------------------------------------------------------- locks

# lock FILE WHAT: hold FILE until this verb ends; a second run waits for it.
declare -A HELD=()
lock() {
	local fd
	[ -z "${HELD[$1]:-}" ] || return 0
	[ -d "${1%/*}" ] || mkdir -p "${1%/*}" 2> /dev/null ||
		die environment "cannot make ${1%/*}" "look at its rights and at the disk space"
	exec {fd}> "$1"
	if ! flock -n "$fd"; then
		note "another run uses $2: waiting for it"
		flock "$fd"
	fi
	HELD[$1]=$fd
}

unlock() {
	local fd=${HELD[$1]:-}
	[ -z "$fd" ] || exec {fd}>&-
	unset "HELD[$1]"
}

# ------------------------------------------------------------------ free disk space

# need_space DIR MEBIBYTES CLASS: say early what would go wrong late.
need_space() {
	local have
	mkdir -p "$1"
	have=$(df -m --output=avail "$1")
	have=${have##*[!0-9]}
	[ "$have" -ge "$2" ] ||
		die "$3" "not enough disk space: $1 has $have MiB free, $2 MiB are needed" \
			"free some space there and run the same command again"
}

# --------------------------------------------------------------------------- counts

# A check is something that can fail. Those of scripts/check and scripts/test are
# counted, and a failed one does not end the run.
PASSED=0 FAILED=0 FAILURES=()
passed() { PASSED=$((PASSED + ${1:-1})); }
failed() {
	FAILED=$((FAILED + 1))
	FAILURES+=("$1")
	echo "  FAILED: $1"
}

# check NAME COMMAND...: passes if the command does; its output is shown only if not.
check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		passed
	else
		# Ctrl-C is not a finding.
		[ $? -lt 130 ] || exit 130
		failed "$name"
		head -n 30 <<< "$out" | sed 's/^/    /'
	fi
}
