// SPDX-License-Identifier: GPL-2.0
/*
 * The same by way of a pointer, which no macro sees.
 */
#include "gup_legacy.h"

struct ops {
	int (*get_user_pages)(void *dev, long start, int nr, struct page **pages);
};

int driver_get(struct ops *ops, struct page **pages);
int driver_get(struct ops *ops, struct page **pages)
{
	int (*get)(void *dev, long start, int nr, struct page **pages);

	get = ops->get_user_pages;
	return get(NULL, 0, 1, pages);
}
