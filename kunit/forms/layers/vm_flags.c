// SPDX-License-Identifier: GPL-2.0
/*
 * Flags of a VMA that came out of vmas[], written to as before v6.3, and
 * page_cache_release(), gone since v4.6. The header gives neither.
 *
 * Error: page_cache_release
 */
#include "gup_legacy.h"

#include <linux/pagemap.h>

int driver_get(unsigned long start, struct page **pages);
int driver_get(unsigned long start, struct page **pages)
{
	struct vm_area_struct *vma;
	int got;

	got = get_user_pages(current, current->mm, start, 1, 1, 0, pages, &vma);
	if (got == 1)
		page_cache_release(pages[0]);
	return got;
}
