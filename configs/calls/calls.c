// SPDX-License-Identifier: GPL-2.0
/*
 * What system calls that take user memory cost, by the size of its folios. Each
 * is done once to warm up, then again; a line is
 *
 *	gup_bench: calls <layout> <call> <read or write> <pages> <pages per call> <ns>
 *
 * read and write are what is done to the memory. A call that does not do all that
 * it was asked for ends the program, and so does memory in smaller folios.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096UL
#define MIB	(1UL << 20)
#define HUGE	(2 * MIB)
#define AREA	(256 * MIB)
#define FILES	(16 * MIB)	/* what is read, written and copied */

/* Of linux/io_uring.h, which wants headers that are newer than some distributions'. */
#define IORING_REGISTER_BUFFERS		0
#define IORING_UNREGISTER_BUFFERS	1
#define PARAMS				120	/* bytes of struct io_uring_params */

static char *area;		/* AREA bytes, aligned to HUGE */
static const char *layout;
static int file, disk, memory, ring, ends[2];

static unsigned long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000UL + ts.tv_nsec;
}

static void want(const char *what, long done, long all)
{
	if (done != all)
		errx(1, "%s: %ld, not %ld", what, done, all);
}

/* Each does its call on @size bytes at @at, and returns how many bytes it took. */

static long do_register(char *at, unsigned long size)
{
	struct iovec all = { at, size };

	return syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS,
		       &all, 1) ? -1 : (long)size;
}

static long do_unregister(char *at, unsigned long size)
{
	return syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS,
		       NULL, 0) ? -1 : (long)size;
}

static long do_file_write(char *at, unsigned long size)
{
	return pwrite(file, at, size, (at - area) % FILES);
}

static long do_file_read(char *at, unsigned long size)
{
	return pread(file, at, size, (at - area) % FILES);
}

static long do_disk_read(char *at, unsigned long size)
{
	return pread(disk, at, size, (at - area) % FILES);
}

static long do_process_vm_readv(char *at, unsigned long size)
{
	static char to[FILES];
	struct iovec local = { to, size }, remote = { at, size };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
}

static long do_process_vm_writev(char *at, unsigned long size)
{
	static char from[FILES];
	struct iovec local = { from, size }, remote = { at, size };

	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
}

static long do_vmsplice(char *at, unsigned long size)
{
	struct iovec all = { at, size };

	return vmsplice(ends[1], &all, 1, 0);
}

static void empty_pipe(unsigned long size)
{
	static int null = -1;

	if (null < 0)
		null = open("/dev/null", O_WRONLY);
	while (size) {
		long done = splice(ends[0], NULL, null, NULL, size, 0);

		if (done <= 0)
			err(1, "splice");
		size -= done;
	}
}

static long do_populate_read(char *at, unsigned long size)
{
	return madvise(at, size, MADV_POPULATE_READ) ? -1 : (long)size;
}

static long do_populate_write(char *at, unsigned long size)
{
	return madvise(at, size, MADV_POPULATE_WRITE) ? -1 : (long)size;
}

static long do_mlock(char *at, unsigned long size)
{
	return mlock(at, size) ? -1 : (long)size;
}

static long do_mem_read(char *at, unsigned long size)
{
	static char to[FILES];

	return pread(memory, to, size, (unsigned long)at);
}

static long do_mem_write(char *at, unsigned long size)
{
	static char from[FILES];

	return pwrite(memory, from, size, (unsigned long)at);
}

/* Not FUTEX_PRIVATE_FLAG: the key is that of the page. */
static long do_futex(char *at, unsigned long size)
{
	return syscall(SYS_futex, at, FUTEX_WAKE, 1, NULL, NULL, 0) ? -1 : (long)size;
}

/* What is undone behind each call, without being measured. */

static void do_munlock(unsigned long size)
{
	munlock(area, size);
}

static void do_madvise_free(unsigned long size)
{
	madvise(area, size, MADV_DONTNEED);
}

static const struct {
	const char *name, *access;
	unsigned long size, per_call;	/* in bytes */
	long (*call)(char *at, unsigned long size);
	void (*undo)(unsigned long size);
} calls[] = {
	{ "register", "write", AREA, AREA, do_register },
	{ "unregister", "write", AREA, AREA, do_unregister },
	{ "ext4_write", "read", FILES, MIB, do_file_write },
	{ "ext4_write", "read", FILES, PAGE, do_file_write },
	{ "ext4_read", "write", FILES, MIB, do_file_read },
	{ "ext4_read", "write", FILES, PAGE, do_file_read },
	{ "disk_read", "write", FILES, MIB, do_disk_read },
	{ "disk_read", "write", FILES, PAGE, do_disk_read },
	{ "process_vm_readv", "read", FILES, FILES, do_process_vm_readv },
	{ "process_vm_writev", "write", FILES, FILES, do_process_vm_writev },
	{ "vmsplice", "read", MIB, MIB, do_vmsplice, empty_pipe },
	{ "mem_read", "read", FILES, FILES, do_mem_read },
	{ "mem_write", "write", FILES, FILES, do_mem_write },
	{ "futex", "write", FILES, PAGE, do_futex },
	{ "populate_read", "read", FILES, FILES, do_populate_read },
	{ "populate_write", "write", FILES, FILES, do_populate_write },
	{ "mlock", "write", FILES, FILES, do_mlock, do_munlock },
	{ "populate_new", "write", FILES, FILES, do_populate_write, do_madvise_free },
};

static void measure(unsigned int i, int print)
{
	unsigned long at, took = now();

	for (at = 0; at < calls[i].size; at += calls[i].per_call)
		want(calls[i].name, calls[i].call(area + at, calls[i].per_call),
		     calls[i].per_call);
	took = now() - took;
	if (calls[i].undo)
		calls[i].undo(calls[i].size);
	if (print)
		printf("gup_bench: calls %s %s %s %lu %lu %lu\n", layout,
		       calls[i].name, calls[i].access, calls[i].size / PAGE,
		       calls[i].per_call / PAGE, took);
}

/* How many folios of this size have been made for anonymous memory? */
static unsigned long folios(unsigned long kib)
{
	char name[100];
	unsigned long n = 0;
	FILE *from;

	snprintf(name, sizeof(name),
		 "/sys/kernel/mm/transparent_hugepage/hugepages-%lukB/stats/anon_fault_alloc", kib);
	from = fopen(name, "r");
	if (!from || fscanf(from, "%lu", &n) != 1)
		err(1, "%s", name);
	fclose(from);
	return n;
}

static void make_area(unsigned long kib)
{
	unsigned long before = kib > 4 ? folios(kib) : 0;

	area = mmap(NULL, AREA + HUGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		err(1, "mmap");
	area = (char *)(((unsigned long)area + HUGE - 1) & -HUGE);
	madvise(area, AREA, kib > 4 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(area, 1, AREA);
	if (kib > 4)
		want("folios", folios(kib) - before, AREA / 1024 / kib);
}

static int opened(const char *name, int flags)
{
	int fd = open(name, flags, 0600);

	if (fd < 0)
		err(1, "%s", name);
	return fd;
}

int main(int argc, char **argv)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	static char params[PARAMS];
	unsigned long kib = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;

	layout = kib == 4 ? "order0" : kib == 64 ? "order4" : kib == 2048 ? "pmd" : NULL;
	if (!layout)
		errx(1, "KiB of a folio: 4, 64 or 2048");
	setrlimit(RLIMIT_MEMLOCK, &all);
	make_area(kib);
	ring = syscall(SYS_io_uring_setup, 1, params);
	if (ring < 0 || pipe(ends))
		err(1, "io_uring or pipe");
	want("size of the pipe", fcntl(ends[1], F_SETPIPE_SZ, MIB), MIB);
	file = opened("/disk/file", O_RDWR | O_CREAT | O_DIRECT);
	disk = opened("/dev/ram0", O_RDONLY | O_DIRECT);
	memory = opened("/proc/self/mem", O_RDWR);

	/* The first two go together. */
	do_register(area, AREA);
	do_unregister(area, AREA);
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].call != do_register && calls[i].call != do_unregister)
			measure(i, 0);
		measure(i, 1);
	}
	return 0;
}
