# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# QEMU: which accelerator works. And the command of one boot. How many CPUs and how much
# memory a guest has says choose_arch(), and a verb after it.

QEMU=qemu-system-x86_64
GUEST_CPU=max		# "" for QEMU's own choice, which is that of kunit.py
TCG_THREAD=multi	# or single, which -icount wants
QEMU_EXTRA=()		# what a verb adds to the command
QEMU_INITRD=()		# what make_initramfs() adds

# choose_accelerator: set ACCEL to kvm, tcg or native, and ACCEL_WHY.
choose_accelerator() {
	ACCEL=tcg
	if [ "$ARCH_MACHINE" != QEMU ]; then
		ACCEL=native ACCEL_WHY="$ARCH_MACHINE is a program: nothing is emulated"
	elif [ ! -e /dev/kvm ]; then
		ACCEL_WHY='no /dev/kvm: using TCG'
	elif [ ! -w /dev/kvm ]; then
		ACCEL_WHY='no right to open /dev/kvm: using TCG'
	elif [ "$(probe_kvm)" = runs ]; then
		ACCEL=kvm ACCEL_WHY='KVM runs a guest'
	else
		ACCEL_WHY='KVM opens but does not run a guest: using TCG'
	fi
	note "$ACCEL_WHY"
}

# probe_kvm: print "runs" or "hangs". /dev/kvm may open, create a machine and never run
# it, so a tiny guest is booted. The answer holds until the host reboots.
probe_kvm() {
	local memory=$CACHE/accelerator key answer=hangs
	key="$(cat /proc/sys/kernel/random/boot_id) $(command -v "$QEMU")"
	if [ "$(sed -n 1p "$memory" 2> /dev/null || true)" = "$key" ]; then
		sed -n 2p "$memory"
		return
	fi
	if py probe "$QEMU" kvm; then
		answer=runs
	fi
	mkdir -p "$CACHE"
	printf '%s\n' "$key" "$answer" > "$memory.new"
	mv "$memory.new" "$memory"
	echo "$answer"
}

# with_usable_kvm COMMAND...: for programs that try /dev/kvm by themselves.
with_usable_kvm() {
	local flags=-m
	if [ "$ACCEL" = kvm ] || [ ! -e /dev/kvm ]; then
		"$@"
		return
	fi
	[ "$(id -u)" = 0 ] || flags=-rm
	# shellcheck disable=SC2016 # for the inner shell
	unshare "$flags" sh -c 'mount --bind /dev/null /dev/kvm && exec "$@"' sh "$@"
}

# machine_version: what a guest runs on, for keys of kept verdicts. UML is of the kernel itself.
machine_version() { [ "$ARCH_MACHINE" != QEMU ] || "$QEMU" --version; }

# from_guest EXPRESSION: what lib/guest.py knows of limits.
from_guest() { PYTHONPATH=$LIB python3 -S -c "from guest import *; print($1)"; }

# boot_arguments: those of each boot of the configuration.
boot_arguments() {
	local name path
	for name in cmdline "$CONFIG.cmdline"; do
		arch_file path "$name"
		words "$path"
	done
}

# guest_command KERNEL EXTRA-ARGUMENTS: set GUEST_COMMAND.
guest_command() {
	local accel=$ACCEL append cpu=()
	append=$(boot_arguments)
	append="${append//$'\n'/ } $2"
	if [ "$ARCH_MACHINE" = UML ]; then
		read -ra append <<< "$append"
		GUEST_COMMAND=("$1" "mem=$GUEST_MEMORY" "${append[@]}")
		return
	fi
	[ "$ACCEL" = kvm ] || accel=tcg,thread=$TCG_THREAD
	[ -z "$GUEST_CPU" ] || cpu=(-cpu "$GUEST_CPU")
	# shellcheck disable=SC2034 # for scripts/boot
	GUEST_COMMAND=(
		"$QEMU" -nodefaults -display none -no-reboot
		-accel "$accel" "${cpu[@]}" -smp "$GUEST_CPUS" -m "$GUEST_MEMORY"
		-bios qboot.rom -serial stdio
		-kernel "$1" -append "${append% }" "${QEMU_INITRD[@]}" "${QEMU_EXTRA[@]}"
	)
}
