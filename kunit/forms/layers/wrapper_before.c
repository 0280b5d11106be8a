// SPDX-License-Identifier: GPL-2.0
/*
 * A wrapper over the old call that is compiled before the header is included.
 * Nothing can be done for it, and the compiler says so of the call.
 *
 * Error: too many arguments to function 'get_user_pages'
 */
#include <linux/mm.h>
#include <linux/sched.h>

static inline int wrapped(unsigned long start, struct page **pages)
{
	return get_user_pages(current, current->mm, start, 1, 1, 0, pages, NULL);
}

#include "gup_legacy.h"

int driver_get(unsigned long start, struct page **pages);
int driver_get(unsigned long start, struct page **pages)
{
	return wrapped(start, pages);
}
