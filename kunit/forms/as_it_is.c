// SPDX-License-Identifier: GPL-2.0
/*
 * What gup.cocci has to leave alone: calls that are today's, those that want
 * VMAs, those of which only the types tell what they are, and names of the
 * driver's own.
 */
struct driver {
	struct rw_semaphore mmap_sem;
	int (*get_user_pages)(void *buffer, int nr_pages, struct page **pages);
	void *mm;
};

void today(struct mm_struct *mm, unsigned long start, unsigned int flags,
	   struct page **pages, int *locked)
{
	get_user_pages(start, 1, flags, pages);
	get_user_pages(start, 1, 0, NULL);
	get_user_pages_remote(mm, start, 1, flags, pages, locked);
	get_user_pages_remote(mm, start, 1, flags, NULL, NULL);
	get_user_pages_unlocked(start, 1, pages, flags);
	get_user_pages_fast(start, 1, flags, pages);
	pin_user_pages(start, 1, flags, pages);
	pin_user_pages_remote(mm, start, 1, flags, pages, NULL);
	mmap_read_lock(mm);
	mmap_read_unlock(mm);
}

void wants_vmas(struct task_struct *tsk, struct mm_struct *mm,
		unsigned long start, unsigned int flags, struct page **pages,
		struct vm_area_struct **vmas)
{
	get_user_pages(tsk, mm, start, 1, 1, 0, pages, vmas);
	get_user_pages(tsk, mm, start, 1, flags, pages, vmas);
	get_user_pages(start, 1, 1, 0, pages, vmas);
	get_user_pages(start, 1, flags, pages, vmas);
	get_user_pages_remote(tsk, mm, start, 1, 1, 0, pages, vmas);
	get_user_pages_remote(tsk, mm, start, 1, flags, pages, vmas);
	get_user_pages_remote(tsk, mm, start, 1, flags, pages, vmas, NULL);
	get_user_pages_remote(mm, start, 1, flags, pages, vmas, NULL);
	pin_user_pages(start, 1, flags, pages, vmas);
	pin_user_pages_remote(mm, start, 1, flags, pages, vmas, NULL);
}

void own(struct driver *driver, void *buffer, struct page **pages)
{
	down_read(&driver->mmap_sem);
	driver->get_user_pages(buffer, 1, pages);
	up_read(&driver->mmap_sem);
	down_write(&driver->mmap_sem);
	up_write(&driver->mmap_sem);
}
