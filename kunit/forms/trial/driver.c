// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A driver of 2012 by its calls: eight arguments, vmas and mmap_sem. When it is
 * loaded it tries itself on memory of the process that loads it.
 *
 * It does not compile any more. scripts/forms brings it to life in both ways of
 * Documentation/porting.md: header.patch and today.patch are what is left to do
 * by hand.
 *
 * Error: has no member named 'mmap_sem'
 */
#define pr_fmt(fmt) "gup_form: " KBUILD_MODNAME ": " fmt

#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#define NR	4

struct old_buffer {
	struct page *pages[NR];
	int nr;
};

static void old_put(struct old_buffer *buf, int written)
{
	int i;

	for (i = 0; i < buf->nr; i++) {
		if (written)
			set_page_dirty_lock(buf->pages[i]);
		put_page(buf->pages[i]);
	}
}

/* The device wants all of the buffer, in one mapping that is not a file's. */
static int old_get(struct old_buffer *buf, unsigned long start)
{
	struct vm_area_struct *vmas[NR];
	int i, ret = 0;

	down_read(&current->mm->mmap_sem);
	buf->nr = get_user_pages(current, current->mm, start, NR, 1, 0,
				 buf->pages, vmas);
	for (i = 0; i < buf->nr; i++) {
		if (vmas[i] != vmas[0] || vmas[i]->vm_file)
			ret = -EINVAL;
	}
	up_read(&current->mm->mmap_sem);

	if (buf->nr < 0)
		return buf->nr;
	if (buf->nr < NR)
		ret = -EFAULT;
	if (ret)
		old_put(buf, 0);
	return ret;
}

static void old_dma(struct old_buffer *buf)
{
	int i;

	for (i = 0; i < NR; i++) {
		int *data = kmap(buf->pages[i]);

		*data = *data + i + 1;
		kunmap(buf->pages[i]);
	}
}

static unsigned long old_map(unsigned long nr_pages, unsigned long prot)
{
	return vm_mmap(NULL, 0, nr_pages * PAGE_SIZE, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0);
}

static int old_good(void)
{
	unsigned long start = old_map(NR, PROT_READ | PROT_WRITE);
	struct old_buffer buf;
	int i, ret, seen;

	for (i = 0; i < NR; i++) {
		if (put_user(100 * i, (int __user *)(start + i * PAGE_SIZE)))
			return -ENOMEM;
	}
	ret = old_get(&buf, start + 12);
	if (ret)
		return ret;
	old_dma(&buf);
	old_put(&buf, 1);
	for (i = 0; i < NR; i++) {
		if (get_user(seen, (int __user *)(start + i * PAGE_SIZE)) ||
		    seen != 101 * i + 1)
			return -EIO;
	}
	return 0;
}

/* Not writable; and two mappings that touch. */
static int old_bad(void)
{
	unsigned long start = old_map(NR, PROT_READ);
	struct old_buffer buf;

	if (old_get(&buf, start) != -EFAULT)
		return -EPERM;
	start = old_map(2 * NR, PROT_READ | PROT_WRITE);
	if (vm_mmap(NULL, start + 2 * PAGE_SIZE, PAGE_SIZE,
		    PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0) !=
	    start + 2 * PAGE_SIZE)
		return -ENOMEM;
	return old_get(&buf, start) == -EINVAL ? 0 : -ENXIO;
}

static int __init old_init(void)
{
	int ret = old_good() ?: old_bad();

	if (ret)
		pr_err("failed: %d\n", ret);
	else
		pr_info("ok\n");
	return ret;
}
module_init(old_init);

static void __exit old_exit(void)
{
}
module_exit(old_exit);

MODULE_DESCRIPTION("A driver of 2012");
MODULE_LICENSE("GPL");
