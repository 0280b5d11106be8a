# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# From a prepared tree (TREE, HEAD, LOCAL) to IMAGE, the kernel in $OUT.

CONFIGS=$ROOT/configs

# choose_arch NAME: set what lib/arch says of it.
choose_arch() {
	# shellcheck disable=SC2034 # for guest.sh
	while read -r ARCH ARCH_MAKE ARCH_IMAGE ARCH_MACHINE GUEST_CPUS GUEST_MEMORY ARCH_PACKAGES _; do
		[ "$ARCH" = '#' ] || [ "$ARCH" != "$1" ] || return 0
	done < "$LIB/arch"
	die usage "no architecture '$1'" "there are: $(arch_names)"
}

kind_arch() { choose_arch "$2"; }

# check_machine CONFIG: can guests of the architecture do what it asks for?
check_machine() {
	[ ! -f "$CONFIGS/$1.init" ] || [ "$ARCH_MACHINE" = QEMU ] ||
		usage_error "--config $1 has an init of its own, which needs QEMU: without --arch $ARCH"
}

arch_table() { grep -v '^#' "$LIB/arch"; }
arch_names() { arch_table | cut -d ' ' -f 1 | paste -sd ' '; }
choose_arch x86_64

# arch_file VARIABLE NAME: set it to that of the architecture, or to the one for all.
arch_file() {
	local own=$CONFIGS/$ARCH/$2
	[ -f "$own" ] || own=$CONFIGS/$2
	printf -v "$1" %s "$own"
}

# config_names: each file without a suffix is a configuration, but for cmdline.
config_names() {
	find "$CONFIGS" -maxdepth 1 -type f ! -name '*.*' ! -name cmdline -printf '%f\n' | sort
}

kind_config() {
	[[ $2 && $2 != *[./]* && $2 != cmdline && -f $CONFIGS/$2 ]] ||
		die usage "no configuration '$2'" "there are: $(config_names | paste -sd ' ')"
}

# words FILE: its lines without comments and blank ends; nothing for no file.
words() {
	[ ! -f "$1" ] || sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$1"
}

# has_needs FRAGMENT: a fragment may be for what a patch of the series brings, and says so
# by "#NEEDS#SYMBOL", or "#NEEDS#FILE" with a slash in it; is that patch there?
has_needs() {
	local need
	while read -r need; do
		case $need in
		*/*) [ -e "$TREE/$need" ] ;;
		*) grep -qx "config $need" "$TREE/mm/Kconfig" ;;
		esac || return
	done < <(sed -n 's/^#NEEDS#//p' "$1")
}

# choose_config NAME: set CONFIG, OUT, IMAGE, OVER, FRAGMENTS, LEFT_OUT, TARGETS, HEADERS and
# MAKE_WORDS.
choose_config() {
	local fragment path
	kind_config --config "$1"
	CONFIG=$1
	case $ARCH-$CONFIG in
	x86_64-*) OUT=$WORKSPACE/o/$CONFIG ;;
	*-reference) OUT=$WORKSPACE/o/$ARCH ;;
	*) OUT=$WORKSPACE/o/$ARCH-$CONFIG ;;
	esac
	IMAGE=$OUT/$ARCH_IMAGE
	FRAGMENTS=() LEFT_OUT=()
	OVER=$(words "$CONFIGS/$CONFIG.over")
	OVER=${OVER:-allnoconfig}
	mapfile -t MAKE_WORDS < <(words "$CONFIGS/$CONFIG.make")
	# NAME.h is included before all else; it may include others.
	HEADERS=()
	if [ -f "$CONFIGS/$CONFIG.h" ]; then
		HEADERS=("$CONFIGS"/*.h)
		MAKE_WORDS+=("KCPPFLAGS=-include $CONFIGS/$CONFIG.h")
	fi
	mapfile -t TARGETS < <(echo "${ARCH_IMAGE##*/}"; words "$CONFIGS/$CONFIG.targets")
	for fragment in $(words "$CONFIGS/$CONFIG"); do
		arch_file path "$fragment"
		[ -f "$path" ] ||
			die config "configs/$CONFIG names $fragment, which does not exist" \
				"restore it or remove the line"
		if has_needs "$path"; then
			FRAGMENTS+=("$path")
		else
			LEFT_OUT+=("$fragment")
		fi
	done
	mkdir -p "$OUT"
}

# suites_for [GLOB]: those that must run; none where the kernel does not offer them yet.
suites_for() {
	local found
	found=$(py suites "$TREE" ${1:+"$1"}) || return
	[[ " ${LEFT_OUT[*]} " = *' suites.config '* ]] || echo "$found"
}

# config_text NAME: all that a configuration is made of.
config_text() {
	local fragment path
	cat "$CONFIGS/$1"
	for fragment in $(words "$CONFIGS/$1"); do
		arch_file path "$fragment"
		cat "$path"
	done
}

# Nothing of the day, the user or the machine may get into the objects: a kernel
# can be made again to the byte, and ccache hits across trees and clones.
kernel_make() {
	CCACHE_DIR=$CACHE/ccache CCACHE_BASEDIR=$ROOT CCACHE_NOHASHDIR=1 CCACHE_COMPILERCHECK=content \
	KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' \
	KBUILD_BUILD_USER=gup KBUILD_BUILD_HOST=localhost KBUILD_BUILD_VERSION=1 \
		make -C "$TREE" O="$OUT" ARCH="$ARCH_MAKE" CC="ccache gcc" LOCALVERSION= "${MAKE_WORDS[@]}" "$@"
}

# ------------------------------------------------------------------- configuration

# configure: merge the fragments and see that each option survived. A .config that
# comes out the same keeps its time, so that make does not look at it again.
configure() {
	local stamp before=$SCRATCH/config log=$OUT/config.log over=()
	stamp=$(config_stamp)
	if [ -f "$OUT/.config" ] &&
		[ "$(cat "$OUT/configured" 2> /dev/null || true)" = "$stamp $(sha256sum < "$OUT/.config")" ]; then
		return
	fi
	stage config "$CONFIG: ${#FRAGMENTS[@]} fragments over $OVER"
	[ "$OVER" != allnoconfig ] || over=(-n)
	rm -f "$before"
	[ ! -f "$OUT/.config" ] || cp -p "$OUT/.config" "$before"
	if ! (cd "$TREE" && ARCH=$ARCH_MAKE LOCALVERSION='' \
		scripts/kconfig/merge_config.sh "${over[@]}" -O "$OUT" "${FRAGMENTS[@]}") > "$log" 2>&1; then
		tail -n 10 "$log" >&2
		die config "merge_config.sh failed, see $log" "look at the fragments in configs/"
	fi
	py configcheck "$OUT/.config" "${FRAGMENTS[@]}"
	if cmp -s "$before" "$OUT/.config"; then
		cp -p "$before" "$OUT/.config"
	fi
	echo "$stamp $(sha256sum < "$OUT/.config")" > "$OUT/configured"
}

# Everything that decides how the fragments are merged: no need to do it again after an
# edit of a C file.
config_stamp() {
	{
		cat "${FRAGMENTS[@]}" "$LIB/configcheck.py"
		echo "$ARCH_MAKE $OVER"
		gcc --version
		tree_git ls-tree -r "$HEAD" | grep -E 'Kconfig|Makefile$|scripts/'
		tree_git diff "$HEAD" -- '*Kconfig*' '*Makefile' scripts
	} | sha256sum
}

# --------------------------------------------------------------------------- build

# Everything that decides what a clean tree builds to.
build_stamp() {
	{
		echo "$HEAD"
		cat "${FRAGMENTS[@]}" "${HEADERS[@]}" "$LIB/build.sh"
		echo "$ARCH_MAKE $OVER ${MAKE_WORDS[*]} ${TARGETS[*]}"
		gcc --version
	} | sha256sum
}

# build [MAKE-ARGUMENT...]: configure and make, or nothing where the same was built.
build() {
	local stamp
	stamp=$(build_stamp)
	if [ -z "$LOCAL" ] && [ -f "$IMAGE" ] && [ "$(cat "$OUT/built" 2> /dev/null || true)" = "$stamp" ]; then
		stage build "unchanged: $IMAGE"
		return
	fi
	rm -f "$OUT/built"
	need build
	need_space "$OUT" 300 environment
	configure
	stage build "${TARGETS[*]} with $JOBS jobs"
	make_kernel "${TARGETS[@]}"
	# The tree may have been edited meanwhile; then this stamp would lie.
	if [ -z "$LOCAL" ] && [ -z "$(tree_dirty)" ]; then
		echo "$stamp" > "$OUT/built"
	fi
}

# make_kernel TARGET...: show the first error and where the rest is.
make_kernel() {
	local log=$OUT/build.log objects status=0
	keep_warnings
	[ -n "$LOCAL" ] || echo "$HEAD" > "$OUT/building"
	kernel_make -j"$JOBS" "$@" > "$log" 2>&1 || status=$?
	keep_warnings
	[ "$status" = 0 ] || explain_build_failure "$log"
	objects=$(grep -cE '^ +(CC|AS) ' "$log" || true)
	if [ -n "$LOCAL" ]; then
		WARNINGS=$(grep 'warning:' "$log" || true)
	else
		WARNINGS=$(cat "$OUT/warnings.$HEAD" 2> /dev/null || true)
	fi
	note "$objects objects compiled, $(grep -c . <<< "$WARNINGS" || true) warnings"
}

# keep_warnings: collect those of the last make, finished or not, by commit. A second
# make compiles only the rest, or nothing, and so warns of less.
keep_warnings() {
	local kept
	[ -f "$OUT/building" ] || return 0
	kept=$OUT/warnings.$(cat "$OUT/building")
	grep -s 'warning:' "$OUT/build.log" >> "$kept" || true
	sort -u -o "$kept" "$kept"
	rm -f "$OUT/building"
}

explain_build_failure() {
	local first
	if grep -q 'No space left on device' "$1"; then
		die environment "the disk is full: $OUT" "free some space and run the same command again"
	fi
	first=$(grep -m 1 -E '(error:|Error [0-9]+|undefined reference|\*\*\*)' "$1" || tail -n 1 "$1")
	grep -m 1 -A 5 -E 'error:|undefined reference' "$1" >&2 || tail -n 5 "$1" >&2
	die build "${first#"$TREE"/}" "the whole log is $1"
}
