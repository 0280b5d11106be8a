// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>
#include <linux/sched/mm.h>

/* The order of the folio that a task has mapped at an address. */
long example_order_of(struct task_struct *task, unsigned long addr)
{
	struct mm_struct *mm = get_task_mm(task);
	struct page *page;
	int locked = 1;
	long ret;

	if (!mm)
		return -ESRCH;

	ret = mmap_read_lock_killable(mm);
	if (!ret) {
		ret = get_user_pages_remote(mm, addr, 1, 0, &page,
					    &locked);
		if (locked)
			mmap_read_unlock(mm);
	}
	mmput(mm);

	if (ret == 1) {
		ret = folio_order(page_folio(page));
		put_page(page);
	}
	return ret;
}
