# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# QEMU: which accelerator works, and one boot.

QEMU=qemu-system-x86_64
GUEST_CPUS=2
GUEST_MEMORY=4G

# choose_accelerator: set ACCEL to kvm or tcg. /dev/kvm may open, create a machine and
# never run it, so a tiny guest is booted. The answer holds until the host reboots.
choose_accelerator() {
	local memory=$CACHE/accelerator key
	key="$(cat /proc/sys/kernel/random/boot_id) $(command -v "$QEMU")"
	if [ "$(sed -n 1p "$memory" 2> /dev/null || true)" = "$key" ]; then
		ACCEL=$(sed -n 2p "$memory")
		ACCEL_WHY=$(sed -n 3p "$memory")
	else
		if [ ! -e /dev/kvm ]; then
			ACCEL=tcg ACCEL_WHY='no /dev/kvm: using TCG'
		elif [ ! -w /dev/kvm ]; then
			ACCEL=tcg ACCEL_WHY='no right to open /dev/kvm: using TCG'
		elif py probe "$QEMU" kvm; then
			ACCEL=kvm ACCEL_WHY='KVM runs a guest'
		else
			ACCEL=tcg ACCEL_WHY='KVM opens but does not run a guest: using TCG'
		fi
		mkdir -p "$CACHE"
		printf '%s\n' "$key" "$ACCEL" "$ACCEL_WHY" > "$memory.new"
		mv "$memory.new" "$memory"
	fi
	note "$ACCEL_WHY"
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

# qemu_command KERNEL EXTRA-ARGUMENTS: set QEMU_COMMAND.
qemu_command() {
	local accel=$ACCEL append
	[ "$ACCEL" = kvm ] || accel=tcg,thread=multi
	append="$( { words "$CONFIGS/cmdline"; words "$CONFIGS/$CONFIG.cmdline"; } | paste -sd ' ') $2"
	# shellcheck disable=SC2034 # for scripts/boot
	QEMU_COMMAND=(
		"$QEMU" -nodefaults -display none -no-reboot
		-accel "$accel" -cpu max -smp "$GUEST_CPUS" -m "$GUEST_MEMORY"
		-bios qboot.rom -serial stdio
		-kernel "$1" -append "${append% }"
	)
}
