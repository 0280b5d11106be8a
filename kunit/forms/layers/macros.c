// SPDX-License-Identifier: GPL-2.0
/*
 * A layer whose macros stand for several arguments, or none, by version.
 * Coccinelle does not parse that.
 */
#include "gup_legacy.h"

#define GUP_TASK	current, current->mm,
#define GUP_WRITE(w)	(w), 0
#define GUP_VMAS	, NULL

int driver_get(unsigned long start, int write, struct page **pages);
int driver_get(unsigned long start, int write, struct page **pages)
{
	return get_user_pages(GUP_TASK start, 1, GUP_WRITE(write), pages
			      GUP_VMAS);
}
