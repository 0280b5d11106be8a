// SPDX-License-Identifier: GPL-2.0
/*
 * A member of the driver's own by the name of the call, with as many arguments
 * as a form of it has.
 *
 * Error: has no member named 'gup_legacy_get_5'
 */
#include "gup_legacy.h"

struct ops {
	int (*get_user_pages)(void *dev, long start, int nr, struct page **pages);
};

int driver_get(struct ops *ops, struct page **pages);
int driver_get(struct ops *ops, struct page **pages)
{
	return ops->get_user_pages(NULL, 0, 1, pages);
}
