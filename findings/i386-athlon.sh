#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# QEMU 7.2.22 (qemu-system-x86 1:7.2+dfsg-7+deb12u18+b3 of Debian 12) and Linux of 32 bits (linux-image-6.1.0-50-686-pae
# 6.1.176-1 of Debian 12; 7.3.4 as well): -cpu max is another CPU in qemu-system-i386.
#
# Expected: "max", all that the emulator has, is the same 32-bit machine in both programs, but for 64 bits. Seen: in
# qemu-system-i386 it is an AMD of family 6, model 6, which Linux takes for an Athlon XP. Those were sold for one socket
# unless CPUID says "mp", which QEMU does not: with -smp 2 both 32-bit kernels warn when the second CPU comes up, are
# tainted CPU_OUT_OF_SPEC from then on, and (by reading, of 7.3.4) have no lockdep any more, so a test that refuses
# warnings or taint fails before it begins. One CPU is fine, and so is the same kernel in qemu-system-x86_64, where the
# family is 15.
#
# Prints what it saw; fails if that is anything else.
set -Eeuo pipefail
package=linux-image-6.1.0-50-686-pae
version=6.1.176-1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "failed: $BASH_COMMAND"; tail -n 5 "$dir"/log "$dir"/console* >&2' ERR
for tool in qemu-system-i386 qemu-system-x86_64; do
	command -v "$tool" > /dev/null || { echo "needs $tool"; exit 1; }
done
cd "$dir"
touch log console

# Of the mirror that this machine uses, the architecture that the kernel is for.
mkdir -p lists/partial cache/archives/partial
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\|/debian/$|{p;q}')
echo "deb $mirror bookworm main" > sources.list
options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::status=/dev/null
	-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache" -o APT::Architecture=i386)
apt-get "${options[@]}" update > log 2>&1
apt-get "${options[@]}" download "$package=$version" > log 2>&1
dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './boot/vmlinuz-*' > log 2>&1

# Without a file system the kernel panics, which ends QEMU; all CPUs are up by then.
see() # PROGRAM CPUS
{
	timeout 300 "$1" -nodefaults -display none -no-reboot -accel tcg -cpu max -smp "$2" -m 512M -serial stdio \
		-kernel boot/vmlinuz-* -append 'console=ttyS0 panic=-1' > "console-$1-$2" < /dev/null
	echo "$1, $2 CPUs"
	sed -n 's/\r$//; s/^\[[ 0-9.]*\] //; /smpboot: CPU0:/p; /Total of.*processors activated/s/ (.*//p; /not suitable for SMP/p
		s/^CPU: .* swapper\/0 \(Tainted: [A-Z ]*[A-Z]\) .*/panic: \1/p; s/^CPU: .* swapper\/0 \(Not tainted\) .*/panic: \1/p' "console-$1-$2"
}

see qemu-system-i386 2 > seen
see qemu-system-i386 1 >> seen
see qemu-system-x86_64 2 >> seen
cat seen
diff - seen << 'END'
qemu-system-i386, 2 CPUs
smpboot: CPU0: AMD QEMU TCG CPU version 2.5+ (family: 0x6, model: 0x6, stepping: 0x3)
WARNING: This combination of AMD processors is not suitable for SMP.
smpboot: Total of 2 processors activated
panic: Tainted: G S      W
qemu-system-i386, 1 CPUs
smpboot: CPU0: AMD QEMU TCG CPU version 2.5+ (family: 0x6, model: 0x6, stepping: 0x3)
smpboot: Total of 1 processors activated
panic: Not tainted
qemu-system-x86_64, 2 CPUs
smpboot: CPU0: AMD QEMU TCG CPU version 2.5+ (family: 0xf, model: 0x6b, stepping: 0x1)
smpboot: Total of 2 processors activated
panic: Not tainted
END
