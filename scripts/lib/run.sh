# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# One guest with the suites of a prepared and built tree, from its start to its verdict,
# and the folder in build/results/ that holds all of it.

# Any taint but TEST, bit 18, is to be a panic, so no Tainted: line is waited for. The kernel
# drops the bits that it does not know, and says what is left, which the verdict looks at.
TAINT_MASK=fffbffff

# What a verb may set before boot_once().
SELECTION=()		# what prepare_tree() was asked for
TIMEOUT=		# seconds without progress, see guest.py, which knows how many if not set
KEEP_GOING=		# do not stop the guest at its first warning
KEPT_KERNELS=10		# how many runs keep their kernel
INIT_ARGUMENTS=		# boot arguments for an init, see make_initramfs()
INITRAMFS_FILES=	# what a verb adds to it, in gen_init_cpio's words
BOOT_ARGUMENTS=		# boot arguments of the verb; of two of the same the last one counts

# Stages before the first guest belong to the results of each.
collect_stages() {
	STAGES_BEFORE=$SCRATCH/stages
	: > "$STAGES_BEFORE"
	# shellcheck disable=SC2034 # for common.sh
	STAGES=$STAGES_BEFORE
}

# new_results: a folder of its own for each run, and "latest" for the last.
new_results() {
	local base attempt=1
	printf -v base '%s/results/%(%Y%m%d-%H%M%S)T-%s' "$BUILD" -1 "$VERB"
	RESULTS=$base
	mkdir -p "$BUILD/results"
	until mkdir "$RESULTS" 2> /dev/null; do
		[ -e "$RESULTS" ] ||
			die environment "cannot make $RESULTS" "look at the disk space and the rights of $BUILD"
		RESULTS=$base-$((++attempt))
	done
	ln -sfn "${RESULTS##*/}" "$BUILD/results/latest"
	prune_results
	# The stages so far belong to each run; later ones to their own.
	cp "$STAGES_BEFORE" "$RESULTS/stages"
	STAGES=$RESULTS/stages
	VERDICT_SUFFIX=", log: $RESULTS"
}

# prune_results: the kernels are large; those of the last runs are enough.
prune_results() {
	local old
	find "$BUILD/results" -mindepth 2 -maxdepth 3 -name bzImage -o -name linux | sort | head -n -"$KEPT_KERNELS" |
		while read -r old; do
			rm -f "$old"
		done
}

# save_run: what was asked for, for the verdict and for whoever reads it later.
save_run() {
	RUN_SUITES=$1 RUN_GLOB=$2 RUN_SELECTION=${SELECTION[*]:-} RUN_LOCAL=$LOCAL \
	RUN_TAINT=${KEEP_GOING:+off} RUN_OUT=$OUT RUN_TREE=$TREE RUN_BASE=$BASE RUN_ORIGIN=$ORIGIN \
	RUN_VERSION=$VERSION RUN_SERIES=$SERIES_HASH RUN_HEAD=$HEAD RUN_CONFIG=$CONFIG \
	RUN_EXPECT=$(words "$CONFIGS/$CONFIG.expect") \
	RUN_ARCH=$ARCH RUN_ACCEL=$ACCEL RUN_ACCEL_WHY=$ACCEL_WHY RUN_CPUS=$GUEST_CPUS python3 -S - > "$RESULTS/run.json" <<-'END'
	import json, os
	run = {key: os.environ["RUN_" + name] for key, name in {
	    "base": "BASE", "origin": "ORIGIN", "version": "VERSION", "series": "SERIES",
	    "selection": "SELECTION", "head": "HEAD", "local_changes": "LOCAL", "config": "CONFIG",
	    "arch": "ARCH", "accelerator": "ACCEL", "accelerator_reason": "ACCEL_WHY", "glob": "GLOB",
	    "tree": "TREE", "out": "OUT"}.items()}
	run["expected_lines"] = os.environ["RUN_EXPECT"].splitlines()
	run["expected_suites"] = os.environ["RUN_SUITES"].split()
	run["cpus"] = int(os.environ["RUN_CPUS"])
	run["panic_on_taint"] = not os.environ["RUN_TAINT"]
	print(json.dumps(run, indent=1))
	END
	cp "$OUT/.config" "$IMAGE" "$RESULTS/"
	[ -z "$INIT_ARGUMENTS" ] || cp "${QEMU_INITRD[1]}" "$RESULTS/initramfs.gz"
	printf '%q ' "${GUEST_COMMAND[@]}" > "$RESULTS/qemu-cmd"
	echo >> "$RESULTS/qemu-cmd"
	{
		echo '#!/bin/sh'
		echo '# Boots this kernel again, console on the terminal.'
		echo "# Linux $VERSION ($ORIGIN), series ${SERIES_HASH:0:12}, head ${HEAD:0:12}${LOCAL:+, with $LOCAL}."
		echo "# From source: scripts/$VERB$(printf ' %q' "${WORDS[@]}")"
		# shellcheck disable=SC2016 # for the shell that runs it
		echo 'cd "$(dirname "$0")" || exit'
		local command=("${GUEST_COMMAND[@]/#$IMAGE/./${IMAGE##*/}}")
		printf -v command '%q ' "${command[@]/#${QEMU_INITRD[1]:-none}/initramfs.gz}"
		if [ "$ARCH_MACHINE" = QEMU ]; then
			echo "exec $command"
		else
			run_uml "$command"
		fi
	} > "$RESULTS/reproduce"
	chmod +x "$RESULTS/reproduce"
}

# run_uml COMMAND: lines of a shell that run it. Not on the terminal, whose modes it would
# change; nor in our group, which it leaves; and ~/.uml is to go with it.
run_uml() {
	cat <<-END
		HOME=\$(mktemp -d)
		export HOME
		: > "\$HOME/console"	# tail may be there before the guest is
		$1 < /dev/null > "\$HOME/console" 2>&1 &
		trap 'kill -KILL -\$! 2> /dev/null; rm -rf "\$HOME"' EXIT
		trap exit INT TERM
		tail -n +1 -s 0.1 -f --pid=\$! "\$HOME/console"
	END
}

# make_programs: what configs/NAME.programs says.
make_programs() {
	local name sources log
	while read -r name sources; do
		log=$OUT/$name.log
		# shellcheck disable=SC2086 # several
		(cd "$TREE" && gcc -O2 -static -U_FORTIFY_SOURCE -I. -Itools/testing/selftests \
			-isystem tools/include/uapi -o "$OUT/$name" $sources -lpthread -lm) > "$log" 2>&1 ||
			die build "$(grep -m 1 error: "$log" || tail -n 1 "$log")" "the whole log is $log"
	done < <(words "$CONFIGS/$CONFIG.programs")
}

# make_initramfs SCRIPT: KUnit runs before init. What is to be seen only after the suites
# is done by an init of the configuration's own, which ends the guest as well.
make_initramfs() {
	local list=$OUT/initramfs.list
	need initramfs
	make_programs
	cat > "$list" <<-END
	dir /dev 0755 0 0
	nod /dev/console 0600 0 0 c 5 1
	dir /bin 0755 0 0
	dir /debug 0755 0 0
	file /bin/busybox $(command -v busybox) 0755 0 0
	file /init $1 0755 0 0
	$(words "$CONFIGS/$CONFIG.files")
	$INITRAMFS_FILES
	END
	(cd "$OUT" && usr/gen_init_cpio "$list") | gzip -1 > "$OUT/initramfs.gz"
	# shellcheck disable=SC2034 # for guest.sh
	QEMU_INITRD=(-initrd "$OUT/initramfs.gz")
	# Of two of the same the last one counts.
	INIT_ARGUMENTS=' kunit_shutdown=none'
}

# boot_once SUITES GLOB: one guest, from its start to its verdict, BOOT_STATUS. Call it by
# itself: in `boot_once || ...` an error within would not end it.
boot_once() {
	stage_end
	new_results
	run_guest "$1" "$2"
}

# run_guest SUITES GLOB: the same in the folder RESULTS, which exists.
run_guest() {
	local arguments
	BOOT_STATUS=0
	arguments=${2:+kunit.filter_glob=$2}
	if [ -z "$KEEP_GOING" ]; then
		arguments+=" panic_on_taint=$TAINT_MASK"
	fi
	if [ -f "$CONFIGS/$CONFIG.init" ] && [ -z "$INIT_ARGUMENTS" ]; then
		make_initramfs "$CONFIGS/$CONFIG.init"
	fi
	arguments+=$INIT_ARGUMENTS${BOOT_ARGUMENTS:+ $BOOT_ARGUMENTS}
	guest_command "$IMAGE" "${arguments# }"
	save_run "$1" "$2"
	stage boot "$GUEST_CPUS CPUs, $GUEST_MEMORY, $ACCEL; suites: ${1:-none}"
	py guest --results "$RESULTS" ${TIMEOUT:+--silent "$TIMEOUT"} -- "${GUEST_COMMAND[@]}"
	stage verdict "kunit.py parse, splats, taint"
	# Its status tells of failed tests, which the verdict reads from the JSON. Compiling it
	# takes longer than running it: git ignores what it leaves.
	(cd "$TREE" && PYTHONDONTWRITEBYTECODE='' python3 -S tools/testing/kunit/kunit.py parse --json="$RESULTS/kunit.json" \
		"$RESULTS/console.log") > "$RESULTS/kunit.txt" 2>&1 || true
	stage_end
	py verdict "$RESULTS" || BOOT_STATUS=$?
	[ "$BOOT_STATUS" -lt 130 ] || exit 130
	if [ "$BOOT_STATUS" != 0 ]; then
		[ "$ARCH_MACHINE" != QEMU ] || [ ! -s "$RESULTS/qemu.err" ] || sed 's/^/    qemu: /' "$RESULTS/qemu.err" >&2
	fi
}
