// SPDX-License-Identifier: GPL-2.0

#include <linux/highmem.h>
#include <linux/mm.h>

/*
 * Fill a buffer of the user, whole pages of it. It may be more than
 * one call can get; the result is how many pages were filled.
 */
long example_fill(unsigned long addr, int nr_pages, int value,
		  struct page **pages)
{
	int i, nr;

	nr = pin_user_pages_fast(addr, nr_pages, FOLL_WRITE, pages);
	if (nr <= 0)
		return nr;

	for (i = 0; i < nr; i++) {
		void *data = kmap_local_page(pages[i]);

		memset(data, value, PAGE_SIZE);
		flush_dcache_page(pages[i]);
		kunmap_local(data);
	}
	unpin_user_pages_dirty_lock(pages, nr, true);
	return nr;
}
