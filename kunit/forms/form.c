// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A module that makes one call in one form on memory of the process that loads
 * it, and looks at what a driver relies on: pages, VMAs, references, the lock,
 * and that write is neither ignored nor taken for force. scripts/forms defines
 * FORM_NAME, FORM_HOW, FORM_CALL and FORM_PUT from a line of kunit/forms/table.
 */
#define pr_fmt(fmt) "gup_form: " FORM_NAME ": " fmt

#include "gup_legacy.h"

#include <linux/highmem.h>
#include <linux/mman.h>
#include <linux/module.h>
#ifdef CONFIG_X86_64
#include <asm/vsyscall.h>
#endif

#define NR	4
#define STAMP	0x5a17c0de

/* FORM_HOW */
#define LOCK	1	/* the lock is held, and not dropped */
#define MAY	2	/* the lock is held, and may be dropped */
#define VMAS	4	/* it fills vmas[] */
#define PIN	8	/* it takes pins, and not references */

/* Drivers that have a layer of their own pass several arguments as one. */
#define TASK_AND_MM	current, mm
#define WRITE_NO_FORCE	write, 0

static struct page *pages[NR];
static struct vm_area_struct *vmas[NR];

static long form_call(struct mm_struct *mm, unsigned long start, int write)
{
	unsigned int __maybe_unused flags = write ? FOLL_WRITE : 0;
	int locked = !!(FORM_HOW & (LOCK | MAY));
	long i, got;

	if (locked)
		mmap_read_lock(mm);
	got = FORM_CALL;
	for (i = 0; FORM_HOW & VMAS && start < TASK_SIZE && i < got; i++) {
		if (vmas[i] != find_vma(mm, start)) {
			pr_err("vmas[%ld] is another\n", i);
			got = -ESTALE;
		}
	}
	if (FORM_HOW & LOCK && down_write_trylock(&mm->mmap_lock)) {
		pr_err("the lock was dropped\n");
		up_write(&mm->mmap_lock);
		return -ENOLCK;
	}
	if (locked)
		mmap_read_unlock(mm);
	return got;
}

/* By difference: pages on their way to the LRU lists have references, too. */
static int form_drop(int got)
{
	int __maybe_unused i;
	int count = page_count(pages[0]);

	get_page(pages[0]);
	FORM_PUT;
	count -= page_count(pages[0]) - 1;
	put_page(pages[0]);
	return count == (FORM_HOW & PIN ? 1024 : 1) ? 0 : -EBADF;
}

static int form_look(unsigned long start, int got)
{
	int i, err = 0;

	for (i = 0; i < got; i++) {
		if (*(int *)kmap(pages[i]) != STAMP + i)
			err = -ENXIO;
		kunmap(pages[i]);
	}
	return err;
}

static int form_try(unsigned long prot, int write, int want)
{
	unsigned long start = vm_mmap(NULL, 0, NR * PAGE_SIZE, prot,
				      MAP_PRIVATE | MAP_ANONYMOUS, 0);
	int i, got, err = 0;

	for (i = 0; i < NR && prot & PROT_WRITE; i++) {
		if (put_user(STAMP + i, (int __user *)(start + i * PAGE_SIZE)))
			return -EFAULT;
	}
	got = form_call(current->mm, start, write);
	if (got > 0)
		err = form_look(start, got) ?: form_drop(got);
	if (got != want && !(got <= 0 && want <= 0))
		err = -ERANGE;
	if (err)
		pr_err("returned %d of %d, prot %lu, write %d: %d\n", got, want,
		       prot, write, err);
	return err;
}

/* The page of vsyscall=emulate: its VMA, where vmas[] is looked at, or no page. */
static int form_gate(void)
{
	int __maybe_unused i, got = 0;

#ifdef CONFIG_X86_64
	vmas[0] = NULL;
	got = form_call(current->mm, VSYSCALL_ADDR, 0);
	if (got > 0 && FORM_HOW & VMAS && !vmas[0])
		return -ENXIO;
	if (got > 0)
		FORM_PUT;
#endif
	return got;
}

static int __init form_init(void)
{
	int err = form_try(PROT_READ | PROT_WRITE, 1, NR) ?:
		  form_try(PROT_READ | PROT_WRITE, 0, NR) ?:
		  form_try(PROT_READ, 1, -EFAULT);
	int gate = form_gate();

	if (gate == -ENXIO) {
		pr_err("a page of the gate area, and no VMA\n");
		err = err ?: gate;
	}
	if (!err)
		pr_info("ok, %d of the gate area\n", gate);
	return err;
}
module_init(form_init);

static void __exit form_exit(void)
{
}
module_exit(form_exit);

MODULE_DESCRIPTION("One call of get_user_pages() or a relative");
MODULE_LICENSE("GPL");
