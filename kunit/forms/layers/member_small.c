// SPDX-License-Identifier: GPL-2.0
/*
 * Members of the driver's own by the name of the call, with fewer arguments, and
 * by the name of the lock.
 */
#include "gup_legacy.h"

struct ops {
	int (*get_user_pages)(void *buffer, int nr_pages, struct page **pages);
	struct rw_semaphore mmap_sem;
};

int driver_get(struct ops *ops, void *buffer, struct page **pages);
int driver_get(struct ops *ops, void *buffer, struct page **pages)
{
	int got;

	down_read(&ops->mmap_sem);
	got = ops->get_user_pages(buffer, 1, pages);
	up_read(&ops->mmap_sem);
	return got;
}
