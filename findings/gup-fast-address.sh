#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Linux 7.3 (Debian's linux-binary-7.3.4+deb13-arm64 7.3.4-1~bpo13+1, arm64, QEMU of the machine): a system
# call may take an address that no process can have for another one.
#
# Expected: a bit above the 48 that the CPU translates gives "Bad address". Seen: write() says so, but
# vmsplice() puts the page at the address without that bit into the pipe, on a CPU without LPA2. With it
# addresses have 52 bits, and both say "Bad address". The kernel is made for 52 bits, and folds a level of
# its page tables where the CPU has 48; GUP-fast compares with 2^52, and the folded level has no index.
# patches/fixes/0009 mends it. 6.12 does the same, and so does mips64 (6.1, QEMU's 5KEf), above 2^40.
#
# Prints what it saw; fails if that is anything else.
set -euo pipefail
package=linux-binary-7.3.4+deb13-arm64
version=7.3.4-1~bpo13+1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "failed: $BASH_COMMAND"; tail -n 5 "$dir/log" "$dir/console"' ERR
for tool in aarch64-linux-gnu-gcc qemu-system-aarch64 cpio gzip; do
	command -v "$tool" > /dev/null || { echo "needs $tool"; exit 1; }
done
cd "$dir"

# Of the mirror that this machine uses, the suite that has the package.
mkdir -p lists/partial cache/archives/partial
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\|/debian/$|{p;q}')
echo "deb $mirror trixie-backports main" > sources.list
options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache" -o APT::Architecture=arm64
	-o APT::Architectures=arm64)
apt-get "${options[@]}" update > log 2>&1
apt-get "${options[@]}" download "$package=$version" > log 2>&1
dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './usr/lib/modules/*/vmlinuz' > log 2>&1

cat > init.c << 'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/uio.h>
#include <unistd.h>

/* What comes out of a pipe that memory was written or spliced to. */
static const char *through(struct iovec iov, int splice)
{
	static char got[8];
	int fds[2];

	memset(got, 0, sizeof(got));
	if (pipe(fds))
		return "no pipe";
	if ((splice ? vmsplice(fds[1], &iov, 1, 0) : write(fds[1], iov.iov_base, iov.iov_len)) < 0)
		strcpy(got, "error");
	else
		read(fds[0], got, sizeof(got) - 1);
	close(fds[0]);
	close(fds[1]);
	return got;
}

int main(void)
{
	static const int bits[] = { 0, 48, 49, 51 };
	char *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	strcpy(page, "mine");
	for (i = 0; i < 4; i++) {
		struct iovec iov = { bits[i] ? (void *)((unsigned long)page | 1UL << bits[i]) : page, 5 };

		printf("seen: bit %d, write %s, ", bits[i], through(iov, 0));
		printf("vmsplice %s\n", through(iov, 1));
	}
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 0;
}
END
aarch64-linux-gnu-gcc -O2 -static -Wno-unused-result -o init init.c
echo init | cpio -o -H newc -R 0:0 2> log | gzip -1 > initrd.gz
qemu-system-aarch64 --version | head -n 1
for row in off:4 on:1; do
	lpa2=${row%:*}
	timeout 600 qemu-system-aarch64 -nodefaults -display none -no-reboot -machine virt -accel tcg \
		-cpu "max,pauth-impdef=on,lpa2=$lpa2" -smp 1 -m 1G -serial stdio -kernel usr/lib/modules/*/vmlinuz \
		-initrd initrd.gz -append "console=ttyAMA0 panic=-1 quiet" < /dev/null > console 2> log
	echo "lpa2=$lpa2"
	tr -d '\r' < console | grep -a '^seen' | tee "seen-$lpa2"
	[ "$(grep -c 'vmsplice mine' "seen-$lpa2")" = "${row#*:}" ]
	[ "$(grep -c 'write mine' "seen-$lpa2")" = 1 ]
done
