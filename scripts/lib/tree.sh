# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Workspaces: a kernel tree with patches of the series as commits, and the O=
# directories that were built from it.
#
#   build/			the whole series; build/tree is the one to edit
#   build/prefix/		what --only, --topics, check --each, mutants and test switch around in
#   build/given/<name>/		the same for a --tree DIR (with its own prefix/)
#
# Each holds tree/, o/<configuration>/ and "state": what we put into tree/.
# The relative path from O= to tree/ is the same in all, so ccache serves them all.

# shellcheck source=scripts/lib/fetch.sh
. "$LIB/fetch.sh"

BRANCH=gup

# choose_source [DIR [SELECTION...]]: set STORE, BASE, ORIGIN, VERSION and the main workspace.
# A patch that cannot be read is told first, before the kernel is fetched.
choose_source() {
	local answer
	if [ -n "${1:-}" ]; then
		source_from_tree "$1"
		WORKSPACE=$BUILD/given/$(store_name "$(cd "$1" && pwd -P)")
	else
		[ -d "$PRISTINE" ] || py series hash "" "${@:2}" > /dev/null
		source_from_cache
		WORKSPACE=$BUILD
	fi
	answer=$(py series base "$STORE" "$BASE" "${@:2}")
	# shellcheck disable=SC2034 # for the verbs
	VERSION=${answer% *} KNOWN_HASH=([-${*:2}]=${answer#* })
}

# The next prepare_tree() of the same selection has no need to ask again; a later one has.
declare -A KNOWN_HASH=()

# ------------------------------------------------------------------ the state file

# state_read: set the array STATE.
declare -A STATE=()
state_read() {
	local key value
	STATE=([hash]='' [head]='' [switching]='')
	[ -f "$WORKSPACE/state" ] || return 0
	while IFS='=' read -r key value; do
		STATE[$key]=$value
	done < "$WORKSPACE/state"
}

# state_set KEY=VALUE...: replaces the file as a whole.
state_set() {
	printf '%s\n' "$@" > "$WORKSPACE/state.new"
	mv "$WORKSPACE/state.new" "$WORKSPACE/state"
}

tree_git() { git -C "$WORKSPACE/tree" "$@"; }
tree_head() { tree_git rev-parse HEAD; }
tree_dirty() { tree_git status --porcelain; }

# ------------------------------------------------------------------------- applying

# prepare_tree [--first N | --topics LIST] [--without NAME]...: bring $WORKSPACE/tree to the selected
# patches, or leave it where the user has changed it. Sets TREE, HEAD, SERIES_HASH,
# and LOCAL to what was changed locally ("" if nothing).
prepare_tree() {
	local dirty new
	TREE=$WORKSPACE/tree
	LOCAL=
	lock "$WORKSPACE/lock" "$WORKSPACE"
	SERIES_HASH=${KNOWN_HASH[-$*]:-$(py series hash "$BASE" "$@")}
	KNOWN_HASH=()
	create_tree
	drop_mutant
	finish_switch
	state_read
	HEAD=$(tree_head)
	dirty=$(tree_dirty)
	if [ "${STATE[hash]}" = "$SERIES_HASH" ]; then
		describe_local "${STATE[head]}" "$dirty"
		return
	fi
	stage apply "$(patch_count) patches in series${*:+, selected: $*}"
	new=$(apply_patches "$@")
	SERIES_HASH=${new#* } new=${new% *}
	if [ "$HEAD" = "${STATE[head]}" ] && [ -z "$dirty" ]; then
		switch_to "$new"
		HEAD=$new
	elif stands_on "$new" "${STATE[head]}"; then
		state_set "base=$BASE" "hash=$SERIES_HASH" "head=$new"
		describe_local "$new" "$dirty"
	else
		refuse_diverged "$new" "$dirty"
	fi
}

# stands_on NEW OLD: have the user's commits been rebased from the series as it was
# (OLD) to the series as it is (NEW)? Where patches were removed from the end, NEW is
# below OLD, and a tree that still holds OLD has not been.
stands_on() {
	tree_git merge-base --is-ancestor "$1" HEAD || return 1
	! { tree_git merge-base --is-ancestor "$1" "$2" && tree_git merge-base --is-ancestor "$2" HEAD; }
}

describe_local() {
	if [ "$HEAD" != "$1" ]; then
		LOCAL="commits other than the series'"
	fi
	if [ -n "$2" ]; then
		LOCAL="${LOCAL:+$LOCAL and }uncommitted changes"
	fi
	[ -z "$LOCAL" ] || note "tree has local changes ($LOCAL): they are built as they are in $TREE"
}

refuse_diverged() {
	local disk=series-on-disk
	tree_git branch -qf "$disk" "$1"
	if [ -n "$2" ]; then
		die tree "series or patches/ changed, and $TREE has uncommitted changes: neither is overwritten" \
			"commit or stash there, then: git -C $TREE rebase --onto $disk ${STATE[head]:0:12}"
	fi
	die tree "series or patches/ changed, and $TREE has commits of its own: neither is overwritten" \
		"git -C $TREE rebase --onto $disk ${STATE[head]:0:12}, then scripts/tree refresh"
}

# create_tree: a repository of our own that borrows the objects of STORE. Made under
# another name first: a tree that has its name is complete.
create_tree() {
	local new=$TREE.new
	if [ -d "$TREE" ]; then
		if tree_git cat-file -e "$BASE^{tree}" 2> /dev/null; then
			return
		fi
		# The cache was emptied, or DIR moved on: borrow from where the base is now.
		borrow_objects "$TREE"
		tree_git cat-file -e "$BASE^{tree}" 2> /dev/null ||
			die tree "$TREE cannot find its base $BASE" "move it away; it will be made anew"
		return
	fi
	stage tree "checking out $ORIGIN"
	need_space "$WORKSPACE" 2500 environment
	rm -rf "$new"
	temporary "$new"
	git init -q -b "$BRANCH" "$new"
	borrow_objects "$new"
	git -C "$new" config checkout.workers 0
	git -C "$new" config core.untrackedCache true
	git -C "$new" reset -q --hard "$BASE" ||
		die environment "the kernel tree could not be written to $new" "look at the disk space"
	# First what is in it: a tree without that would look like a user's own.
	state_set "base=$BASE" "hash=none" "head=$BASE"
	mv "$new" "$TREE"
}

borrow_objects() {
	{
		echo "$STORE/objects"
		# Alternates of alternates are followed by git, but only so deep.
		cat "$STORE/objects/info/alternates" 2> /dev/null || true
	} > "$1/.git/objects/info/alternates"
}

# apply_patches ...: prints the new head, and the hash of what was applied; the tree itself
# is not touched.
apply_patches() { py series apply "$TREE" "$BASE" "$@"; }

# switch_to COMMIT: only files that differ are written, all others keep their
# times, so make rebuilds no more than it must. The tree is known to be clean.
switch_to() {
	local status=0 head=${STATE[head]}
	state_set "base=$BASE" "hash=none" "head=$head" "switching=$1" "to=$SERIES_HASH"
	tree_git checkout -q -B "$BRANCH" "$1" || status=$?
	if [ "$status" != 0 ] && [ "$status" -lt 128 ]; then
		# git has refused, and changed nothing: somebody edits the tree right now.
		state_set "base=$BASE" "hash=none" "head=$head"
		die tree "git would not check out the series in $TREE" "commit or stash what is there, and try again"
	fi
	[ "$status" = 0 ] || exit "$status"
	state_set "base=$BASE" "hash=$SERIES_HASH" "head=$1"
}

# save_dirty: half of an interrupted checkout, most likely; but if somebody has edited
# the tree since, it is not lost.
save_dirty() {
	local saved ref
	saved=$(tree_git stash create 2> /dev/null) || return 0
	[ -n "$saved" ] || return 0
	ref=refs/saved/$(date +%Y%m%d-%H%M%S)
	tree_git update-ref "$ref" "$saved"
	note "what was in the tree is kept: git -C $TREE diff HEAD $ref"
}

# scripts/mutants puts one into the tree and takes it out again, or the next run does. The
# mark is there for as long as what is in the tree is nobody's work.
mark_mutant() { touch "$WORKSPACE/mutant"; }

drop_mutant() {
	[ -e "$WORKSPACE/mutant" ] || return 0
	rm -f "$TREE/.git/index.lock"
	tree_git reset -q --hard
	rm -f "$WORKSPACE/mutant"
}

# finish_switch: the last run was stopped in switch_to().
finish_switch() {
	local to
	state_read
	to=${STATE[switching]}
	[ -n "$to" ] || return 0
	note "finishing the checkout that was interrupted"
	rm -f "$TREE/.git/index.lock" "$TREE/.git/HEAD.lock"
	save_dirty
	tree_git checkout -q -f -B "$BRANCH" "$to"
	state_set "base=${STATE[base]}" "hash=${STATE[to]}" "head=$to"
}
