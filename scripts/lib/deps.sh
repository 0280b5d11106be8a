# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What must be installed, and installing it.

# group:what:package, where "what" is a program, or a file that must exist.
DEPENDENCIES=(
	fetch:git:git
	fetch:python3:python3
	fetch:xz:xz-utils
	fetch:flock:util-linux
	fetch:/etc/ssl/certs/ca-certificates.crt:ca-certificates
	build:gcc:gcc
	build:/usr/include/stdio.h:libc6-dev
	build:make:make
	build:bc:bc
	build:bison:bison
	build:flex:flex
	build:ccache:ccache
	build:perl:perl
	build:/usr/include/libelf.h:libelf-dev
	build:/usr/include/openssl/opensslv.h:libssl-dev
	boot:qemu-system-x86_64:qemu-system-x86
	initramfs:busybox:busybox-static
	selftests:/sbin/mkfs.ext4:e2fsprogs
	selftests:/usr/include/numa.h:libnuma-dev
	selftests:/usr/include/sys/capability.h:libcap-dev
	selftests:/usr/include/liburing.h:liburing-dev
	coverage:gcovr:gcovr
	manual:groff:groff-base
	plot:gnuplot:gnuplot-nox
	check:quilt:quilt
	check:sparse:sparse
	check:shellcheck:shellcheck
	check:codespell:codespell
	check:/usr/lib/python3/dist-packages/ply:python3-ply
	check:/usr/lib/python3/dist-packages/git:python3-git
)

# missing_packages GROUP...: the packages of these groups that are not there.
missing_packages() {
	local entry group what package
	for entry in "${DEPENDENCIES[@]}"; do
		IFS=: read -r group what package <<< "$entry"
		[[ " $* " = *" $group "* ]] || continue
		case $what in
		/*) [ -e "$what" ] ;;
		*) command -v "$what" > /dev/null ;;
		esac || echo "$package"
	done
}

# as_root COMMAND...: run it with the right to install, if we have one.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
		sudo -n "$@"
	else
		return 126
	fi
}

# need GROUP...: install what is missing.
need() {
	local packages log
	packages=$(missing_packages "$@")
	packages=${packages//$'\n'/ }
	[ -n "$packages" ] || return 0
	command -v apt-get > /dev/null ||
		die environment "missing: $packages (Debian's names), and there is no apt-get" \
			"install them with this system's package manager"
	as_root true ||
		die environment "missing: $packages, and no right to install" \
			"run as root: apt-get install $packages"
	note "installing $packages"
	log=$SCRATCH/apt.log
	# shellcheck disable=SC2086 # a list of words
	if ! install_packages "$log" $packages; then
		apt_get "$log" update || true
		# shellcheck disable=SC2086
		install_packages "$log" $packages || {
			tail -n 5 "$log" >&2
			die environment "apt-get could not install $packages" \
				"repair apt (see above), or install them by hand"
		}
	fi
	packages=$(missing_packages "$@")
	[ -z "$packages" ] ||
		die environment "still missing after installing: ${packages//$'\n'/ }" \
			"look at PATH, and at apt-get install ${packages//$'\n'/ }"
}

# install_packages LOG PACKAGE...
install_packages() {
	local log=$1
	shift
	apt_get "$log" install -y --no-install-recommends "$@"
}

# apt_get LOG ARGUMENT...: wait while another process holds one of apt's or dpkg's locks, as on
# a new cloud machine in its first minutes. DPkg::Lock::Timeout would wait for dpkg's alone,
# and say so in the log only.
WAITED=
apt_get() {
	local log=$1 holder
	shift
	until as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get "$@" > "$log" 2>&1; do
		holder=$(lock_holder "$log")
		[ -n "$holder" ] || return 1
		[ -n "$WAITED" ] || note "waiting, for as long as it takes: $holder"
		WAITED=yes
		sleep 2
	done
}

# lock_holder LOG: the lock that apt-get did not get because another process has it.
lock_holder() {
	sed -nE 's/^E: Could not get lock ([^ ]+)\. It is held by process ([0-9]+ \(.*\))$/\1 is held by process \2/p
		s/^E: Could not get lock ([^ ]+) - open \(11: .*/\1 is held by another process/p' "$1" | head -n 1
}
