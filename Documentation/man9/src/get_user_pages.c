// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>

/* The NUMA node of a user page. Nobody looks at the data in it. */
int example_node_of(unsigned long addr)
{
	struct page *page;
	long ret;
	int node;

	mmap_read_lock(current->mm);
	ret = get_user_pages(addr, 1, 0, &page);
	mmap_read_unlock(current->mm);
	if (ret < 0)
		return ret;

	node = page_to_nid(page);
	put_page(page);
	return node;
}
