#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A User Mode Linux with CONFIG_SMP=y does not start with "ncpus=2" alone: it wants
# "seccomp=on" besides, and ends before the kernel prints its first line.
#
# Guess: CONFIG_SMP=y and ncpus=2 are enough, as -smp 2 is for QEMU. The help text of
# ncpus= and of CONFIG_SMP says nothing else.
#
# Seen with Debian's linux-source-7.3 7.3.4-1~bpo13+1, gcc 12.2, on x86_64:
#  - ncpus=2: "SMP is not supported with PTRACE userspace." and status 1, because the
#    default for processes of UML is ptrace (seccomp=off), which needs one tracing thread;
#  - ncpus=2 seccomp=on: "smp: Brought up 1 node, 2 CPUs".
# So "kunit.py run --kconfig_add CONFIG_SMP=y --kernel_args ncpus=2" sees an empty log, and
# says that no tests were run; it wants "--kernel_args seccomp=on" as well.
#
# Makes a kernel of some 300 objects in a temporary folder; fails if what is seen changes.
set -euo pipefail

VERSION=7.3.4-1~bpo13+1
SUITE=trixie-backports

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# The package by name from the mirror that this machine uses, with lists of our own.
mirror=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' |
	grep -E '/debian/?$' | sort -u | head -n 1)
mkdir -p lists/partial cache/archives/partial
echo "deb $mirror $SUITE main" > sources.list
apt=(apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root)
"${apt[@]}" update > apt.log 2>&1
"${apt[@]}" download "linux-source-7.3=$VERSION" >> apt.log 2>&1
dpkg-deb --fsys-tarfile linux-source-7.3_*.deb | tar -xOf - ./usr/src/linux-source-7.3.tar.xz | tar -xJ
cd linux-source-7.3

printf '%s\n' CONFIG_64BIT=y CONFIG_SMP=y CONFIG_PRINTK=y > ../fragment
make -s ARCH=um KCONFIG_ALLCONFIG=../fragment allnoconfig > ../config.log 2>&1
grep -qx CONFIG_SMP=y .config
make -s -j"$(nproc)" ARCH=um linux > ../build.log 2>&1

# Without a root file system a kernel that starts ends in a panic, which is enough.
run() { HOME=$work timeout 120 ./linux mem=64M console=tty "$@" < /dev/null 2>&1 || true; }

run ncpus=2 > ../alone.log
run ncpus=2 seccomp=on > ../seccomp.log

check() {
	if grep -q "$2" "$1"; then
		echo "seen: $3"
	else
		echo "changed: not $3"
		tail -n 5 "$1"
		exit 1
	fi
}
check ../alone.log 'SMP is not supported with PTRACE userspace' 'ncpus=2 alone is refused'
! grep -q 'Linux version' ../alone.log || { echo "changed: the kernel starts with ncpus=2 alone"; exit 1; }
check ../seccomp.log 'Brought up 1 node, 2 CPUs' 'ncpus=2 seccomp=on has two CPUs'
