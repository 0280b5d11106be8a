#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Linux 7.3 (Debian linux-source-7.3 7.3.4-1~bpo13+1, gcc 12.2) as User Mode Linux,
# 64 bit, one CPU: what the kernel itself does with user memory does not count as an
# access of it.
#
#  - A page is given up with MADV_FREE, read() stores data in it, memory is reclaimed
#    (MADV_PAGEOUT). Expected: the data is there, as after a store by the program itself.
#    Seen: the page reads as zeros. The kernel writes through its own mapping of the page,
#    and its entry in the process's page table stays clean.
#  - write() from a page with PROT_NONE. Expected: EFAULT, as on x86. Seen: it succeeds:
#    the entry counts as present.
#
# Prints what it saw; fails if that is anything else. Takes some minutes: it builds a kernel.
set -euo pipefail
version=7.3.4-1~bpo13+1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "failed: $BASH_COMMAND"; tail -n 5 "$dir/log" "$dir/console"' ERR
for tool in make gcc flex bison bc; do
	command -v "$tool" > /dev/null || { echo "needs $tool"; exit 1; }
done
cd "$dir"

# Of the mirror that this machine uses, the suite that has the package.
mkdir -p lists/partial cache/archives/partial
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\|/debian/$|{p;q}')
echo "deb $mirror trixie-backports main" > sources.list
options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache")
apt-get "${options[@]}" update > log 2>&1
apt-get "${options[@]}" download "linux-source-7.3=$version" > log 2>&1
dpkg-deb --fsys-tarfile ./*.deb | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | tar -xJ
cd linux-source-7.3

cat > ../init.c << 'END'
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>

static int out, pipes[2];

static void say(const char *what, const char *result)
{
	char line[80];

	if (write(out, line, snprintf(line, sizeof(line), "seen: %s: %s\n", what, result)) < 0)
		_exit(1);
}

static void freed(const char *how, int by_kernel)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(p, 'a', 4096);
	madvise(p, 4096, MADV_FREE);
	if (!by_kernel)
		*p = 'b';
	else if (write(pipes[1], "b", 1) != 1 || read(pipes[0], p, 1) != 1)
		say("pipe", strerror(errno));
	madvise(p, 4096, MADV_PAGEOUT);
	say(how, *p == 'b' ? "kept" : *p ? "old" : "lost");
}

int main(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	out = open("/kmsg", O_WRONLY);
	if (pipe(pipes))
		say("pipe", strerror(errno));
	freed("MADV_FREE, store, MADV_PAGEOUT", 0);
	freed("MADV_FREE, read(), MADV_PAGEOUT", 1);
	*p = 'c';
	mprotect(p, 4096, PROT_NONE);
	say("write() from PROT_NONE", write(pipes[1], p, 1) == 1 ? "written" : strerror(errno));
	reboot(RB_POWER_OFF);
	return 0;
}
END
gcc -O2 -static -o ../init ../init.c
printf '%s\n' 'nod /kmsg 0600 0 0 c 1 11' "file /init $dir/init 0755 0 0" > ../list
printf 'CONFIG_%s\n' 64BIT=y PRINTK=y BINFMT_ELF=y BLK_DEV_INITRD=y ADVISE_SYSCALLS=y STDERR_CONSOLE=y "INITRAMFS_SOURCE=\"$dir/list\"" > ../config
make -s ARCH=um KCONFIG_ALLCONFIG=../config allnoconfig
make -s ARCH=um CC="$(command -v ccache > /dev/null && echo 'ccache ')gcc" -j"$(nproc)" linux > ../log 2>&1
timeout 300 ./linux mem=64M < /dev/null > ../console 2>&1 || true
grep -o 'Linux version [^ ]*' ../console
grep -o 'seen: .*' ../console | tee ../seen
diff - ../seen << 'END'
seen: MADV_FREE, store, MADV_PAGEOUT: kept
seen: MADV_FREE, read(), MADV_PAGEOUT: lost
seen: write() from PROT_NONE: written
END
