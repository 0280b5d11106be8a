#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Linux 7.3 (Debian's linux-binary-7.3.4+deb13-cloud-amd64 7.3.4-1~bpo13+1, amd64, QEMU of the
# machine): a core file may have holes where the process had data, if its transparent huge pages are
# moved to another node while it dumps core.
#
# Expected: a core file has all private memory that was written to, whatever migrates. Seen: of memory in
# pages of 4 KiB nothing is missing; of the same memory in pages of 2 MiB, 512 to 4502 of 16384 pages are
# zeroes, in five runs. get_dump_page() leaves out what no fault would find, and takes the migration entry
# of a huge page for that.
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
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE	(64UL << 20)
#define HUGE	(2UL << 20)
#define PAGE	4096UL

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

/* The process that dumps core, all of whose memory in [where, where + SIZE) is 0xff. */
static void victim(char *where, int advice, int ready)
{
	struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };

	setrlimit(RLIMIT_CORE, &core);
	mmap(where, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	madvise(where, SIZE, advice);
	memset(where, 0xff, SIZE);
	write(ready, "", 1);
	abort();
}

/* Pages of zeroes among those, or -1. */
static long missing(char *where)
{
	static char page[PAGE], zero[PAGE];
	int fd = open("/core", O_RDONLY);
	unsigned long i, j;
	Elf64_Phdr ph;
	Elf64_Ehdr eh;
	long nr = 0;

	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh))
		return -1;
	for (i = 0; i < eh.e_phnum; i++) {
		pread(fd, &ph, sizeof(ph), eh.e_phoff + i * sizeof(ph));
		if (ph.p_type == PT_LOAD && ph.p_vaddr <= (unsigned long)where &&
		    ph.p_vaddr + ph.p_filesz >= (unsigned long)where + SIZE)
			break;
	}
	if (i == eh.e_phnum)
		return -1;
	for (j = 0; j < SIZE; j += PAGE) {
		memset(page, 0, PAGE);
		pread(fd, page, PAGE, ph.p_offset + (unsigned long)where - ph.p_vaddr + j);
		nr += !memcmp(page, zero, PAGE);
	}
	close(fd);
	unlink("/core");
	return nr;
}

/* Dump core while the memory goes from one node to the other and back. */
static void dump(const char *name, char *where, int advice)
{
	unsigned long nodes[2] = { 1, 2 };
	int status, moves = 0, fds[2];
	pid_t pid;
	char c;

	pipe(fds);
	pid = fork();
	if (!pid)
		victim(where, advice, fds[1]);
	read(fds[0], &c, 1);
	while (!waitpid(pid, &status, WNOHANG)) {
		syscall(SYS_migrate_pages, pid, 64, &nodes[moves & 1], &nodes[!(moves & 1)]);
		moves++;
	}
	printf("%s: moved: %s, dumped: %s, missing: %ld of %lu\n", name, moves ? "yes" : "no",
	       WCOREDUMP(status) ? "yes" : "no", missing(where), SIZE / PAGE);
}

int main(void)
{
	char *where = mmap(NULL, SIZE + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	put("/proc/sys/kernel/core_pattern", "/core");
	put("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	where = (char *)(((unsigned long)where + HUGE - 1) & -HUGE);
	dump("4 KiB", where, MADV_NOHUGEPAGE);
	dump("2 MiB", where, MADV_HUGEPAGE);
	fflush(stdout);
	sync();
	reboot(RB_AUTOBOOT);
	return 0;
}
END
gcc -O2 -w -static -o init init.c
echo init | cpio -o -H newc -R 0:0 2> log | gzip -1 > initrd.gz
timeout 900 qemu-system-x86_64 -nodefaults -display none -no-reboot -accel tcg -cpu max -smp 2 -m 2G \
	-object memory-backend-ram,id=a,size=1G -object memory-backend-ram,id=b,size=1G \
	-numa node,memdev=a,cpus=0 -numa node,memdev=b,cpus=1 \
	-serial stdio -kernel usr/lib/modules/*/vmlinuz -initrd initrd.gz \
	-append "console=ttyS0 panic=-1 quiet" < /dev/null > console 2> log
qemu-system-x86_64 --version | head -n 1
tr -d '\r' < console | grep -aE '^[24] [KM]iB: '
grep -aq '^4 KiB: moved: yes, dumped: yes, missing: 0 of 16384' console
huge=$(tr -d '\r' < console | sed -n 's/^2 MiB: moved: yes, dumped: yes, missing: \([0-9]*\) of.*/\1/p')
[ "$huge" -gt 0 ]
