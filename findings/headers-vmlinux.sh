#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Debian's headers packages (linux-headers-6.1.0-50-amd64 6.1.176-1, linux-headers-6.12.95+deb12-amd64
# 6.12.95-1~bpo12+1). Expected: headers, a configuration and Module.symvers, and nothing of the kernel
# itself, so that kbuild makes no BTF for modules ("due to unavailability of vmlinux"). Seen: so it is in
# 6.1. That of 6.12 has a vmlinux which holds .BTF and .BTF_ids and no code, CONFIG_DEBUG_INFO_BTF_MODULES
# is set, and linux-kbuild depends on pahole: a module that is built from unpacked packages ends with
# "pahole: not found" unless make is told CONFIG_DEBUG_INFO_BTF_MODULES= or pahole is there.
#
# Prints what it saw; fails if that is anything else.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "failed: $BASH_COMMAND"; tail -n 5 "$dir/log"' ERR
cd "$dir"

# Of the mirror that this machine uses, the suites that have the packages.
mkdir -p lists/partial cache/archives/partial
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\|/debian/$|{p;q}')
printf 'deb %s %s main\n' "$mirror" bookworm "$mirror" bookworm-backports > sources.list
options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache")
apt-get "${options[@]}" update > log 2>&1
apt-get "${options[@]}" download linux-headers-6.1.0-50-amd64=6.1.176-1 \
	linux-headers-6.12.95+deb12-amd64=6.12.95-1~bpo12+1 linux-kbuild-6.1=6.1.176-1 \
	linux-kbuild-6.12.95+deb12=6.12.95-1~bpo12+1 > log 2>&1
for deb in *.deb; do
	dpkg-deb -x "$deb" root
done
look() {	# headers, kbuild
	local headers=root/usr/src/$1 sections=none
	if [ -e "$headers/vmlinux" ]; then
		sections=$(readelf -SW "$headers/vmlinux" | grep -oE '\.(BTF|BTF_ids|text) ' | xargs)
	fi
	echo "$1: $(grep CONFIG_DEBUG_INFO_BTF_MODULES "$headers/.config"), sections of vmlinux: $sections," \
		"pahole of $2: $(dpkg-deb -f "$2"_*.deb Depends | grep -c pahole || true)"
}
{
	look linux-headers-6.1.0-50-amd64 linux-kbuild-6.1
	look linux-headers-6.12.95+deb12-amd64 linux-kbuild-6.12.95+deb12
} | tee seen
diff - seen << 'END'
linux-headers-6.1.0-50-amd64: CONFIG_DEBUG_INFO_BTF_MODULES=y, sections of vmlinux: none, pahole of linux-kbuild-6.1: 0
linux-headers-6.12.95+deb12-amd64: CONFIG_DEBUG_INFO_BTF_MODULES=y, sections of vmlinux: .BTF .BTF_ids, pahole of linux-kbuild-6.12.95+deb12: 1
END
