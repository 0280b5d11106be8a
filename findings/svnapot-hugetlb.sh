#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Linux 6.12 (Debian's linux-image-6.12.117+deb13-riscv64 6.12.117-1, QEMU 7.2.22 of Debian 12 with
# svnapot=true), riscv64: the kernel reads the first 4 KiB of a hugetlb page of 64 KiB sixteen times.
#
# Expected: a process that wrote 0 to 15 into the 4 KiB pages of such a page reads 0 to 15, whichever way. Seen:
# by the CPU it does; by process_vm_readv(), vmsplice() and /proc/self/mem each is 0, without an error. The sixteen
# entries of a page of 64 KiB are the same NAPOT entry. pte_pfn() gives the first page for any of them, and
# get_user_pages() takes pte_page() of the entry at the address for the page there. Debian's 7.2.13+deb14-riscv64
# 7.2.13-1 reads the same. The control is svnapot=false: there are no pages of 64 KiB then, and mmap() fails.
#
# Prints what it saw; fails if that is anything else.
set -euo pipefail
package=linux-image-6.12.117+deb13-riscv64
version=6.12.117-1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "failed: $BASH_COMMAND"; tail -n 5 "$dir/log" "$dir/console"' ERR
for tool in riscv64-linux-gnu-gcc qemu-system-riscv64 cpio gzip; do
	command -v "$tool" > /dev/null || {
		echo "needs $tool (gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-system-misc opensbi cpio gzip)"
		exit 1
	}
done
cd "$dir"
touch log console

# Of the mirror that this machine uses, the suite that has the package.
mkdir -p lists/partial cache/archives/partial
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\|/debian/$|{p;q}')
echo "deb $mirror trixie main" > sources.list
options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache"
	-o APT::Architecture=riscv64 -o APT::Architectures=riscv64)
apt-get "${options[@]}" update > log 2>&1
apt-get "${options[@]}" download "$package=$version" > log 2>&1
dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './boot/vmlinux-*' > log 2>&1

cat > init.c << 'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#define PAGE	4096
#define PAGES	16

static char *huge;
static int mem, fds[2];

static int *address(int page)
{
	return (int *)(huge + page * PAGE);
}

/* What is read by each way, -1 if nothing is. */
static int by_cpu(int page)
{
	return *(volatile int *)address(page);
}

static int by_process_vm_readv(int page)
{
	struct iovec from = { address(page), sizeof(int) };
	int number = -1;
	struct iovec to = { &number, sizeof(number) };

	process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	return number;
}

static int by_vmsplice(int page)
{
	struct iovec from = { address(page), sizeof(int) };
	int number;

	if (vmsplice(fds[1], &from, 1, 0) != sizeof(number) ||
	    read(fds[0], &number, sizeof(number)) != sizeof(number))
		return -1;
	return number;
}

static int by_mem(int page)
{
	int number;

	if (pread(mem, &number, sizeof(number), (off_t)address(page)) != sizeof(number))
		return -1;
	return number;
}

static void show(const char *way, int (*by)(int page))
{
	int page;

	printf("%s:", way);
	for (page = 0; page < PAGES; page++)
		printf(" %d", by(page));
	puts("");
}

int main(void)
{
	int page;

	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mem = open("/proc/self/mem", O_RDONLY);
	huge = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 16 << MAP_HUGE_SHIFT, -1, 0);
	if (huge == MAP_FAILED) {
		printf("mmap: %s\n", strerror(errno));
	} else if (mem < 0 || pipe(fds)) {
		puts("no /proc or no pipe");
	} else {
		for (page = 0; page < PAGES; page++)
			*address(page) = page;
		show("CPU", by_cpu);
		show("process_vm_readv", by_process_vm_readv);
		show("vmsplice", by_vmsplice);
		show("/proc/self/mem", by_mem);
	}
	/* The console is slow: what it has not yet sent would be lost. */
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	return 0;
}
END
riscv64-linux-gnu-gcc -O2 -static -o init init.c
echo init | cpio -o -H newc -R 0:0 2> log | gzip -1 > initrd.gz
qemu-system-riscv64 --version | head -n 1
for svnapot in true false; do
	timeout 600 qemu-system-riscv64 -machine virt -cpu "rv64,svnapot=$svnapot" -smp 1 -m 1G \
		-nodefaults -display none -no-reboot -serial stdio -kernel boot/vmlinux-* -initrd initrd.gz \
		-append "console=ttyS0 panic=-1 quiet hugepagesz=64K hugepages=16" < /dev/null > console 2> log
	echo "svnapot=$svnapot"
	tr -d '\r' < console | grep -aE '^(mmap|no|CPU|process_vm_readv|vmsplice|/proc/self/mem)\b.*' || true
done | tee seen
diff - seen << 'END'
svnapot=true
CPU: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
process_vm_readv: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
vmsplice: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
/proc/self/mem: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
svnapot=false
mmap: Invalid argument
END
