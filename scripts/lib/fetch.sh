# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Where the pristine kernel comes from. Each way ends in the same form: a git
# object store (STORE) and a parentless commit of the kernel's tree in it (BASE),
# whose id depends on that tree alone. ORIGIN says where it was found.

PRISTINE=$CACHE/linux.git

# source_from_cache: fetch into the cache unless it is there, and use that.
source_from_cache() {
	lock "$CACHE/lock" "$CACHE"
	if ! pristine_base 2> /dev/null; then
		fetch_kernel
		pristine_base
	fi
	unlock "$CACHE/lock"
	STORE=$PRISTINE
	ORIGIN=$(< "$PRISTINE/origin")
}

# pristine_base: set BASE; its tree must be there, too.
pristine_base() { { read -r BASE && read -r _; } < <(git -C "$PRISTINE" rev-parse refs/heads/base 'refs/heads/base^{tree}'); }

# fetch_kernel: all is made in temporary places and renamed when complete, so
# an interrupted run leaves nothing that the next could take for the whole.
fetch_kernel() {
	local new=$PRISTINE.new
	need fetch
	need_space "$CACHE" 1000 fetch
	rm -rf "$new"
	temporary "$new"
	stage fetch "the kernel into $CACHE"
	py fetch "$CACHE"
	rm -rf "$PRISTINE"
	mv "$new" "$PRISTINE"
	# What was downloaded is in the repository now.
	rm -rf "$CACHE/download"
}

# ------------------------------------------------------------- a tree of the user's

# source_from_tree DIR: a checkout or clone, or an unpacked tarball. Nothing in it is
# written: git's optional locks (status would refresh the index) are off, and
# our objects go into the store of our own workspace.
source_from_tree() {
	local dir
	[ -d "$1" ] || die tree "--tree $1: no such directory" "name the top of a kernel tree"
	dir=$(cd "$1" && pwd -P)
	if [ ! -f "$dir/Makefile" ] || ! grep -q '^PATCHLEVEL *=' "$dir/Makefile"; then
		[ -d "$dir/objects" ] ||
			die tree "--tree $1 is no kernel: it has no kernel Makefile" \
				"name the top of a kernel tree"
	fi
	if user_git "$dir" rev-parse --git-dir > /dev/null 2>&1 && is_top_of_git "$dir"; then
		source_from_git "$dir"
	else
		source_from_files "$dir"
	fi
}

user_git() {
	local dir=$1
	shift
	GIT_OPTIONAL_LOCKS=0 git -C "$dir" -c safe.directory="$dir" -c core.fsmonitor=false \
		-c gc.auto=0 "$@"
}

is_top_of_git() {
	local top
	top=$(user_git "$1" rev-parse --show-toplevel 2> /dev/null) || top=$1	# bare
	[ "$top" = "$1" ]
}

source_from_git() {
	local dir=$1 changed
	changed=$(user_git "$dir" status --porcelain --untracked-files=no 2> /dev/null || true)
	[ -z "$changed" ] ||
		die tree "--tree $dir has uncommitted changes, first: ${changed%%$'\n'*}" \
			"commit or stash them: only what is committed can be named as tested"
	if [ "$(user_git "$dir" config --get extensions.partialclone || true)" ]; then
		die tree "--tree $dir is a partial clone, which may lack objects" \
			"use a full or a shallow (--depth) clone"
	fi
	user_git "$dir" rev-parse -q --verify 'HEAD^{tree}' > /dev/null ||
		die tree "--tree $dir has no commit checked out" "check out the version of the series there"
	STORE=$BUILD/stores/$(store_name "$dir")
	lock "$STORE.lock" "$STORE"
	if [ ! -d "$STORE" ]; then
		rm -rf "$STORE.new"
		git init -q --bare "$STORE.new"
		mv "$STORE.new" "$STORE"
	fi
	(cd "$dir" && realpath "$(user_git "$dir" rev-parse --git-path objects)") \
		> "$STORE/objects/info/alternates"
	BASE=$(py basecommit "$STORE" "$(user_git "$dir" rev-parse 'HEAD^{tree}')")
	git -C "$STORE" update-ref refs/heads/base "$BASE"
	unlock "$STORE.lock"
	ORIGIN="$dir at $(user_git "$dir" rev-parse --short=12 HEAD)"
}

# An unpacked tarball: imported once per state of its files.
source_from_files() {
	local dir=$1 state
	if [ -e "$dir/.config" ] || [ -d "$dir/include/config" ]; then
		die tree "--tree $dir has been built in, which a build elsewhere cannot start from" \
			"make mrproper there, or use a clean copy"
	fi
	STORE=$BUILD/stores/$(store_name "$dir")
	lock "$STORE.lock" "$STORE"
	state=$(cd "$dir" && find . -path ./.git -prune -o -printf '%P %s %T@ %m\n' | sort | sha256sum)
	if [ "$(cat "$STORE/state" 2> /dev/null || true)" != "$state" ]; then
		stage import "$dir (not a git repository: importing a copy)"
		rm -rf "$STORE.new"
		temporary "$STORE.new"
		git init -q --bare "$STORE.new"
		git -C "$STORE.new" update-ref refs/heads/base \
			"$(tar -C "$dir" --exclude=./.git -cf - . | py tar2git "$STORE.new")"
		echo "$state" > "$STORE.new/state"
		rm -rf "$STORE"
		mv "$STORE.new" "$STORE"
	fi
	unlock "$STORE.lock"
	BASE=$(git -C "$STORE" rev-parse refs/heads/base)
	ORIGIN="$dir (files)"
}

# store_name DIR: its name in build/, without what the kernel's make refuses in a path.
store_name() {
	echo "$(basename "$1" | tr -c 'A-Za-z0-9._\n-' _)-$(echo "$1" | sha256sum | cut -c 1-8)"
}
