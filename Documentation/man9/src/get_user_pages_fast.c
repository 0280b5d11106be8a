// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>

/* Do two user addresses mean the same page of memory? */
int example_same_page(unsigned long a, unsigned long b)
{
	struct page *one, *other;
	int ret;

	ret = get_user_pages_fast(a, 1, 0, &one);
	if (ret < 0)
		return ret;

	ret = get_user_pages_fast(b, 1, 0, &other);
	if (ret == 1) {
		ret = one == other;
		put_page(other);
	}
	put_page(one);
	return ret;
}
