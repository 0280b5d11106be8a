// SPDX-License-Identifier: GPL-2.0
/*
 * pr_fmt() comes first, as in most drivers, then the header, then the rest.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "gup_legacy.h"

#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pagemap.h>

int driver_get(unsigned long start, struct page **pages);
int driver_get(unsigned long start, struct page **pages)
{
	int got;

	down_read(&current->mm->mmap_sem);
	got = get_user_pages(current, current->mm, start, 1, 1, 0, pages, NULL);
	up_read(&current->mm->mmap_sem);
	pr_info("%d\n", got);
	return got;
}
