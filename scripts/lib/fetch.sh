# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Where the pristine kernel comes from. Each way ends in the same form: a git
# object store (STORE) and a parentless commit of the kernel's tree in it (BASE),
# whose id depends on that tree alone. ORIGIN says where it was found.

KERNEL=7.3			# what to fetch; the series says what it accepts
PACKAGE=linux-source-$KERNEL
SUITE=trixie-backports
UPSTREAM=https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git

PRISTINE=$CACHE/linux.git

# source_from_cache: fetch into the cache unless it is there, and use that.
source_from_cache() {
	lock "$CACHE/lock" "$CACHE"
	if ! git -C "$PRISTINE" rev-parse -q --verify 'refs/heads/base^{tree}' > /dev/null 2>&1; then
		fetch_kernel
	fi
	unlock "$CACHE/lock"
	STORE=$PRISTINE
	BASE=$(git -C "$PRISTINE" rev-parse refs/heads/base)
	ORIGIN=$(cat "$PRISTINE/origin")
}

# fetch_kernel: all is made in temporary places and renamed when complete, so
# an interrupted run leaves nothing that the next could take for the whole.
fetch_kernel() {
	local new=$PRISTINE.new
	need fetch
	need_space "$CACHE" 700 fetch
	rm -rf "$new"
	temporary "$new"
	git init -q --bare "$new"
	stage fetch "kernel $KERNEL into $CACHE"
	if ! fetch_debian "$new" && ! fetch_upstream "$new"; then
		need_space "$CACHE" 100 fetch	# the likely reason
		die fetch "no kernel source: neither Debian's package $PACKAGE nor kernel.org could be had" \
			"look at the network, or give a tree of your own: --tree DIR"
	fi
	rm -rf "$PRISTINE"
	mv "$new" "$PRISTINE"
	# The package is in the repository now.
	rm -rf "$CACHE/download"
}

# fetch_debian REPOSITORY: from Debian's package, where there is apt.
fetch_debian() {
	local package commit
	if ! command -v apt-get > /dev/null || ! command -v dpkg-deb > /dev/null; then
		note "no apt here: not trying Debian's package"
		return 1
	fi
	package=$(download_package) || return 1
	stage import "${package##*/}"
	commit=$(import_package "$package" "$1") || {
		# Damaged or cut off: the next run must download it anew.
		rm -f "$package"
		need_space "$CACHE" 100 fetch
		die fetch "${package##*/} could not be imported, see above" \
			"run the same command again: it downloads the package anew"
	}
	git -C "$1" update-ref refs/heads/base "$commit"
	git -C "$1" symbolic-ref HEAD refs/heads/base
	echo "Debian package $(basename "$package" .deb)" > "$1/origin"
}

import_package() {
	dpkg-deb --fsys-tarfile "$1" |
		tar -xOf - "./usr/src/$PACKAGE.tar.xz" |
		xz -dc -T0 |
		py tar2git "$2" --strip 1
}

# download_package: print the path of the downloaded package. apt is given
# lists and folders of its own, so nothing in /etc/apt or /var/lib/apt changes.
download_package() {
	local dir=$CACHE/download uri found log
	found=$(find "$dir" -maxdepth 1 -name "${PACKAGE}_*.deb" 2> /dev/null | head -n 1)
	if [ -n "$found" ]; then
		echo "$found"
		return
	fi
	mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/partial"
	log=$dir/apt.log
	for uri in $(debian_mirrors); do
		echo "deb $uri $SUITE main" > "$dir/sources.list"
		if own_apt "$dir" update > "$log" 2>&1 &&
			(cd "$dir/partial" && own_apt "$dir" download "$PACKAGE") >> "$log" 2>&1; then
			mv "$dir/partial/$PACKAGE"_*.deb "$dir/"
			find "$dir" -maxdepth 1 -name "${PACKAGE}_*.deb"
			return
		fi
	done
	{
		echo "       apt could not get $PACKAGE from $SUITE:"
		grep -E '^(E|W|Err)' "$log" 2> /dev/null | head -n 3 | sed 's/^/         /'
	} >&2
	return 1
}

own_apt() {
	local dir=$1
	shift
	apt-get -q -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir" \
		-o APT::Sandbox::User=root -o APT::Update::Error-Mode=any \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=30 "$@"
}

# debian_mirrors: the archives that this machine's apt already uses.
# shellcheck disable=SC2016 # $(ORIGIN) and the like are apt's
debian_mirrors() {
	apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' 2> /dev/null |
		awk '$1 == "Debian" && $2 == "Debian" { print $3 }' | sort -u | grep . ||
		# No lists yet (a new machine): no origins are known, go by the names.
		apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2> /dev/null |
		grep -E '/debian/?$' | sort -u
}

# fetch_upstream REPOSITORY: the tag alone, from kernel.org.
fetch_upstream() {
	local log=$CACHE/clone.log
	note "trying kernel.org"
	if ! timeout 900 git -C "$1" fetch -q --depth 1 "$UPSTREAM" "refs/tags/v$KERNEL" 2> "$log"; then
		{
			echo "       git could not fetch v$KERNEL from kernel.org:"
			head -n 2 "$log" | sed 's/^/         /'
		} >&2
		return 1
	fi
	git -C "$1" update-ref refs/heads/base \
		"$(py basecommit "$1" FETCH_HEAD)"
	git -C "$1" symbolic-ref HEAD refs/heads/base
	echo "kernel.org tag v$KERNEL" > "$1/origin"
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
		die tree "--tree $dir has no commit checked out" "check out v$KERNEL there"
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
