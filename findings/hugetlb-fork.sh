#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Linux 7.3 (Debian's linux-binary-7.3.4+deb13-cloud-amd64 7.3.4-1~bpo13+1, amd64, QEMU of the
# machine): fork() may leave the child without a private hugetlb page of 1 GiB.
#
# Expected: the page table of the child has what that of the parent has, for private memory that was
# written to. Seen: when pipes were opened and closed before, so that pages of the slab allocator are free
# again, the child has no entry in 10 to 15 of 40 forks. It would read zeroes, or get SIGBUS if there is
# no other page. copy_hugetlb_page_range() takes a page table for a shared one by a field of struct
# ptdesc that only tables of PMDs initialise. A page of 1 GiB has its entry in a table of PUDs, where
# the field is what the last owner of the page has left. Page cache, which was the guess, leaves less: its
# pages are movable, and page tables are made of others.
#
# Prints what it saw; fails if that is anything else.
set -euo pipefail
package=linux-binary-7.3.4+deb13-cloud-amd64
version=7.3.4-1~bpo13+1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "failed: $BASH_COMMAND"; tail -n 5 "$dir/log" "$dir/console"' ERR
for tool in gcc qemu-system-x86_64 cpio gzip; do
	command -v "$tool" > /dev/null || { echo "needs $tool"; exit 1; }
done
cd "$dir"

# Of the mirror that this machine uses, the suite that has the package.
mkdir -p lists/partial cache/archives/partial
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\|/debian/$|{p;q}')
echo "deb $mirror trixie-backports main" > sources.list
options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache" -o APT::Architecture=amd64)
apt-get "${options[@]}" update > log 2>&1
apt-get "${options[@]}" download "$package=$version" > log 2>&1
dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './usr/lib/modules/*/vmlinuz' > log 2>&1

cat > init.c << 'END'
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKS	40
#define HUGE	(1UL << 30)
#define PIPES	400

static char *page;

/* Is there an entry in the page table of this process? Nothing is touched. */
static int mapped(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (pread(fd, &entry, 8, (uintptr_t)page / 4096 * 8) != 8)
		return -1;
	close(fd);
	return entry >> 63;
}

/* Pipes come and go: pages that the slab allocator had become free. */
static void use_slabs(void)
{
	static int fds[PIPES][2];
	int i;

	for (i = 0; i < PIPES; i++)
		if (pipe(fds[i]))
			exit(1);
	for (i = 0; i < PIPES; i++) {
		close(fds[i][0]);
		close(fds[i][1]);
	}
}

static int lost(int pipes)
{
	int i, status, nr = 0;

	for (i = 0; i < FORKS; i++) {
		if (pipes)
			use_slabs();
		if (!fork())
			_exit(mapped() == 1 ? 0 : 1);
		wait(&status);
		nr += status != 0;
	}
	return nr;
}

int main(void)
{
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	page = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << MAP_HUGE_SHIFT, -1, 0);
	if (page == MAP_FAILED) {
		puts("no page of 1 GiB");
	} else {
		memset(page, 42, 1);
		printf("parent: %d\n", mapped());
		printf("lost without pipes: %d of %d\n", lost(0), FORKS);
		printf("lost with pipes: %d of %d\n", lost(1), FORKS);
	}
	fflush(stdout);
	sync();
	reboot(RB_AUTOBOOT);
	return 0;
}
END
gcc -O2 -static -o init init.c
echo init | cpio -o -H newc -R 0:0 2> log | gzip -1 > initrd.gz
timeout 600 qemu-system-x86_64 -nodefaults -display none -no-reboot -accel tcg -cpu max -smp 1 -m 3G \
	-serial stdio -kernel usr/lib/modules/*/vmlinuz -initrd initrd.gz \
	-append "console=ttyS0 panic=-1 quiet hugepagesz=1G hugepages=1" < /dev/null > console 2> log
qemu-system-x86_64 --version | head -n 1
tr -d '\r' < console | grep -aE '^(parent|lost)'
without=$(tr -d '\r' < console | sed -n 's/^lost without pipes: \([0-9]*\) of.*/\1/p')
with=$(tr -d '\r' < console | sed -n 's/^lost with pipes: \([0-9]*\) of.*/\1/p')
[ -n "$without" ]
[ "$with" -gt 0 ]
